"""Synthesizes sound from pitch and spectra, as a stream: pulses through a filter, and noise.

    f0 ─► pulses ─STFT─► x filter (lh, theta) ─┐
                 Gaussian noise x envelope (ln) ┼─► sum ─► inverse STFT ─► overlap-add ─► sound, two frames behind
                  spectrum of free phase (lr, phi)─┘

    S = exp(lh) exp(i pi tanh(theta)) STFT(pulses) + exp(ln) Z + exp(lr) exp(i phi)         per frame of 12.5 ms

Each frame is made once, so any chunking gives the same sound. Two utterances of the same frames sound the same: the
noise begins with the same seed. Pure: no clock, no I/O. Source: the signal path of hibari-tts 0.2.1 (Apache-2.0), a
harmonic plus noise model (Stylianou 2001).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

HOP: Final = 300
"""Samples of a frame: 12.5 ms."""
WINDOW: Final = 4 * HOP
BINS: Final = WINDOW // 2 + 1
BEHIND: Final = 2
"""Frames that must follow a frame before its sound is complete."""

_HANN: Final = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
_ANALYSIS: Final = _HANN / np.float32(HOP)  # a cosine of amplitude 1 has a peak of 1
_SYNTHESIS: Final = _HANN / np.float32(1.5)  # the sum of the squared windows over any sample
UNVOICED: Final = 40.0
"""Hz, up to which a frame has no pulses."""
_HIGHEST: Final = 11_000.0  # Hz of the highest harmonic
_LOUDEST: Final = 7.0  # logarithm; the networks' spectra are bounded by it
_NEAR_PEAK: Final = 2e-3
_SEED: Final = 0
_BREATH: Final = 0.3  # of the harmonics' amplitude: noise fills the gaps between them
_BREATH_TILT: Final = np.clip(np.arange(BINS) * SAMPLE_RATE / WINDOW / 1000, 0.4, 1).astype(np.float32)[
    :, None
]  # (601, 1)

Spectrum = NDArray[np.float32]
"""One part of the spectra of n frames, (601, n)."""


class Pulses:
    """The band-limited pulse train of the pitch `f0` (Hz per frame, (F,); below 40: no pulses)."""

    def __init__(self, f0: NDArray[np.float32]) -> None:
        self.voiced = f0 > UNVOICED
        padded = np.pad(f0.astype(np.float32), 1, mode="edge")
        after = (((np.arange(HOP) + 0.5) / HOP - 0.5) % 1.0).astype(np.float32)  # weight of the later frame
        half = HOP // 2
        frequency = np.empty((len(f0), HOP), np.float32)
        frequency[:, :half] = padded[:-2, None] * (1 - after[:half]) + padded[1:-1, None] * after[:half]
        frequency[:, half:] = padded[1:-1, None] * (1 - after[half:]) + padded[2:, None] * after[half:]
        self._frequency = frequency.reshape(-1)
        self._cycles = np.cumsum(np.maximum(self._frequency, UNVOICED), dtype=np.float64)  # in 1/24000

    def between(self, start: int, stop: int) -> Samples:
        """The samples of the frames `start` to `stop`, (300 (stop - start),); zeros beyond the ends.

        All harmonics up to 11 kHz, each of amplitude 1: sum over h of cos(h t) = sin((H + 1/2) t) / (2 sin(t / 2)) -
        1/2."""
        train = np.zeros((stop - start) * HOP, np.float32)
        first, last = max(0, start) * HOP, min(stop * HOP, len(self._cycles))
        frequency = self._frequency[first:last]
        phase = (self._cycles[first:last] / SAMPLE_RATE % 1.0 * (2 * np.pi)).astype(np.float32)
        harmonics = np.floor(_HIGHEST / np.maximum(frequency, UNVOICED)) + np.float32(0.5)
        divisor = 2 * np.sin(phase * np.float32(0.5))
        at_peak = np.abs(divisor) <= _NEAR_PEAK
        divisor[at_peak] = 1
        sound = np.where(at_peak, harmonics, np.sin(harmonics * phase) / divisor) - np.float32(0.5)
        train[first - start * HOP : last - start * HOP] = np.where(frequency > UNVOICED, sound, 0)
        return train


class Synthesis:
    """The sound of consecutive frames, the first of which is `at`; `pulses` are those of all frames. `breath` of the
    voice, 0 to 1, is noise with the spectrum of the voice: a whisper has no pulses."""

    def __init__(self, pulses: Pulses, at: int, breath: float = 0.0) -> None:
        self._pulses = pulses
        self._at = at
        self._breath = np.float32(breath)
        self._noise = np.random.default_rng(_SEED)
        self._under_way = np.zeros((3, HOP), np.float32)  # to which later frames will add

    def push(self, lh: Spectrum, theta: Spectrum, ln: Spectrum, lr: Spectrum, phi: Spectrum) -> Samples:
        """Takes the next n frames; returns the 300 n samples that are complete by then: those of as many frames, of
        which the first is `BEHIND` before the first one taken."""
        count = lh.shape[1]
        train = self._pulses.between(self._at - 2, self._at + count + 1)
        windows = np.lib.stride_tricks.sliding_window_view(train, WINDOW)[::HOP]  # (n, 1200)
        spectra = np.fft.rfft(windows * _ANALYSIS, axis=1).T  # (601, n)
        harmonic, noisy, free = (np.exp(np.minimum(part, _LOUDEST)) for part in (lh, ln, lr))
        if self._breath:
            breath = self._breath * self._pulses.voiced[self._at : self._at + count]  # (n,)
            voice = (_BREATH * harmonic) ** 2 + free**2 / 2  # the noise has a power of 2
            noisy = np.sqrt(noisy**2 + (breath * _BREATH_TILT) ** 2 * voice)
            harmonic, free = harmonic * (1 - breath), free * (1 - breath)
        spectra = spectra * _polar(harmonic, np.float32(np.pi) * np.tanh(theta))
        noise = self._noise.standard_normal((count, 2 * BINS), np.float32).view(np.complex64).T  # frame by frame
        spectra += noise * noisy
        spectra += _polar(free, phi)
        frames = (np.fft.irfft(spectra.T, WINDOW, axis=1) * _SYNTHESIS).astype(np.float32)  # (n, 1200)
        blocks = np.concatenate([self._under_way, np.zeros((count, HOP), np.float32)])  # (n + 3, 300)
        for number, part in enumerate(np.split(frames, 4, axis=1)):
            blocks[number : number + count] += part
        self._at += count
        self._under_way = blocks[count:]
        return blocks[:count].reshape(-1)

    def finish(self) -> Samples:
        """No frame follows: returns the rest of the sound, 300 `BEHIND` samples."""
        return self._under_way[:BEHIND].reshape(-1)


def _polar(amplitude: Spectrum, phase: Spectrum) -> NDArray[np.complex64]:
    value = np.empty(amplitude.shape, np.complex64)
    value.real, value.imag = amplitude * np.cos(phase), amplitude * np.sin(phase)
    return value
