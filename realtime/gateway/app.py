"""The gateway: page, REST and WebSocket on one port.

    GET  /                                the page, and its modules
    POST /v1/realtime/client_secrets      a short-lived key for a browser, with the settings of its session
    POST /v1/realtime/calls               SDP offer in, 201 with the answer and `Location` out (WebRTC)
    POST /v1/realtime/calls?resume=…      the same call goes on over another connection
    GET  /v1/realtime/calls/{id}/as-heard the user's last turn through the audio codec: see as_heard.py
    POST /v1/realtime/calls/{id}/…        hang-up; accept, reject, refer of phone calls: see telephony/ringing_rest.py
    …    /phone/…                         calls by telephone: see telephony/phones.py
    WS   /v1/realtime                     the protocol with PCM inside messages
    WS   /v1/realtime?resume=…            the same call goes on over another socket
    WS   /v1/realtime?call_id=…           a sideband of a running call
    GET  /v1/models                       the one there is
    GET  /healthz  /readyz                the process lives; the models are loaded and there is room

The models load in the background, so the page is there at once; calls are refused with 503 until they are ready.

The page's files, as browsers get them: with headers that let nothing from elsewhere run in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied, check
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.call import Calls, new_call_id
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.codec_preview import AsHeard
from vivavoce.realtime.gateway.phone_calls import CallRest
from vivavoce.realtime.peers.sideband import MAX_BEHIND, Crowded
from vivavoce.realtime.session.opening import MODEL, VOICE, SessionRequest
from vivavoce.realtime.telephony.phones import CannotListen, Phones
from vivavoce.realtime.transports.webrtc import IceServer, IceSettings, OfferError, WebRtcTransport, answer
from vivavoce.realtime.transports.websocket import WebSocketTransport

log = logging.getLogger(__name__)


class Gateway:
    """The web application around the calls of one process."""

    def __init__(
        self,
        config: ServerConfig,
        load: Callable[[], Engine],
        clock: Callable[[], float],
        voice: str = VOICE,
        phone: PhoneConfig | None = None,
    ) -> None:
        """`load` builds the models; it blocks, and runs on a thread. `clock` gives unix seconds. `voice` speaks where
        the client asks for no other. `phone`: calls by telephone."""
        self._config = config
        self._load = load
        self._door = Admission(config, clock, voice)
        self._phones = Phones(self._door, phone or PhoneConfig(), clock)
        self._began = int(clock())
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
                Mount("/v1", routes=self._api()),
                Mount("/phone", routes=self._phones.routes()),
                Mount("/", Page()),
            ],
            middleware=[cors] if origins else [],
            exception_handlers={
                Denied: rest.denied,
                HTTPException: rest.http_error,
                ClientDisconnect: rest.gone,
                Exception: rest.failed,
            },
            lifespan=self._lifespan,
        )

    def _api(self) -> list[Route | WebSocketRoute]:
        return [
            Route("/models", self._models),
            Route("/models/{name}", self._model),
            Route("/realtime/client_secrets", self._make_secret, methods=["POST"]),
            Route("/realtime/calls", self._offer, methods=["POST"]),
            *CallRest(self._config, self._door, self._phones).routes(),
            *AsHeard(self._config, self._door).routes(),
            WebSocketRoute("/realtime", self._socket),
        ]

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
            self._door.failure = str(error)
            await stop.wait()
            return
        try:
            async with self._phones.listening(engine), Calls(engine, self._config) as calls:
                self._door.calls = calls
                log.info("ready")
                await stop.wait()
                self._door.calls = None
        except CannotListen as error:
            log.error("telephones cannot be reached", extra={"reason": str(error)})
            self._door.failure = str(error)
            await stop.wait()
        finally:
            await asyncio.to_thread(engine.close)

    # --- REST --------------------------------------------------------------------------------------------------

    async def _healthz(self, request: Request) -> Response:
        if not self._config.loopback:
            return JSONResponse({"status": "ok"})
        return JSONResponse(
            {"status": "ok", "tasks": len(asyncio.all_tasks())}
        )  # `vivavoce bench --soak` looks for leaks

    async def _readyz(self, request: Request) -> Response:
        calls, limit = self._door.calls, self._config.max_sessions
        if calls is None:
            failure = self._door.failure
            return JSONResponse({"status": "failed" if failure else "loading", "message": failure}, 503)
        full = len(calls) >= limit
        return JSONResponse(
            {"status": "full" if full else "ready", "calls": len(calls), "limit": limit}, 503 if full else 200
        )

    async def _models(self, request: Request) -> Response:
        check(self._config, request.headers)
        return JSONResponse({"object": "list", "data": [self._description()]})

    async def _model(self, request: Request) -> Response:
        check(self._config, request.headers)
        if (name := request.path_params["name"]) != MODEL:
            raise Denied(404, "model_not_found", f"The model '{name}' does not exist; there is '{MODEL}'.", "model")
        return JSONResponse(self._description())

    def _description(self) -> dict[str, object]:
        return {"id": MODEL, "object": "model", "created": self._began, "owned_by": "vivavoce"}

    async def _make_secret(self, request: Request) -> Response:
        check(self._config, request.headers)
        return JSONResponse(self._door.issue(await rest.read_body(request)))

    async def _offer(self, request: Request) -> Response:
        carried = self._door.allow(request.headers)
        sdp, settings = await rest.read_offer(request)
        if "resume" in request.query_params:
            return await self._go_on(request, sdp)
        self._door.ready()
        call_id, playout = new_call_id(), Playout()
        session = self._door.session(
            playout, True, SessionRequest.from_query(request.query_params, settings or carried)
        )
        calls = self._door.reserve(call_id, *_origin(request))
        try:
            transport, local = await self._answer(sdp)
        except BaseException:
            calls.release(call_id)
            raise
        calls.start(call_id, transport, session, playout)
        return _answered(local, call_id)

    async def _go_on(self, request: Request, sdp: str) -> Response:
        """A peer that was lost comes back. Raises `Denied`."""
        call_id, line, since = self._door.resumable(request.query_params, plays=True)
        transport, local = await self._answer(sdp)
        self._door.ready().resume(line, transport, since)
        return _answered(local, call_id)

    async def _answer(self, sdp: str) -> tuple[WebRtcTransport, str]:
        try:
            return await answer(sdp, _ice(self._config))
        except OfferError as error:
            raise Denied(400, "invalid_offer", f"Invalid SDP offer: {error}") from error

    # --- WebSocket -----------------------------------------------------------------------------------------------

    async def _socket(self, socket: WebSocket) -> None:
        try:
            if (call_id := socket.query_params.get("call_id")) is not None:
                await self._read_along(socket, call_id)
            else:
                await self._talk(socket)
        except Denied as denied:
            await socket.send_denial_response(rest.refuse(denied))

    async def _talk(self, socket: WebSocket) -> None:
        """A call of its own. Raises `Denied`."""
        carried = self._door.allow(socket.headers, socket.scope["subprotocols"])
        if "resume" in socket.query_params:
            return await self._go_on_talking(socket)
        self._door.ready()
        call_id, playout = new_call_id(), Playout()
        session = self._door.session(playout, False, SessionRequest.from_query(socket.query_params, carried))
        calls = self._door.reserve(call_id, *_origin(socket))
        try:
            await socket.accept(_subprotocol(socket), [(b"location", _location(call_id).encode())])
        except BaseException:
            calls.release(call_id)
            raise
        await calls.run(call_id, WebSocketTransport(socket), session, playout)

    async def _go_on_talking(self, socket: WebSocket) -> None:
        """A client that was lost comes back. Raises `Denied`."""
        call_id, line, since = self._door.resumable(socket.query_params, plays=False)
        await socket.accept(_subprotocol(socket), [(b"location", _location(call_id).encode())])
        await line.resume(WebSocketTransport(socket), since)

    async def _read_along(self, socket: WebSocket, call_id: str) -> None:
        """A sideband of a running call. Raises `Denied`."""
        check(self._config, socket.headers, socket.scope["subprotocols"])
        party = self._door.find(call_id)
        try:
            with party.peers.seat():
                await socket.accept(_subprotocol(socket))
                extras = SessionRequest.from_query(socket.query_params).extras
                await party.join(WebSocketTransport(socket, MAX_BEHIND), extras)
        except Crowded as crowded:
            raise Denied(429, "too_many_sidebands", str(crowded)) from crowded


def _ice(config: ServerConfig) -> IceSettings:
    servers = tuple(
        IceServer((url,), config.ice_username or None, config.ice_credential or None) for url in config.ice_servers
    )
    return IceSettings(servers, loopback=config.loopback)


def _answered(sdp: str, call_id: str) -> Response:
    return Response(sdp, 201, {"Location": _location(call_id)}, "application/sdp")


def _location(call_id: str) -> str:
    return f"/v1/realtime/calls/{call_id}"


def _subprotocol(socket: WebSocket) -> str | None:
    """A browser closes a socket whose server chose nothing, and no key may be echoed."""
    return "realtime" if "realtime" in socket.scope["subprotocols"] else None


def _origin(connection: HTTPConnection) -> tuple[str, float]:
    """Who asks, and when."""
    return connection.client.host if connection.client else "", asyncio.get_running_loop().time()


WEB: Final = Path(__file__).parents[2] / "web"

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
    (b"permissions-policy", b"microphone=(self), camera=(self)"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),  # asks each time, gets 304: a new version is there at once
)


class Page(StaticFiles):
    """The folder `WEB`."""

    def __init__(self) -> None:
        super().__init__(directory=WEB, html=True)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.raw_headers.extend(HEADERS)
        return response
