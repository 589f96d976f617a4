"""Numbers and names given letter by letter: is more to come? From the words alone.

    "my number is five five five"            3 digits: a telephone number has more
    "my number is 555-1234"                  7: that may be all, a longer number may have such a part
    "the code is one four seven two"         4: that is all
    "it's spelled s m"                       letters: more is likely until the name could end

How many digits there have to be follows from what they are ("the pin", "my zip code"); unsaid, they are a telephone
number. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final


class More(Enum):
    """Whether more digits or letters are to be expected."""

    LIKELY = "likely"
    POSSIBLE = "possible"
    NONE = "none"


_DIGITS: Final = {
    word: value
    for value, names in enumerate(
        (
            ("zero", "oh", "o", "nought"),
            ("one",),
            ("two", "to", "too"),
            ("three",),
            ("four", "for"),
            ("five",),
            ("six",),
            ("seven",),
            ("eight", "ate"),
            ("nine",),
        )
    )
    for word in names
}
_HOMOPHONES: Final = frozenset(("to", "too", "for", "ate", "a", "i"))  # digits or letters among their like only
_MANY: Final = {"double": 1, "triple": 2, "hundred": 2, "thousand": 3}  # further digits they stand for
_LENGTHS: Final = (
    (re.compile(r"\b(?:zip|postcode|post code|postal)\b"), (5,)),
    (re.compile(r"\bcard\b"), (16,)),
    (re.compile(r"\b(?:pin|code|passcode|combination)\b"), (4, 6)),
    (re.compile(r"\b(?:year|born|room|floor|platform|gate|page|bus|line|flight)\b"), (1, 2, 3, 4)),
)
_WORDS: Final = ("a", "i")
_NUMBERED: Final = re.compile(r"\b(?:(?:number|phone|account) is|(?:call|reach) me (?:at|on|a))$")
_AMOUNT: Final = re.compile(r"\b(?:in|at|by|until|since|for|about|costs?|of|than)$")  # "in 1984", "for 120"
_USUAL: Final = (7, 10, 11, 12)
_FEWEST: Final = 2
"""Digits or letters in a row that are dictation; one is a number like any other."""
_LETTERS: Final = 3
"""Letters in a row from which on a name is spelled, unless somebody says so ("spelled", "that's")."""
_SPELLING: Final = re.compile(r"\b(?:spell|spelled|spelt|plate|written|write it|letters?|capital)\b")


def dictated(words: Sequence[str]) -> More | None:
    """What has to be expected after `words` (small letters, no marks); None when nothing is being dictated."""
    context, tail = _tail(words)
    digits = sum(_count(word) for word in tail)
    letters = sum(len(word) for word in tail if _letters(word))
    if letters >= _LETTERS or (letters and _SPELLING.search(context)) or (letters >= 2 and len(context.split()) <= 1):
        return More.LIKELY
    if not digits or letters:
        return More.LIKELY if letters == len(words) == 1 and words[0] not in _WORDS else None
    if len(words) == 1 and digits == 1:
        return More.POSSIBLE  # "five": an answer, or the first of many
    for pattern, lengths in _LENGTHS:
        if pattern.search(context):
            return More.NONE if digits in lengths else More.LIKELY
    if digits >= _FEWEST and _NUMBERED.search(context):
        return More.POSSIBLE if digits in _USUAL else More.LIKELY
    if digits < _FEWEST or (len(tail) == 1 and (digits < 3 or _AMOUNT.search(context))):
        return None
    return More.POSSIBLE if digits in _USUAL else More.LIKELY


def _tail(words: Sequence[str]) -> tuple[str, list[str]]:
    """What was said before the dictation, and the digits and letters at the end."""
    start = len(words)
    while start and (_count(words[start - 1]) or _letters(words[start - 1]) or words[start - 1] in _MANY):
        start -= 1
    while start < len(words) and words[start] in _HOMOPHONES:  # "to five", "a b" belong to the sentence
        start += 1
    return " ".join(words[:start]), list(words[start:])


def _count(word: str) -> int:
    if word.isdigit():
        return len(word)
    if word in _MANY:
        return _MANY[word]
    return 1 if word in _DIGITS else 0


def _letters(word: str) -> bool:
    """A letter, or several that the ears have run together ("kt")."""
    return word.isalpha() and (len(word) == 1 or (len(word) <= 4 and not set(word) & set("aeiouy")))
