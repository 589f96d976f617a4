"""Room acoustics and background noise for augmentation, shared by the trainings of the codec and of turn-taking.

    sound ─Acoustics.room─► reverberant ─tilt─► through a microphone ─ + Acoustics.noise ─► as it is captured

All by seed: the same generator gives the same output. The codec is trained at 24 kHz, turn-taking at 16 kHz; so arrays
carry no rate, and functions that need one take it. How often a sound is in a room, and how loud the noise is, are
matters of each training's own recipe (codec/augmentation.py, turns/overlap_mixing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE

Sound = NDArray[np.float32]
"""Mono audio, shape (n,), -1..1; the rate is the caller's."""
Random = np.random.Generator

DECAY_S: Final = (0.1, 0.7)
"""Seconds in which the reverberation of `impulse_response` falls by 60 dB."""
SHORTEST_FFT: Final = 1 << 16


class NoiseSource(Protocol):
    """Background noise by seed."""

    def draw(self, length: int, rng: Random) -> Sound:
        """Noise of any level, shape (length,)."""


class Rooms:
    """Room impulse responses to draw from; `tail`: samples of reverberation kept behind a sound."""

    def __init__(self, responses: Sequence[Sound], tail: int = 0) -> None:
        self._responses = responses
        self._tail = tail
        self._longest = max(map(len, responses))
        self._spectra: dict[tuple[int, int], NDArray[np.complexfloating]] = {}  # by FFT size and response

    def apply(self, sound: Sound, rng: Random) -> Sound:
        """Convolves `sound` with one of the responses: (n,) -> (n + tail,)."""
        number = int(rng.integers(len(self._responses)))
        size = max(SHORTEST_FFT, 1 << (len(sound) + self._longest - 2).bit_length())
        if (size, number) not in self._spectra:
            self._spectra[size, number] = np.fft.rfft(self._responses[number], size)
        reverberant = np.fft.irfft(np.fft.rfft(sound, size) * self._spectra[size, number])
        return reverberant[: len(sound) + self._tail].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Acoustics:
    """Rooms and noises of one training set; made once, for many examples."""

    rooms: Rooms
    noises: NoiseSource

    def room(self, sound: Sound, rng: Random) -> Sound:
        """`sound` in one of the rooms; see `Rooms.apply`."""
        return self.rooms.apply(sound, rng)

    def noise(self, length: int, rng: Random) -> Sound:
        """Background noise, shape (length,)."""
        return self.noises.draw(length, rng)


@dataclass(frozen=True, slots=True)
class FreshNoise:
    """Noise made anew for each example, at 24 kHz: white, coloured, mains hum, or babble of 3 to 7 `talkers`."""

    talkers: Sequence[Sound]

    def draw(self, length: int, rng: Random) -> Sound:
        """See `NoiseSource`."""
        match int(rng.integers(4)):
            case 0:
                return coloured(length, rng, 0.0)
            case 1:
                return coloured(length, rng, rng.uniform(-6, -3))
            case 2:
                t = np.arange(length) / SAMPLE_RATE
                tones = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3, 4, 6, 8))
                return np.asarray(tones + coloured(length, rng, -3.0), np.float32)
        talkers = [self.talkers[int(rng.integers(len(self.talkers)))] for _ in range(int(rng.integers(3, 8)))]
        loops = (np.resize(talker, length) for talker in talkers)
        voices = [np.roll(loop, int(rng.integers(length))) * rng.uniform(0.3, 1) for loop in loops]
        return np.asarray(sum(voices), np.float32)


@dataclass(frozen=True, slots=True)
class NoiseLoops:
    """Noise cut from `loops` made once, from a random place on, 3 dB louder or softer; any rate."""

    loops: Sequence[Sound]

    def draw(self, length: int, rng: Random) -> Sound:
        """See `NoiseSource`; `length` at most that of the loops."""
        loop = self.loops[int(rng.integers(len(self.loops)))]
        return np.roll(loop, int(rng.integers(len(loop))))[:length] * np.float32(10 ** rng.uniform(-0.3, 0.3))


def impulse_response(rng: Random) -> Sound:
    """A room's response to a click at 24 kHz: the click, some reflections, and reverberation that decays sooner at high
    frequencies. Shape (decay,), `DECAY_S`."""
    decay = rng.uniform(*DECAY_S)
    length = int(decay * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    noise = rng.standard_normal(length)
    dull = np.convolve(noise, np.ones(6) / 6, "same")
    tail = noise * np.exp(-t * 11 / decay) * 0.5 + dull * np.exp(-t * 6.9 / decay)
    tail[: int(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(0, 14) / 20) / np.sqrt(np.square(tail).sum())
    for _ in range(int(rng.integers(2, 7))):
        tail[int(rng.uniform(0.002, 0.03) * SAMPLE_RATE) % length] += rng.uniform(-0.5, 0.5)
    tail[0] = 1.0
    return tail.astype(np.float32)


def coloured(length: int, rng: Random, db_per_octave: float) -> Sound:
    """Noise at 24 kHz whose spectrum falls or rises, shape (length,)."""
    return tilt(rng.standard_normal(length).astype(np.float32), db_per_octave, SAMPLE_RATE)


def tilt(sound: Sound, db_per_octave: float, rate: int) -> Sound:
    """Tilts the spectrum around 1 kHz, as microphones do: duller (negative) or sharper; shape (n,)."""
    spectrum, hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / rate)
    gain = (np.maximum(hz, 80.0) / 1000) ** (db_per_octave / 6.02)
    return np.fft.irfft(spectrum * gain, len(sound)).astype(np.float32)
