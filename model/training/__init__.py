"""Everything that is trained here: datasets, networks, training runs and exports. Nothing of it runs in a call.

    data/     texts, synthetic speech, sounds, voices: shared by all trainings
    codec/    the audio codec: voice latents, code book, encoder
    turns/    the heads and classifiers of turn-taking

Needs the extra `train` (torch). The weights that come out are files of `codecs/weights` and `model/turns`.
"""
