"""Records calls: the sound of both sides, and every decision, so that they can be replayed.

    call ──method calls of its cores──► EventRecorder ──lines, bytes, sound──► Writer ──► folder
    folder ──► RecordingReader ──► Replay ──► differences

A call's cores (session, floor, playout, latency, watchdog) have no clock and draw no randomness: their results follow
from the calls of their methods, in order. So a recording is the list of these calls and results, besides the sound. A
replay makes the same calls on fresh cores and compares. The recorder takes any method with any values, so it knows
nothing of turn-taking.

    serialization.py    (core) values of the call <-> JSON values, without secrets
    stereo.py           (core) both sides on one clock
    event_recorder.py   (core) records the calls of the cores
    summary.py          (core) the words of both sides, as far as they were heard
    taps.py             the places of a call that are recorded
    writer.py           the thread that owns the files, and their bounds
    recorder.py         recordings of one server, on or off
    reader.py           reads a folder
    format1.py          cores as format 1 called them
    replay.py           makes the recorded calls on fresh cores
"""
