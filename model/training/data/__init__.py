"""Data for training and evaluation, all of it synthetic.

    texts.py      corpora and templates ─► texts
    speech.py     text ─► utterance with word ends, cached          voices.py      text ─► clip with phoneme durations
    turns.py      turns.toml ─► turns with labelled pauses
    sounds.py     noises, sound events, room, telephone             acoustics.py   rooms and noise for augmentation

Shared by the trainings of the codec and of turn-taking, by the evaluation, and by the bench.
"""
