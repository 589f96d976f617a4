"""realtime/gateway/http_server.py: what strangers may send, and how long they may take, before anything is asked of the
application. A network in memory, on the virtual clock."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from starlette.testclient import TestClient
from uvicorn import Config
from uvicorn.server import ServerState

from harness import memory_network, virtual_time
from harness.fakes import ScriptedEngine
from harness.gateway import Running, gateway
from harness.peer import Peer
from vivavoce.model.errors import DamagedModel
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway import http_server
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.gateway.http_server import BODY, HEAD, LINGER, HttpConnection, connection_limit
from vivavoce.realtime.transports.tcp import Connections

pytestmark = pytest.mark.integration

FORM = b"Content-Type: multipart/form-data; boundary=XX\r\n"
PART = b'--XX\r\nContent-Disposition: form-data; name="sdp"; filename="a"\r\n\r\n'


def run(test: Callable[[Running], Awaitable[None]], **settings: Any) -> None:
    """Runs `test` against a gateway, and checks that it leaves nothing behind."""

    async def main() -> None:
        async with gateway(ScriptedEngine(["one two"]), **settings) as running:
            await test(running)
            await running.idle()

    memory_network.run(main())


async def connect(running: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(running.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def answer(running: Running, request: bytes) -> tuple[int, str]:
    """Status and error code of a raw request."""
    reader, writer = await connect(running)
    writer.write(request)
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def upgrade(*headers: str, target: str = "/v1/realtime") -> bytes:
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


# --- heads -----------------------------------------------------------------------------------------------------------


MANY = tuple(f"X-{n}: a" for n in range(120))


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (upgrade("X-Long: " + "a" * 9_000), 431, "headers_too_large"),
        (upgrade(*MANY), 431, "headers_too_large"),
        (upgrade(*(f"X-{n}: {'a' * 1000}" for n in range(90))), 431, "headers_too_large"),
        (upgrade(target="/v1/realtime?" + "a" * 9_000), 414, "url_too_long"),
        (upgrade("Content-Length: 5"), 400, "bad_request"),
        (upgrade("Transfer-Encoding: chunked"), 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(120)) + b"\r\n",
         431, "headers_too_large"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 300_000, 431, "headers_too_large"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),  # TLS to a plain port
    ],
    ids=["long header", "many headers", "long head", "long address", "body", "chunked", "no upgrade", "endless",
         "no HTTP", "TLS"],
)  # fmt: skip
def test_a_head_that_is_too_much_is_answered_and_leaves_nothing_in_the_log(
    request_: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(running: Running) -> None:
        assert await answer(running, request_) == (status, code)

    run(test)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_upgrade_with_many_and_long_headers_within_the_bounds_opens_a_call() -> None:
    async def test(running: Running) -> None:
        headers = {f"X-{n}": "a" * 700 for n in range(80)} | {"Cookie": "a" * 8_000}
        async with websockets.connect(running.websocket, additional_headers=headers) as connection:
            assert json.loads(await connection.recv())["type"] == "session.created"

    run(test)


# --- bodies ----------------------------------------------------------------------------------------------------------


BOTH = ("Content-Length: 10", "Transfer-Encoding: chunked")


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize("first", ["\r\n".join(BOTH), "\r\n".join(reversed(BOTH))])
@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/v1/realtime/client_secrets", "/nothing"])
def test_a_request_that_says_two_lengths_is_refused_before_its_body_is_read(path: str, first: str) -> None:
    async def test(running: Running) -> None:
        _, writer = await connect(running)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{first}\r\n".encode() + FORM + b"\r\n")
        sent = 0
        try:
            while sent < 50 << 20:
                writer.write(chunked(b"A" * 2**20)[:-5])
                await writer.drain()
                sent += 2**20
        except ConnectionError:
            pass
        assert sent < 50 << 20, "the server went on reading"
        writer.close()
        assert await answer(running, f"POST {path} HTTP/1.1\r\nHost: a\r\n{first}\r\n\r\n".encode()) == (
            400,
            "bad_request",
        )

    run(test)


@pytest.mark.parametrize("kind", [b"Content-Type: application/sdp\r\n", FORM])
@pytest.mark.parametrize("announced", [False, True])
def test_a_body_is_bounded_by_what_arrives(kind: bytes, announced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile._TemporaryFileWrapper.__init__", None)  # nothing is written to disk
    body = PART + b"A" * 300_000

    async def test(running: Running) -> None:
        length = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        pieces = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(
            *(body[at : at + 9_000] for at in range(0, len(body), 9_000))
        )
        request = b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\n" + kind + (length if announced else pieces)
        assert await answer(running, request) == (413, "body_too_large")

    run(test)


def test_a_form_may_come_without_a_length_and_is_read_as_utf_8_whatever_it_says() -> None:
    """Another codec of Python's takes 40 s for a form of 250 kB: "punycode" is quadratic."""

    async def test(running: Running) -> None:
        session = b'{"instructions": "Gr\xc3\xbc\xc3\x9fe", "sped": 1}'
        body = b'--XX\r\nContent-Disposition: form-data; name="session"\r\n\r\n' + session + b"\r\n--XX--\r\n"
        for charset in (b"", b"; charset=punycode", b"; charset=rot13"):
            head = b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            head += FORM.replace(b"\r\n", charset + b"\r\n") + b"Transfer-Encoding: chunked\r\n\r\n"
            assert await answer(running, head + chunked(body[:50], body[50:])) == (400, "unknown_parameter")

    run(test)


