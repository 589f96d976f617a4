"""Reads formulas, written in TeX, as a person would say them. Pure.

    $x = \\frac{-b}{2a}$      x equals minus b over 2 a
    \\(E = mc^2\\)             E equals m c squared
    $$\\int_0^1 x^2 dx$$      the integral from 0 to 1 of x squared d x

`RULES` run before all others, since markup has a meaning of its own for the same characters; digits are spelled later.
A formula that is too long to follow by ear, or has notations that are not known here, is "a formula".
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule, word_list

LONGEST: Final = 30
"""Words of a formula that can be followed by ear."""

A_FORMULA: Final = "a formula"

GREEK: Final = dict(
    pair.split(":")
    for pair in word_list("""
    α:alpha β:beta γ:gamma δ:delta ε:epsilon ζ:zeta η:eta θ:theta ι:iota κ:kappa λ:lambda μ:mu ν:nu ξ:xi ο:omicron π:pi
    ρ:rho σ:sigma ς:sigma τ:tau υ:upsilon φ:phi χ:chi ψ:psi ω:omega Γ:gamma Δ:delta Θ:theta Λ:lambda Ξ:xi Π:pi Σ:sigma
    Φ:phi Ψ:psi Ω:omega
    """)
)
"""Names of Greek letters: as symbols they are read in English too."""

_COMMANDS: Final = {
    **{
        name: name
        for name in (*GREEK.values(), "log", "max", "min", "mod", "det", "exp", "in", "to", "partial", "implies")
    },
    **{name.capitalize(): name for letter, name in GREEK.items() if letter.isupper()},
    **{f"var{name}": name for name in ("epsilon", "phi", "theta", "rho")},
    **dict.fromkeys(("times", "cdot", "ast"), "times"),
    **dict.fromkeys(("le", "leq"), "is at most"),
    **dict.fromkeys(("ge", "geq"), "is at least"),
    **dict.fromkeys(("ne", "neq"), "is not equal to"),
    **dict.fromkeys(("approx", "sim"), "is about"),
    **dict.fromkeys(("subset", "subseteq"), "is a subset of"),
    **dict.fromkeys(("dots", "ldots", "cdots"), "and so on"),
    **dict.fromkeys(("degree", "circ"), "degrees"),
    "div": "divided by",
    "pm": "plus or minus",
    "mp": "minus or plus",
    "lt": "is less than",
    "gt": "is greater than",
    "equiv": "is equivalent to",
    "propto": "is proportional to",
    "rightarrow": "to",
    "Rightarrow": "implies",
    "iff": "if and only if",
    "notin": "not in",
    "cup": "union",
    "cap": "intersection",
    "infty": "infinity",
    "nabla": "del",
    "forall": "for all",
    "exists": "there is",
    "sin": "sine",
    "cos": "cosine",
    "tan": "tangent",
    "ln": "the natural log of",
    "lim": "the limit of",
    "sum": "the sum of",
    "prod": "the product of",
    "int": "the integral of",
    "mid": "given",
    "ell": "l",
    "prime": "prime",
    "%": "percent",
    "&": "and",
    "#": "number",
    "$": "dollars",
}
_SILENT: Final = frozenset(
    word_list("""
    left right big Big bigl bigr quad qquad displaystyle limits text mathrm mathbf mathit mathbb mathcal operatorname
    , ; : !
    """)
) | {" "}
_RANGES: Final = {"sum": "the sum", "prod": "the product", "int": "the integral"}
_SIGNS: Final = {
    "+": "plus",
    "-": "minus",
    "−": "minus",
    "=": "equals",
    "*": "times",
    "·": "times",
    "×": "times",
    "/": "over",
    "<": "is less than",
    ">": "is greater than",
    "!": "factorial",
    "%": "percent",
    "'": "prime",
    ",": ",",
}
_POWERS: Final = {"2": "squared", "3": "cubed", "degrees": "degrees", "prime": "prime"}
_TOKEN: Final = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[A-Za-z]|\S")


class _Unknown(Exception):
    """A notation that is not known here."""


def read_formula(tex: str) -> str:
    """The words of a formula without its delimiters."""
    try:
        words = " ".join(_Reader(_TOKEN.findall(tex)).all()).replace(" ,", ",")
    except _Unknown:
        return A_FORMULA
    return words if words and len(words.split()) <= LONGEST else A_FORMULA


class _Reader:
    """Reads tokens of TeX, from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def all(self) -> list[str]:
        words: list[str] = []
        while self._at < len(self._tokens):
            words += self._next(words)
        return words

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise _Unknown
        self._at += 1
        return self._tokens[self._at - 1]

    def _group(self, opening: str = "{", closing: str = "}") -> list[str]:
        """The words of a group in braces, or of the next token."""
        if self._peek() != opening:
            return self._next([])
        self._take()
        depth, inner = 1, list[str]()
        while depth:
            token = self._take()
            depth += (token == opening) - (token == closing)
            inner.append(token)
        return _Reader(inner[:-1]).all()

    def _next(self, before: list[str]) -> list[str]:
        token = self._take()
        if token.startswith("\\"):
            return self._command(token[1:])
        if token == "^":
            return self._power()
        if token == "_":
            return _below(self._group())
        if token == "{":
            self._at -= 1
            return self._group()
        if token == "(" and before and len(before[-1]) == 1 and before[-1] in "fgh":
            return ["of"]
        if token in "()[]|.&~":
            return []
        if token == "!" and not before:
            raise _Unknown
        if token in _SIGNS:
            return [_SIGNS[token]]
        if token in GREEK:
            return [GREEK[token]]
        if not token.isalnum():
            raise _Unknown
        return [token]

    def _command(self, name: str) -> list[str]:
        if name == "frac" or name in ("dfrac", "tfrac"):
            return [*self._group(), "over", *self._group()]
        if name == "sqrt":
            root = self._group("[", "]") if self._peek() == "[" else []
            kind = {"": "the square root of", "3": "the cube root of"}.get(" ".join(root))
            if kind is None:
                raise _Unknown
            return [kind, *self._group()]
        if name in _RANGES and self._peek() in ("_", "^"):
            return self._range(name)
        if name == "lim" and self._peek() == "_":
            self._take()
            return ["the limit as", *(("goes to" if word == "to" else word) for word in self._group()), "of"]
        if name in _SILENT:
            return []
        if name not in _COMMANDS:
            raise _Unknown
        return [_COMMANDS[name]]

    def _range(self, name: str) -> list[str]:
        ends: dict[str, list[str]] = {}
        while self._peek() in ("_", "^") and self._peek() not in ends:
            mark = self._take()
            ends[mark] = self._group()
        start = ["from", *ends["_"]] if "_" in ends and "^" in ends else ["over", *ends.get("_", [])]
        stop = ["to", *ends["^"]] if "^" in ends else []
        return [_RANGES[name], *start, *stop, "of"]

    def _power(self) -> list[str]:
        power = " ".join(self._group())
        return [_POWERS.get(power) or f"to the power of {power}"]


