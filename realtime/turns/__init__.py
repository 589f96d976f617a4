"""How the floor changes hands.

    24 kHz sound ─► Listener ─► windows of 32 ms with a speech probability     (speech.py: Silero)
                                   │
                                   ▼
              Vad: the user's voice or not, people behind them apart           (vad.py, crowd.py)
                                   │
                 ┌─────────────────┼──────────────────┐
                 ▼                 ▼                  ▼
           Onset, Overlap:    Endpoint: is the    prefix ring: what was said
           is this a turn?    turn over?          before the VAD was sure
                 └─────────────────┼──────────────────┘
                                   ▼
                                Floor ──► TurnStarted  TurnSound  TurnEnded  TurnIdle

`Endpoint` hears two witnesses besides: the judge (smart_turn.py, asked through judging.py), and the recogniser: the
words that it has by then (phrases.py, dictation.py), and how finished their tune is.

`Floor` is the one owner of the question whose turn it is. All of it but `Listener`, `SpeechNet` and `SmartTurn` is
pure: windows in, facts out, time counted in samples.
"""
