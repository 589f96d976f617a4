"""Estimates whether sound over the assistant is an interruption, from the states of Moonshine's encoder.

    states of the encoder (1, T, 288) ──► attention head, four queries ──► interruption, backchannel, noise or echo

The encoder knows speech better than a network that is trained on a few thousand examples; this head, of 41 000 weights,
learns only what matters (`model/training/turns/train_asr_overlap.py`). Model card: `OVERLAP.md`.
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
        """Probability (0..1) of an interruption; `states` of shape (1, T, 288)."""
        (scores,) = self._session.run(["scores"], {"states": states})
        return float(scores[0, 0])
