"""Cuts a reply into clauses to speak while it is still being written.

    "Yes" "," " the" " train leaves at 3" ".5" "0." " It" ...      push(), any pieces
       └──► [Clause 0..4 "Yes,"]  [Clause 4..32 " the train leaves at 3.50."] ...

The first clause comes as early as it can be said (first punctuation, or a natural break after five words), the later
ones at the end of sentences and long clauses, for the melody's sake. Decisions depend on the text only, never on how
it was cut into pieces. Clauses follow each other without gap or overlap; none cuts a number, an abbreviation or an
address. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from vivavoce.model.cascade.tts.aligned import word_list
from vivavoce.model.cascade.tts.contract import WHOLE, Part
from vivavoce.model.cascade.tts.english import formulas
from vivavoce.model.cascade.tts.english.spelling import CLOSERS, TITLES

EARLY_WORDS: Final = 5
"""Words of the first clause from which on it may end before a joining word."""
PATIENT_WORDS: Final = 9
"""Words of the first clause from which on it may end between any two words."""
COMMA_WORDS: Final = 8
"""Words of later clauses from which on they end at a comma."""
OPENING_LETTERS: Final = 7
"""Fewest letters of an opening: about 0.4 s of speech, in which the rest of a clause can be generated."""
MAX_WORDS: Final = 30
"""Most words of a clause: about 10 s of speech."""
MAX_CHARS: Final = 240
"""Most characters of a clause."""

_JOINING: Final = frozenset(
    word_list("""
    and but or so because since when while where which who that if as with for to from in on at by before after
    until than though although like about into through
    """)
)
_CLINGING: Final = frozenset(
    word_list("""
    a an the my your his her its our their this that these those of to in on at by for from with and or but very
    more most is are was were be not no as than
    """)
)
_PLAIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f][a-z]*(?:['’][a-z]+)?")
"""A word that sounds the same whatever follows it: no number, abbreviation, acronym, markup or other script."""
_QUOTES: Final = "\"'”’)]}*_`"
_WIDE_STOPS: Final = "。！？；，：、"
_NEVER_LAST: Final = frozenset(word.lower() for word in TITLES) | {*word_list("no st jan feb aug sept oct nov dec p")}
_PERHAPS_LAST: Final = frozenset(word.lower() for word in CLOSERS) | {"p.m", "a.m"}

Break = Literal["none", "comma", "stop", "stop before a capital"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of the reply: `text` is its characters `start` to `end`, of which `part` is to be spoken."""

    text: str
    start: int
    end: int
    part: Part = WHOLE


