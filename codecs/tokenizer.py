"""The audio tokenizer: any speaker's speech to one stream of codes, and codes to speech of a preset voice.

    24 kHz samples ─encode─► codes, 21.43 a second, each 0..4095 ─decode─► 24 kHz samples, 1120 a code
                   └ State (slots)                               └ State (slots)

A frame of 1120 samples (46.67 ms) is four latents of the voice and two features of the ASR encoder: 1120 : 1024 and
1120 : 768 are small fractions, so that the streams never drift apart. Each direction takes any number of samples or
codes per call, of many sessions at once (one entry per slot), and returns what is ready. `finish_...` returns the rest
and ends the session's stream. Needs no torch. Training and evaluation: CODEC.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.streaming import Network, State, run

Samples = NDArray[np.float32]
"""Mono sound at 24 kHz, -1..1, shape (n,)."""
Codes = NDArray[np.int64]
"""Shape (num_codebooks, T), each 0 <= code < cardinality."""

SAMPLE_RATE: Final = 24_000
FRAME_SIZE: Final = 1120
"""Samples of one code."""
FRAME_RATE: Final = SAMPLE_RATE / FRAME_SIZE
NUM_CODEBOOKS: Final = 1
CARDINALITY: Final = 4096
WEIGHTS: Final = Path(__file__).with_name("weights")
_CONSUMED: Final = "consumed"
_PRODUCED: Final = "produced"


class AudioTokenizer:
    """Encodes and decodes, on `threads` threads each. Safe to share between threads; states are not.

    `weights` holds `encoder.onnx` (x: 24 kHz samples, (B, n * 1120) -> codes (B, n)) and `decoder.onnx` (x: codes
    (B, 1) -> samples (B, 1120)), both with states. Their metadata: the delay in codes (`delay_frames`) and samples
    (`delay_samples`), the code of `silence`, and the fingerprint of the `codebook`. With `encodes` or `decodes` false
    that file is not opened.
    """

    sample_rate: Final = SAMPLE_RATE
    frame_size: Final = FRAME_SIZE
    frame_rate: Final = FRAME_RATE
    num_codebooks: Final = NUM_CODEBOOKS
    cardinality: Final = CARDINALITY

    def __init__(
        self, weights: Path = WEIGHTS, threads: int = 1, *, encodes: bool = True, decodes: bool = True
    ) -> None:
        self._encoder = Network(weights / "encoder.onnx", threads) if encodes else None
        self._decoder = Network(weights / "decoder.onnx", threads) if decodes else None
        books = {network.metadata["codebook"] for network in (self._encoder, self._decoder) if network}
        if len(books) > 1:
            raise ValueError("encoder and decoder have different codebooks")

    @property
    def codebook(self) -> str:
        """Fingerprint of the codebook, 12 digits: codes of another one mean something else."""
        network = self._decoder or _opened(self._encoder)
        return network.metadata["codebook"]

    @property
    def encode_delay(self) -> float:
        """Seconds from the end of a frame to its code, computation excluded."""
        encoder = _opened(self._encoder)
        extra = encoder.size - FRAME_SIZE  # the first frame of a step waits for the last one
        return (int(encoder.metadata["delay_frames"]) * FRAME_SIZE + extra) / SAMPLE_RATE

    @property
    def decode_delay(self) -> float:
        """Seconds by which the samples lag behind the codes."""
        return int(_opened(self._decoder).metadata["delay_samples"]) / SAMPLE_RATE

    def init_encoding(self, slots: int = 1) -> State:
        """Returns the state of `slots` sessions to encode."""
        return _counted(_opened(self._encoder).init_state(slots))

    def init_decoding(self, slots: int = 1) -> State:
        """Returns the state of `slots` sessions to decode."""
        return _counted(_opened(self._decoder).init_state(slots))

    def encode(self, samples: Sequence[Samples], state: State) -> list[Codes]:
        """Takes `samples[slot]`, (n,), of every slot, any n, zero too; returns the codes that are ready, (1, T).

        Raises `ValueError` unless there is one entry per slot.
        """
        encoder = _opened(self._encoder)
        delay = int(encoder.metadata["delay_frames"])
        produced, results = state.arrays[_PRODUCED], []
        for slot, steps in enumerate(run(encoder, samples, state)):
            state.arrays[_CONSUMED][slot] += len(samples[slot])
            codes = np.concatenate([np.zeros(0, np.int64), *steps])
            early = max(0, delay - int(produced[slot]))  # codes from before the first frame
            produced[slot] += len(codes)
            results.append(codes[None, early:])
        return results

    def decode(self, codes: Sequence[Codes], state: State) -> list[Samples]:
        """Takes `codes[slot]`, (1, T), of every slot, any T, zero too; returns the samples that are ready, (n,).

        Raises `ValueError` unless there is one entry per slot, and for codes outside 0..4095.
        """
        decoder = _opened(self._decoder)
        delay = int(decoder.metadata["delay_samples"])
        produced, sounds = state.arrays[_PRODUCED], []
        flat = [_checked(entry) for entry in codes]
        for slot, steps in enumerate(run(decoder, flat, state)):
            state.arrays[_CONSUMED][slot] += len(flat[slot])
            sound = np.concatenate([np.zeros(0, np.float32), *steps])
            early = max(0, delay - int(produced[slot]))  # sound from before the first code
            produced[slot] += len(sound)
            sounds.append(sound[early:])
        return sounds

    def finish_encoding(self, state: State, slot: int) -> Codes:
        """Ends and resets the stream of `slot`; returns its remaining codes, (1, T), the last frame silence-padded.

        In all, n samples give ceil(n / 1120) codes.
        """
        encoder = _opened(self._encoder)
        delay = int(encoder.metadata["delay_frames"])
        produced = max(0, int(state.arrays[_PRODUCED][slot]) - delay)
        rest = -(-int(state.arrays[_CONSUMED][slot]) // FRAME_SIZE) - produced
        ahead = delay * FRAME_SIZE + 2 * encoder.size
        nothing = np.zeros(0, np.float32)
        silence = np.zeros(ahead, np.float32)
        codes = self.encode([silence if s == slot else nothing for s in range(state.slots)], state)[slot]
        state.reset(slot)
        return codes[:, :rest]

    def finish_decoding(self, state: State, slot: int) -> Samples:
        """Ends and resets the stream of `slot`; returns the remaining samples, (n,), as if silence followed.

        In all, T codes give T * 1120 samples.
        """
        metadata = _opened(self._decoder).metadata
        delay = int(metadata["delay_samples"])
        produced = max(0, int(state.arrays[_PRODUCED][slot]) - delay)
        rest = int(state.arrays[_CONSUMED][slot]) * FRAME_SIZE - produced
        silence = np.full((1, -(-delay // FRAME_SIZE)), int(metadata["silence"]))
        nothing = np.zeros((1, 0), np.int64)
        sound = self.decode([silence if s == slot else nothing for s in range(state.slots)], state)[slot]
        state.reset(slot)
        return sound[:rest]


def _opened(network: Network | None) -> Network:
    if network is None:
        raise ValueError("this AudioTokenizer was opened for the other direction only")
    return network


def _counted(state: State) -> State:
    counts = {name: np.zeros(state.slots, np.int64) for name in (_CONSUMED, _PRODUCED)}
    return State({**state.arrays, **counts})


def _checked(codes: Codes) -> Codes:
    if codes.ndim != 2 or codes.shape[0] != NUM_CODEBOOKS:
        raise ValueError(f"expected codes of shape ({NUM_CODEBOOKS}, T), got {codes.shape}")
    if codes.size and not 0 <= codes.min() <= codes.max() < CARDINALITY:
        raise ValueError(f"expected codes from 0 to {CARDINALITY - 1}, got {codes.min()} to {codes.max()}")
    return np.asarray(codes[0], np.int64)
