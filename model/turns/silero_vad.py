"""Detects voice activity with Silero VAD on onnxruntime, 32 ms at a time.

    window (512 samples, 16 kHz) ──► 64 samples of the window before ▏ window ──► network ──► probability
                                          └── SileroState ──┘   recurrent state ──┘

`SileroVad` holds the weights and serves all calls; `SileroState` is the slot of one call. When speech begins and ends
is decided in `realtime/turns/vad.py`, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

SAMPLE_RATE: Final = 16_000
WINDOW: Final = 512
"""Samples of one window, 32 ms; the network takes no other length at 16 kHz."""
CONTEXT: Final = 64
"""Samples of the window before that the network takes again."""
FILE: Final = "silero_vad_openvino_16k.onnx"
"""Of Silero's files the one for 16 kHz without branches in the graph: the same figures in four fifths of the time."""


@dataclass(slots=True)
class SileroState:
    """The state of the network for one call."""

    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, CONTEXT + WINDOW), np.float32))
    recurrent: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 1, 128), np.float32))

    def reset(self) -> None:
        """Clears the state, as at the beginning of a call."""
        self.sound[:] = 0.0
        self.recurrent = np.zeros_like(self.recurrent)


class SileroVad:
    """The weights. Safe to share between threads; a `SileroState` is not."""

    def __init__(self, directory: Path) -> None:
        """Loads `FILE` of the catalog artefact "silero-vad"; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(directory / FILE)

    def init_state(self) -> SileroState:
        """The slot of a new call."""
        return SileroState()

    def step(self, window: NDArray[np.float32], state: SileroState) -> float:
        """Probability (0..1) that `window`, shape (512,), -1..1, is speech; `state` moves on by it.

        Raises `ValueError` for another length."""
        if window.shape != (WINDOW,):
            raise ValueError(f"a window has {WINDOW} samples, got shape {window.shape}")
        state.sound[0, :CONTEXT] = state.sound[0, -CONTEXT:]
        state.sound[0, CONTEXT:] = window
        feeds = {"input": state.sound, "state": state.recurrent}
        probability, state.recurrent = self._session.run(["output", "stateN"], feeds)
        return float(probability[0, 0])
