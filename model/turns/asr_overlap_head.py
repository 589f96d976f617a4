"""Is what is said over the assistant meant to stop it? From what Moonshine's encoder hears in it.

    states of the encoder (1, T, 288) ──► four places to look at ──► interruption, backchannel, noise or echo

The encoder knows speech better than any network that has learned from a few thousand examples could; this one, of
41 000 weights, learns only what to look for (`model/training/turns/train_asr_overlap.py`). Model card:
`realtime/turns/OVERLAP.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

WEIGHTS: Final = Path(__file__).with_name("asr_overlap_head.onnx")


class AsrOverlapHead:
    """The weights. Safe to share between threads."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        """Loads the ONNX file `path`; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(path)

    def interruption(self, states: NDArray[np.float32]) -> float:
        """How likely it is an interruption; `states` of shape (1, T, 288)."""
        (scores,) = self._session.run(["scores"], {"states": states})
        return float(scores[0, 0])
