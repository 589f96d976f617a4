"""How the overlap classifier was made: spoken phrases, made noises, mixing, training. Nothing here runs in a call.

    phrases.py   what is said: backchannels and interruptions, for training and (others) for measuring
    speak.py     phrases ─► recordings in some forty voices, kept on disk               (once, about half an hour)
    mixing.py    recordings, coughs, barks, echo ─► one overlap as the microphone hears it, by seed
    asides.py    the same overlaps ─► the ears' encoder ─► model/cascade/ears/aside.onnx       (ten minutes)
    train.py     overlaps ─► features ─► network ─► realtime/turns/backchannel.onnx       (minutes on two cores)

    python -m vivavoce.realtime.turns.training.speak FOLDER
    python -m vivavoce.realtime.turns.training.train FOLDER

Needs torch. The voices in `vivavoce.realtime.bench.studio.EVALUATION` take no part. The model card is
`realtime/turns/BACKCHANNEL.md`.
"""
