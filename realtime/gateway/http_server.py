"""The HTTP server below the gateway: uvicorn, with a bound on everything that anyone may send or hold open.

    connection ──Listener──► HttpConnection ──head, body──► the application
                                  └──upgrade──► WebSocketConnection ──messages──► the application

What uvicorn has no setting for is done here: deadlines for the head and the body of a request, a bound on open
connections (`transports/tcp.py`), refusals of heads that are too long or say two lengths, messages in pieces, and
leaving: calls say goodbye before their sockets are closed.

Signals: the first asks the server to leave, the second ends the process at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.transports.tcp import Connections, Listener, Place
from vivavoce.realtime.wire.parsing import MAX_MESSAGE

log = logging.getLogger(__name__)

HEAD: Final = 10.0
"""Seconds for the head of a request, from the connection or the last response, and for a TLS handshake before it."""

BODY: Final = 30.0
"""Seconds for the body of a request: 256 KiB at most."""

LINGER: Final = 5.0
"""Seconds in which a peer must take the end of a response, or of a call, before its connection is cut."""

MAX_HEAD: Final = 64 * 1024
MAX_LINE: Final = 8 * 1024
"""Bytes of one line of a head. The WebSocket library refuses longer ones, and so do most servers."""

MAX_HEADERS: Final = 100

MAX_DISCARDED: Final = 1024 * 1024
"""Bytes of a refused request that are read before the connection is cut; a peer that still sends reads no answer."""

MAX_UNSENT: Final = 1024 * 1024
"""Bytes of pongs that may wait for a peer which sends pings and reads nothing."""

RESERVE, PER_CALL = 128, 16
"""Descriptors that are not for connections: models, logs and pipes, and those of each call (UDP ports, recording)."""

SHUTDOWN: Final = 5
"""Seconds that requests get to end when the server is stopped, after the calls have said goodbye."""


def connection_limit(descriptors: int, calls: int) -> int:
    """Connections that may be open, where the process may have so many descriptors and so many calls."""
    return max(32, descriptors - RESERVE - PER_CALL * calls)


class HttpServer(uvicorn.Server):
    """Serves a gateway on a listening socket."""

    def __init__(
        self,
        gateway: Gateway,
        config: ServerConfig,
        listening: socket.socket,
        descriptors: int = 1024,
        serving: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
    ) -> None:
        """`descriptors`: what the process may have open. `serving` is called when signals are handled, `leaving` at the
        first one."""
        super().__init__(
            uvicorn.Config(
                gateway.app,
                http=HttpConnection,
                ws=WebSocketConnection,
                ws_max_size=MAX_MESSAGE + 1024,  # a longer message gets an error event instead of a closed socket
                ws_per_message_deflate=False,
                h11_max_incomplete_event_size=MAX_HEAD,
                proxy_headers=False,  # `Admission` reads them, from trusted proxies only
                server_header=False,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=SHUTDOWN,
                ssl_certfile=config.tls_certificate or None,
                ssl_keyfile=config.tls_key or None,
            )
        )
        self._gateway = gateway
        self._listening = listening
        limit = connection_limit(descriptors, config.max_sessions)
        self._connections = Connections(limit, shared=config.is_proxy)
        self._serving = serving
        self._leaving = leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application. Connections are accepted by `main_loop`."""
        self._serving()
        await super().startup(sockets=[])

    async def main_loop(self) -> None:
        """Accepts connections until the server is to leave, or has nothing to serve."""
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(Listener(self._listening, self._connections, self._begin).run())
            await super().main_loop()
            accepting.cancel()

    async def on_tick(self, counter: int) -> bool:
        """Whether to leave, asked ten times a second."""
        return await super().on_tick(counter) or bool(self._gateway.failure)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, lets the calls say goodbye, then closes every connection."""
        self._listening.close()
        await self._gateway.leave()
        self.force_exit = self._gateway.loading  # nothing runs yet, and the models cannot be waited for
        await super().shutdown(sockets=[])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leaves; from now on a signal does what it does to any process. (uvicorn raises the first one again when it
        has stopped, so that the exit code would be that of a failure.)"""
        self.should_exit = True
        self._leaving()
        for handled in (signal.SIGINT, signal.SIGTERM):
            signal.signal(handled, signal.SIG_DFL)

    async def _begin(self, connection: socket.socket, place: Place) -> None:
        """Raises `OSError` when no TLS comes about."""
        place.wait(HEAD)
        tls = self.config.ssl

        def protocol() -> HttpConnection:
            return HttpConnection(self.config, self.server_state, self.lifespan.state, place=place)

        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(protocol, connection, ssl=tls, ssl_handshake_timeout=HEAD if tls else None)


_TOO_LONG: Final = 431, f"The head of a request has at most {MAX_HEAD} bytes."


class _Reader(h11.Connection):
    """Reads requests. `refusal` is why the last one was refused: (status, words)."""

    refusal: tuple[int, str] = (400, "This is no HTTP request.")

    def next_event(self) -> Any:
        """See `h11.Connection`. Raises `h11.RemoteProtocolError`."""
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                self.refusal = _TOO_LONG
            raise
        if isinstance(event, h11.Request) and (refusal := _refusal(event)) is not None:
            self.refusal = refusal
            raise h11.RemoteProtocolError(refusal[1])
        return event


