"""SIP messages: parsing and responses. Their types are aiosipua's, which also writes them.

    datagram ──parse──► SipRequest | SipResponse          create_response(request, 486) ──► SipResponse

`parse` checks every field that the layers above rely on, so that none of them meets a malformed one. From, To and
Contact are read by `sender`, `target` and `contacts`, and echoed as they were written. The module keeps no state.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aiosipua import SipRequest, SipResponse
from aiosipua.headers import MULTI_INSTANCE_HEADERS, Via, parse_via, stringify_via

from vivavoce.realtime.telephony.errors import PeerError
from vivavoce.realtime.telephony.sip.headers import (
    BadHeader,
    NameAddress,
    canonical_via,
    fields,
    name_address,
    split_list,
)

MAX_MESSAGE: Final = 64 << 10
"""Bytes of one message."""

ALLOW: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, REFER, NOTIFY"
MAX_CSEQ: Final = (1 << 31) - 1  # RFC 3261 section 8.1.1.5
MAX_HEADER: Final = 4096
"""Characters of one header."""

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}

TransportProtocol = Literal["UDP", "TCP"]


@dataclass(frozen=True, slots=True)
class Remote:
    """Source or destination of a message: IP address, port, and transport protocol. For TCP it names the
    connection."""

    host: str
    port: int
    protocol: TransportProtocol = "UDP"

    def __repr__(self) -> str:
        return f"Remote({self.protocol})"  # addresses of callers do not belong into logs


class BadSipMessage(PeerError):
    """A malformed SIP message. `request` is there when it can be answered with 400."""

    def __init__(self, problem: str, request: SipRequest | None = None) -> None:
        super().__init__(problem)
        self.request = request


def parse(data: bytes, source: Remote) -> SipRequest | SipResponse:
    """Parses and checks a message; adds the true source to the topmost Via of a request (RFC 3581). Raises
    `BadSipMessage`."""
    if len(data) > MAX_MESSAGE:
        raise BadSipMessage(f"{len(data)} bytes; at most {MAX_MESSAGE}")
    try:
        message = _read(data)
        via = _check(message)
    except BadHeader as error:
        raise BadSipMessage(str(error)) from error
    if isinstance(message, SipResponse):
        if not 100 <= message.status_code <= 699 or _problem(message):
            raise BadSipMessage("a response that fits no request")
        return message
    _add_source(message, via, source)
    problem = _problem(message)
    if problem:
        raise BadSipMessage(problem, message)
    return message


def sender(message: SipRequest | SipResponse) -> NameAddress:
    """The From of a message that `parse` returned."""
    return name_address(message.headers.get_first("from") or "")


def target(message: SipRequest | SipResponse) -> NameAddress:
    """The To of a message that `parse` returned."""
    return name_address(message.headers.get_first("to") or "")


def contacts(message: SipRequest | SipResponse) -> list[NameAddress]:
    """The Contacts of a message that `parse` returned; none for "*"."""
    return [name_address(value) for value in message.headers.get("contact") if value != "*"]


def cseq_number(message: SipRequest | SipResponse) -> int:
    """The number in CSeq; -1 where it cannot be read."""
    found = _CSEQ.fullmatch(message.headers.get_first("cseq") or "")
    return int(found[1]) if found else -1


def create_response(
    request: SipRequest, status: int, tag: str = "", headers: Mapping[str, str] | None = None, reason: str = ""
) -> SipResponse:
    """A response to `request` (RFC 3261 section 8.2.6). `tag`: our tag in the dialog, if there is one."""
    response = SipResponse(status_code=status, reason_phrase=reason or REASONS.get(status, "Unknown"))
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        for value in request.headers.get(name):
            response.headers.append(name, value)
    if status > 100 and not _has_tag(request):
        response.headers.set_single("To", f"{request.headers.get_first('to')};tag={tag or new_tag()}")
    if 101 <= status < 300:  # aiosipua leaves these out, and later requests would bypass the proxies
        for value in request.headers.get("record-route"):
            response.headers.append("Record-Route", value)
    for name, value in (headers or {}).items():
        response.headers.set_single(name, value)
    return response


def warning(host: str, text: str) -> str:
    """A Warning header: why a request is refused, in words (section 20.43)."""
    agent = f"[{host}]" if ":" in host else host
    printable = re.sub(r'[^ -~]|["\\]', "?", text)
    return f'399 {agent} "{printable[:200]}"'


def content_type(message: SipRequest | SipResponse) -> str:
    """The media type of the body, in lower case and without parameters."""
    return (message.content_type or "").partition(";")[0].strip().lower()


def info_key(request: SipRequest) -> str:
    """The key in an INFO of type application/dtmf-relay or application/dtmf; "" for none."""
    found = re.search(r"(?:^|Signal\s*=)\s*([0-9*#A-Da-d]|1[01])\s*(?:$|[\r\n])", request.text[:200])
    return {"10": "*", "11": "#"}.get(found[1], found[1].upper()) if found else ""


def notify_status(request: SipRequest) -> int:
    """The status in a NOTIFY about a transfer (RFC 3515 section 2.4.5); 0 for none."""
    found = re.match(r"SIP/2\.0 ([1-6]\d\d)", request.text)
    return int(found[1]) if found else 0


def response_destination(request: SipRequest, source: Remote) -> Remote:
    """The destination of responses (RFC 3261 section 18.2.2, RFC 3581): always the address that the request came from,
    so that we cannot be aimed at others."""
    if source.protocol == "TCP":
        return source
    via = request.via[0]
    return source if via.rport else Remote(source.host, via.port or 5060, source.protocol)


def new_tag() -> str:
    """A tag for our end of a dialog."""
    return secrets.token_hex(8)


_CSEQ: Final = re.compile(r"([0-9]{1,10})\s+(\S+)")
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,64})[ \t]+(\S+)[ \t]+SIP/2\.0[ \t]*")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0[ \t]+([0-9]{3})(?:[ \t]+(.*))?", re.IGNORECASE)


def _read(data: bytes) -> SipRequest | SipResponse:
    """A message with unfolded headers, and lists taken apart. Raises `BadHeader`, `BadSipMessage`."""
    data = data.lstrip(b"\r\n")  # section 7.5
    end = re.search(rb"\r?\n\r?\n", data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    first, _, rest = head.partition(b"\n")
    line = first.decode("utf-8", errors="replace").rstrip("\r")
    message: SipRequest | SipResponse
    if found := _STATUS_LINE.fullmatch(line):
        message = SipResponse(status_code=int(found[1]), reason_phrase=found[2] or "")
    elif found := _REQUEST_LINE.fullmatch(line):
        message = SipRequest(method=found[1], uri=found[2])
    else:
        raise BadSipMessage("the first line is neither a request's nor a status")
    for name, value in fields(rest):
        for part in split_list(value) if name.lower() in MULTI_INSTANCE_HEADERS else [value]:
            message.headers.append(name, part)
    length = (message.headers.get_first("content-length") or "").strip()
    message.body = body[: int(length)] if re.fullmatch(r"[0-9]{1,8}", length) else body
    return message


def _check(message: SipRequest | SipResponse) -> Via:
    for name in ("via", "from", "to", "call-id", "cseq"):
        values = message.headers.get(name)
        if not values or not values[0] or any(len(value) > MAX_HEADER for value in values):
            raise BadSipMessage(f"the header '{name}' is missing, or longer than {MAX_HEADER}")
    topmost, *others = message.headers.get("via")
    message.headers.set_single("Via", canonical_via(topmost))
    for value in others:
        message.headers.append("Via", value)
    via = parse_via(message.headers.get("via")[0])
    if not via.host or not via.branch:
        raise BadSipMessage("the topmost Via has no host or no branch")
    if via.port is not None and not 0 < via.port < 65536:
        raise BadSipMessage("the topmost Via has an impossible port")
    return via


def _add_source(request: SipRequest, via: Via, source: Remote) -> None:
    via.params["received"] = source.host
    if "rport" in via.params:
        via.params["rport"] = str(source.port)
    rest = request.headers.get("via")[1:]
    request.headers.set_single("Via", stringify_via(via))
    for value in rest:
        request.headers.append("Via", value)


def _problem(message: SipRequest | SipResponse) -> str:
    """What is wrong with a message that can be answered with 400; "" for nothing."""
    numbered = _CSEQ.fullmatch(message.headers.get_first("cseq") or "")
    if numbered is None or int(numbered[1]) > MAX_CSEQ:
        return "CSeq is malformed, or its number impossible"
    if isinstance(message, SipRequest) and numbered[2] != message.method:
        return "CSeq names another method"
    if len(message.headers.get("from")) > 1 or len(message.headers.get("to")) > 1:
        return "From or To appears twice"
    try:
        if not sender(message).tag:
            return "From has no tag"
        target(message)
        contacts(message)
    except BadHeader as bad:
        return f"From, To or Contact is malformed: {bad}"
    return ""


def _has_tag(request: SipRequest) -> bool:
    """Whether the To of a request, which may be malformed, has a tag."""
    try:
        return bool(target(request).tag)
    except BadHeader:
        return False
