"""Measuring: made speech and noises, labelled turns, and the calls that time themselves.

    studio.py      speech by our own voices, with word ends; kept on disk
    sounds.py      noises, coughs, barks, rooms and telephones, by seed       (pure)
    turns_set.py   turns with labelled pauses and ends, by seed
    echo.py        replies played into rooms: does the assistant interrupt itself, at virtual time
    turns_eval.py  what the endpointing makes of them, at virtual time
    turns_report.py  the figures, printed

Nothing here runs in a call.
"""
