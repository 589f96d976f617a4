"""Converts a written reply to spoken text, of which the phonemes are made.

    "It's **3.5 kg**, e.g. $5!"
        │ formulas        TeX -> words
        │ markup          markdown, emoji, addresses, quotation marks, references
        │ abbreviations   "e.g." -> "for example,"
        │ codes           telephones, cards, accounts -> digits
        │ dates, amounts  digits -> words
        │ spelling        acronyms, Roman numerals, signs
        ▼ tidying         only letters, apostrophes, hyphens and , . ; : ! ? stay
    "It's three point five kilograms, for example, five dollars!"

Each character of the result is aligned to the original, so a word's end can be reported as a position in the reply.
English only; of words in another script a gap is heard, unless there is nothing else (`unsayable` has words for that).
Pure: no state, no I/O; below a millisecond a clause.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.model.cascade.tts.aligned import Aligned, Rule
from vivavoce.model.cascade.tts.english import amounts, codes, dates, formulas, markup, spelling

MARKS: Final = ",.;:!?"
"""The punctuation that changes the sound."""

_FOREIGN: Final = "[^\\W\\d_A-Za-zªµº\u00c0-\u024f\u1e00-\u1eff\u02b0-\u02ff]"
"""A letter of a script that the voice does not have."""

_SIGNS: Final = "[\u0300-\u036f\u0590-\u05c7\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e\u3099-\u309c]"  # vowels and accents
_BETWEEN: Final = rf"(?:{_SIGNS}|[\s\d,'’·\u3000-\u303f\uff0c\uff1a\uff1b-])"

GAP: Final = "something I cannot say"


def _gap(match: re.Match[str]) -> str:
    """Words of another script: a gap that is heard, where other words can be said."""
    if len(match[0]) == 1 and match[0] in formulas.GREEK:
        return formulas.GREEK[match[0]]
    return f", {GAP}," if re.search(r"[A-Za-z]", match.string) else ""


_TIDYING: Final[tuple[Rule, ...]] = (
    (re.compile(r"[\uff01-\uff5e\U0001d400-\U0001d7ff]"), lambda m: unicodedata.normalize("NFKC", m[0])),
    (re.compile(rf"{_FOREIGN}(?:(?:{_FOREIGN}|{_BETWEEN})*{_FOREIGN})?{_SIGNS}*"), _gap),
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
    *formulas.RULES,
    *markup.RULES,
    *spelling.ABBREVIATIONS,
    *codes.RULES,
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
