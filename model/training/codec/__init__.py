"""How the codec was made. Nothing here runs in a call; needs torch (the extra `train`), and other than the rest of
`codecs` the voices of `vivavoce.model`, which speak the data.

                        ┌── listener ◄─┐ in turns
    texts, prose ─► latents ───► codebook_train ─► decoder_export ─► decoder.onnx, latents.onnx
                 │      └─► disguise ─┐       │ code book, listener
                 └─► spoken ─► parallel ┴─► pairs ─► hearing_train ─► hearing_export ─► encoder.onnx

Each step is a script that says in its first line how it is called, is seeded, leaves what it finds done, and goes on
where it was stopped. The model card is `codecs/CODEC.md`, what was tried `codecs/LOG.md`.
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ModuleNotFoundError(
        "training needs torch; install it in the checkout: pip install -e '.[train]'", name="torch"
    )