@pytest.mark.parametrize("boundary", ["", "a" * 71, '"a;b"', '"a\\"b"'])
def test_a_form_with_a_strange_boundary_is_refused(boundary: str) -> None:
    async def test(running: Running) -> None:
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        response = await running.http.post("/v1/realtime/calls", content=b"--a\r\n", headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_form")

    run(test)


# --- deadlines, on the virtual clock ---------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A connection in memory: remembers what was written, and when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed_at: float | None = None
        self.protocol: asyncio.BaseProtocol | None = None

    def attach(self, protocol: HttpConnection) -> HttpConnection:
        self.protocol = protocol
        protocol.connection_made(self)
        return protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 80), "peername": ("192.0.2.1", 5000)}.get(name, default)

    def is_closing(self) -> bool:
        return self.closed_at is not None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += bytes(data)

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        if self.closed_at is None:
            loop = asyncio.get_running_loop()
            self.closed_at = loop.time()
            assert isinstance(self.protocol, asyncio.Protocol)
            loop.call_soon(self.protocol.connection_lost, None)

    abort = close


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers 200 when the whole body has come; /early without reading it."""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "closed_at", "status"),
    [
        ([], HEAD, 0),
        ([(0, b"GET / HTT")], HEAD, 0),
        ([(n, b"G" if n == 0 else b"a") for n in range(20)], HEAD, 0),  # a byte a second
        ([(4, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")], 4 + 5, 200),  # uvicorn's own: nothing asked for 5 s
        ([(4, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (6, b"GET")], 4 + HEAD, 200),
        ([(1, POST)], 1 + BODY + LINGER, 408),
        ([(1, POST), *((2 + n, b"a") for n in range(60))], 1 + BODY + LINGER, 408),
        ([(1, POST), (20, b"a" * 100)], 20 + 5, 200),
        ([(1, POST.replace(b"/ ", b"/early ")), *((2 + n, b"a") for n in range(20))], 1 + LINGER, 200),
        ([(1, b"nonsense\r\n\r\n")], 1 + LINGER, 400),
        ([(1, b"nonsense\r\n\r\n"), (2, b"a" * (1 << 20)), (3, b"a")], 3, 400),
    ],
    ids=["nothing", "half a line", "a byte a second", "asked once", "half of a second request", "no body", "slow body",
         "late body", "answered early", "no HTTP", "no HTTP, and much of it"],
)  # fmt: skip
def test_each_wait_for_a_stranger_has_a_deadline(
    pieces: list[tuple[float, bytes]], closed_at: float, status: int
) -> None:
    async def main() -> Wire:
        loop = asyncio.get_running_loop()
        place = Connections(limit=10).admit("192.0.2.1")
        assert place is not None
        config = Config(application, http=HttpConnection, ws="none", log_config=None, lifespan="off")
        config.load()
        place.wait(HEAD)
        wire = Wire()
        protocol = wire.attach(HttpConnection(config, ServerState(), {}, place=place))
        for at, data in pieces:
            await asyncio.sleep(at - loop.time())
            if not wire.is_closing():
                protocol.data_received(data)
        await asyncio.sleep(100)
        return wire

    wire = virtual_time.run(main())
    assert wire.closed_at == pytest.approx(closed_at, abs=0.1)
    assert wire.written.startswith(b"HTTP/1.1 %d " % status if status else b"")
    assert wire.written if status else not wire.written


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_descriptors_are_left_for_calls() -> None:
    assert connection_limit(1024, 4) == 1024 - 128 - 64
    assert connection_limit(256, 4) == 64
    assert connection_limit(64, 100) == 32, "some at least"


def test_silent_connections_keep_neither_others_nor_a_call_out() -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket) as call:
            await call.recv()
            idle = [await connect(running) for _ in range(300)]
            for _, writer in idle:
                writer.write(b"GET / HTTP/1.1\r\nHost: 127")
            assert (await running.http.get("/healthz")).status_code == 200
            async with websockets.connect(running.websocket) as another:
                assert json.loads(await another.recv())["type"] == "session.created"
            await call.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await call.recv())["type"] == "input_audio_buffer.cleared"
            assert len(running.server.server_state.connections) <= 64 + 8  # those of one address, and those in use
            for _, writer in idle:
                writer.close()

    run(test, descriptors=256)


def test_silent_connections_are_closed_and_a_call_is_not() -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket) as call:
            await call.recv()
            idle = [await connect(running) for _ in range(30)]
            async with asyncio.timeout(20):
                for reader, writer in idle:
                    assert await reader.read() == b""
                    writer.close()
            await call.send('{"type": "input_audio_buffer.clear"}')
            assert json.loads(await call.recv())["type"] == "input_audio_buffer.cleared"

    run(test)


# --- sockets ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_small_messages_leave_at_once() -> None:
    """Without TCP_NODELAY every second event waits 40 ms for the acknowledgement of the first."""

    async def main() -> None:
        async with gateway(ScriptedEngine()) as running, websockets.connect(running.websocket) as call:
            await call.recv()
            sockets = [one.transport.get_extra_info("socket") for one in running.server.server_state.connections]
            assert sockets
            assert all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets)

    asyncio.run(main())


def test_sockets_that_are_refused_leave_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test(running: Running) -> None:
        for query in ("?call_id=rtc_nobody", "?resume=nothing", "?model=x"):
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(running.websocket + query)

    run(test, keys=("sesame",))
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_message_in_pieces_is_joined(caplog: pytest.LogCaptureFixture) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket) as call:
            await call.recv()
            text = '{"type": "input_audio_buffer.clear"}'
            for pieces in ([text[:10], "", text[10:]], ["", *text], [text, "", ""]):
                await call.send(pieces)
                assert json.loads(await call.recv())["type"] == "input_audio_buffer.cleared"
            await call.send([b"\xff", b"\xfe"], text=True)  # no UTF-8
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await call.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007

    run(test)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_peer_that_sends_pings_and_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_UNSENT", 100_000)

    async def test(running: Running) -> None:
        reader, writer = await connect(running)
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        ping = struct.pack("!BBI", 0x89, 0x80 | 125, 0) + bytes(125)
        async with asyncio.timeout(30):
            try:
                while True:
                    writer.write(ping * 1000)
                    await writer.drain()
            except ConnectionError:
                writer.close()

    run(test, resume_window=0)


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_that_leaves_says_goodbye_over_webrtc_and_takes_no_call_meanwhile() -> None:
    async def main() -> None:
        async with gateway(ScriptedEngine()) as running:
            peer, late = Peer(), Peer()
            await peer.accept(await running.offer(await peer.offer()))
            await peer.event("session.created")
            offer = await late.offer()
            running.server.should_exit = True
            closing = await peer.event("vivavoce.closing")
            assert (closing["reason"], closing["message"]) == ("shutdown", "The server is being stopped.")
            with pytest.raises((httpx.HTTPError, AssertionError), match=r"(?i)connect|server_stopping"):
                await running.offer(offer)
            await peer.close()
            await late.close()

    asyncio.run(main())


@pytest.mark.parametrize("keys", [(), ("sesame",)])
def test_what_went_wrong_is_told_to_those_who_may_use_the_api_only(keys: tuple[str, ...]) -> None:
    def load() -> Engine:
        raise DamagedModel("The model at /home/anna/models is damaged.")

    server = Gateway(ServerConfig(keys=keys), load, lambda: 0.0)
    with TestClient(server.app, base_url="http://localhost") as client:
        while client.get("/readyz").json()["status"] == "loading":
            pass
        stranger, owner = client.get("/readyz"), client.get("/readyz", headers={"Authorization": "Bearer sesame"})
        assert (stranger.status_code, owner.status_code) == (503, 503)
        assert owner.json() == {"status": "failed", "message": "The model at /home/anna/models is damaged."}
        assert stranger.json() == ({"status": "failed"} if keys else owner.json())
        assert client.get("/").status_code == 200
