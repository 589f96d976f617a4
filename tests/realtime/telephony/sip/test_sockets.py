"""SIP over TCP: messages of a stream, and the bounds on connections; on the virtual clock and its network in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from harness.memory_network import network, run
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.sockets import FIRST, IDLE, MAX_CONNECTIONS, MAX_UNCONNECTED, WHOLE, SipSockets

pytestmark = pytest.mark.integration

PORT = 5060
MESSAGE = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1\r\nContent-Length: 3\r\n\r\nabc"

Test = Callable[[SipSockets, list[bytes]], Awaitable[None]]


def with_sockets(test: Test, is_allowed: Callable[[Remote], bool] = lambda remote: True) -> None:
    """Runs `test` with sockets that listen, and the messages that they received."""

    async def main() -> None:
        received: list[bytes] = []
        ours = SipSockets(lambda data, source: received.append(data), is_allowed)
        async with asyncio.TaskGroup() as tasks:
            await ours.open("127.0.0.1", PORT, tasks)
            await test(ours, received)
            await ours.close()

    run(main())


@asynccontextmanager
async def connected(*parts: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    for part in parts:
        writer.write(part)
    yield reader, writer
    writer.close()


async def seconds_open(reader: asyncio.StreamReader) -> float:
    """When the far end closes."""
    began = asyncio.get_running_loop().time()
    with suppress(ConnectionResetError):
        await reader.read()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("parts", [[], [b"I"], [MESSAGE[:40]], [MESSAGE[:-1]], [b"\r\n\r\n"]])
def test_sixty_connections_without_a_whole_message_are_closed(parts: list[bytes]) -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        async def one() -> float:
            async with connected(*parts) as (reader, _):
                return await seconds_open(reader)

        async with asyncio.TaskGroup() as tasks:
            connections = [tasks.create_task(one()) for _ in range(60)]
        assert [task.result() for task in connections] == pytest.approx([FIRST] * 60, abs=0.1)
        assert not received

    with_sockets(test)


def test_keep_alives_and_drops_of_a_message_do_not_keep_a_silent_connection_open() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        for parts in ([b"\r\n"] * 30, [bytes([byte]) for byte in MESSAGE]):
            async with connected() as (reader, writer), asyncio.TaskGroup() as tasks:
                closed = tasks.create_task(seconds_open(reader))
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(1.0)
                assert await closed == pytest.approx(FIRST, abs=0.1)

    with_sockets(test)


def test_a_connection_stays_after_a_message_and_with_keep_alives() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        async with connected(b"\r\n\r\n", MESSAGE) as (reader, writer):
            for _ in range(20):
                await asyncio.sleep(120)
                writer.write(b"\r\n\r\n")
            writer.write(MESSAGE)
            await asyncio.sleep(1)
            assert received == [MESSAGE] * 2
            assert await seconds_open(reader) == pytest.approx(IDLE - 1, abs=1)

    with_sockets(test)


def test_a_later_message_has_to_be_completed_too() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        async with connected(MESSAGE, MESSAGE[:50]) as (reader, _):
            assert await seconds_open(reader) == pytest.approx(WHOLE, abs=0.1)
        assert received == [MESSAGE]

    with_sockets(test)


@pytest.mark.parametrize(
    "header", [b"Content-Length: 3", b"content-length  :\t3  ", b"l:3", b"Content-Length:\r\n 3", b"L :\r\n\t 3 \r\n "]
)
def test_the_length_of_a_body_is_read_in_every_form(header: bytes) -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        message = MESSAGE.replace(b"Content-Length: 3", header)
        async with connected(message * 2):
            await asyncio.sleep(1)
        assert received == [message] * 2

    with_sockets(test)


def test_the_number_of_connections_is_bounded() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        pairs = [await asyncio.open_connection("127.0.0.1", PORT) for _ in range(MAX_CONNECTIONS)]
        async with connected(MESSAGE) as (reader, _):
            assert await seconds_open(reader) < 0.1
        await asyncio.sleep(FIRST + 1)
        async with connected(MESSAGE):
            await asyncio.sleep(0.1)
        assert received == [MESSAGE], "there is room again"
        for _, writer in pairs:
            writer.close()

    with_sockets(test)


def test_a_connection_from_an_address_that_is_not_allowed_is_closed_at_once() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        async with connected(MESSAGE) as (reader, _):
            assert await seconds_open(reader) < 0.1
        assert not received

    with_sockets(test, lambda remote: False)


def test_messages_to_one_address_share_one_connection() -> None:
    async def test(ours: SipSockets, received: list[bytes]) -> None:
        to = Remote("127.0.0.1", PORT, "TCP")
        for _ in range(2 * MAX_UNCONNECTED):
            ours.send(MESSAGE, to)
        await asyncio.sleep(1)
        assert network().connections == [("127.0.0.1", PORT)]
        assert received == [MESSAGE] * MAX_UNCONNECTED

    with_sockets(test)


def test_connections_that_we_open_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*address: object, **options: object) -> None:
        await asyncio.sleep(1000)

    async def test(ours: SipSockets, received: list[bytes]) -> None:
        monkeypatch.setattr(asyncio, "open_connection", never)
        for port in range(2 * MAX_CONNECTIONS):
            ours.send(MESSAGE, Remote("192.0.2.1", 1 + port, "TCP"))
        await asyncio.sleep(0)
        assert len(ours._connecting) == MAX_CONNECTIONS
        await asyncio.sleep(10)
        assert not ours._connecting

    with_sockets(test)
