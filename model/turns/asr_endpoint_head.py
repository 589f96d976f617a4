"""Does a pause sound like the end of a turn? From what Moonshine's encoder hears before it.

    the last second of the encoder's states (1, T, 288) ──► four places to look at ──► probability

As `aside.py`: the encoder knows speech, and a few thousand weights learn what to look for, here the tune of a voice
that has finished, and of one that goes on (`model/training/turns/train_asr_endpoint.py`). Model card:
`realtime/turns/ENDPOINT.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

WEIGHTS: Final = Path(__file__).with_name("asr_endpoint_head.onnx")
STATES: Final = 48
"""States it looks at: the last 1.15 s."""


class AsrEndpointHead:
    """The weights. Safe to share between threads."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        """Loads the ONNX file `path`; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(path)

    def probability(self, states: NDArray[np.float32]) -> float:
        """How likely the turn is over; `states` of shape (1, T, 288), of sound that ends soon after its last word."""
        (finished,) = self._session.run(["finished"], {"states": states[:, -STATES:]})
        return float(finished[0])
