"""Read request bodies of bounded size, and answer with the protocol's error bodies.

    body ──counted as it arrives──► 256 KiB at most, in memory ──► SDP, form or JSON

A length that is announced decides nothing: it may be missing, or wrong. Forms stay in memory, too: the library writes
files to disk from a megabyte on.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.errors import Refused

MAX_BODY: Final = 256 * 1024
"""Bytes of an SDP offer with its session, or of a session alone; a browser's offer is about 6 KiB."""

RETRY_AFTER: Final = 5
"""Seconds after which a client may try again when the server is full or loading."""

_CODES: Final = {404: "unknown_url", 405: "method_not_supported"}


async def read_offer(request: Request) -> tuple[str, dict[str, Any] | None]:
    """Reads an SDP offer, and the session config of its form. Raises `Denied`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return (await read_body(request)).decode(errors="replace"), None
    if kind != "multipart/form-data":
        raise Denied(415, "unsupported_content_type", "Send the offer as application/sdp, or as multipart/form-data.")
    try:
        parts = await _read_form(request)
    except MultiPartException as error:
        raise Denied(400, "invalid_form", f"The form cannot be read: {error.message}") from error
    try:
        settings = wire.read_json(parts.get("session", b"{}"), dict[str, Any], "session")
    except Refused as refused:
        raise Denied(400, refused.code, refused.message, refused.param) from refused
    return parts.get("sdp", b"").decode(errors="replace"), settings or None


async def read_body(request: Request) -> bytes:
    """Reads the whole body. Raises `Denied` for one that is too long."""
    return b"".join([piece async for piece in _pieces(request)])


async def _pieces(request: Request) -> AsyncGenerator[bytes]:
    """The body as it comes. Raises `Denied` where it gets too long, or says that it will."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > MAX_BODY):
        raise _too_long()
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > MAX_BODY:
            raise _too_long()
        yield piece


class _FormParser(MultiPartParser):
    """Knows whether the form has come to its end; that of the library takes what there is."""

    ended = False

    def on_end(self) -> None:
        """The last boundary."""
        self.ended = True

    def close(self) -> None:
        """Closes the files of all parts, also of one that has not come to its end."""
        for file in self._files_to_close_on_error:
            file.close()


async def _read_form(request: Request) -> dict[str, bytes]:
    """The fields of a form. Raises `Denied`, `MultiPartException`."""
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not re.fullmatch(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}", boundary):  # RFC 2046 section 5.1.1
        raise MultiPartException("expected a boundary of 1 to 70 characters.")
    # Of the header only the boundary counts: a charset may name any codec of Python's, and one takes quadratic time.
    headers = Headers(raw=[(b"content-type", b'multipart/form-data; boundary="%s"' % boundary)])
    parser = _FormParser(headers, _pieces(request), max_files=2, max_fields=2, max_part_size=MAX_BODY)
    try:
        form = await parser.parse()
        if not parser.ended:
            raise MultiPartException("its last boundary is missing.")
        return {name: await _content(part) for name, part in form.items()}
    finally:
        parser.close()


def refuse(denied: Denied) -> JSONResponse:
    """The response to a refused request."""
    kind = "server_error" if denied.status >= 500 else "invalid_request_error"
    body = {"error": {"message": str(denied), "type": kind, "param": denied.param, "code": denied.code}}
    wait = RETRY_AFTER if denied.status == 503 else denied.retry_after
    return JSONResponse(body, denied.status, None if wait is None else {"Retry-After": str(math.ceil(wait))})


async def disconnected(request: Request, error: Exception) -> Response:
    """Client disconnected before its request was complete; not an error, and the response is not read."""
    return Response(status_code=400)


async def denied(request: Request, error: Exception) -> Response:
    """Responds to `Denied`."""
    assert isinstance(error, Denied)
    return refuse(error)


async def http_error(request: Request, error: Exception) -> Response:
    """Responds to errors of the router: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "http_error")
    line = f"{request.method} {request.url.path}"
    message = f"Unknown request: {line}." if error.status_code in _CODES else error.detail
    answer = refuse(Denied(error.status_code, code, message))
    answer.headers.update(error.headers or {})
    return answer


async def failed(request: Request, error: Exception) -> Response:
    """Responds to a bug of ours, which the server logs."""
    return refuse(Denied(500, "internal_error", "Something went wrong on the server."))


def _too_long() -> Denied:
    return Denied(413, "body_too_large", f"The body of a request has at most {MAX_BODY} bytes.")


async def _content(part: UploadFile | str) -> bytes:
    return part.encode(errors="replace") if isinstance(part, str) else await part.read()
