"""Recognizes English with Moonshine (Jeffries et al. 2024) on onnxruntime, greedily.

    samples ──► encoder ──► states (1, T, 288), 41.67 a second
                              │
    BEGIN + draft ──► decoder, one run over all of them ──► draft kept as far as the decoder says the same
                              │ KV cache of what was kept
                              └──► decoder, token by token ──► END, token limit, or a loop cut

The draft makes a repeated decode cheap: where nothing changed, it costs the encoder and a single decoder run. Runs of
the session share no state, so one `Moonshine` serves all calls at once. Batch size is 1 throughout: turns of different
calls do not arrive together.

The vocabulary `tokenizer.bin` lists all pieces in the order of their ids:

    piece  = length bytes
    length = one byte below 128, or two: 128 + (length mod 128), length div 128
    bytes  = UTF-8 of the piece; "▁" (U+2581) stands for a space; 256 pieces are single raw bytes; a length of 0 is an
             unused id
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.asr.contract import SAMPLE_RATE, Samples
from vivavoce.model.cascade.asr.loudness import is_empty, levels_of
from vivavoce.model.cascade.asr.streaming import SegmentedRecognition, loop_start
from vivavoce.model.dialogue import OverlapOpinion
from vivavoce.model.errors import BrokenAsr
from vivavoce.model.turns.asr_endpoint_head import AsrEndpointHead
from vivavoce.model.turns.asr_overlap_head import AsrOverlapHead

TOKENS_PER_SECOND: Final = 6.5
"""More than people say; what the decoder adds beyond is invented (Jeffries et al. 2024, section 4)."""
SPARE_TOKENS: Final = 8
"""Added to the limit, for a short, quick word with punctuation."""
OVERLAP_PAD: Final = 2 * SAMPLE_RATE // 5
"""Samples of silence (0.4 s) appended to sound over the assistant."""

_SHORTEST: Final = SAMPLE_RATE // 2  # samples; shorter sound is padded with silence, too little context otherwise
_MASK: Final = np.ones((1, 1), np.int64)  # strided and broadcast inside the graph: one element stands for all samples

_BROKEN: Final = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile)
_WORDLESS: Final = ("", "You")  # said of clicks, hums and music; the word alone comes with a full stop or question mark

BEGIN: Final = 1
"""Id that opens every sequence."""
END: Final = 2
"""Id that closes every sequence."""

_SPACE: Final = "▁".encode()

Logits = NDArray[np.float32]
"""Shape (tokens, vocabulary)."""


class Moonshine:
    """Weights, vocabulary and heads. Implements `Asr`."""

    languages: Final = ("en",)

    def __init__(self, directory: Path, threads: int) -> None:
        """Loads `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`; `threads` >= 1 of onnxruntime.

        Raises `BrokenAsr`."""
        self._vocabulary = Vocabulary.read(directory / "tokenizer.bin")
        self._encoder = _session(directory / "encoder_model.ort", threads)
        self._decoder = _Decoder(_session(directory / "decoder_model_merged.ort", threads))
        self._overlap_head = AsrOverlapHead()
        self._endpoint_head = AsrEndpointHead()

    def open(self) -> SegmentedRecognition:
        """Begins the recognition of a turn."""
        return SegmentedRecognition(MoonshineTurn(self))

    def classify_overlap(self, samples_16k: Samples) -> OverlapOpinion:
        """Words of a second of sound, and the probability that it is an interruption. The silence appended keeps the
        decoder from repeating a word that breaks off."""
        states = self.states(np.pad(samples_16k, (0, OVERLAP_PAD)))
        interruption = self._overlap_head.interruption(states)
        if is_empty(levels_of(samples_16k), -np.inf):
            return OverlapOpinion("", interruption)
        return OverlapOpinion(self.text(self._decode(states, [], 0, token_limit(len(samples_16k)))), interruption)

    def text(self, tokens: Sequence[int]) -> str:
        return self._vocabulary.text(tokens)

    def starts_word(self, token: int) -> bool:
        return self._vocabulary.starts_word(token)

    def recognize(self, samples: Samples, draft: Sequence[int], forced: int) -> tuple[list[int], float]:
        """Greedy tokens of `samples` (16 kHz, at most some 15 s), none for sounds without words; and the probability
        that a turn is over which ends like this.

        The tokens begin with `draft[:forced]`; the rest of `draft` is kept as far as the decoder agrees with it."""
        limit, states = max(forced, token_limit(len(samples))), self.states(samples)
        tokens = self._decode(states, draft, forced, limit)
        wordless = not forced and self.text(tokens).strip("♪ ") in _WORDLESS
        return [] if wordless else tokens, self._endpoint_head.probability(states)

    def _decode(self, states: NDArray[np.float32], draft: Sequence[int], forced: int, limit: int) -> list[int]:
        tokens = list(draft[:limit])
        logits, cache = self._decoder.prefill(states, tokens)
        best = logits.argmax(-1)  # (1 + tokens,): what follows each of BEGIN + tokens
        kept = forced
        while kept < len(tokens) and best[kept] == tokens[kept]:
            kept += 1
        del tokens[kept:]
        cache.cut(1 + kept)
        following = int(best[kept])
        while following != END and len(tokens) < limit:
            tokens.append(following)
            if (start := loop_start(tokens)) is not None:
                return tokens[: max(start, forced)]
            following = int(self._decoder.step(following, cache).argmax())
        return tokens

    def states(self, samples: Samples) -> NDArray[np.float32]:
        """States of the encoder, shape (1, T, 288)."""
        padded = np.pad(samples, (0, max(0, _SHORTEST - len(samples))))[None]  # (1, samples)
        mask = np.ones(padded.shape, np.int64)
        states = self._encoder.run(["last_hidden_state"], {"input_values": padded, "attention_mask": mask})[0]
        return np.asarray(states, np.float32)


class MoonshineTurn:
    """The recognizer of one turn: keeps the end-of-turn probability of its last sound. Implements `Recognizer`."""

    separator: Final = " "

    def __init__(self, moonshine: Moonshine) -> None:
        self._moonshine = moonshine
        self.end_of_turn: float | None = None
        self.text = moonshine.text
        self.starts_word = moonshine.starts_word

    def recognize(self, samples: Samples, draft: Sequence[int], forced: int) -> list[int]:
        tokens, self.end_of_turn = self._moonshine.recognize(samples, draft, forced)
        return tokens


def token_limit(samples: int) -> int:
    """Most tokens that `samples` of speech can have."""
    return math.ceil(samples / SAMPLE_RATE * TOKENS_PER_SECOND) + SPARE_TOKENS


class _Cache:
    """Decoder inputs that stay between the steps of one decode: states, cross attention, and past tokens."""

    def __init__(self, fixed: dict[str, ort.OrtValue], past: dict[str, ort.OrtValue]) -> None:
        self.fixed = fixed
        self.past = past

    def cut(self, length: int) -> None:
        """Forgets all tokens but the first `length`."""
        for name, value in self.past.items():
            if value.shape()[2] > length:  # (1, heads, tokens, size)
                self.past[name] = _value(value.numpy()[:, :, :length])


class _Decoder:
    """The merged decoder graph: one branch starts a sequence, the other continues it with a KV cache."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        inputs = {i.name: i.shape for i in session.get_inputs() if i.name.startswith("past_key_values.")}
        self._past = [name for name in inputs if ".decoder." in name]
        self._cross = [name for name in inputs if ".encoder." in name]
        _, self._heads, _, self._size = inputs[self._past[0]]
        self._fresh = _value(np.array([False]))
        self._cached = _value(np.array([True]))

    def prefill(self, states: NDArray[np.float32], tokens: Sequence[int]) -> tuple[Logits, _Cache]:
        """Runs BEGIN + `tokens` at once: logits after each of them, and the cache that holds them."""
        fixed = {"encoder_hidden_states": _value(states), "encoder_attention_mask": _value(_MASK)}
        nothing = _value(np.zeros((1, self._heads, 0, self._size), np.float32))
        nowhere = _value(np.zeros((1, self._heads, states.shape[1], self._size), np.float32))
        feeds = fixed | dict.fromkeys(self._past, nothing) | dict.fromkeys(self._cross, nowhere)
        feeds |= {"input_ids": _value(np.array([[BEGIN, *tokens]], np.int64)), "use_cache_branch": self._fresh}
        names = self._past + self._cross
        logits, *present = self._session.run_with_ort_values(["logits", *map(_present, names)], feeds)
        values = dict(zip(names, present, strict=True))
        fixed |= {name: values[name] for name in self._cross} | {"use_cache_branch": self._cached}
        return logits.numpy()[0], _Cache(fixed, {name: values[name] for name in self._past})

    def step(self, token: int, cache: _Cache) -> Logits:
        """Logits after one more token, shape (1, vocabulary); the cache grows by it."""
        feeds = cache.fixed | cache.past | {"input_ids": _value(np.array([[token]], np.int64))}
        logits, *present = self._session.run_with_ort_values(["logits", *map(_present, self._past)], feeds)
        cache.past = dict(zip(self._past, present, strict=True))
        return np.asarray(logits.numpy()[0], np.float32)


