r"""Reads the patterns of JSON schemas, which are regular expressions of ECMAScript (ECMA-262, section 22.2.1). Pure.

    ^(?!\.)[a-z.]{1,9}$  ──read──┬──► grammar  ^[a-z.]{1,9}$          what a grammar can say: not more than regular
                                └──► check    ^(?!\.)[a-z.]{1,9}$    what Python's `re` understands

The grammar's version allows at least what the pattern allows: look-arounds, back references and word boundaries are
left out, and large counts have no upper end. `exact` tells whether anything was. The work is linear in the length of
the pattern, whatever it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.model.errors import InvalidPattern

LONGEST: Final = 1000
"""Characters of a pattern."""

DEEPEST: Final = 20
"""Groups within groups."""

LARGEST: Final = 1000
"""Characters, once all counts are written out, from which on a count has no upper end in the grammar."""

FEW: Final = 32
SHORT: Final = 8
"""Of the texts that a pattern allows, those that are tried one by one, and their characters, where look-arounds may
allow none of them."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """`grammar` and `check` as in the module's drawing; `exact`: the grammar allows only what the pattern does;
    `least`: characters of the shortest text it allows."""

    grammar: str
    check: str
    exact: bool
    least: int


def read(pattern: str) -> Pattern:
    """Raises `InvalidPattern`."""
    if len(pattern) > LONGEST:
        raise InvalidPattern(f"has {len(pattern)} characters, at most {LONGEST} are allowed")
    reader = _Reader(pattern)
    whole = reader.alternatives(0)
    if reader.more:
        raise InvalidPattern("has a ')' that closes nothing")
    if whole.texts is not None and not whole.exact and whole.anchored and not _matches_any(whole):
        raise InvalidPattern("can match no text")
    return Pattern(whole.grammar, whole.check, whole.exact, whole.least)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern. `size`: characters with all counts written out; `texts`: all that it matches, where these
    are few and short; `start`, `end`: it is bound to an end of the text."""

    grammar: str
    check: str
    exact: bool = True
    least: int = 0
    size: int = 0
    texts: frozenset[str] | None = frozenset(("",))
    start: bool = False
    end: bool = False

    @property
    def anchored(self) -> bool:
        return self.start and self.end


def _matches_any(part: _Part) -> bool:
    """Whether one of the texts matches with the look-arounds. They are few and short: no pattern takes long on them."""
    try:
        compiled = re.compile(part.check)
    except (re.error, OverflowError, RecursionError):
        return True  # Python's dialect lacks something; not for us to refuse
    return any(compiled.search(text) for text in part.texts or ())


def _few(texts: frozenset[str]) -> frozenset[str] | None:
    return texts if len(texts) <= FEW and all(len(text) <= SHORT for text in texts) else None


_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{(?P<least>\d+)(?P<comma>,(?P<most>\d*))?\})[?+]?")
_GROUP: Final = re.compile(r"\((?:\?(?P<kind>:|=|!|<=|<!|P?<(?P<name>[A-Za-z_$][\w$]*)>|(?P<flags>[ims]+)[:)]))?")
_PROPERTY: Final = re.compile(r"\{\^?(?:\w+=)?\w+\}|[A-Z]")
_BACK_NAME: Final = re.compile(r"<([A-Za-z_$][\w$]*)>")
_HEX: Final = re.compile(r"u\{(?P<braces>[0-9A-Fa-f]{1,6})\}|u(?P<four>[0-9A-Fa-f]{4})|x(?P<two>[0-9A-Fa-f]{2})")
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f", "0": "\0"}
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$/-#&~")
_ANYTHING: Final = r"[\s\S]"


