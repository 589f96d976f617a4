"""Read request bodies of bounded size, and answer with the protocol's error bodies."""

from __future__ import annotations

import math
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
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
    if "content-length" not in request.headers:  # files in a form have no bound of their own
        raise Denied(411, "length_required", "A form needs a Content-Length.")
    _check_length(request)
    try:
        async with request.form(max_files=2, max_fields=2, max_part_size=MAX_BODY) as form:
            parts = {name: await _content(part) for name, part in form.items()}
    except MultiPartException as error:
        raise Denied(400, "invalid_form", f"The form cannot be read: {error.message}") from error
    try:
        settings = wire.read_json(parts.get("session", b"{}"), dict[str, Any], "session")
    except Refused as refused:
        raise Denied(400, refused.code, refused.message, refused.param) from refused
    return parts.get("sdp", b"").decode(errors="replace"), settings or None


async def read_body(request: Request) -> bytes:
    """Reads the whole body. Raises `Denied` for one that is too long."""
    _check_length(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_long()
    return bytes(body)


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


def _check_length(request: Request) -> None:
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise _too_long()


def _too_long() -> Denied:
    return Denied(413, "body_too_large", f"The body of a request has at most {MAX_BODY} bytes.")


async def _content(part: UploadFile | str) -> bytes:
    return part.encode(errors="replace") if isinstance(part, str) else await part.read()
