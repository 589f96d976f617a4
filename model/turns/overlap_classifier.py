"""Classifies sound over the assistant as interruption, backchannel, noise or echo, 32 ms at a time.

    the last windows (16 kHz) ──► log-mel features (40 mels, every 8 ms) ──► network ──► Scores, better with each window
                                                                    └─ OverlapStream: recurrent state ─┘

`OverlapClassifier` holds the weights (90 000, see `model/training/turns`) and serves all calls; `OverlapStream` is the
slot of one call. A sound is classified together with the 96 ms before it, which show the background. What follows from
the scores is decided in `realtime/turns/barge_in.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.turns.smart_turn import mel_filters

LOOKS: Final = (6, 8, 10, 13, 16, 20, 26, 33)
"""Windows of a sound after which the ASR classifies it too, besides at every pause. The first, 0.2 s after the sound
began, is often enough; after the last, this classifier decides alone."""


class Scores(NamedTuple):
    """Classes of the sound so far: probabilities that add up to 1."""

    interruption: float
    backchannel: float
    noise: float
    echo: float


OVERLAP_LEAD: Final = 4
"""Windows (128 ms) before the first voiced one that the ASR gets with it: a word begins softly."""


Sound = NDArray[np.float32]

WINDOW: Final = 512
"""Samples of one window, 32 ms at 16 kHz."""
HOP: Final = 128
FRAME: Final = 400
MELS: Final = 40
STEP: Final = WINDOW // HOP
"""Feature frames of one window; the network sees as many from before it again."""
LEAD: Final = 3
"""Windows before the sound that are classified with it."""
UNITS: Final = 96
"""Size of the recurrent state."""
KEPT: Final = (LEAD + 2) * WINDOW + FRAME - HOP
"""Samples kept: the window, the lead, the frames that count again, and the reach of the first of them."""

WEIGHTS: Final = Path(__file__).with_name("overlap_classifier.onnx")


class Features:
    """Log-mel features of any stretch of sound, each frame from the `FRAME` samples up to its end."""

    def __init__(self) -> None:
        self._hann = np.hanning(FRAME + 1)[:-1].astype(np.float32)
        self._filters = mel_filters().reshape(MELS, 2, -1).sum(axis=1).T.copy()  # (201, 40)

    def __call__(self, samples: Sound) -> Sound:
        """Features, shape (frames, 40), of `samples`, shape (FRAME + (frames - 1) * HOP,), at 16 kHz."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP] * self._hann
        spectrum = np.fft.rfft(frames)  # (frames, 201)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        return np.asarray((np.log10(np.maximum(power @ self._filters, 1e-7)) + 3.0) / 3.0, np.float32)


class OverlapClassifier:
    """The weights. Safe to share between threads; an `OverlapStream` is not."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        """Loads the ONNX file `path`; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(path)
        self.features = Features()

    def init_state(self) -> OverlapStream:
        """The slot of a new call."""
        return OverlapStream(self)

    def step(self, features: Sound, state: Sound) -> tuple[Sound, Sound]:
        """Probabilities, shape (4,), after a window whose features (with those of the window before) have shape
        (8, 40); the new state, shape (1, UNITS)."""
        scores, after = self._session.run(["scores", "after"], {"features": features[None], "before": state})
        return scores[0], after


class OverlapStream:
    """The newest sound and the recurrent state of one call."""

    def __init__(self, net: OverlapClassifier) -> None:
        self._net = net
        self._sound: Sound = np.zeros(KEPT, np.float32)
        self._state: Sound = np.zeros((1, UNITS), np.float32)

    def push(self, window: Sound) -> None:
        """Takes the next window, shape (512,), -1..1; also where no scores are requested."""
        self._sound = np.concatenate((self._sound[WINDOW:], window))

    def scores(self, fresh: bool) -> Scores:
        """Scores of the sound up to the last window; to be called for each window, `fresh` for the first of a sound."""
        windows = LEAD + 1 if fresh else 1
        if fresh:
            self._state = np.zeros_like(self._state)
        features = self._net.features(self._sound[-((windows + 1) * WINDOW + FRAME - HOP) :])
        for start in range(0, windows * STEP, STEP):
            scores, self._state = self._net.step(features[start : start + 2 * STEP], self._state)
        return Scores(*map(float, scores))
