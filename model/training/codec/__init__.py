"""Training of the audio codec: synthetic data, codebook, ASR surrogate, encoder, export. Nothing here runs in a call.

                        ┌── asr_surrogate ◄─┐ in turns
    texts ─► latents ───┴───► train_codebook ┴► export_decoder ─► decoder.onnx, latents.onnx
        │       └─► voice_conversion ┐    │ codebook, surrogate
        └─► voices ─► aligned_voices ┴► shards ─► train_encoder ─► export_encoder ─► encoder.onnx

`model/training/runs/codec.sh` runs all of it. Each step is a script that says in its docstring how it is called, is
seeded, keeps existing results, and continues where it was stopped. Needs torch, and the voices of `model.cascade`,
which speak the data. The model card is `codecs/CODEC.md`, the log of experiments `codecs/LOG.md`.
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ModuleNotFoundError(
        "training needs torch; install it in the checkout: pip install -e '.[train]'", name="torch"
    )
