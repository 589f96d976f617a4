"""Numbers in English words (American usage: "one hundred five", no "and").

Digits go in, lower-case words come out. Knows nothing of where a number stands; `amounts` does. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import word_list

ONES: Final = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS: Final = word_list("- - twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES: Final = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_LARGEST: Final = 1000 ** len(_SCALES) - 1
_ORDINALS: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(value: int) -> str:
    """1234 -> "one thousand two hundred thirty-four". `value` >= 0; beyond quadrillions, digit by digit."""
    if value > _LARGEST:
        return digits(str(value))
    if value < 1000:
        return _below_thousand(value)
    words: list[str] = []
    power = 0
    while value:
        value, group = divmod(value, 1000)
        if group:
            words.insert(0, f"{_below_thousand(group)} {_SCALES[power]}".strip())
        power += 1
    return " ".join(words)


def ordinal(value: int) -> str:
    """21 -> "twenty-first"."""
    words = cardinal(value)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in _ORDINALS:
        return words[:cut] + _ORDINALS[last]
    return words[:cut] + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def year(value: int) -> str:
    """1905 -> "nineteen oh five", 2004 -> "two thousand four", 2024 -> "twenty twenty-four"."""
    century, rest = divmod(value, 100)
    if not 10 <= century <= 99 or (century % 10 == 0 and rest < 10):
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(text: str) -> str:
    """ "0421" -> "zero four two one"."""
    return " ".join(ONES[int(character)] for character in text)


def decimal(text: str) -> str:
    """ "1,234.50" -> "one thousand two hundred thirty-four point five zero"; also whole numbers and ".5"."""
    whole, point, fraction = text.replace(",", "").partition(".")
    words = digits(whole) if re.match("0[0-9]", whole) else cardinal(int(whole or 0))
    return f"{words} point {digits(fraction)}" if point and fraction else words


def plural(words: str) -> str:
    """The plural of a number word: "twenty" -> "twenties", "nineteen hundred" -> "nineteen hundreds"."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def fraction(above: int, below: int) -> str:
    """3, 4 -> "three quarters"; 1, 2 -> "one half"; large denominators -> "three over two hundred"."""
    if below == 0 or below == 1 or below > 100:
        return f"{cardinal(above)} over {cardinal(below)}"
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below)
    if above == 1:
        return f"one {part}"
    return f"{cardinal(above)} {'halves' if below == 2 else part + 's'}"


def _below_hundred(value: int) -> str:
    if value < 20:
        return ONES[value]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]}-{ONES[ones]}" if ones else _TENS[tens]


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{ONES[hundreds]} hundred" + (f" {_below_hundred(rest)}" if rest else "")
