"""Spells out numbers in their context: money, percentages, units, telephone numbers, ranges, fractions, sums. Pure.

`RULES` run after `dates`, from the most particular notation to the plain number, after which no digit is left.
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule
from vivavoce.model.cascade.tts.english.numerals import cardinal, decimal, digits, fraction, ordinal, year
from vivavoce.model.cascade.tts.english.units import UNIT, unit_words

_NUMBER: Final = r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+"
_SIGN: Final = r"(?<![\w)\]])[-−](?=\.?\d)"
_CURRENCIES: Final = {
    "$": ("dollar", "cent"),
    "US$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
    "₿": ("bitcoin", ""),
    "USD": ("dollar", "cent"),
    "EUR": ("euro", "cent"),
    "GBP": ("pound", "penny"),
    "JPY": ("yen", ""),
}
_SYMBOL: Final = r"(?:US)?\$|[€£¥₹₿]"
_SCALE_LETTERS: Final = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "t": "trillion"}
_SCALE: Final = r"thousand|million|billion|trillion|[kK]|[mM]|[bB]n?|[tT]"
_VULGAR: Final = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8", "⅕": "1/5"}


_EUROPEAN: Final = (
    r"(?<![\d.,'])(?:\d{1,3}(?:\.\d{3})+(?:,\d{1,2})?|\d{1,3}(?:[ ']\d{3})+(?:[,.]\d{1,2})?|\d+,\d{1,2})"
    r"(?![\d'])(?![.,]\d)"
)
"""A number whose decimals follow a comma, or whose thousands have dots, spaces or apostrophes between them."""


def _english_notation(number: str) -> str:
    """ "1.234,56" -> "1234.56"."""
    whole, comma, cents = number.rpartition(",")
    if not comma:
        whole, point, cents = number.rpartition(".") if re.search(r"[ '].*\.\d{1,2}$", number) else (number, "", "")
        comma = point
    return re.sub(r"[.' ]", "", whole) + (f".{cents}" if comma else "")


def _european(match: re.Match[str]) -> str | None:
    number = match["number"]
    around = match.string[match.start() : match.end() + 5]
    if re.fullmatch(r"\d{1,3}\.\d{3}", number) and not re.search(r"€|EUR|Euro|euro|CHF", around):
        return None  # three decimals
    return match[0].replace(number, _english_notation(number))


def _many_thousands(match: re.Match[str]) -> str | None:
    parts = match[0].split(".")
    address = len(parts) == 4 and all(int(part) < 256 for part in parts)
    return None if address else match[0].replace(".", "")


def _scientific(match: re.Match[str]) -> str:
    power = match[2].translate(_SUPERSCRIPTS).replace("+", "").replace("−", "-").replace("-", "minus ")
    return f"{match[1]} times ten to the power of {power}"


def _money(match: re.Match[str]) -> str:
    one, cent = _CURRENCIES[match["symbol"] or match["code"]]
    number, scale = match["number"].replace(",", ""), match["scale"]
    minus = "minus " if match["minus"] else ""
    if scale:
        return f"{minus}{decimal(number)} {_SCALE_LETTERS.get(scale.lower(), scale)} {_many(one)}"
    whole, _, cents = number.partition(".")
    if len(cents) != 2 or not cent:
        exact = number if cents.strip("0") else whole
        return f"{minus}{decimal(exact)} {one if exact == '1' else _many(one)}"
    parts = [] if int(whole or 0) == 0 and int(cents) else [f"{decimal(whole)} {one if whole == '1' else _many(one)}"]
    if int(cents):
        parts.append(f"{cardinal(int(cents))} {cent if int(cents) == 1 else _many(cent)}")
    return minus + " and ".join(parts)


def _many(name: str) -> str:
    return {"penny": "pence", "yen": "yen", "paisa": "paise"}.get(name, f"{name}s")


def _measure(match: re.Match[str]) -> str:
    number = match["number"]
    single = number in ("1", "1.0")
    hyphen = match["gap"] == "-"
    minus = "minus " if match["minus"] else ""
    return f"{minus}{decimal(number)} {unit_words(match['unit'], single=single or hyphen)}"


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(digits(group) for group in groups)


def _range(match: re.Match[str]) -> str:
    return f"{match[1]} to "


def _version(match: re.Match[str]) -> str:
    prefix = "version " if match[1] else ""
    return prefix + " point ".join(decimal(part) for part in match[2].split("."))


def _fraction(match: re.Match[str]) -> str | None:
    whole, above, below = match[1], int(match[2]), int(match[3])
    if (above, below) == (24, 7):
        return "twenty-four seven"
    if not whole:
        return fraction(above, below)
    part = fraction(above, below)
    return f"{decimal(whole.strip())} and {part.replace('one half', 'a half').replace('one quarter', 'a quarter')}"


def _power(match: re.Match[str]) -> str:
    return {"2": " squared", "3": " cubed"}.get(match[1], f" to the power of {match[1].replace('-', 'minus ')}")


def _plain(match: re.Match[str]) -> str:
    text = match[0]
    bare = text.replace(",", "")
    return digits(bare) if bare.isdigit() and len(bare) >= 10 and bare == text else decimal(text)


_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")

RULES: Final[tuple[Rule, ...]] = (
    (re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?[×·*xX]\s?10(?:\^\(?\{?([-−]?\d+)\}?\)?)"), _scientific),
    (re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?[×·*xX]\s?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)"), _scientific),
    (re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+−-]?\d{1,3})\b"), _scientific),
    (re.compile(r"(?<=[\w)])[⁻⁰⁴⁵⁶⁷⁸⁹][⁰¹²³⁴⁵⁶⁷⁸⁹]*"), lambda m: f"^{m[0].translate(_SUPERSCRIPTS)}"),
    (
        re.compile(
            rf"(?:{_SYMBOL}|(?:USD|EUR|GBP|CHF)\s)\s?(?P<number>{_EUROPEAN})(?!\s?(?:thousand|million|billion))"
        ),
        _european,
    ),
    (
        re.compile(rf"(?P<number>{_EUROPEAN})(?=\s?(?:[€£%]|(?:USD|EUR|GBP|CHF|[Ee]uros?|(?:{UNIT}))(?![\w/²³])))"),
        _european,
    ),
    (re.compile(r"(?<![\w.,])\d{1,3}(?:\.\d{3}){2,}(?![\w.]|,\d{3})"), _many_thousands),
    (re.compile(r"(?<=\d)([½⅓⅔¼¾⅛⅕])"), lambda m: f" {_VULGAR[m[1]]}"),
    (re.compile(r"[½⅓⅔¼¾⅛⅕]"), lambda m: _VULGAR[m[0]]),
    (
        re.compile(
            r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)|(?<![\w.-])\d{3}-\d{4}(?![\w-])"
            r"|\+\d{7,15}\b|\+\d{1,3}(?:[ -]\d{2,5}){2,5}\b"
        ),
        _telephone,
    ),
    (re.compile(r"\b([vV])?(\d+(?:\.\d+){2,})\b"), _version),
    (re.compile(r"\b([vV])(\d+(?:\.\d+)?)\b"), _version),
    (
        re.compile(
            rf"(?<![\w.])((?:{_SYMBOL})?(?:{_NUMBER})(?:%|°|{_SCALE})?)\s?(?:–|-|\.\.\.?)\s?(?=(?:{_SYMBOL})?\d)"
        ),
        lambda m: None if re.match(r".*\d\s-\s\d.*=|.*\d-\d+-\d", m.string[m.start() : m.end() + 24]) else _range(m),
    ),
    (
        re.compile(
            rf"(?P<minus>{_SIGN}|(?<!\w)[-−](?={_SYMBOL}))?(?:(?P<symbol>{_SYMBOL})\s?(?P<number>{_NUMBER})"
            rf"(?:\s?(?P<scale>{_SCALE})\b)?)(?P<code>(?!))?"
        ),
        _money,
    ),
    (
        re.compile(
            rf"(?P<minus>{_SIGN})?(?P<symbol>(?!))?\b(?P<number>{_NUMBER})(?:\s?(?P<scale>thousand|million|billion))?"
            r"\s?(?P<code>USD|EUR|GBP|JPY|€|£)(?!\w)"
        ),
        _money,
    ),
    (re.compile(r"\b(\d+)\s?¢"), lambda m: f"{cardinal(int(m[1]))} cent{'' if m[1] == '1' else 's'}"),
    (re.compile(r"\b([1-9])'(1[01]|\d)\b"), lambda m: f"{cardinal(int(m[1]))} foot {cardinal(int(m[2]))}"),
    (
        re.compile(r"\b(\d{4})\s?[xX×]\s?([1-9]\d{3})\b(?!\s?=)"),
        lambda m: f"{year(int(m[1]))} by {year(int(m[2]))}",
    ),
    (re.compile(r"(?<=\d)\s?[xX×]\s?(?=\d[\d.]*(?!\s?=|[\d.]))"), " by "),
    (re.compile(r"(?<=[\d)])\s?[x×*·]\s?(?=[\d(])|\s?×\s?"), " times "),
    (re.compile(r"(?<=[\d)])x\b"), " times"),
    (
        re.compile(
            rf"(?P<minus>{_SIGN})?(?<![\w.])(?P<number>{_NUMBER})(?P<gap>\s?|-)(?P<unit>{UNIT})(?![\w/²³]|'\w)",
        ),
        _measure,
    ),
    (re.compile(r"\b(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b"), lambda m: ordinal(int(m[1].replace(",", "")))),
    (re.compile(r"(?<![\d/.,])(\d+ )?\b(\d{1,3})/(\d{1,3})\b(?![/.]?\d)"), _fraction),
    (re.compile(r"#(?=\d)|\b(?:No|no|Nr)\.\s?(?=\d)|№\s?"), "number "),
    (re.compile(r"(?<=[\w)])\s?\^\s?\(?(-?\w+)\)?"), _power),
    (re.compile(r"(?<=[\w)])²"), " squared"),
    (re.compile(r"(?<=[\w)])³"), " cubed"),
    (re.compile(r"(?<=[\d)])\s+[-−–]\s+(?=[\d(])|(?<=[\w)]) [-−] (?=[\w(][^=]*=)"), " minus "),
    (re.compile(r"(?<=[\d)])\s+/\s+(?=[\d(])|\s?÷\s?"), " divided by "),
    (re.compile(r"(?<=\d):(?=\d)"), " to "),
    (re.compile(_SIGN), "minus "),
    (re.compile(r"(?<=\d)\+(?=[\s,.;:!?]|$)"), " plus"),
    (
        re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([kKMB])(?= \w)(?=\s[a-z])"),
        lambda m: f"{m[1]} {_SCALE_LETTERS[m[2].lower()]}",
    ),
    (re.compile(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)"), " "),
    (re.compile(r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z])"), " "),
    (re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\w)\.\d+"), _plain),
)
