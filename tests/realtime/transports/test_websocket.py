"""The WebSocket transport under a real server, with a real client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketState

from harness import virtual_time
from harness.tidy import run
from vivavoce.codecs.audio import FRAME, Samples
from vivavoce.realtime.transports import CloseReason, Ending, Message, PeerGone, PeerLost, Received
from vivavoce.realtime.transports.pacing import PERIOD
from vivavoce.realtime.transports.websocket import CLOSE_CODES, GOODBYE, WebSocketTransport

Talk = Callable[[WebSocketTransport], Awaitable[None]]


@asynccontextmanager
async def served(talk: Talk, max_queued: int = 32 << 20) -> AsyncIterator[str]:
    """A server on a free port whose only call is `talk`; gives its address."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await talk(WebSocketTransport(websocket, max_queued))

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", lifespan="off", ws_per_message_deflate=False, timeout_graceful_shutdown=2
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve([listening]))
            try:
                yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
            finally:
                server.should_exit = True
                await serving


class Log:
    """Implements `Intake`: collects what a call received, until it ends."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.gone: str | None = None
        self.lost = False
        self.ended = asyncio.Event()

    def put(self, received: Received) -> None:
        self.received.append(received)

    async def deliver(self, received: Received) -> None:
        self.put(received)

    async def __call__(self, transport: WebSocketTransport) -> None:
        try:
            await transport.receive(self)
        except PeerGone as gone:
            self.gone, self.lost = str(gone), isinstance(gone, PeerLost)
        finally:
            await transport.close(Ending())
            self.ended.set()


@pytest.mark.slow
def test_messages_go_both_ways_in_order() -> None:
    async def body() -> None:
        async def echo(transport: WebSocketTransport) -> None:
            class Back(Log):
                def put(self, received: Received) -> None:
                    assert isinstance(received, Message)
                    transport.send(received.text.encode() if isinstance(received.text, str) else received.text)

            with pytest.raises(PeerGone, match="1000: bye"):
                await transport.receive(Back())

        async with served(echo) as url, websockets.connect(url) as client:
            said: list[str | bytes] = [f"n {n} \N{SNOWMAN}" for n in range(200)]
            for text in said:
                await client.send(text)
            await client.send(b"bytes are text too")
            heard = [await client.recv() for _ in range(201)]
            assert heard == [*said, "bytes are text too"]
            await client.close(1000, "bye")

    run(body())


@pytest.mark.slow
def test_a_client_that_breaks_off_is_noticed() -> None:
    async def body() -> None:
        log = Log()
        async with served(log) as url, websockets.connect(url) as client:
            client.transport.abort()
            async with asyncio.timeout(20):
                await log.ended.wait()
        assert log.gone == "the connection to the client was lost"
        assert log.lost

    run(body())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        (Ending(), 1000, "over"),
        (Ending(CloseReason.RESUMED, "elsewhere"), 1000, "resumed: elsewhere"),
        (Ending(CloseReason.EXPIRED, "an hour is over"), 1001, "expired: an hour is over"),
        (Ending(CloseReason.SHUTDOWN), 1001, "shutdown"),
        (Ending(CloseReason.IDLE), 1001, "idle"),
        (Ending(CloseReason.REFUSED, "wrong key"), 1008, "refused: wrong key"),
        (Ending(CloseReason.ERROR, "the model failed"), 1011, "error: the model failed"),
        (Ending(CloseReason.BUSY, "all 8 lines are taken"), 1013, "busy: all 8 lines are taken"),
        (Ending(CloseReason.BUSY, "\N{SNOWMAN}" * 100), 1013, "busy: " + "\N{SNOWMAN}" * 39),
    ],
)
def test_a_call_ends_with_what_was_queued_a_code_and_the_reason(ending: Ending, code: int, text: str) -> None:
    async def body() -> None:
        async def talk(transport: WebSocketTransport) -> None:
            for n in range(50):
                transport.send(b"%d" % n)
            await transport.close(ending)
            await transport.close(ending)

        async with served(talk) as url, websockets.connect(url) as client:
            assert [await client.recv() for _ in range(50)] == [str(n) for n in range(50)]
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            assert client.close_code == code
            assert client.close_reason == text

    run(body())


def test_every_reason_has_a_code_that_servers_may_send() -> None:
    assert set(CLOSE_CODES) == set(CloseReason)
    assert set(CLOSE_CODES.values()) <= {1000, 1001, 1008, 1011, 1013}


@pytest.mark.slow
def test_a_client_that_reads_slowly_is_given_up() -> None:
    async def body() -> None:
        outcome: list[str] = []
        ended = asyncio.Event()

        async def talk(transport: WebSocketTransport) -> None:
            async with asyncio.TaskGroup() as group:
                receiving = group.create_task(transport.receive(Log()))
                try:
                    while True:
                        transport.send(b"x" * 100_000)
                        await asyncio.sleep(0)
                except PeerGone as gone:
                    outcome.append(str(gone))
                receiving.cancel()
            await transport.close(Ending(CloseReason.ERROR, "too slow"))
            ended.set()

        async with served(talk, max_queued=4 << 20) as url, websockets.connect(url, max_queue=1) as client:
            await asyncio.wait_for(ended.wait(), 20)
            client.transport.abort()
        assert "reads too slowly" in outcome[0]

    run(body())


class StuckSocket:
    """In the place of a `WebSocket` whose client reads nothing any more."""

    client_state = application_state = WebSocketState.CONNECTED

    async def send_text(self, text: str) -> None:
        await asyncio.Event().wait()


def stuck() -> WebSocketTransport:
    return WebSocketTransport(StuckSocket())  # type: ignore[arg-type]  # all that is used of it


def test_closing_takes_two_seconds_at_most() -> None:
    async def body() -> float:
        transport = stuck()
        transport.send(b"{}")
        await transport.close(Ending(CloseReason.ERROR, "too slow"))
        return asyncio.get_running_loop().time()

    assert virtual_time.run(body()) == pytest.approx(GOODBYE)


def test_sound_is_pulled_in_real_time_for_a_client_that_plays_by_itself() -> None:
    async def body() -> None:
        pulled: list[float] = []
        loop = asyncio.get_running_loop()

        def pull() -> Samples:
            pulled.append(loop.time())
            return np.zeros(FRAME, np.float32)

        transport = stuck()
        assert not transport.plays
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.39):
                await transport.speak(pull)
        assert pulled == pytest.approx([n * PERIOD for n in range(20)])

    virtual_time.run(body())