def _refusal(request: h11.Request) -> tuple[int, str] | None:
    """Why a request is refused by its head alone."""
    names = [name for name, _ in request.headers]
    if len(request.target) > MAX_LINE - 32:
        return 414, f"The address of a request has at most {MAX_LINE - 32} bytes."
    lines = [len(name) + len(value) + 4 for name, value in request.headers]
    if sum(lines) > MAX_HEAD:  # the reader counts a head that is not whole yet
        return _TOO_LONG
    if len(lines) > MAX_HEADERS or max(lines, default=0) > MAX_LINE:
        return 431, f"A request has at most {MAX_HEADERS} headers, each of at most {MAX_LINE} bytes."
    if b"content-length" in names and b"transfer-encoding" in names:  # RFC 9112 section 6.3
        return 400, "A request has a Content-Length or a Transfer-Encoding, not both."
    return None


class HttpConnection(H11Protocol):
    """One connection, as long as it speaks HTTP.

    IDLE ──head──► SEND_BODY ──body──► DONE ──response──► IDLE        `_reader.their_state`
    HEAD s          BODY s              (we owe)          HEAD s       refused or over: LINGER s"""

    def __init__(self, *args: Any, place: Place, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = self._reader = _Reader(h11.SERVER, MAX_HEAD)
        self._place = place
        self._owed = "head"  # what the peer owes: also "body", "end"; "": nothing
        self._leaving = False  # refused: nothing more is read of this peer
        self._upgraded = False
        self._discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._place.close = transport.abort

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._place.leave()

    def data_received(self, data: bytes) -> None:
        if self._owed == "end":
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED:
                self.transport.abort()
            if self._leaving:
                return
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """As in uvicorn, but the place moves along."""
        self._upgraded = True
        self.connections.discard(self)
        lines = [b"%s %s HTTP/1.1" % (event.method, event.target), *(b"%s: %s" % header for header in self.headers)]
        protocol = WebSocketConnection(self.config, self.server_state, self.app_state, place=self._place)
        protocol.connection_made(self.transport)
        protocol.data_received(b"\r\n".join([*lines, b"", b""]))
        self.transport.set_protocol(protocol)

    def send_400_response(self, msg: str) -> None:
        """Answers a request that was refused while it was read, and closes when the answer has had time to arrive."""
        status, words = self._reader.refusal
        self._refuse(status, words)

    def shutdown(self) -> None:
        if not self.transport.is_closing() and not self._leaving:
            super().shutdown()

    # --- what the peer owes ------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        owed = self._owes()
        if owed == self._owed or self._upgraded:
            return
        self._owed = owed
        match owed:
            case "head":
                self._place.wait(HEAD)
            case "body":
                self._place.wait(BODY, self._body_is_late)
            case "end":
                self._place.wait(LINGER)
            case _:
                self._place.serve()

    def _owes(self) -> str:
        answered = self.cycle is None or self.cycle.response_complete
        if self._leaving or self.transport.is_closing():
            return "end"
        if self._reader.their_state is h11.SEND_BODY:
            return "end" if answered else "body"
        if self._reader.their_state is h11.IDLE and answered:
            return "head"
        return "end" if answered else ""

    def _body_is_late(self) -> None:
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.cycle.response_started:
            self.transport.abort()
        else:
            self._refuse(408, f"The body of the request did not come within {BODY:g} s.")

    def _refuse(self, status: int, words: str) -> None:
        self._leaving = True
        self.transport.write(response(status, words))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._follow()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One connection, from its upgrade on."""

    def __init__(self, *args: Any, place: Place, **options: Any) -> None:
        super().__init__(*args, **options)
        self._place = place
        self._pieces = bytearray()
        self._failed = False  # what comes is thrown away

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._place.close = self.transport.abort
        self._place.serve()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._place.leave()

    def data_received(self, data: bytes) -> None:
        if self._failed:
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:  # it has a body, for example
            self.transport.write(response(400, "This is no WebSocket handshake."))
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """Joins the pieces of a message as they come: a list of small ones takes fifty times as much memory."""
        if not self._pieces:
            self._pieces += self.frames[0]
        self._pieces += event.data
        if event.fin:
            self.frames, self._pieces = [bytes(self._pieces)], bytearray()
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """As in uvicorn, but wrong UTF-8 leaves no traceback in the log."""
        (data,), self.frames = self.frames, []
        if self.close_sent:
            return
        try:
            if self.curr_msg_data_type == "text":
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            else:
                self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        except UnicodeDecodeError:
            self.conn.fail(1007, "a text message must be UTF-8")
            self.handle_parser_exception()
            return
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_parser_exception(self) -> None:
        """Fails the connection (RFC 6455, section 7.1.7). A socket that is closed while the peer sends is reset, and
        the peer would not learn why: ours stays half open until it has read that."""
        if not self.transport.can_write_eof():  # TLS
            super().handle_parser_exception()
            return
        failed = self.conn.close_sent
        assert failed is not None
        self._failed = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": failed.code, "reason": failed.reason})
        self.stop_keepalive()
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.transport.resume_reading()
        self._place.wait(LINGER)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._place.wait(LINGER + self.close_timeout)  # for its close frame, and to take what was sent

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # refused, as the application wanted: no error for the log


def response(status: int, words: str) -> bytes:
    """A response to a request that never reached the application, with the protocol's error body."""
    error = {"message": words, "type": "invalid_request_error", "param": None, "code": _CODES[status]}
    text = json.dumps({"error": error}).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text


_CODES: Final = {400: "bad_request", 408: "request_timeout", 414: "url_too_long", 431: "headers_too_large"}
