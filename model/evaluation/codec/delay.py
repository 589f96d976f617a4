"""Measures the codec's delay and work, in steps as in a call.

    24 kHz, 20 ms at a time ─► encode ─► codes one by one ─► decode ─► samples

Delays are counted from input and output, not read from metadata. Work is processor time over sound, on one thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from vivavoce.codecs.files import Tokenizer
from vivavoce.codecs.tokenizer import FRAME_SIZE, SAMPLE_RATE, Codes, Samples

STEP: Final = SAMPLE_RATE // 50
"""Samples of a step, as in a call: 20 ms."""
FINE: Final = SAMPLE_RATE // 1000
"""Samples of a step when the delay is counted: 1 ms."""
ROUNDS: Final = 3
"""Times that work is measured; the least counts, because other processes only add to it."""


class Clock(Protocol):
    """Seconds of processor time."""

    def __call__(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Delays:
    """Largest delays in seconds. `encode`: from a frame's first sample to its code; `decode`: from a code to its last
    sample."""

    encode: float
    decode: float


@dataclass(frozen=True, slots=True)
class Work:
    """Processor seconds per second of sound, on one thread."""

    encode: float
    decode: float


def delays(tokenizer: Tokenizer, samples: Samples) -> Delays:
    """Counts the delays on a few seconds of any sound, (n,)."""
    state, known, encode = tokenizer.init_encoding(), 0, 0
    pieces: list[Codes] = []
    for end in range(FINE, len(samples) + 1, FINE):
        (codes,) = tokenizer.encode([samples[end - FINE : end]], state)
        if codes.shape[1]:
            encode = max(encode, end - known * FRAME_SIZE)
            known += codes.shape[1]
            pieces.append(codes)
    decode, given, state = 0, 0, tokenizer.init_decoding()
    for number, code in enumerate(np.concatenate(pieces, 1).T, 1):
        given += len(tokenizer.decode([code[:, None]], state)[0])
        decode = max(decode, number * FRAME_SIZE - given)
    return Delays(encode / SAMPLE_RATE, decode / SAMPLE_RATE)


def work(tokenizer: Tokenizer, samples: Samples, clock: Clock = time.process_time) -> Work:
    """Times both directions on some seconds of speech, (n,)."""
    encode, decode = [], []
    for _ in range(ROUNDS):
        state, began, pieces = tokenizer.init_encoding(), clock(), []
        for start in range(0, len(samples), STEP):
            pieces += tokenizer.encode([samples[start : start + STEP]], state)
        encode.append(clock() - began)
        codes = np.concatenate(pieces, 1)
        state, began, made = tokenizer.init_decoding(), clock(), 0
        for code in codes.T:
            made += len(tokenizer.decode([code[:, None]], state)[0])
        decode.append((clock() - began) / max(made, 1))
    return Work(min(encode) / len(samples) * SAMPLE_RATE, min(decode) * SAMPLE_RATE)
