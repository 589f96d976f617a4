"""Training of the networks of turn-taking: synthetic data, augmentation, training, export. Nothing here runs in a call.

    phrases.py ─► voices.py ─► recordings ─► overlap_mixing.py ─┬─► train_overlap.py ─► overlap_classifier
                                                                └─ASR encoder─► train_asr_overlap.py ─► asr_overlap_head
    sentences.py ─► asr_endpoint_dataset.py ─ASR encoder─► train_asr_endpoint.py ─► asr_endpoint_head

attention_head.py is the network of both heads. `model/training/runs/turns.sh` runs all of it; the ONNX files go to
`model/turns`. Needs torch (the extra `train`). The voices in `data.speech.EVALUATION` take no part. Model cards:
`model/turns/OVERLAP.md` and `model/turns/ENDPOINT.md`.
"""