def _present(past: str) -> str:
    """Name of the output that becomes the input `past` of the next step."""
    return past.replace("past_key_values", "present")


def _value(array: NDArray[np.generic]) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    try:
        return open_onnx(path, threads)
    except _BROKEN as error:
        raise BrokenAsr(f"cannot load {path}: {error}") from error


class Vocabulary:
    """The pieces of the vocabulary, by id. Reads only: text is never turned into tokens here."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = tuple(pieces)

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Reads a `tokenizer.bin`. Raises `BrokenAsr` when the file is missing or ends inside a piece."""
        try:
            return cls(parse_pieces(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise BrokenAsr(f"cannot read the vocabulary {path}: {error}") from error

    def __len__(self) -> int:
        return len(self._pieces)

    def starts_word(self, token: int) -> bool:
        """Whether a new word begins with `token`."""
        return self._pieces[token].startswith(_SPACE)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, without outer spaces; bytes that are no UTF-8 become U+FFFD."""
        joined = b"".join(self._pieces[token] for token in tokens)
        return joined.replace(_SPACE, b" ").decode("utf-8", "replace").strip()


def parse_pieces(content: bytes) -> list[bytes]:
    """The pieces of a `tokenizer.bin` (format above). Raises `ValueError` when it ends inside a piece."""
    pieces: list[bytes] = []
    at = 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128:
            if at == len(content):
                raise ValueError(f"piece {len(pieces)} ends inside its length")
            length = length - 128 + 128 * content[at]
            at += 1
        if at + length > len(content):
            raise ValueError(f"piece {len(pieces)} needs {length} bytes, the file has {len(content) - at} left")
        pieces.append(content[at : at + length])
        at += length
    return pieces
