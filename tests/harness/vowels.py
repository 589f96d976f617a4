"""A made-up speaker for tests of signal processing: vowels by seed, no model."""

from __future__ import annotations

from functools import cache

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples


def voice(seconds: float, seed: int, level_db: float = -26) -> Samples:
    """Vowels of a made-up speaker: harmonics of a wandering pitch, four syllables a second, a breath now and then."""
    return _voice(seconds, seed, level_db).copy()


@cache
def _voice(seconds: float, seed: int, level_db: float) -> Samples:
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    pitch = rng.uniform(90, 220) * 2 ** np.interp(t, np.arange(0, seconds + 1, 0.2), _walk(rng, seconds))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = np.interp(
        t,
        np.arange(0, seconds + 1, 0.25),
        rng.uniform(400, 2500, int((seconds + 1) / 0.25) + 1)[: len(np.arange(0, seconds + 1, 0.25))],
    )
    sound = sum(np.sin(k * phase) / (1 + ((k * pitch - formants) / 400) ** 2) for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6)), 0, 1) * (np.sin(2 * np.pi * t / 3) > -0.8)
    sound = (sound + 0.02 * rng.standard_normal(n)) * syllables
    return np.asarray(sound * 10 ** (level_db / 20) / np.sqrt(np.square(sound).mean()), np.float32)


def _walk(rng: np.random.Generator, seconds: float) -> Samples:
    return np.cumsum(rng.normal(0, 0.05, len(np.arange(0, seconds + 1, 0.2))))


def db(samples: Samples) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-12))
