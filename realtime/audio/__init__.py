"""Sound inside a call: what the microphone gives is cleaned, what the assistant says is played and counted.

    front_end (echo cancellation, noise suppression) ─ headset ─ gain ─ self_echo     towards the turn-taking
    playout (the heard ledger) ─ fader                                                towards the loudspeaker

All cores: samples in, samples out; no clock, no I/O.
"""
