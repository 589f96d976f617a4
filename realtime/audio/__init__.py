"""Sound inside a call: cleans the microphone's, plays and counts the assistant's.

    front_end (echo cancellation, noise suppression) ─ headset ─ gain ─ self_echo     towards the turn-taking
    playout (the heard ledger) ─ fader                                                towards the loudspeaker

All cores: samples in, samples out; no clock, no I/O.
"""