class Clauses:
    """The clauses of one reply. Call `push` for each piece of text, then `flush` once. A caller that cannot wait for
    the end of a clause takes its `opening`."""

    def __init__(self) -> None:
        self._text = ""  # of the clause under way
        self._start = 0  # where it begins in the reply
        self._words = 0  # complete words in it
        self._word = 0  # where the word under way begins in it
        self._first = True
        self._break = 0  # the best place so far to cut it, should it grow too long
        self._stop_if_capital = 0  # a stop if the next word has a capital
        self._opened = 0  # characters of it that were given out as openings

    def push(self, text: str) -> list[Clause]:
        """Takes the reply's next piece; returns the clauses that it completes, in order."""
        return [clause for character in text for clause in self._step(character)]

    def opening(self) -> Clause | None:
        """The beginning of the clause under way, or more of it, as far as it sounds the same whatever follows: some
        plain words before the one that is arriving. The clause itself comes later, without it."""
        last = self._text[self._word :].strip()
        if last.endswith(".") and _PLAIN.fullmatch(last[:-1]):
            return self._sentence(last)
        words = self._text[: self._word]
        more = words[self._opened :]
        if sum(map(str.isalpha, more)) < OPENING_LETTERS or self._stop_if_capital:
            return None
        if not all(map(_PLAIN.fullmatch, [*words.split(), last])):
            return None
        clause = Clause(self._text, self._start, self._start + self._word, Part(self._opened, goes_on=True))
        self._opened = self._word
        return clause

    def _sentence(self, last: str) -> Clause | None:
        """The clause up to a full stop, most likely the last character of the sentence; "example.com" would go on."""
        if self._opened == len(self._text) or _break_after(last, first=self._words == 0) != "stop":
            return None
        clause = Clause(self._text, self._start, self._start + len(self._text), Part(self._opened))
        self._opened = len(self._text)
        return clause

    def break_off(self) -> list[Clause]:
        """What follows is spoken differently: ends the clause under way, if it has words."""
        return self.flush() if any(map(str.isalnum, self._text)) else []

    def flush(self) -> list[Clause]:
        """The reply is complete: returns its rest, if that has words, or if it is all of the reply."""
        whole, rest = self._first, self._cut(len(self._text))
        words = any(character.isalnum() for character in rest.text[rest.part.said :])
        return [rest] if words or (whole and not rest.part.said and rest.text.strip()) else []

    def _step(self, character: str) -> list[Clause]:
        done: list[Clause] = []
        if self._stop_if_capital and not character.isspace():
            if character.isupper() or character in '"“*':
                done.append(self._cut(self._stop_if_capital))
            self._stop_if_capital = 0
        if character.isspace():
            done += self._word_done(character)
        self._text += character
        if self._stops_at_once(character):
            done.append(self._cut(len(self._text)))
        elif len(self._text) >= MAX_CHARS:
            last = max(self._break, self._opened) or self._word or len(self._text)
            done.append(self._cut(last))
        return done

    def _word_done(self, space: str) -> list[Clause]:
        """White space came: ends a word if one is under way, and perhaps the clause before or behind it. A formula is
        one word, with spaces in it."""
        if formulas.OPEN.search(self._text):
            return []
        word, end = self._text[self._word :].strip(), len(self._text)
        if not word:
            return self._line_done(space)
        if not any(map(str.isalnum, word)):  # a dash or a bullet is no word
            self._word = end
            return self._line_done(space)
        done = self._joins(word)
        end = self._word = len(self._text)
        self._words += 1
        kind = _break_after(word, first=self._words == 1)
        if space == "\n" or kind == "stop" or self._words >= MAX_WORDS:
            return [*done, self._cut(end)]
        if kind == "stop before a capital":
            self._stop_if_capital = end
        elif kind == "comma":
            if self._first or self._words >= COMMA_WORDS:
                return [*done, self._cut(end)]
            self._break = end
        elif self._first and self._words >= PATIENT_WORDS and not _clings(word):
            return [*done, self._cut(end)]
        return done

    def _joins(self, word: str) -> list[Clause]:
        """A joining word begins a new clause, where the one before it is long enough."""
        before = self._text[: self._word].split()
        if word.lower() not in _JOINING or not before or _clings(before[-1]):
            return []
        self._break = self._word
        return [self._cut(self._word)] if self._first and self._words >= EARLY_WORDS else []

    def _line_done(self, space: str) -> list[Clause]:
        return [self._cut(len(self._text))] if space == "\n" and self._words else []

    def _stops_at_once(self, character: str) -> bool:
        """Whether `character` ends the clause whatever follows."""
        if character in _WIDE_STOPS:
            return any(map(str.isalnum, self._text))
        if character not in ",!?":
            return False
        word = self._text[self._word :].strip(" \t\n\"“'‘(*_")
        if not re.fullmatch(r"[^\W\d_]+(?:['’-][^\W\d_]+)*[,!?]", word):
            return False
        return character != "," or self._first or self._words + 1 >= COMMA_WORDS

    def _cut(self, end: int) -> Clause:
        """Ends the clause under way behind its first `end` characters; the rest begins the next one."""
        clause = Clause(self._text[:end], self._start, self._start + end, Part(self._opened))
        self._text, self._start = self._text[end:], clause.end
        self._word = max(0, self._word - end)
        self._words = sum(any(map(str.isalnum, word)) for word in self._text[: self._word].split())
        self._first, self._break, self._stop_if_capital, self._opened = False, 0, 0, 0
        return clause


def _break_after(word: str, *, first: bool) -> Break:
    """The break that the punctuation at the end of `word` makes; `first`: it begins its clause."""
    bare = word.rstrip(_QUOTES)
    mark, stem = bare[-1:], bare[:-1].lstrip("\"“'‘([{*_`").lower()
    if mark in "!?":
        return "stop"
    if mark == "." or mark == "…":
        if stem.endswith(".") or mark == "…" or stem in _PERHAPS_LAST or re.fullmatch(r"(?:[a-z]\.)+[a-z]", stem):
            return "none" if stem in _NEVER_LAST else "stop before a capital"
        if stem in _NEVER_LAST or (len(stem) == 1 and stem.isalpha()) or (first and stem.isdigit()):
            return "none"
        return "stop"
    if mark in ";:":
        return "comma"
    return "comma" if mark == "," or bare.endswith("—") else "none"


def _clings(word: str) -> bool:
    """Whether a pause behind `word` would sound wrong: articles and the like, and numbers, which may go on."""
    return word.lower() in _CLINGING or word[-1:].isdigit()
