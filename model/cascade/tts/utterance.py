"""Wraps the network of every TTS: text to phonemes before it, shaping and word ends behind it.

    text ─speakable─► Spoken ─pronounce─► words ─pieces─► words ──┐
                                                   part of them   ▼ Render, the network: phonemes -> chunks of sound
    Speech ◄─Shaping── 24 kHz chunks + the end of each word ◄─────┘

A piece is at most as many symbols as a network takes at once; a clause is nearly always one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vivavoce.codecs.audio import Samples
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech
from vivavoce.model.cascade.tts.english.spoken import MARKS, Spoken, speakable
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.shaping import Shaping, pause_after
from vivavoce.model.dialogue import WordEnd

MAX_SYMBOLS: Final = 400
"""Symbols in one piece: Kokoro takes 510, and translation into Piper's alphabet can add to them."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """The sound of one piece. `word_ends`: of each requested word, in samples at 24 kHz from the beginning of the
    first; `gain`: factor of loudness; `chunks`: sound at 24 kHz, computed as it is taken."""

    word_ends: Sequence[int]
    gain: float
    chunks: Iterator[Samples]


class Render(Protocol):
    """Turns `words[first:last]` into sound; the others are its context. A piece's last word ends in one of `MARKS`,
    except where the text goes on."""

    def __call__(self, words: Sequence[Word], first: int, last: int) -> Rendering: ...


def say(text: str, phonemes: Phonemes, render: Render, speed: float, part: Part = WHOLE) -> Iterator[Speech]:
    """Speaks `part` of `text` with the network behind `render`."""
    spoken = speakable(text)
    words = phonemes.pronounce(spoken.text)
    start, said, skip = 0, part.said, _words_said(words, spoken, part.said)
    for piece in _pieces(words):
        breaks_off = part.goes_on and piece[-1] is words[-1]
        first, last = min(skip, len(piece)), len(piece) - breaks_off
        skip -= first
        if first >= last:
            continue
        closed = piece[-1].symbols[-1]
        if closed not in MARKS and not breaks_off:
            piece[-1] = Word(f"{piece[-1].symbols},", piece[-1].end)
        rendering = render(piece, first, last)
        ends: list[WordEnd] = []
        for word, sample in zip(piece[first:last], rendering.word_ends, strict=True):
            chars = len(text) if word.end == words[-1].end else spoken.ends[word.end - 1]
            if chars > said:
                said = chars
                ends.append(WordEnd(chars, sample))
        pause = None if breaks_off else pause_after(closed, speed)
        shaping = Shaping(ends, start=start, pause=pause, gain=rendering.gain, lead_in=first == 0)
        for chunk in rendering.chunks:
            if (speech := shaping.push(chunk)) is not None:
                yield speech
        if (speech := shaping.finish()) is not None:
            yield speech
        start = shaping.end


def _words_said(words: Sequence[Word], spoken: Spoken, chars: int) -> int:
    """How many of `words` the first `chars` characters of the original are. Words for a part of a longer original count
    with its last word only."""
    if not chars:
        return 0
    return next((number for number, word in enumerate(words, 1) if spoken.ends[word.end - 1] >= chars), len(words))


def sounding(symbols: str) -> str:
    """A word's symbols without the marks behind them, which have no sound."""
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
