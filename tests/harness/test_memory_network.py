"""The network in memory behaves as the kernel's, but for time."""

from __future__ import annotations

import asyncio

import pytest

from harness.memory_network import network, run


def test_what_is_written_arrives_before_the_clock_moves() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 9) as server:
            assert server.sockets[0].getsockname() == ("127.0.0.1", 9)
            reader, writer = await asyncio.open_connection("127.0.0.1", 9)
            writer.write(b"hello\n")
            assert await reader.read() == b"HELLO\n"
            assert asyncio.get_running_loop().time() < 0.001
            writer.close()
            await writer.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", 9)

    run(main())


def test_a_writer_waits_for_a_reader_that_does_not_read_and_learns_of_one_that_closed() -> None:
    async def main() -> None:
        accepted = asyncio.Queue[asyncio.StreamWriter]()
        async with await asyncio.start_server(lambda reader, writer: accepted.put_nowait(writer), "127.0.0.1", 9):
            _, writer = await asyncio.open_connection("127.0.0.1", 9)
            for _ in range(4):
                writer.write(bytes(100_000))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 3600)
            (await accepted.get()).transport.abort()
            with pytest.raises(ConnectionResetError):
                await writer.drain()

    run(main())


def test_datagrams_reach_the_port_that_they_are_sent_to() -> None:
    class Port(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: list[tuple[bytes, object]] = []

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.received.append((data, addr))

    async def main() -> None:
        loop, one, two = network(), Port(), Port()
        first, _ = await loop.create_datagram_endpoint(lambda: one, ("127.0.0.1", 1))
        second, _ = await loop.create_datagram_endpoint(lambda: two, ("127.0.0.1", 2))
        with pytest.raises(OSError, match="in use"):
            await loop.create_datagram_endpoint(Port, ("127.0.0.1", 2))
        first.sendto(b"hello", ("127.0.0.1", 2))
        first.sendto(b"nothing listens there", ("127.0.0.1", 3))
        await asyncio.sleep(0)
        assert two.received == [(b"hello", ("127.0.0.1", 1))]
        second.close()
        first.sendto(b"closed", ("127.0.0.1", 2))
        await asyncio.sleep(0)
        assert len(two.received) == 1
        first.close()

    run(main())


def test_functions_for_threads_are_run_on_the_spot_and_names_resolved() -> None:
    async def main() -> None:
        assert await asyncio.to_thread(lambda: 5) == 5
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)

    run(main())


def test_tasks_that_are_left_are_named() -> None:
    async def forgotten() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        asyncio.create_task(forgotten())  # noqa: RUF006, TID251 - that is the fault

    with pytest.raises(AssertionError, match="forgotten"):
        run(main())
