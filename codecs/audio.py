"""The unit of sound everywhere in the product: mono float32 at 24 kHz, in frames of 20 ms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 24_000
"""Samples per second."""

Samples = NDArray[np.float32]
"""Mono audio at `SAMPLE_RATE`, shape (samples,), -1..1."""

FRAME = SAMPLE_RATE // 50
"""Samples of one frame, 20 ms: the frame of Opus and of every phone."""