def _below(words: list[str]) -> list[str]:
    """An index: "x one", but "x sub i"."""
    return words if words and words[0].isdigit() else ["sub", *words]


_MATHS: Final = re.compile(r"\\[A-Za-z]|[\^_={}+<>]|^\s*-?\d*[A-Za-z](?:_?\w)?\s*$")


def _delimited(match: re.Match[str]) -> str | None:
    tex = next(group for group in match.groups() if group is not None)
    if match[0].startswith("$") and not match[0].startswith("$$") and not _MATHS.search(tex):
        return None  # money
    return _apart(match, read_formula(tex))


def _bare(match: re.Match[str]) -> str | None:
    words = read_formula(match[0])
    return None if words == A_FORMULA else _apart(match, words)


def _apart(match: re.Match[str], words: str) -> str:
    """`words`, with a space where letters touch them. None behind them otherwise: the last word says the formula."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return f"{' ' * before.isalnum()}{words}{' ' * after.isalnum()}"


_GROUP: Final = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_NAMES: Final = "|".join(sorted(filter(str.isalpha, _COMMANDS), key=len, reverse=True))

OPEN: Final = re.compile(
    r"(?:\\\[(?:(?!\\\]).)*|\\\((?:(?!\\\)).)*|\$\$[^$]*|(?<![\w$])\$(?![A-Z]{2})(?=[A-Za-z\\({-])[^$\n]{0,60})\Z",
    re.DOTALL,
)
"""A formula that has begun and not ended at the end of a text."""

RULES: Final[tuple[Rule, ...]] = (
    (
        re.compile(
            r"\$\$([^$]{1,400})\$\$|\\\[((?:(?!\\\]).){1,400})\\\]|\\\(((?:(?!\\\)).){1,400})\\\)"
            r"|(?<![\w$\\])\$(?=[^\s$])([^$\n]{1,200}(?<![\s\\]))\$(?![\d$])",
            re.DOTALL,
        ),
        _delimited,
    ),
    (re.compile(rf"-?\\[dt]?frac{_GROUP}{_GROUP}|\\sqrt{_GROUP}|\\(?:{_NAMES})(?![A-Za-z])"), _bare),
)
