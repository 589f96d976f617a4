"""The gateway: page, REST and WebSocket on one port.

    GET  /                                the page, and its modules
    POST /v1/realtime/calls               SDP offer in, 201 with the answer and `Location` out (WebRTC)
    POST /v1/realtime/calls/{id}/hangup   ends a call
    WS   /v1/realtime                     the protocol with PCM inside messages
    GET  /healthz  /readyz                the process lives; the models are loaded and there is room

The models load in the background, so the page is there at once; calls are refused with 503 until they are ready.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from vivavoce.realtime.access import Denied, check
from vivavoce.realtime.call import Busy, Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.playout import Playout
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.session import Session
from vivavoce.realtime.sessions import Wanted, open_session, random_ids
from vivavoce.realtime.transports.webrtc import IceServer, IceSettings, OfferError, answer
from vivavoce.realtime.transports.websocket import WebSocketTransport

log = logging.getLogger(__name__)

WEB = Path(__file__).parents[1] / "web"
MAX_OFFER = 256 * 1024
"""Bytes of an offer with its session; a browser's is about 6 KiB."""

RETRY_AFTER = 5
"""Seconds after which a refused client may try again."""

PAGE_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
    (b"permissions-policy", b"microphone=(self), camera=(self)"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),  # asks each time, gets 304: a new version is there at once
)
"""What browsers are told with the page: nothing from elsewhere runs in it, and nobody frames it."""


class Gateway:
    """The web application around the calls of one process."""

    def __init__(self, config: ServerConfig, load: Callable[[], Engine], clock: Callable[[], float]) -> None:
        """`load` builds the models; it blocks, and runs on a thread. `clock` gives unix seconds."""
        self._clock = clock
        self._config = config
        self._load = load
        self._calls: Calls | None = None
        self._failure = ""
        origins = list(config.origins)
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["POST", "GET", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "X-OpenAI-Agents-SDK", "OpenAI-Safety-Identifier"],
            expose_headers=["Location", "Retry-After"],
        )
        self.app = Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/v1/realtime/calls", self._offer, methods=["POST"]),
                Route("/v1/realtime/calls/{call_id}/hangup", self._hang_up, methods=["POST"]),
                WebSocketRoute("/v1/realtime", self._socket),
                Mount("/", _Page(directory=WEB, html=True)),
            ],
            middleware=[cors] if origins else [],
            exception_handlers={Denied: _denied, HTTPException: _http_error, Exception: _failed},
            lifespan=self._lifespan,
        )

    # --- life --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            stop = asyncio.Event()
            serving = tasks.create_task(self._serve(stop))
            yield
            stop.set()
            await serving

    async def _serve(self, stop: asyncio.Event) -> None:
        """Loads the models, takes calls until told to stop, ends them, frees the models."""
        try:
            engine = await asyncio.to_thread(self._load)
        except Exception as error:  # the border: whatever keeps the models from loading is shown to everybody who asks
            log.exception("models could not be loaded")
            self._failure = str(error)
            await stop.wait()
            return
        try:
            async with Calls(engine, self._config) as calls:
                self._calls = calls
                log.info("ready")
                await stop.wait()
                self._calls = None
        finally:
            await asyncio.to_thread(engine.close)

    # --- REST --------------------------------------------------------------------------------------------------

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        calls, limit = self._calls, self._config.max_sessions
        if calls is None:
            status = "failed" if self._failure else "loading"
            return JSONResponse({"status": status, "message": self._failure}, 503)
        full = len(calls) >= limit
        return JSONResponse(
            {"status": "full" if full else "ready", "calls": len(calls), "limit": limit}, 503 if full else 200
        )

    async def _offer(self, request: Request) -> Response:
        check(self._config, request.headers)
        sdp, settings = await _read_offer(request)
        calls = self._ready()
        call_id = f"rtc_{secrets.token_hex(12)}"
        playout = Playout()
        session = self._session(playout, True, Wanted.from_query(request.query_params, settings))
        self._reserve(calls, call_id)
        try:
            transport, local = await answer(sdp, _ice(self._config))
        except OfferError as error:
            calls.release(call_id)
            raise Denied(400, "invalid_offer", f"Invalid SDP offer: {error}") from error
        except BaseException:
            calls.release(call_id)
            raise
        calls.start(call_id, transport, session, playout)
        return Response(local, 201, {"Location": f"/v1/realtime/calls/{call_id}"}, "application/sdp")

    async def _hang_up(self, request: Request) -> Response:
        check(self._config, request.headers)
        if not self._ready().hang_up(request.path_params["call_id"]):
            raise Denied(404, "call_not_found", "There is no call of this id.")
        return Response()

    # --- WebSocket -----------------------------------------------------------------------------------------------

    async def _socket(self, socket: WebSocket) -> None:
        offered = socket.scope["subprotocols"]
        call_id = f"rtc_{secrets.token_hex(12)}"
        playout = Playout()
        try:
            check(self._config, socket.headers, offered)
            calls = self._ready()
            session = self._session(playout, False, Wanted.from_query(socket.query_params))
            self._reserve(calls, call_id)
        except Denied as denied:
            await socket.send_denial_response(_error(denied))
            return
        try:
            await socket.accept("realtime" if "realtime" in offered else None)
        except BaseException:
            calls.release(call_id)
            raise
        await calls.run(call_id, WebSocketTransport(socket), session, playout)

    # --- readiness -----------------------------------------------------------------------------------------------

    def _ready(self) -> Calls:
        if self._calls is None:
            message = self._failure or "The models are still loading. Please try again in a moment."
            raise Denied(503, "models_failed" if self._failure else "models_loading", message)
        return self._calls

    def _session(self, playout: Playout, plays: bool, wanted: Wanted) -> Session:
        expires_at = int(self._clock() + self._config.max_duration)
        try:
            return open_session(playout, plays, wanted, random_ids(), expires_at)
        except Refused as refused:
            raise Denied(400, refused.code, refused.message, refused.param) from refused

    def _reserve(self, calls: Calls, call_id: str) -> None:
        try:
            calls.reserve(call_id)
        except Busy as busy:
            raise Denied(503, "server_full", str(busy)) from busy