class _Reader:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._pattern)

    def _next(self) -> str:
        return self._pattern[self._at] if self.more else ""

    def _take(self) -> str:
        if not self.more:
            raise InvalidPattern("breaks off")
        self._at += 1
        return self._pattern[self._at - 1]

    def alternatives(self, depth: int) -> _Part:
        if depth > DEEPEST:
            raise InvalidPattern(f"has more than {DEEPEST} groups within each other")
        parts = [self._sequence(depth)]
        while self._next() == "|":
            self._take()
            parts.append(self._sequence(depth))
        if len(parts) == 1:
            return parts[0]
        known = [part.texts for part in parts if part.texts is not None]
        return _Part(
            "|".join(part.grammar for part in parts),
            "|".join(part.check for part in parts),
            all(part.exact for part in parts),
            min(part.least for part in parts),
            sum(part.size for part in parts),
            _few(frozenset().union(*known)) if len(known) == len(parts) else None,
            all(part.start for part in parts),
            all(part.end for part in parts),
        )

    def _sequence(self, depth: int) -> _Part:
        whole = _Part("", "")
        while self.more and self._next() not in "|)":
            part = self._counted(self._atom(depth))
            texts = None
            if whole.texts is not None and part.texts is not None and len(whole.texts) * len(part.texts) <= FEW:
                texts = _few(frozenset(one + other for one in whole.texts for other in part.texts))
            whole = _Part(
                whole.grammar + part.grammar,
                whole.check + part.check,
                whole.exact and part.exact,
                whole.least + part.least,
                whole.size + part.size,
                texts,
                whole.start or (part.start and not whole.grammar),
                part.end,
            )
        return whole

    def _counted(self, part: _Part) -> _Part:
        """`part` with the quantifier behind it."""
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None:
            return part
        if not part.check or ((part.start or part.end) and not part.size):
            raise InvalidPattern(f"repeats nothing at '{found[0]}'")
        self._at = found.end()
        if _QUANTIFIER.match(self._pattern, self._at):
            raise InvalidPattern(f"repeats a repetition at '{self._pattern[self._at :][:9]}'")
        kind = found[0][0]
        least = int(found["least"]) if kind == "{" else int(kind == "+")
        most = {"*": None, "+": None, "?": 1}.get(kind, least)
        if found["comma"]:
            most = int(found["most"]) if found["most"] else None
        if most is not None and most < least:
            raise InvalidPattern(f"has a count whose end is before its beginning, '{found[0]}'")
        if part.least * least > LARGEST or least > LARGEST:
            raise InvalidPattern(f"asks for more than {LARGEST} characters")
        size, exact, upper = max(part.size, 1), part.exact, most
        if most is not None and size * most > LARGEST:
            exact, upper = False, None
        count = f"{{{least},{'' if upper is None else upper}}}"
        return _Part(
            f"(?:{part.grammar}){count}" if part.grammar else "",
            f"(?:{part.check}){found[0]}",
            exact,
            part.least * least,
            size * max(least, 1 if upper is None else upper),
            _repeated(part.texts, least, most),
        )

    def _atom(self, depth: int) -> _Part:
        character = self._next()
        if character == "(":
            return self._group(depth)
        self._take()
        match character:
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case ".":
                return _Part(".", ".", least=1, size=1, texts=None)
            case "^":
                return _Part("^", "^", start=True)
            case "$":
                return _Part("$", r"\Z", end=True)
            case "*" | "+" | "?":
                raise InvalidPattern(f"repeats nothing at '{character}'")
        return _literal(character)

    def _group(self, depth: int) -> _Part:
        found = _GROUP.match(self._pattern, self._at)
        assert found is not None
        if found["kind"] is None and self._pattern.startswith("(?", self._at):
            raise InvalidPattern(f"has an unknown group '{self._pattern[self._at : self._at + 4]}'")
        self._at = found.end()
        if found["flags"] and found[0].endswith(")"):
            if found.start():
                raise InvalidPattern("sets flags within")
            return _Part("", found[0], exact="i" not in found["flags"])
        inside = self.alternatives(depth + 1)
        if self._next() != ")":
            raise InvalidPattern("has a '(' that is not closed")
        self._take()
        kind = found["kind"] or ""
        if kind in ("=", "!", "<=", "<!"):
            return _Part("", f"(?{kind}{inside.check})", exact=False)
        opening = f"(?P<{found['name'].replace('$', '_')}>" if found["name"] else ("(?:" if kind else "(")
        if found["flags"]:
            opening = f"(?{found['flags']}:"
        return replace(
            inside,
            grammar=f"(?:{inside.grammar})",
            check=f"{opening}{inside.check})",
            exact=inside.exact and not found["flags"],
        )

    def _escape(self) -> _Part:
        character = self._take()
        if character in "dDwWsS":
            return _Part(f"\\{character}", f"\\{character}", least=1, size=1, texts=None)
        if character in "bB":
            return _Part("", f"\\{character}", exact=False)
        if character in "AZz":  # not ECMAScript's, but written
            return _Part("^", r"\A", start=True) if character == "A" else _Part("$", r"\Z", end=True)
        if character in "123456789":
            return _Part(f"{_ANYTHING}*", f"\\{character}", exact=False, texts=None)
        if character == "k" and (name := _BACK_NAME.match(self._pattern, self._at)):
            self._at = name.end()
            return _Part(f"{_ANYTHING}*", f"(?P={name[1].replace('$', '_')})", exact=False, texts=None)
        if character in "pP":
            grammar, check = self._property(character)
            return _Part(grammar, check, least=1, size=1, texts=None)
        return _literal(self._character(character))

    def _property(self, kind: str) -> tuple[str, str]:
        """A property of Unicode, `\\p{L}`: for the grammar, and as Python can say it (more, where it cannot)."""
        found = _PROPERTY.match(self._pattern, self._at)
        if found is None:
            raise InvalidPattern("has an unknown property of characters")
        self._at = found.end()
        name = found[0].strip("{}").rpartition("=")[2]
        check = {"L": r"[^\W\d_]", "Letter": r"[^\W\d_]", "N": r"\d", "Nd": r"\d"}.get(name, _ANYTHING)
        return f"\\{kind}{found[0]}", check if kind == "p" else _ANYTHING

    def _character(self, escaped: str) -> str:
        """The character of an escape."""
        if hexadecimal := _HEX.match(self._pattern, self._at - 1):
            self._at = hexadecimal.end()
            code = int(next(filter(None, hexadecimal.groups())), 16)
            if code > 0x10FFFF:
                raise InvalidPattern("has a character that does not exist")
            return chr(code)
        if escaped == "c" and self._next().isalpha():
            return chr(ord(self._take()) % 32)
        return _CONTROLS.get(escaped, escaped)

    def _class(self) -> _Part:
        """A class of characters, behind its bracket."""
        negated = self._next() == "^"
        if negated:
            self._take()
        grammar, check, texts = ["[^" if negated else "["], ["[^" if negated else "["], set[str]()
        few, before = not negated, ""
        while self._next() != "]":
            character = self._take()
            if character == "\\" and self._next() and self._next() in "dDwWsSpP":
                kind = self._take()
                both = self._property(kind) if kind in "pP" else (f"\\{kind}", f"\\{kind}")
                grammar.append(both[0])
                check.append(both[1] if both[1].startswith("\\") else r"\w" if r"\W" in both[1] else r"\s\S")
                few, before = False, ""
                continue
            if character == "\\":
                escaped = self._take()
                character = "\b" if escaped == "b" else self._character(escaped)
            elif character == "-" and before and self._next() not in ("]", ""):
                upper = self._take()
                if upper == "\\":
                    upper = self._character(self._take())
                if upper < before:
                    raise InvalidPattern(f"has a range that runs backwards, '{before}-{upper}'")
                grammar.append(f"-{_in_class(upper)}")
                check.append(f"-{_in_class(upper)}")
                few, before = False, ""
                continue
            grammar.append(_in_class(character))
            check.append(_in_class(character))
            texts.add(character)
            before = character
        self._take()
        if len(grammar) == 1:  # "[]" matches nothing, "[^]" everything
            if not negated:
                raise InvalidPattern("has a class without characters")
            return _Part(_ANYTHING, _ANYTHING, least=1, size=1, texts=None)
        known = _few(frozenset(texts)) if few else None
        return _Part("".join([*grammar, "]"]), "".join([*check, "]"]), least=1, size=1, texts=known)


def _repeated(texts: frozenset[str] | None, least: int, most: int | None) -> frozenset[str] | None:
    """The texts of a repetition, where they are few."""
    if texts is None or most is None or most > SHORT:
        return None
    if (least, most) == (0, 1):
        return _few(texts | {""})
    if least == most and (most == 1 or len(texts) == 1):
        return _few(frozenset(text * most for text in texts))
    return None


def _literal(character: str) -> _Part:
    return _Part(_escaped(character), re.escape(character), least=1, size=1, texts=frozenset((character,)))


def _escaped(character: str) -> str:
    """For the grammar's dialect, that of Rust."""
    if character in _SPECIAL:
        return f"\\{character}"
    return character if character.isprintable() else f"\\x{{{ord(character):x}}}"


def _in_class(character: str) -> str:
    """In both dialects."""
    if character in r"\]^-[&~|":
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else character
