"""Reads numbers that are names, digit by digit: telephones, cards, accounts, books, codes. Pure.

    +49 30 1234567          plus four nine, three zero, one two three four five six seven
    4111 1111 1111 1111     four one one one, one one one one, ...
    DE89 3704 0044 ...      D E eight nine, three seven zero four, ...

`RULES` run before `dates`: a group of a telephone number is no year. Which numbers are names is seen by their shape, or
by the word in front of them ("PIN 1234"). North American telephone numbers are among `amounts`.
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule
from vivavoce.model.cascade.tts.english.numerals import digits

_DATE: Final = r"(?!\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}\b)"
_NUMBERS: Final = re.compile(r"(?:(?:(?:19|20)\d\d|\d\d00)[ -]?)+")
"""Years, or round numbers."""

FEWEST, MOST = 7, 15
"""Digits of a telephone number (ITU-T E.164)."""


def _groups(text: str) -> str:
    """Groups of digits and capital letters, with a pause between any two."""
    return ", ".join(_spelled(group) for group in re.findall(r"[A-Z\d]+", text))


def _spelled(group: str) -> str:
    return " ".join(digits(part) if part.isdigit() else " ".join(part) for part in re.findall(r"\d+|[A-Z]+", group))


def _telephone(match: re.Match[str]) -> str | None:
    if not FEWEST <= len(re.sub(r"\D", "", match[0])) <= MOST + 2:
        return None
    return ("plus " if "+" in match[0] else "") + _groups(match[0])


def _card(match: re.Match[str]) -> str | None:
    return None if _NUMBERS.fullmatch(match[0]) else _groups(match[0])


def _account(match: re.Match[str]) -> str | None:
    compact = match[0].replace(" ", "")
    if sum(map(str.isdigit, compact)) < 8:
        return None
    return _groups(match[0] if " " in match[0] else " ".join(compact[at : at + 4] for at in range(0, len(compact), 4)))


def _book(match: re.Match[str]) -> str | None:
    compact = re.sub(r"[ -]", "", match["number"])
    if len(compact) not in (10, 13):
        return None
    return f"{match['name'] or ''}{_groups(match['number'])}"


def _named(match: re.Match[str]) -> str | None:
    return None if match[2].endswith("000") else f"{match[1]}{digits(match[2])}"


_IS: Final = r"(?:\s(?:number|code|no\.?))?(?:\sis|:|,)?\s(?:now\s)?#?"

RULES: Final[tuple[Rule, ...]] = (
    (
        re.compile(
            r"(?P<name>\bISBN(?:-1[03])?:?\s)"
            r"(?P<number>(?:97[89][ -]?)?\d{1,5}[ -]?\d{1,7}[ -]?\d{1,7}[ -]?[\dX])(?![\w-])"
        ),
        _book,
    ),
    (re.compile(r"(?P<name>(?!))?(?<![\w-])(?P<number>97[89](?:-\d{1,7}){3}-\d)(?![\w-])"), _book),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: [A-Z\d]{4}){2,7}(?: [A-Z\d]{1,3})?\b|\b[A-Z]{2}\d{2}[A-Z\d]{11,30}\b"), _account),
    (
        re.compile(
            r"(?<![\w.,-])(?:\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,3})?|3\d{3}[ -]\d{6}[ -]\d{5})(?![\w-]|[.,]\d)",
        ),
        _card,
    ),
    (
        re.compile(r"(?<![\w+])\(?\+\d{1,4}\)?(?:(?:[ .\-/]|[ ]?\(|(?<=\)))\d{1,12}\)?){1,7}(?![\w-]|[.,]\d)"),
        _telephone,
    ),
    (re.compile(r"(?<![\w+])\+\d{7,15}(?!\w)"), _telephone),
    (re.compile(rf"(?<![\w.,/-]){_DATE}0\d{{1,6}}(?:[ /-]\d{{2,10}}){{1,6}}(?![\w/-]|[.,]\d)"), _telephone),
    (re.compile(rf"(?<![\w.,/-]){_DATE}\d{{2,6}}(?:-\d{{2,7}}){{2,5}}(?![\w/-]|[.,]\d)"), lambda m: _groups(m[0])),
    (
        re.compile(
            rf"\b((?:PIN|CVV|CVC|OTP|TAN|SSN|[Pp]asscode|[Ee]xtension|[Ee]xt\.|ZIP|[Zz]ip){_IS})(\d{{3,8}})\b(?![.,]\d)"
        ),
        lambda m: f"{m[1]}{digits(m[2])}",
    ),
    (
        re.compile(
            r"\b((?:[Nn]umber|[Aa]ccount|[Cc]ard|[Oo]rder|[Bb]ooking|[Rr]eference|[Ii]nvoice|[Tt]racking|[Ss]erial|[Cc]ustomer|"
            rf"[Mm]ember|[Pp]olicy|[Tt]icket|[Cc]ase|[Cc]ode|ID|[Cc]all|[Dd]ial|[Pp]hone){_IS})(\d{{6,9}})\b(?![.,]\d)"
        ),
        _named,
    ),
    (
        re.compile(r"\b([Cc]all|[Dd]ial|[Rr]ing) (\d11|112|999|110|988|000)\b(?![.,]\d)"),
        lambda m: f"{m[1]} {digits(m[2])}",
    ),
)
