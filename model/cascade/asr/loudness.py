"""Measures loudness: whether sound holds speech, where its pauses are, where to cut it. Pure.

    samples ──► levels: RMS of each 20 ms frame, dBFS ──► is_empty · voiced · longest_pause · quietest

This is not the VAD, which runs before the ASR; it keeps the recognizer from inventing words for silence and noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.cascade.asr.contract import Samples

FRAME: Final = 320
"""Samples of one frame, 20 ms."""

Levels = NDArray[np.float32]
"""Loudness of frames, shape (frames,), dBFS."""

_SILENCE_DB: Final = -55.0  # quieter than any speech that a microphone with gain control delivers
_RANGE_DB: Final = 30.0  # so far below the same voice it is breath or room
_WORD: Final = 5  # frames: 0.1 s, the shortest word
_STEADY_DB: Final = 4.0  # frames of steady noise stay within 1 to 3 dB; one word spans 15 or more
_ABOVE_NOISE_DB: Final = 10.0
_BELOW_SPEECH_DB: Final = 15.0
_PAUSE: Final = 12  # frames: 0.24 s, longer than the closure of a stop consonant
_QUIET: Final = 3  # frames over which a cut without a pause looks for the quietest place


def levels_of(samples: Samples) -> Levels:
    """Levels of all whole frames of `samples`, shape (frames,)."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)  # (frames, FRAME)
    power = np.einsum("ij,ij->i", frames, frames) / FRAME
    return np.asarray(10.0 * np.log10(power + 1e-10), np.float32)


def is_empty(levels: Levels, loudest: float) -> bool:
    """Whether these frames hold silence or steady noise only; `loudest`: level of the turn's earlier speech, dBFS."""
    speech = levels[levels > max(_SILENCE_DB, loudest - _RANGE_DB)]
    return len(speech) < _WORD or bool(np.ptp(np.percentile(levels, (10, 95))) < _STEADY_DB)


def voiced(levels: Levels) -> NDArray[np.bool_]:
    """Which frames are loud enough for speech, compared to the quiet and the loud frames around them: (frames,)."""
    if not len(levels):
        return np.zeros(0, np.bool_)
    low, high = np.percentile(levels, (10, 95))
    threshold = max(_SILENCE_DB, min(low + _ABOVE_NOISE_DB, high - _BELOW_SPEECH_DB))
    return np.asarray(levels > threshold, np.bool_)


def longest_pause(levels: Levels, first: int, last: int) -> int | None:
    """Frame in the middle of the longest pause in `first`..`last`; None when no pause is long enough."""
    loud = np.flatnonzero(voiced(levels)[first:last]) + first
    edges = np.concatenate(([first - 1], loud, [last]))
    gaps = np.diff(edges) - 1
    longest = int(gaps.argmax())
    if gaps[longest] < _PAUSE:
        return None
    return int(edges[longest] + 1 + gaps[longest] // 2)


def quietest(levels: Levels, first: int, last: int) -> int:
    """Frame in the middle of the quietest 60 ms in `first`..`last`, for speech without a pause."""
    if last - first < _QUIET:
        return (first + last) // 2
    smooth = np.convolve(levels[first:last], np.ones(_QUIET), "valid")
    return first + int(smooth.argmin()) + _QUIET // 2
