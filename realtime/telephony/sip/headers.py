"""SIP headers as peers write them (RFC 3261 sections 7.3, 20 and 25): folded, compact, quoted, in any case.

    bytes of a head ──fields──► names and values, unfolded        split_list: "a, b" ──► a │ b, not within quotes or <>
    "Anna <work>" <sip:anna@[2001:db8::1]>;tag=1 ──name_address──► NameAddress: URI as written, parameters
    SIP / 2.0 / UDP [2001:db8::1]:5060 ;branch=x ──canonical_via──► SIP/2.0/UDP [2001:db8::1]:5060;branch=x

aiosipua finds the first "<" even in a display name, and knows ten of the compact names. The module keeps no state; all
of it takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vivavoce.realtime.telephony.errors import PeerError

COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""Full names of the compact forms (the registry of header fields at IANA)."""

MAX_FIELDS: Final = 256


class BadHeader(PeerError):
    """A header that cannot be read; the message is for the far end."""


@dataclass(frozen=True, slots=True)
class NameAddress:
    """The value of From, To, Contact. `uri` is as written, without its brackets; `parameters` have names in lower
    case."""

    uri: str = field(repr=False)
    parameters: dict[str, str]

    @property
    def tag(self) -> str:
        """The parameter of this name; "" for none."""
        return self.parameters.get("tag", "")


def fields(head: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of all lines of a head; continuation lines are joined by a space. Skips lines without a colon.
    Raises `BadHeader` when there are too many."""
    lines: list[list[str]] = []
    for line in re.split(r"\r\n|\n|\r", head.decode("utf-8", errors="replace")):
        if line[:1] in (" ", "\t"):
            if lines:
                lines[-1].append(line.strip())
        elif line:
            lines.append([line])
    if len(lines) > MAX_FIELDS:
        raise BadHeader(f"more than {MAX_FIELDS} headers")
    for parts in lines:
        name, colon, value = " ".join(parts).partition(":")
        name = name.strip()
        if colon and name:
            yield COMPACT.get(name.lower(), name), value.strip()


_LIST_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|<[^>]*>?|[^",<]+|,', re.DOTALL)
_PARAMETER_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[^";]+|;', re.DOTALL)


def split_list(value: str) -> list[str]:
    """The parts of a list; commas within quoted strings and angle brackets do not separate."""
    return [part for part in _split(_LIST_TOKEN, value, ",") if part]


def parameters(text: str) -> dict[str, str]:
    """`;name=value;name="quoted; value"` with names in lower case; "" for a name without a value."""
    found: dict[str, str] = {}
    for part in _split(_PARAMETER_TOKEN, text, ";"):
        name, _, value = part.partition("=")
        if name.strip():
            found[name.strip().lower()] = unquoted(value.strip())
    return found


def unquoted(text: str) -> str:
    """A token, or the content of a quoted string."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _split(token: re.Pattern[str], text: str, separator: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for found in token.findall(text):
        if found == separator:
            parts.append([])
        else:
            parts[-1].append(found)
    return ["".join(part).strip() for part in parts]


_BRACKETED: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^<"])*<([^<>]*)>(.*)', re.DOTALL)


def name_address(value: str) -> NameAddress:
    """Reads `"Display name" <uri>;parameters`, or `uri;parameters`, where all parameters are the header's (section
    20.10). Raises `BadHeader`."""
    if found := _BRACKETED.fullmatch(value):
        uri, rest = found[1].strip(), found[2].strip()
        if rest and not rest.startswith(";"):
            raise BadHeader("text behind an address")
    else:
        uri, semicolon, rest = value.partition(";")
        uri, rest = uri.strip(), semicolon + rest
        if re.search(r'[\s<>"]', uri):
            raise BadHeader("an address that cannot be read")
    if not host_of(uri)[0]:
        raise BadHeader("an address without a host")
    return NameAddress(uri, parameters(rest))


def host_of(uri: str) -> tuple[str, int | None]:
    """Host and port of a URI; an IPv6 address keeps its brackets. For others than sip and sips: the part behind the
    scheme. ("", None) for none."""
    scheme, colon, rest = uri.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return "", None
    if scheme.lower() not in ("sip", "sips"):
        return rest.partition(";")[0], None
    found = re.match(r"(\[[0-9A-Fa-f:.]+\]|[^\s:;?\[\]]+)(?::(\d{1,5}))?(?=[;?]|$)", rest.rpartition("@")[2])
    if found is None:
        return "", None
    return found[1], int(found[2]) if found[2] else None


_VIA: Final = re.compile(
    r"SIP ?/ ?2\.0 ?/ ?([A-Za-z0-9.-]+) "  # protocol, transport
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+) ?(?:: ?(\d{1,5}))? ?"  # sent-by
    r"((?:;.*)?)",
    re.IGNORECASE,
)


def canonical_via(value: str) -> str:
    """A Via without the white space and folding that RFC 3261 allows in it. Raises `BadHeader`."""
    found = _VIA.fullmatch(" ".join(value.split()))
    if found is None:
        raise BadHeader("the topmost Via cannot be read")
    transport, host, port, rest = found[1], found[2], found[3], found[4]
    given = "".join(f";{name}={text}" if text else f";{name}" for name, text in parameters(rest).items())
    return f"SIP/2.0/{transport.upper()} {host}{f':{port}' if port else ''}{given}"
