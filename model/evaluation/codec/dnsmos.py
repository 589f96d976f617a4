"""DNSMOS P.835: predicts listeners' ratings of speech from the sound alone, 1 (bad) to 5 (excellent).

    24 kHz ─► 16 kHz ─► windows of 9.01 s, a second apart ─► network ─► raw scores ─► calibrated, mean ─► Quality

The weights are those of the package `speechmos`, whose code depends on more packages than the whole benchmark; so the
file is run directly. (That code drops some windows by a rounding error: long sound differs by up to 0.05.) Sound
shorter than a window is repeated, as by the authors. The prediction was made for noise suppression: it rates noise and
artefacts, not words. Source: Reddy et al. 2022, "DNSMOS P.835".
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.codecs.resample import Resampler
from vivavoce.model.errors import DnsmosMissing

RATE: Final = 16_000
WINDOW: Final = int(9.01 * RATE)
_LOUDEST: Final = 0.999
_SPEECH: Final = (-0.08397278, 1.22083953, 0.0052439)
_NOISE: Final = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL: Final = (-0.06766283, 1.11546468, 0.04602535)
"""Polynomials from raw scores to listeners' ratings, of the authors' program."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Ratings of 1 to 5: of the speech, of the background (5: none), and overall."""

    speech: float
    background: float
    overall: float


class Dnsmos:
    """Runs the network on `threads` threads. Raises `DnsmosMissing`."""

    def __init__(self, threads: int = 1) -> None:
        found = find_spec("speechmos")
        if found is None or not found.submodule_search_locations:
            raise DnsmosMissing("DNSMOS is not installed: pip install speechmos")
        path = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
        self._session = open_onnx(path, threads)

    def rate(self, samples: Samples) -> Quality:
        """Rates `samples`, (n,) at 24 kHz, n > 0."""
        resampler = Resampler(SAMPLE_RATE, RATE)
        sound = np.concatenate([resampler.push(samples), resampler.flush()])
        if (peak := float(np.abs(sound).max())) > 1:
            sound = sound * np.float32(_LOUDEST / peak)
        while len(sound) < WINDOW:
            sound = np.concatenate([sound, sound])
        starts = range(0, (int(len(sound) // RATE - WINDOW / RATE) + 1) * RATE, RATE)  # as the authors count
        windows = [sound[None, start : start + WINDOW] for start in starts]
        raw = np.mean([self._calibrated(window) for window in windows], axis=0)
        return Quality(*(float(score) for score in raw))

    def _calibrated(self, window: Samples) -> tuple[float, float, float]:
        ((speech, noise, overall),) = self._session.run(None, {"input_1": window.astype(np.float32)})[0]
        return (
            float(np.polyval(_SPEECH, speech)),
            float(np.polyval(_NOISE, noise)),
            float(np.polyval(_OVERALL, overall)),
        )
