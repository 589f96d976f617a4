"""Recordings of calls, and what can be done with them: hear both sides, and decide everything again.

    call ──calls of its cores──► Diary ──lines, bytes, sound──► Writer ──► folder ──► Tape ──► replay

A call's cores (session, floor, playout, latency) have no clock and draw no randomness: what they answered follows from
what they were asked, and in which order. So a recording is the list of these questions and answers, besides the sound.
Replaying it asks fresh cores the same and compares. It records whatever a core is asked, by any method and with any
values, so it does not know how turns are taken.

    values.py   (core) values of the call <-> JSON values; secrets stay out
    stereo.py   (core) both sides on one clock
    diary.py    (core) writes down what the cores are asked, and what they answer
    writer.py   the thread that owns the files, and their bounds
    recorder.py recordings of one server, on or off
    tape.py     reads a folder
    replay.py   asks fresh cores the same
    summary.py  what was said, as far as it was heard
"""
