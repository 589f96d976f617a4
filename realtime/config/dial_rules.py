"""Dial rules: a guard against toll fraud. Pure.

    outgoing call, transfer ──Dialling.check──► number or address in canonical form │ NotAllowed

A number may be dialled only if the settings list it: a stolen key or a tricked model must not reach numbers that cost
money.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from vivavoce.realtime.config.errors import NotAllowed

MAX_TARGET: Final = 256

_NUMBER: Final = re.compile(r"\+?[0-9*#]{1,32}")
_SIP: Final = re.compile(
    r"(sips?):([A-Za-z0-9_.+*#~!-]{1,64})@([A-Za-z0-9.-]{1,200}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
)
_NUMBERS: Final = re.compile(r"!?\+?[0-9][0-9]*\*?")
_ADDRESSES: Final = re.compile(r"!?sips?:[A-Za-z0-9_.+*#~-]+@[A-Za-z0-9.*:\[\]-]+")


class Dialling:
    """Which numbers and addresses may be called. Each pattern allows, one that begins with ! forbids, and forbidding
    wins: `("+49*", "!+49900*", "sip:*@pbx.example.org")`. `*` stands for any characters; in SIP addresses never for @.
    A number matches patterns of numbers only, a SIP address patterns of SIP addresses only."""

    def __init__(self, patterns: Iterable[str], targets: Iterable[str] = ()) -> None:
        """`targets` may be called as they are. Raises ValueError for a pattern that `bad_pattern` reports, and
        `NotAllowed` for a target that is no number and no address."""
        patterns = tuple(patterns)
        self._targets = {canonical(target) for target in targets}
        for pattern in patterns:
            if wrong := bad_pattern(pattern):
                raise ValueError(wrong)
        self._allowed = [_compiled(pattern) for pattern in patterns if not pattern.startswith("!")]
        self._forbidden = [_compiled(pattern[1:]) for pattern in patterns if pattern.startswith("!")]

    def check(self, target: str) -> str:
        """`target` in canonical form: "+4930123" for numbers (given as tel: URI or as people write them), or
        "sip:user@host:port". Raises `NotAllowed`."""
        plain = canonical(target)
        if plain in self._targets:
            return plain
        if not any(pattern.fullmatch(plain) for pattern in self._allowed):
            raise NotAllowed("This number or address may not be called; the setting 'phone.outbound' says which may.")
        if any(pattern.fullmatch(plain) for pattern in self._forbidden):
            raise NotAllowed("This number or address may not be called; the setting 'phone.outbound' forbids it.")
        return plain


def canonical(target: str) -> str:
    """A number or SIP address in the form in which it is compared and dialled. Parameters, headers, escapes and letters
    outside ASCII are refused: each is a way past a pattern. Raises `NotAllowed`."""
    text = target.strip()
    if len(text) <= MAX_TARGET and text.isascii():
        scheme, colon, rest = text.partition(":")
        if colon and scheme.lower() == "tel":
            text = rest
        if _NUMBER.fullmatch(number := re.sub(r"[ ().\-/]", "", text)):
            return number
        head, at, host = f"{scheme.lower()}:{rest}".partition("@")
        if at and (found := _SIP.fullmatch(f"{head}@{host.lower().removesuffix('.')}")):
            return found[0]
    raise NotAllowed(
        "Expected a number such as +493012345, tel:+493012345, or an address such as sip:anna@example.org."
    )


def bad_pattern(pattern: str) -> str:
    """The problem of a pattern, in words; "" when it is right."""
    if _NUMBERS.fullmatch(pattern) or _ADDRESSES.fullmatch(pattern):
        return ""
    if pattern.strip("!+") == "*":
        return (
            f"{pattern!r} would allow every number in the world; begin it with a digit, or with + and a country code."
        )
    return f"{pattern!r} is no pattern: expected such as +4930*, !+49900*, or sip:*@pbx.example.org."


def _compiled(pattern: str) -> re.Pattern[str]:
    sip = ":" in pattern
    plain = re.sub(r"@.*", lambda host: host[0].lower(), pattern)
    return re.compile(re.escape(plain).replace(r"\*", "[^@]*" if sip else "[0-9*#]*"))
