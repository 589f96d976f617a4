"""Silences the microphone while it holds only the assistant's echo, whatever the canceller has learned.

    loudspeaker, 0.76 s ─┐
    microphone, 0.16 s ──┴──► correlation over all delays ──► the same delay several times: the echo's ──► silence

AEC3 learns the room, which takes a second or two of undisturbed echo, and it starts again when the delay changes: a
client's jitter buffer that runs dry shifts the echo by some milliseconds, and half a reply passes. This needs no
learning: a delayed copy of the played sound correlates with it at 0.95, behind two Opus codecs at 0.9; speech as loud
as the echo brings that down to 0.7. In a room with much reverberation it stays below, and nothing is silenced here. The
module is a core."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.fft import irfft, rfft

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.ring_buffer import RingBuffer

FRAME: Final = SAMPLE_RATE // 100
"""Samples (10 ms) at a time."""

_STEP: Final = 6
RATE: Final = SAMPLE_RATE // _STEP
"""4 kHz is enough to find a voice again."""

WINDOW: Final = RATE * 16 // 100
"""Samples (160 ms) of the microphone that are compared."""
LONGEST: Final = RATE * 6 // 10
"""Samples (0.6 s) that an echo may be late."""
HEARD: Final = 10 ** (-65 / 20)
"""RMS of the window below which there is nothing to silence."""
PLAYED: Final = 10 ** (-55 / 20)
"""RMS of the played sound below which it has no echo."""

FOUND: Final = 0.8
"""Correlation at which a delay may be the echo's ..."""
AGREE: Final = RATE // 500
"""... when others lie within so many samples (2 ms) of it ..."""
TIMES: Final = 4
"""... so many in a row. Vowels of two voices of the same pitch correlate as well, but each time somewhere else."""
ECHO: Final = 0.65
"""Correlation at the echo's delay from which the sound is only echo ..."""
STILL: Final = 0.5
"""... and above which it remains that: three quarters of the power may be something else, where the delay moves within
the window."""
NEAR: Final = RATE * 30 // 1000
"""Samples (30 ms) around the known delay that are searched: jitter buffers move it by so much."""
SILENCED: Final = 0.01
"""Gain of the echo (-40 dB)."""
EVERY: Final = 2
"""Frames (20 ms) between two comparisons."""
SEARCHED: Final = 3
"""Comparisons (60 ms) between two searches of all delays, while the echo's is not known or does not fit."""

_LENGTH: Final = 1 << int(np.ceil(np.log2(LONGEST + 2 * WINDOW)))


class SelfEcho:
    """The echo of one call. Takes loudspeaker and microphone in step."""

    def __init__(self) -> None:
        self.delay: int | None = None
        """Of the echo, in samples at `RATE`, once it is known."""
        self._played = RingBuffer(LONGEST + WINDOW)
        self._heard = RingBuffer(WINDOW)
        self._found: list[int] = []  # delays found lately, each like the others
        self._frames = 0
        self._gain = 1.0

    def silence(self, played: Samples, heard: Samples, sound: Samples) -> Samples:
        """Takes the next whole frames of both sides, shape (n * FRAME,) each; returns `sound`, of the same shape,
        silent where `heard` was only echo."""
        slow_played, slow_heard = _slower(played), _slower(heard)
        gains, at = [self._gain], 0
        while at < len(slow_played):
            n = min(EVERY - self._frames % EVERY, len(slow_played) - at)
            gains += self._gains_after(slow_played[at : at + n], slow_heard[at : at + n])
            at += n
        if min(gains) == 1.0:
            return sound
        ramps = [np.linspace(*ends, FRAME, dtype=np.float32) for ends in pairwise(gains)]
        return sound * np.concatenate(ramps)

    def _gains_after(self, played: Samples, heard: Samples) -> list[float]:
        """The gains after each of the next frames, up to the next comparison; shape (frames, samples) each."""
        before, frames = self._gain, len(played)
        lately = self._played.push(played.ravel()), self._heard.push(heard.ravel())
        self._frames += frames
        if self._frames % EVERY == 0:
            self._gain = self._look(*lately)
        return [before] * (frames - 1) + [self._gain]

    def _look(self, played: Samples, heard: Samples) -> float:
        if _power(heard) < HEARD**2 or _power(played) < PLAYED**2:
            return 1.0
        if self.delay is not None:
            near = range(max(0, self.delay - NEAR), min(LONGEST, self.delay + NEAR) + 1)
            likeness, delay = _best_near(played, heard, near)
            if likeness >= (ECHO if self._gain == 1.0 else STILL):
                self.delay = delay
                return SILENCED
        if self._frames % (EVERY * SEARCHED) == 0:
            self._search(played, heard)
        return 1.0

    def _search(self, played: Samples, heard: Samples) -> None:
        """Searches all delays; the echo's is known once the same was found `TIMES` in a row."""
        spectrum = rfft(played, _LENGTH) * np.conj(rfft(heard, _LENGTH))
        products = irfft(spectrum, _LENGTH)[: LONGEST + 1].astype(np.float32)
        likeness, delay = _best(products, played, heard, LONGEST)
        if likeness < FOUND:
            return
        if self._found and abs(self._found[-1] - delay) > AGREE:
            self._found.clear()
        self._found.append(delay)
        if len(self._found) >= TIMES:
            self.delay = delay
            self._found.clear()


def _best_near(played: Samples, heard: Samples, delays: range) -> tuple[float, int]:
    """The highest correlation among neighbouring delays, and its delay."""
    sound = played[LONGEST - delays[-1] : LONGEST - delays[0] + WINDOW]
    return _best(np.correlate(sound, heard, "valid"), sound, heard, delays[-1])


def _best(products: Samples, sound: Samples, heard: Samples, longest: int) -> tuple[float, int]:
    """From inner products at delays `longest`, `longest` - 1, ...: the highest correlation, and its delay."""
    powers = np.concatenate(([0.0], np.cumsum(np.square(sound, dtype=np.float64))))
    energies = powers[WINDOW : WINDOW + len(products)] - powers[: len(products)]
    scale = np.sqrt(np.maximum(energies, WINDOW * PLAYED**2) * float(np.dot(heard, heard)))
    correlation = products / scale
    at = int(np.argmax(correlation))
    return float(correlation[at]), longest - at


def _slower(sound: Samples) -> Samples:
    """Whole frames at `RATE`: shape (frames, FRAME / _STEP)."""
    averages: Samples = sound.reshape(-1, _STEP) @ _AVERAGE
    return averages.reshape(-1, FRAME // _STEP)


def _power(sound: Samples) -> float:
    return float(np.dot(sound, sound)) / len(sound)


_AVERAGE: Final = np.full(_STEP, 1 / _STEP, np.float32)
