"""Estimates whether a pause ends the turn, from the states of Moonshine's encoder before it.

    the last second of the encoder's states (1, T, 288) ──► attention head, four queries ──► probability

As in `asr_overlap_head`, the encoder knows speech, and 26 000 weights learn what matters: here the intonation of a turn
that ends, and of one that goes on (`model/training/turns/train_asr_endpoint.py`). Model card: `ENDPOINT.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

WEIGHTS: Final = Path(__file__).with_name("asr_endpoint_head.onnx")
STATES: Final = 48
"""States that count: those of the last 1.15 s."""


class AsrEndpointHead:
    """The weights. Safe to share between threads."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        """Loads the ONNX file `path`; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(path)

    def probability(self, states: NDArray[np.float32]) -> float:
        """Probability (0..1) that the turn is over; `states` of shape (1, T, 288), of sound that ends soon after its
        last word."""
        (end_of_turn,) = self._session.run(["finished"], {"states": states[:, -STATES:]})
        return float(end_of_turn[0])
