"""The gateway: page, REST and WebSocket on one port.

    GET  /                                the page, and its modules
    POST /v1/realtime/client_secrets      a short-lived key for a browser, with the settings of its session
    POST /v1/realtime/calls               SDP offer in, 201 with the answer and `Location` out (WebRTC)
    POST /v1/realtime/calls?resume=…      the same call goes on over another connection
    GET  /v1/realtime/calls/{id}/as-heard the user's last turn through the audio codec: see codec_preview.py
    POST /v1/realtime/calls/{id}/…        hang-up; accept, reject, refer of phone calls: see phone_calls.py
    …    /phone/…                         calls by telephone: see telephony/phones.py
    WS   /v1/realtime                     the protocol with PCM inside messages
    WS   /v1/realtime?resume=…            the same call goes on over another socket
    WS   /v1/realtime?call_id=…           a sideband of a running call
    GET  /v1/models                       the one model
    GET  /healthz  /readyz                the process lives; the models are loaded and a call slot is free

The models load in the background, so the page is available at once; calls are refused with 503 until they are loaded.
Where they cannot be, `failure` says why: `vivavoce serve` ends then (http_server.py).
The page's files have headers that keep scripts of other origins out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from vivavoce.model.errors import ModelError
from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied, check
from vivavoce.realtime.admission.forwarded import client_address
from vivavoce.realtime.call import Calls, new_call_id
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.codec_preview import CodecPreview
from vivavoce.realtime.gateway.phone_calls import CallRest
from vivavoce.realtime.monitor.call_log import call_context
from vivavoce.realtime.peers.sideband import MAX_BEHIND, TooManySidebands
from vivavoce.realtime.session.opening import MODEL, VOICE, SessionRequest
from vivavoce.realtime.telephony.errors import SetupError
from vivavoce.realtime.telephony.phones import Phones
from vivavoce.realtime.transports import CloseReason, Ending
from vivavoce.realtime.transports.webrtc import IceServer, IceSettings, OfferError, WebRtcTransport, answer
from vivavoce.realtime.transports.websocket import WebSocketTransport

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

DRAIN: Final = 15.0
"""Seconds that all calls get to say goodbye and to end when the server is stopped."""


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
        """`load` builds the models; it blocks, and runs on a thread. `clock` gives unix seconds. `voice`: the default
        one. `phone`: settings of calls by telephone."""
        self._config = config
        self._load = load
        self._admission = Admission(config, clock, voice)
        self._phones = Phones(self._admission, phone or PhoneConfig(), clock)
        self._began = int(clock())
        self._loaded = False
        self._stop = asyncio.Event()
        self._served = asyncio.Event()  # all calls are over, and the models are freed
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
                ClientDisconnect: rest.disconnected,
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
            *CallRest(self._config, self._admission, self._phones).routes(),
            *CodecPreview(self._config, self._admission).routes(),
            WebSocketRoute("/realtime", self._socket),
        ]

    # --- life --------------------------------------------------------------------------------------------------

    @property
    def failure(self) -> str:
        """Why the gateway takes no calls and never will; "" when it does, or may yet."""
        return self._admission.failure

    @property
    def loading(self) -> bool:
        """The models are not loaded yet."""
        return not self._loaded and not self.failure

    async def leave(self) -> None:
        """Ends all calls with a goodbye, within `DRAIN` seconds. No call is taken any more."""
        self._admission.leaving = True
        self._stop.set()
        if not self._loaded:
            return
        try:
            async with asyncio.timeout(DRAIN):
                await self._served.wait()
        except TimeoutError:
            log.error("calls did not end in time", extra={"seconds": DRAIN})

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve())
            yield
            await self.leave()
            if self._loaded and not self._served.is_set():
                serving.cancel()

    async def _serve(self) -> None:
        """Takes calls until the gateway is to leave; `failure` says why it cannot, or can no more."""
        try:
            await self._take_calls()
        except (ModelError, SetupError) as error:
            self._admission.failure = str(error)
        except Exception as error:  # the border: a gateway that takes no calls says so
            log.exception("calls cannot be taken")
            self._admission.failure = f"The models could not be loaded: {error}" if self.loading else str(error)
        finally:
            self._admission.calls = None
            self._served.set()

    async def _take_calls(self) -> None:
        """Loads the models, takes calls until the gateway is to leave, ends them, frees the models."""
        engine = await asyncio.get_running_loop().run_in_executor(_DaemonThreads(), self._load)
        self._loaded = True
        try:
            async with self._phones.listening(engine), Calls(engine, self._config) as calls:
                self._admission.calls = calls
                log.info("ready")
                await self._stop.wait()
                self._admission.calls = None
        finally:
            await asyncio.to_thread(engine.close)

    # --- REST --------------------------------------------------------------------------------------------------

    async def _healthz(self, request: Request) -> Response:
        if not self._config.loopback:
            return JSONResponse({"status": "ok"})
        return JSONResponse(
            {"status": "ok", "tasks": len(asyncio.all_tasks())}
        )  # read by `vivavoce bench --soak`, to find leaks

    async def _readyz(self, request: Request) -> Response:
        calls, limit = self._admission.calls, self._config.max_sessions
        if calls is None:
            return JSONResponse(self._why_not_ready(request), 503)
        full = len(calls) >= limit
        return JSONResponse(
            {"status": "full" if full else "ready", "calls": len(calls), "limit": limit}, 503 if full else 200
        )

    def _why_not_ready(self, request: Request) -> dict[str, str]:
        """The state in one word; what went wrong only for those who may use the API, as it may name files."""
        failure = self._admission.failure
        status = "failed" if failure else "stopping" if self._admission.leaving else "loading"
        try:
            check(self._config, request.headers)
        except Denied:
            return {"status": status}
        return {"status": status, "message": failure}

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
        key = check(self._config, request.headers)
        return JSONResponse(self._admission.issue(await rest.read_body(request), key))

    async def _offer(self, request: Request) -> Response:
        config = self._admission.allow(request.headers)
        sdp, settings = await rest.read_offer(request)
        if "resume" in request.query_params:
            return await self._resume(request, sdp)
        self._admission.ready()
        call_id = new_call_id()
        session = self._admission.session(True, SessionRequest.from_query(request.query_params, settings or config))
        calls = self._admission.reserve(call_id, *self._client(request))
        try:
            with call_context(call_id):
                transport, local = await self._answer(sdp)
                await self._check_stays(transport)
        except BaseException:
            calls.release(call_id)
            raise
        calls.start(call_id, transport, session)
        return _created(local, call_id)

    async def _resume(self, request: Request, sdp: str) -> Response:
        """Resumes a call over another peer connection. Raises `Denied`."""
        call, since = self._admission.resumable(request.query_params, plays=True)
        with call_context(call.id):
            transport, local = await self._answer(sdp)
            await self._check_stays(transport)
            self._admission.ready().resume(call, transport, since)
        return _created(local, call.id)

    async def _check_stays(self, transport: WebRtcTransport) -> None:
        """Closes the transport and raises `Denied` if the server began to leave while it was made."""
        try:
            self._admission.ready()
        except Denied:
            await transport.close(Ending(CloseReason.SHUTDOWN))
            raise

    async def _answer(self, sdp: str) -> tuple[WebRtcTransport, str]:
        try:
            return await answer(sdp, _ice(self._config))
        except OfferError as error:
            raise Denied(400, "invalid_offer", f"Invalid SDP offer: {error}") from error

    def _client(self, connection: HTTPConnection) -> tuple[str, float]:
        """The address of the client, and the time of the request."""
        peer = connection.client.host if connection.client else ""
        plain, standard = (_forwarded(connection, name) for name in ("x-forwarded-for", "forwarded"))
        return client_address(peer, plain, standard, self._config.is_proxy), asyncio.get_running_loop().time()

    # --- WebSocket -----------------------------------------------------------------------------------------------

    async def _socket(self, socket: WebSocket) -> None:
        try:
            if (call_id := socket.query_params.get("call_id")) is not None:
                await self._join(socket, call_id)
            else:
                await self._open(socket)
        except Denied as denied:
            await socket.send_denial_response(rest.refuse(denied))

    async def _open(self, socket: WebSocket) -> None:
        """Opens a call over a WebSocket. Raises `Denied`."""
        config = self._admission.allow(socket.headers, socket.scope["subprotocols"])
        if "resume" in socket.query_params:
            return await self._resume_socket(socket)
        self._admission.ready()
        call_id = new_call_id()
        session = self._admission.session(False, SessionRequest.from_query(socket.query_params, config))
        calls = self._admission.reserve(call_id, *self._client(socket))
        try:
            await socket.accept(_subprotocol(socket), [(b"location", _location(call_id).encode())])
        except BaseException:
            calls.release(call_id)
            raise
        await calls.run(call_id, WebSocketTransport(socket), session)

    async def _resume_socket(self, socket: WebSocket) -> None:
        """Resumes a call over another WebSocket. Raises `Denied`."""
        call, since = self._admission.resumable(socket.query_params, plays=False)
        await socket.accept(_subprotocol(socket), [(b"location", _location(call.id).encode())])
        with call_context(call.id):
            await call.resumable.resume(WebSocketTransport(socket), since)

    async def _join(self, socket: WebSocket, call_id: str) -> None:
        """Joins a running call as a sideband. Raises `Denied`."""
        check(self._config, socket.headers, socket.scope["subprotocols"])
        call = self._admission.find(call_id)
        try:
            with call.peers.reserve(), call_context(call_id):
                await socket.accept(_subprotocol(socket))
                extras = SessionRequest.from_query(socket.query_params).extras
                await call.join(WebSocketTransport(socket, MAX_BEHIND), extras)
        except TooManySidebands as full:
            raise Denied(429, "too_many_sidebands", str(full)) from full


def _forwarded(connection: HTTPConnection, name: str) -> str:
    """A header that proxies add, all its lines together."""
    return ",".join(connection.headers.getlist(name))


def _ice(config: ServerConfig) -> IceSettings:
    servers = tuple(
        IceServer((url,), config.ice_username or None, config.ice_credential or None) for url in config.ice_servers
    )
    return IceSettings(servers, loopback=config.loopback)


def _created(sdp: str, call_id: str) -> Response:
    return Response(sdp, 201, {"Location": _location(call_id)}, "application/sdp")


def _location(call_id: str) -> str:
    return f"/v1/realtime/calls/{call_id}"


def _subprotocol(socket: WebSocket) -> str | None:
    """The subprotocol to choose: browsers close a socket without one, and no key may be echoed."""
    return "realtime" if "realtime" in socket.scope["subprotocols"] else None


class _DaemonThreads(Executor):
    """Runs each function on a thread that ends with the process: native code that loads a model cannot be interrupted,
    and the loop's own threads would be waited for."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """See `Executor`."""
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(function(*args, **options))
            except Exception as error:  # the border: it is raised where it is waited for
                done.set_exception(error)

        threading.Thread(target=run, name="loading", daemon=True).start()
        return done


WEB: Final = Path(__file__).parents[2] / "web"

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
    (b"permissions-policy", b"microphone=(self), camera=(self)"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),  # revalidated each time (304), so that a new version shows at once
)


class Page(StaticFiles):
    """Serves the folder `WEB`."""

    def __init__(self) -> None:
        super().__init__(directory=WEB, html=True)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.raw_headers.extend(HEADERS)
        return response
