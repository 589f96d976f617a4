"""What every voice does around its network: text to phonemes before it, shaping and word ends behind it.

    text ─speakable─► Spoken ─pronounce─► words ─pieces─► Sounds ─┐
                                                                  ▼ the voice's own: symbols -> chunks of sound
    Speech ◄─Shaping── 24 kHz chunks + where each symbol ends ◄───┘

A piece is at most as many symbols as a network takes at once; a clause is nearly always one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vivavoce.model.cascade.voice.contract import Speech
from vivavoce.model.cascade.voice.phonemes import Phonemes, Word
from vivavoce.model.cascade.voice.shaping import Shaping, pause_after
from vivavoce.model.cascade.voice.spoken import MARKS, speakable
from vivavoce.model.dialogue import Samples, WordEnd

MAX_SYMBOLS: Final = 400
"""Symbols in one piece: Kokoro takes 510, and translation into Piper's alphabet can add to them."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """The network's answer to one piece: where each word's sound ends, in samples at 24 kHz; its loudness factor; the
    chunks of sound at 24 kHz, computed as they are asked for."""

    word_ends: Sequence[int]
    gain: float
    chunks: Iterator[Samples]


class Render(Protocol):
    """Turns words into sound. The last word always ends in one of `MARKS`."""

    def __call__(self, words: Sequence[Word]) -> Rendering: ...


def say(text: str, phonemes: Phonemes, render: Render, speed: float) -> Iterator[Speech]:
    """Says `text` with the network behind `render`."""
    spoken = speakable(text)
    words = phonemes.pronounce(spoken.text)
    start, said = 0, 0
    for piece in _pieces(words):
        closed = piece[-1].symbols[-1]
        last = piece[-1] is words[-1]
        rendering = render(piece if closed in MARKS else [*piece[:-1], Word(f"{piece[-1].symbols},", piece[-1].end)])
        ends: list[WordEnd] = []
        for word, sample in zip(piece, rendering.word_ends, strict=True):
            chars = len(text) if last and word is piece[-1] else spoken.ends[word.end - 1]
            if chars > said:
                said = chars
                ends.append(WordEnd(chars, sample))
        shaping = Shaping(ends, start=start, pause=pause_after(closed, speed), gain=rendering.gain)
        for chunk in rendering.chunks:
            if (speech := shaping.push(chunk)) is not None:
                yield speech
        if (speech := shaping.finish()) is not None:
            yield speech
        start = shaping.end


def sounding(symbols: str) -> str:
    """A word's symbols without the marks behind them, which are silent."""
    return symbols.rstrip(MARKS)


def _pieces(words: Sequence[Word]) -> Iterator[list[Word]]:
    piece: list[Word] = []
    size = 0
    for word in words:
        if piece and size + len(word.symbols) + 1 > MAX_SYMBOLS:
            yield piece
            piece, size = [], 0
        piece.append(word)
        size += len(word.symbols) + 1
    if piece:
        yield piece
