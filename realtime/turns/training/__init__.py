"""How the classifiers of overlaps and of pauses were made: speech, made noises, mixing, training. Nothing here runs in
a call.

    phrases.py   what is said: backchannels and interruptions, for training and (others) for measuring
    speak.py     phrases ─► recordings in some forty voices, kept on disk               (once, about half an hour)
    mixing.py    recordings, coughs, barks, echo ─► one overlap as the microphone hears it, by seed
    asides.py    the same overlaps ─► the ears' encoder ─► model/cascade/ears/aside.onnx       (ten minutes)
    sentences.py, endings.py   sentences, cut where they go on ─► the ears' encoder, at their ends
    finished.py  endings ─► network ─► model/cascade/ears/finished.onnx                     (a minute)
    attention.py the network of these two, its training, its file
    train.py     overlaps ─► features ─► network ─► realtime/turns/backchannel.onnx       (minutes on two cores)

    python -m vivavoce.realtime.turns.training.speak FOLDER
    python -m vivavoce.realtime.turns.training.train FOLDER

Needs torch. The voices in `vivavoce.realtime.bench.studio.EVALUATION` take no part. The model cards are
`realtime/turns/BACKCHANNEL.md` and `realtime/turns/FINISHED.md`.
"""
