"""Turn-taking: from windows of microphone sound to turns.

    24 kHz sound ─► MicrophoneWindows ─► windows of 32 ms with a speech probability   (windows.py; Silero VAD)
                                             │
                                             ▼
              Vad: hysteresis; background speech does not count              (vad.py, background_speech.py)
                                             │
                 ┌───────────────────────────┼──────────────────┐
                 ▼                           ▼                  ▼
        Debounce, BargeIn:             Endpointing:       prefix ring: the sound
        does a turn begin?             is it over?        before the VAD was sure
                 └───────────────────────────┼──────────────────┘
                                             ▼
                                           Floor ──► TurnStarted  TurnSound  TurnEnded  TurnIdle  Overlapped

Four models give evidence, one term for each:

    VAD                  Silero, for every window: the probability of speech
    end of turn          Smart Turn, asked at each pause: is the turn complete?                (classifiers.py)
    overlap classifier   a small audio network, for every window over the assistant: interruption or backchannel?
    ASR                  the recognizer: the words so far (phrases.py), how finished they sound, and the words over
                         the assistant (backchannel_words.py)

`Floor` alone decides whose turn it is. Everything but classifiers.py is pure: windows in, facts out, time counted in
samples.
"""
