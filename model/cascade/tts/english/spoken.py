"""Converts a written reply to spoken text, of which the phonemes are made.

    "It's **3.5 kg**, e.g. $5!"
        │ markup          markdown, emoji, addresses, quotation marks
        │ abbreviations   "e.g." -> "for example,"
        │ dates, amounts  digits -> words
        │ spelling        acronyms, Roman numerals, signs
        ▼ tidying         only letters, apostrophes, hyphens and , . ; : ! ? stay
    "It's three point five kilograms, for example, five dollars!"

Each character of the result is aligned to the original, so a word's end can be reported as a position in the reply.
English only; letters of other scripts are left to the phonemes. Pure: no state, no I/O; below a millisecond a clause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.model.cascade.tts.aligned import Aligned, Rule
from vivavoce.model.cascade.tts.english import amounts, dates, markup, spelling

MARKS: Final = ",.;:!?"
"""The punctuation that changes the sound."""

_TIDYING: Final[tuple[Rule, ...]] = (
    (re.compile(r"\s*[(\[{]\s*"), ", "),
    (re.compile(r"\s*[)\]}](?=\s*[,.;:!?]|\s*$)"), ""),
    (re.compile(r"\s*[)\]}]\s*"), ", "),
    (re.compile(r"[\u2010-\u2015\u2212]"), "-"),
    (re.compile(r"(?<![^\W_])['-]+(?!\w)|(?<!\w)-+|-+(?!\w)|(?<![\w,.])'(?!\w)"), ""),
    (re.compile(r"(?<=[^\W_])[_\\/|](?=[^\W_])"), " "),
    (re.compile(r"[，、]"), ", "),
    (re.compile(r"[。！？；：]"), lambda m: {"。": ". ", "！": "! ", "？": "? ", "；": "; ", "：": ": "}[m[0]]),
    (re.compile(rf"[^\w\s'{MARKS}-]|_"), ""),
    (re.compile(r"(?<=\w)\.(?=[a-z])"), " dot "),
    (re.compile(r"(?<=[,.;:!?])(?=[^\W_])"), " "),
    (re.compile(r"\s+(?=[,.;:!?])"), ""),
    (re.compile(r"[,;:]+(?=[.!?])|,+(?=[;:,])"), ""),
    (re.compile(r"(?<=[.!?;:])[,;:.]+|(?<=[!?])[!?]+"), ""),
    (re.compile(r"\s{2,}|[\t\n\r\f\v]"), " "),
    (re.compile(rf"^[\s{MARKS}]+|\s+$"), ""),
)
_RULES: Final[tuple[Rule, ...]] = (
    *markup.RULES,
    *spelling.ABBREVIATIONS,
    *dates.RULES,
    *amounts.RULES,
    *spelling.RULES,
    *_TIDYING,
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Spoken text: `text` of words and `MARKS`, empty for an original without words.

    `ends[i]` is how many characters of the original are said once `text[: i + 1]` is; it never falls.
    """

    text: str
    ends: tuple[int, ...]

    def words(self) -> Iterator[tuple[int, int]]:
        """(end in `text`, characters of the original said) of each word that completes a word of the original."""
        said = 0
        for match in re.finditer(r"\S+", self.text):
            if self.ends[match.end() - 1] > said:
                said = self.ends[match.end() - 1]
                yield match.end(), said


def speakable(text: str) -> Spoken:
    """The spoken text of `text`, which is a reply or a clause of one."""
    aligned = Aligned.of(text)
    for rule in _RULES:
        aligned = aligned.sub(rule)
    if not any(character.isalnum() for character in aligned.text):
        return Spoken("", ())
    ends = [len(text[:end].rstrip()) for end in aligned.ends[:-1]]
    return Spoken(aligned.text, (*ends, len(text)))