class _Page(StaticFiles):
    """The page's files, with their headers."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.raw_headers.extend(PAGE_HEADERS)
        return response


async def _read_offer(request: Request) -> tuple[str, dict[str, Any] | None]:
    """The SDP, and the session settings that came with it as a form."""
    if int(request.headers.get("content-length") or MAX_OFFER) > MAX_OFFER:
        raise Denied(413, "offer_too_large", f"An offer has at most {MAX_OFFER} bytes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return await _read_text(request), None
    if kind != "multipart/form-data":
        raise Denied(415, "unsupported_content_type", "Send the offer as application/sdp, or as multipart/form-data.")
    try:
        async with request.form(max_files=2, max_fields=2, max_part_size=MAX_OFFER) as form:
            parts = {name: await _text(part) for name, part in form.items()}
    except MultiPartException as error:
        raise Denied(400, "invalid_form", f"The form cannot be read: {error.message}") from error
    try:
        settings = json.loads(parts.get("session", "{}"))
    except ValueError as error:
        raise Denied(400, "invalid_json", f"The form's field 'session' is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise Denied(400, "invalid_type", "The form's field 'session' must be a JSON object.")
    return parts.get("sdp", ""), settings or None


async def _read_text(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_OFFER:
            raise Denied(413, "offer_too_large", f"An offer has at most {MAX_OFFER} bytes.")
    return body.decode(errors="replace")


async def _text(part: UploadFile | str) -> str:
    return part if isinstance(part, str) else (await part.read()).decode(errors="replace")


def _ice(config: ServerConfig) -> IceSettings:
    servers = tuple(
        IceServer((url,), config.ice_username or None, config.ice_credential or None) for url in config.ice_servers
    )
    return IceSettings(servers, loopback=config.loopback)


def _error(denied: Denied) -> JSONResponse:
    kind = "server_error" if denied.status >= 500 else "invalid_request_error"
    body = {"error": {"message": str(denied), "type": kind, "param": denied.param, "code": denied.code}}
    headers = {"Retry-After": str(RETRY_AFTER)} if denied.status == 503 else {}
    return JSONResponse(body, denied.status, headers)


async def _denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    return _error(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(Denied(error.status_code, "http_error", error.detail))


async def _failed(request: Request, error: Exception) -> Response:
    return _error(Denied(500, "internal_error", "Something went wrong on the server."))
