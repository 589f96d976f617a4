"""Spells out numbers in English words (American usage: "one hundred five", without "and").

Digits go in, lower-case words come out. Cardinals, ordinals and years follow the rules of Unicode's CLDR, which
`unicode-rbnf` evaluates and which exist for some eighty other languages; decimals, digits, plurals and fractions are
made of them here. Knows nothing of a number's context; `amounts` does. Pure, but for the rules, which are read from the
package once.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from unicode_rbnf import RbnfEngine

_LARGEST: Final = 10**18 - 1  # beyond, CLDR has no words


def cardinal(value: int) -> str:
    """1234 -> "one thousand two hundred thirty-four". `value` >= 0; beyond quadrillions, digit by digit."""
    return _spelled(value, "spellout-cardinal") if value <= _LARGEST else digits(str(value))


def ordinal(value: int) -> str:
    """21 -> "twenty-first". `value` >= 0; beyond quadrillions, digit by digit."""
    if value > _LARGEST:
        return f"{digits(str(value)[:-1])} {ordinal(value % 10)}"
    return _spelled(value, "spellout-ordinal")


def year(value: int) -> str:
    """1905 -> "nineteen oh five", 2004 -> "two thousand four", 2024 -> "twenty twenty-four"."""
    return _spelled(value, "spellout-numbering-year").replace("oh-", "oh ")


def digits(text: str) -> str:
    """ "0421" -> "zero four two one"."""
    return " ".join(map(cardinal, map(int, text)))


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


@lru_cache(maxsize=512)
def _spelled(value: int, rules: str) -> str:
    return _english().format_number(value, ruleset_names=[rules]).text


@cache
def _english() -> RbnfEngine:
    return RbnfEngine.for_language("en")
