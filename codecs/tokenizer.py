"""Speech as tokens: anyone's speech in, one stream of codes, and the codes as speech of a preset voice.

    24 kHz samples ─encode─► codes, 21.43 a second, each 0..4095 ─decode─► 24 kHz samples, 1120 a code
                   └ EncodeState (slots)                         └ DecodeState (slots)

A frame of 1120 samples (46.67 ms) is four latents of the voice and two features of the ears' encoder: 1120 : 1024 and
1120 : 768 are small fractions, so that the streams never drift apart. Each direction takes any number of samples or
codes per call, of many sessions at once (one entry per slot), and gives what is ready. What a direction holds back it
gives on `finish_...`, which ends the session's stream. Needs no torch. How it was made and how good it is: CODEC.md.
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
"""Samples that one code stands for."""
FRAME_RATE: Final = SAMPLE_RATE / FRAME_SIZE
NUM_CODEBOOKS: Final = 1
CARDINALITY: Final = 4096
WEIGHTS: Final = Path(__file__).with_name("weights")
_TAKEN: Final = "taken"
_GIVEN: Final = "given"


class AudioTokenizer:
    """Both directions, on `threads` threads each. Safe to share; states are not.

    `weights` holds `encoder.onnx` (x: 24 kHz samples, (B, n * 1120) -> codes (B, n)) and `decoder.onnx` (x: codes
    (B, 1) -> samples (B, 1120)), both with states; their metadata say by how many codes (`delay_frames`) and samples
    (`delay_samples`) the results come late, which code is `silence`, and the digits of the `codebook`. One that is not
    wanted need not be there.
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
        books = {network.facts["codebook"] for network in (self._encoder, self._decoder) if network}
        if len(books) > 1:
            raise ValueError("encoder and decoder have different code books")

    @property
    def codebook(self) -> str:
        """12 digits that tell this code book from others: codes of another one mean something else."""
        network = self._decoder or _there(self._encoder)
        return network.facts["codebook"]

    @property
    def encode_delay(self) -> float:
        """Seconds between the end of a frame's sound and its code, computing not counted."""
        encoder = _there(self._encoder)
        extra = encoder.size - FRAME_SIZE  # the first frame of a step waits for the last
        return (int(encoder.facts["delay_frames"]) * FRAME_SIZE + extra) / SAMPLE_RATE

    @property
    def decode_delay(self) -> float:
        """Seconds of sound by which `decode` lags behind the codes it was given."""
        return int(_there(self._decoder).facts["delay_samples"]) / SAMPLE_RATE

    def init_encoding(self, slots: int = 1) -> State:
        """State of `slots` sessions whose speech is encoded."""
        return _counted(_there(self._encoder).init_state(slots))

    def init_decoding(self, slots: int = 1) -> State:
        """State of `slots` sessions whose codes are decoded."""
        return _counted(_there(self._decoder).init_state(slots))

    def encode(self, samples: Sequence[Samples], state: State) -> list[Codes]:
        """Takes `samples[slot]`, (n,), of every slot, any n, zero too; gives the codes that became known, (1, T).

        Raises `ValueError` unless there is one entry per slot.
        """
        encoder = _there(self._encoder)
        late = int(encoder.facts["delay_frames"])
        given, results = state.arrays[_GIVEN], []
        for slot, steps in enumerate(run(encoder, samples, state)):
            state.arrays[_TAKEN][slot] += len(samples[slot])
            codes = np.concatenate([np.zeros(0, np.int64), *steps])
            early = max(0, late - int(given[slot]))  # codes of what was before the first frame
            given[slot] += len(codes)
            results.append(codes[None, early:])
        return results

    def decode(self, codes: Sequence[Codes], state: State) -> list[Samples]:
        """Takes `codes[slot]`, (1, T), of every slot, any T, zero too; gives the samples that became known, (n,).

        Raises `ValueError` unless there is one entry per slot, and for codes outside 0..4095.
        """
        decoder = _there(self._decoder)
        delay = int(decoder.facts["delay_samples"])
        given, sounds = state.arrays[_GIVEN], []
        flat = [_checked(entry) for entry in codes]
        for slot, steps in enumerate(run(decoder, flat, state)):
            state.arrays[_TAKEN][slot] += len(flat[slot])
            sound = np.concatenate([np.zeros(0, np.float32), *steps])
            early = max(0, delay - int(given[slot]))  # sound from before the first code
            given[slot] += len(sound)
            sounds.append(sound[early:])
        return sounds

    def finish_encoding(self, state: State, slot: int) -> Codes:
        """The codes of the sound that `slot` still holds, the last frame filled up with silence; `slot` is new then.

        In all, n samples give ceil(n / 1120) codes.
        """
        encoder = _there(self._encoder)
        late = int(encoder.facts["delay_frames"])
        given = max(0, int(state.arrays[_GIVEN][slot]) - late)
        rest = -(-int(state.arrays[_TAKEN][slot]) // FRAME_SIZE) - given
        ahead = late * FRAME_SIZE + 2 * encoder.size
        nothing = np.zeros(0, np.float32)
        silence = np.zeros(ahead, np.float32)
        codes = self.encode([silence if s == slot else nothing for s in range(state.slots)], state)[slot]
        state.reset(slot)
        return codes[:, :rest]

    def finish_decoding(self, state: State, slot: int) -> Samples:
        """The sound that `slot` still holds, as if silence followed; `slot` is new then.

        In all, T codes give T * 1120 samples.
        """
        facts = _there(self._decoder).facts
        delay = int(facts["delay_samples"])
        given = max(0, int(state.arrays[_GIVEN][slot]) - delay)
        rest = int(state.arrays[_TAKEN][slot]) * FRAME_SIZE - given
        silence = np.full((1, -(-delay // FRAME_SIZE)), int(facts["silence"]))
        nothing = np.zeros((1, 0), np.int64)
        sound = self.decode([silence if s == slot else nothing for s in range(state.slots)], state)[slot]
        state.reset(slot)
        return sound[:rest]


def _there(network: Network | None) -> Network:
    if network is None:
        raise ValueError("this AudioTokenizer was opened for the other direction only")
    return network


def _counted(state: State) -> State:
    counts = {name: np.zeros(state.slots, np.int64) for name in (_TAKEN, _GIVEN)}
    return State({**state.arrays, **counts})


def _checked(codes: Codes) -> Codes:
    if codes.ndim != 2 or codes.shape[0] != NUM_CODEBOOKS:
        raise ValueError(f"expected codes of shape ({NUM_CODEBOOKS}, T), got {codes.shape}")
    if codes.size and not 0 <= codes.min() <= codes.max() < CARDINALITY:
        raise ValueError(f"expected codes from 0 to {CARDINALITY - 1}, got {codes.min()} to {codes.max()}")
    return np.asarray(codes[0], np.int64)
