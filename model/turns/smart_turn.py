"""Estimates the end of a turn with Smart Turn v3 on onnxruntime, from the last 8 s of sound.

    samples (16 kHz) ──► last 8 s, padded with silence in front ──► log-mel features (80, 800) ──► probability

The features are those of Whisper (Radford et al. 2022, section 2.2) over sound normalised to zero mean and unit
variance, padding included. Nothing is cached between estimates: the normalisation changes with every sample, and all
features take a few milliseconds. When to estimate is decided in `realtime/turns/endpointing.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

SAMPLE_RATE: Final = 16_000
WINDOW: Final = 8 * SAMPLE_RATE
"""Samples of the network's input."""

_FFT: Final = 400  # samples, 25 ms
_HOP: Final = 160  # samples, 10 ms
_MELS: Final = 80
_LINEAR_END: Final = 1_000.0  # Hz: Slaney's mel scale is linear below, logarithmic above
_LINEAR_STEP: Final = 200.0 / 3.0  # Hz per mel
_LOG_STEP: Final = np.log(6.4) / 27.0  # per mel


class SmartTurn:
    """The weights and the tables of the features. Safe to share between threads."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Loads the ONNX file `path`; onnxruntime raises when it is missing or broken."""
        self._session = open_onnx(path, threads)
        self._features = LogMel()

    def complete(self, samples_16k: NDArray[np.float32]) -> float:
        """Probability (0..1) that the turn which ends with these samples is complete.

        `samples_16k`: the turn so far, any length, with the silence of the pause at its end; the last 8 s count.
        """
        features = self._features(last_window(samples_16k))[None]  # (1, 80, 800)
        return float(self._session.run(["logits"], {"input_features": features})[0][0, 0])


def last_window(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last 8 s of `samples`, shape (128000,), padded with silence in front."""
    kept = samples[-WINDOW:]
    window = np.zeros(WINDOW, np.float32)
    window[WINDOW - len(kept) :] = kept
    return window


class LogMel:
    """Whisper's log-mel features of 8 s of sound."""

    def __init__(self) -> None:
        self._hann = np.hanning(_FFT + 1)[:-1].astype(np.float32)  # periodic
        # The filters as a list of their non-zero weights, filter by filter. As a matrix product it would go to BLAS,
        # whose threads wait for each other: 0.3 ms of work take 20 ms and more on busy cores.
        filters = mel_filters()
        rows, self._bins = np.nonzero(filters)
        self._weights = filters[rows, self._bins]
        self._starts = np.searchsorted(rows, np.arange(_MELS))

    def __call__(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features, shape (80, 800), of `window`, shape (128000,)."""
        normal = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        padded = np.pad(normal, _FFT // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[:-1:_HOP]  # (800, 400)
        spectrum = np.fft.rfft(frames * self._hann)  # (800, 201)
        power = spectrum.real**2 + spectrum.imag**2
        weighted = power[:, self._bins] * self._weights  # (800, weights)
        mels = np.log10(np.maximum(np.add.reduceat(weighted, self._starts, axis=1).T, 1e-10))  # (80, 800)
        floored = np.maximum(mels, mels.max() - 8.0)
        return np.asarray((floored + 4.0) / 4.0, np.float32)


def mel_filters() -> NDArray[np.float32]:
    """Triangles of equal area on Slaney's mel scale from 0 to 8 kHz, shape (80, 201)."""
    top = _LINEAR_END / _LINEAR_STEP + np.log(SAMPLE_RATE / 2 / _LINEAR_END) / _LOG_STEP
    mels = np.linspace(0.0, top, _MELS + 2)
    bend = _LINEAR_END / _LINEAR_STEP
    corners = np.where(mels < bend, mels * _LINEAR_STEP, _LINEAR_END * np.exp(_LOG_STEP * (mels - bend)))  # Hz, (82,)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1)  # Hz, (201,)
    low, peak, high = (corners[i : i + _MELS, None] for i in range(3))
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)  # (80, 201)
    return np.asarray(triangles, np.float32)
