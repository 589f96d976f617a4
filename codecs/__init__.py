"""Codecs: packet codecs of calls, sample rates, media files, the audio tokenizer. Imports neither model nor realtime.

    packets g711 g722 opus phone      payloads of a wire to sound and back
    resample ring_buffer media        sample rates, recent samples, files
    tokenizer latents files           speech as codes (weights in weights/, model card in CODEC.md)
    streaming onnx_session            how networks are run, step by step

(`import codecs` anywhere is the standard library: this package is always imported as `vivavoce.codecs`.)
"""
