"""How the classifiers of overlaps and of pauses were made: speech, made noises, mixing, training. Nothing here runs in
a call.

    phrases.py   what is said: backchannels and interruptions, for training and (others) for measuring
    speak.py     phrases ─► recordings in some forty voices, kept on disk               (once, about half an hour)
    mixing.py    recordings, coughs, barks, echo ─► one overlap as the microphone hears it, by seed
    asides.py    the same overlaps ─► the ears' encoder ─► model/turns/asr_overlap_head.onnx       (ten minutes)
    sentences.py, endings.py   sentences, cut where they go on ─► the ears' encoder, at their ends
    finished.py  endings ─► network ─► model/turns/asr_endpoint_head.onnx                     (a minute)
    attention.py the network of these two, its training, its file
    train.py     overlaps ─► features ─► network ─► model/turns/overlap_classifier.onnx       (minutes on two cores)

    python -m vivavoce.model.training.turns.voices FOLDER
    python -m vivavoce.model.training.turns.train_overlap FOLDER

Needs torch (`pip install -e '.[train]'`). The voices in `vivavoce.model.training.data.speech.EVALUATION` take no part.
The model cards are `realtime/turns/OVERLAP.md` and `realtime/turns/ENDPOINT.md`.
"""
