"""TTS latents to codes: speaks text through the codec without making sound in between.

    latents (192, n) of the voice "joe", 86.13 a second ─LatentEncoder─► codes (1, ceil(n / 4)) ─► AudioTokenizer.decode

Takes whole clauses: a code depends on three frames to either side. Needs no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS, Codes

CHANNELS: Final = 192
PER_FRAME: Final = 4
"""Latents of one code."""
LATENT_SIZE: Final = FRAME_SIZE // PER_FRAME
"""Samples at 24 kHz of one latent."""


class LatentEncoder:
    """Runs `latents.onnx` in `weights` on `threads` threads. Safe to share between threads."""

    def __init__(self, weights: Path = WEIGHTS, threads: int = 1) -> None:
        self._session = open_onnx(weights / "latents.onnx", threads)
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.codebook: str = metadata["codebook"]

    def encode(self, latents: NDArray[np.float32]) -> Codes:
        """(192, n), n >= 1 -> (1, ceil(n / 4)); the last frame is padded with its last latent.

        Raises `ValueError` for another shape."""
        if latents.ndim != 2 or latents.shape[0] != CHANNELS or not latents.shape[1]:
            raise ValueError(f"expected latents of shape ({CHANNELS}, n), n >= 1, got {latents.shape}")
        whole = np.pad(latents, ((0, 0), (0, -latents.shape[1] % PER_FRAME)), mode="edge")
        (codes,) = self._session.run(["codes"], {"latents": np.asarray(whole[None], np.float32)})
        return np.asarray(codes, np.int64)
