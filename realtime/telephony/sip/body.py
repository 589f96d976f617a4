"""Bodies of SIP messages: finds the session description, alone or in a multipart body (RFC 5621, RFC 2046).

    application/sdp ─────────────────────────────────────────► the description
    multipart/mixed ──► application/sdp ─────────────────────► the description
                    ──► ISUP, PIDF-LO, recording metadata ───► passed over, unless handling=required: 415

Carriers put the offer beside a location, ISUP or metadata. A part of another disposition than "session" (RFC 3959's
early-session) describes another session. The module keeps no state.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiosipua import SipRequest, SipResponse

from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip.headers import BadHeader, fields, parameters

SDP: Final = "application/sdp"
ACCEPT: Final = "application/sdp, multipart/mixed"

MAX_DEPTH: Final = 4
"""Multipart bodies within each other."""

MAX_PARTS: Final = 32
"""Parts of one body."""


class BodyNotSupported(SdpNotAcceptable):
    """A body of a type that is not supported, or that cannot be read; worth a 415."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A body, or a part of one. `kind`: its media type, in lower case. `required`: the sender asks to refuse the
    message where the part is not understood; None where it does not say."""

    kind: str
    options: dict[str, str]
    disposition: str
    required: bool | None
    encoding: str
    content: bytes


def session_description(message: SipRequest | SipResponse) -> str | None:
    """The SDP in a message; None for none. Raises `BodyNotSupported`."""
    if not message.body:
        return None
    headers = {name: message.headers.get_first(name) or "" for name in _ABOUT}
    whole = _part(headers, message.body)
    coding = (message.headers.get_first("content-encoding") or "identity").strip().lower()
    if coding not in ("", "identity"):
        raise BodyNotSupported(f"the content encoding '{coding[:20]}' is not supported")
    if whole.kind == SDP or (not whole.kind and whole.content.lstrip().startswith(b"v=")):
        return _text(whole)
    if whole.kind.startswith("multipart/"):
        return _find(whole)
    if whole.required is False:
        return None
    raise BodyNotSupported(f"expected a body of {ACCEPT}")


def _find(whole: _Part) -> str | None:
    """The description in a multipart body."""
    found: list[_Part] = []
    for number, (part, alternative) in enumerate(_leaves(whole, MAX_DEPTH)):
        if number >= MAX_PARTS:
            raise BodyNotSupported(f"more than {MAX_PARTS} parts in a body")
        if part.kind == SDP and part.disposition in ("", "session"):
            found = [part] if alternative or not found else found  # the last alternative is the best one
        elif part.required and not alternative and part.kind != SDP:
            raise BodyNotSupported(f"a part is required and not supported; expected {SDP}")
    return _text(found[0]) if found else None


def _leaves(whole: _Part, depth: int) -> Iterator[tuple[_Part, bool]]:
    """All parts that are not multipart themselves, or cannot be read, and whether they are alternatives."""
    alternatives = whole.kind == "multipart/alternative"
    for part in _parts(whole):
        leaves = [(part, False)]
        if part.kind.startswith("multipart/") and depth > 1:
            with suppress(BodyNotSupported):
                leaves = list(_leaves(part, depth - 1))
        for leaf, alternative in leaves:
            yield leaf, alternative or alternatives


def _parts(whole: _Part) -> Iterator[_Part]:
    boundary = whole.options.get("boundary", "").encode()
    if not 0 < len(boundary) <= 70:  # RFC 2046 section 5.1.1
        raise BodyNotSupported("a multipart body without a boundary")
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    begins: int | None = None
    for found in delimiter.finditer(whole.content):
        if begins is not None:
            yield _read_part(whole.content[begins : found.start()])
        if found[1]:
            return
        begins = found.end()
    if begins is None:
        raise BodyNotSupported("a multipart body without its boundary")
    yield _read_part(whole.content[begins:])  # it was not closed


def _read_part(data: bytes) -> _Part:
    """Reads a part, from the end of its delimiter on."""
    data = re.sub(rb"\A\r?\n", b"", data, count=1)
    if (empty := re.match(rb"\r?\n", data)) is not None:
        return _part({}, data[empty.end() :])
    head, content = data, b""
    if (blank := re.search(rb"\r?\n\r?\n", data)) is not None:
        head, content = data[: blank.start()], data[blank.end() :]
    try:
        headers = {name.lower(): value for name, value in fields(head)}
    except BadHeader as bad:
        raise BodyNotSupported(str(bad)) from bad
    return _part(headers, content)


_ABOUT: Final = ("content-type", "content-disposition", "content-transfer-encoding")


def _part(headers: dict[str, str], content: bytes) -> _Part:
    kind, disposition, encoding = (headers.get(name, "").partition(";") for name in _ABOUT)
    handling = parameters(disposition[2]).get("handling", "").lower()
    return _Part(
        re.sub(r"\s", "", kind[0]).lower(),
        parameters(kind[2]),
        disposition[0].strip().lower(),
        {"required": True, "optional": False}.get(handling),
        encoding[0].strip().lower(),
        content,
    )


def _text(part: _Part) -> str:
    content = part.content
    if part.encoding == "base64":
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except binascii.Error:
            raise BodyNotSupported("a part that is not base64") from None
    elif part.encoding == "quoted-printable":
        content = quopri.decodestring(content)
    elif part.encoding not in ("", "binary", "8bit", "7bit"):
        raise BodyNotSupported("a part in an encoding that is not supported")
    return content.decode("utf-8", errors="replace")
