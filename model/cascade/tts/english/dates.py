"""Spells out dates, times of day and years (in American order where the notation is ambiguous). Pure.

2024-03-03   March third, twenty twenty-four        14:05     fourteen oh five
3/4/2024     March fourth, twenty twenty-four       5:30pm    five thirty PM
the 1990s    the nineteen nineties                  since 1805  since eighteen oh five
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule, word_list
from vivavoce.model.cascade.tts.english.numerals import cardinal, ordinal, plural, year

MONTHS: Final = word_list("January February March April May June July August September October November December")
_DAYS: Final = word_list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_SHORT: Final = {name[:3]: name for name in (*MONTHS, *_DAYS)} | {
    "Sept": "September",
    "Tues": "Tuesday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
}
_MONTH: Final = "|".join(MONTHS)


def _date(year_text: str, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(int(year_text))}"


def _iso(match: re.Match[str]) -> str | None:
    return _date(match[1], int(match[2]), int(match[3]))


def _slashed(match: re.Match[str]) -> str | None:
    first, second = int(match[1]), int(match[2])
    years = match[3] if len(match[3]) == 4 else f"20{match[3]}"
    return _date(years, first, second) or _date(years, second, first)


def _dotted(match: re.Match[str]) -> str | None:
    years = match[3] if len(match[3]) == 4 else f"20{match[3]}"
    return _date(years, int(match[2]), int(match[1]))


def _day_and_month(match: re.Match[str]) -> str | None:
    day, month = int(match[1]), int(match[2])
    return f"{MONTHS[month - 1]} {ordinal(day)}" if 1 <= month <= 12 and 1 <= day <= 31 else None


def _day_before(match: re.Match[str]) -> str:
    the = "" if match[1] else "the "
    return f"{match[1] or ''}{the}{ordinal(int(match[2]))} of {match[3]}"


def _clock(match: re.Match[str]) -> str | None:
    hours, minutes = int(match["hours"]), int(match["minutes"])
    if hours > 24 or minutes > 59:
        return None
    half = f" {match['half'][0].upper()}M" if match["half"] else ""
    if match["seconds"]:
        seconds = int(match["seconds"])
        tail = f" and {cardinal(seconds)} second{'' if seconds == 1 else 's'}"
    else:
        tail = ""
    if minutes:
        spoken = f"{cardinal(hours)} {'oh ' if minutes < 10 else ''}{cardinal(minutes)}"
    elif half:
        spoken = cardinal(hours)
    elif hours == 0:
        spoken = "midnight"
    else:
        spoken = f"{cardinal(hours)} o'clock" if hours <= 12 else f"{cardinal(hours)} hundred"
    return f"{spoken}{tail}{half}"


def _hour(match: re.Match[str]) -> str:
    return f"{cardinal(int(match[1]))} {match[2].upper()}M"


def _decade(match: re.Match[str]) -> str:
    words = year(int(match[1])) if match[1] else cardinal(int(match[2]))
    return plural(words)


def _years(match: re.Match[str]) -> str:
    if len(match[2]) == 2:
        return f"{year(int(match[1]))} to {cardinal(int(match[2]))}"
    return f"{year(int(match[1]))} to {year(int(match[2]))}"


_NOT_A_STOP: Final = rf"\.(?!\s*$|\s+(?!(?:{'|'.join(_SHORT)})|[A-Z]{{2}})[A-Z])"
_HALF: Final = rf"(?:\s?(?P<half>[AaPp])\.?[Mm]\b(?:{_NOT_A_STOP})?)?"

RULES: Final[tuple[Rule, ...]] = (
    (re.compile(r"(?<=\d)T(?=\d\d:\d\d)"), " at "),
    (re.compile(r"(?<=:\d\d)(?:\.\d+)?Z\b"), " UTC"),
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), _iso),
    (re.compile(r"(?<![\d/.,])(\d{4})/(\d{1,2})/(\d{1,2})\b(?![/.]?\d)"), _iso),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)\b(?!/)"), _slashed),
    (re.compile(r"(?<![\d/.-])(\d{1,2})-(\d{1,2})-(\d{4})\b(?!-)"), _slashed),
    (re.compile(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})\b"), _dotted),
    (re.compile(r"(?<![\d.])(\d\d)\.(\d\d)\.(\d\d)\b(?!\.?\d)"), _dotted),
    (re.compile(r"(?<=\b(?:[Oo]n|[Bb]y|[Tt]o) )(\d{1,2})\.(\d\d)\.(?= [a-z])"), _day_and_month),
    (re.compile(rf"\b({'|'.join(_SHORT)})\.(?=[ ,]|$)"), lambda m: _SHORT[m[1]]),
    (re.compile(rf"\b({'|'.join(_SHORT)})(?= \d{{1,2}}(?:st|nd|rd|th)?\b)"), lambda m: _SHORT[m[1]]),
    (
        re.compile(rf"(?<=\d )({'|'.join(short for short, name in _SHORT.items() if name in MONTHS)})\b"),
        lambda m: _SHORT[m[1]],
    ),
    (re.compile(rf"\b([Tt]he )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b"), _day_before),
    (
        re.compile(rf"\b({_MONTH}) (\d{{1,2}})\s?[-–]\s?(\d{{1,2}})\b"),
        lambda m: f"{m[1]} {ordinal(int(m[2]))} to {ordinal(int(m[3]))}",
    ),
    (
        re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?![:%.]\d|\s?[-–]\d)"),
        lambda m: f"{m[1]} {ordinal(int(m[2]))}",
    ),
    (re.compile(r"(?<=\d[AaPp]M)\s?[-–]\s?(?=\d)|(?<=\d[ap]m)\s?[-–]\s?(?=\d)"), " to "),
    (re.compile(r"(?<=:\d\d)\s?[-–]\s?(?=\d{1,2}:\d\d)"), " to "),
    (
        re.compile(rf"(?<![\d:.,])(?P<hours>\d{{1,2}}):(?P<minutes>\d\d)(?::(?P<seconds>\d\d))?(?![\d:]){_HALF}"),
        _clock,
    ),
    (re.compile(rf"\b(\d{{1,2}})\s?([AaPp])\.?[Mm]\b(?:{_NOT_A_STOP})?"), _hour),
    (re.compile(r"\b([12]\d\d0)'?s\b|'(\d0)s\b"), _decade),
    (
        re.compile(r"(?<![\d.,-])((?:19|20)\d\d)-0([1-9])\b(?!-?\d)"),
        lambda m: f"{MONTHS[int(m[2]) - 1]} {year(int(m[1]))}",
    ),
    (re.compile(r"(?<![\d$€£.,-])([12]\d{3})\s?[-–]\s?([12]\d{3}|\d\d)\b(?![\d.,-]\d)"), _years),
    (re.compile(r"(?<=\b[Yy]ear )([1-9]\d{2,3})\b"), lambda m: year(int(m[1]))),
    (
        re.compile(
            r"\b((?:[Ii]n|[Ss]ince|[Bb]y|[Uu]ntil|[Ff]rom|[Bb]efore|[Aa]fter|[Yy]ear|[Cc]irca|"
            rf"{_MONTH}|summer|winter|spring|autumn|fall)(?: of| the year)?,? )(1[1-9]\d\d|20\d\d)\b"
            r"(?![,.]\d|%|\s?(?:[KMGT]?i?[Bb]|[kcm]?m|k?g|people|dollars|miles|meters|times|years|words|or)\b)"
        ),
        lambda m: m[1] + year(int(m[2])),
    ),
    (
        re.compile(
            r"(?<![\d$€£¥#.,/*+=-])(?<!\b[Rr]oom )(19\d\d|20[1-9]\d)\b(?![-:/*^]?\d|[,.]\d|%|\s?[*×+=/^]"
            r"|\s?(?:[KMGT]?i?[Bb]|[kcm]?m|k?g|people|dollars|euros|miles|meters|times|years|words|calories)\b)"
        ),
        lambda m: year(int(m[1])),
    ),
)
