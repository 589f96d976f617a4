"""realtime/transports/tcp.py: who may stay when there are too many connections, and how they are accepted."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable

import pytest

from harness import virtual_time
from vivavoce.realtime.transports import tcp
from vivavoce.realtime.transports.tcp import Connections, Listener, Place, listen, network, streams


def waiting(connections: Connections, address: str, closed: list[str], name: str, seconds: float = 60) -> Place:
    """Admits a connection that owes something; `closed` learns when it had to give way."""
    place = connections.admit(address)
    assert place is not None
    place.close = lambda: closed.append(name)
    place.wait(seconds)
    return place


def on_the_virtual_clock(body: Callable[[list[str]], Awaitable[None]]) -> list[str]:
    closed: list[str] = []

    async def main() -> None:
        await body(closed)

    virtual_time.run(main())
    return closed


def test_of_one_address_the_connection_that_has_waited_longest_gives_way() -> None:
    async def body(closed: list[str]) -> None:
        connections = Connections(limit=100, waiting=3)
        first = waiting(connections, "192.0.2.1", closed, "first")
        for name in ("second", "third"):
            waiting(connections, "192.0.2.1", closed, name)
        waiting(connections, "192.0.2.9", closed, "other")
        first.wait(60)  # it asked something in between
        waiting(connections, "192.0.2.1", closed, "fourth")
        assert closed == ["second"]
        assert len(connections) == 4

    on_the_virtual_clock(body)


def test_without_room_the_address_with_most_waiting_connections_loses_one_and_served_ones_stay() -> None:
    async def body(closed: list[str]) -> None:
        connections = Connections(limit=4)
        waiting(connections, "192.0.2.1", closed, "call").serve()
        waiting(connections, "192.0.2.2", closed, "lone")
        for name in ("crowd 1", "crowd 2"):
            waiting(connections, "192.0.2.3", closed, name)
        waiting(connections, "192.0.2.4", closed, "new").serve()
        assert closed == ["crowd 1"]
        served = [connections.admit("192.0.2.5") for _ in range(2)]
        assert closed == ["crowd 1", "lone", "crowd 2"]
        assert connections.admit("192.0.2.6") is None
        assert served[0] is not None
        served[0].leave()
        assert connections.admit("192.0.2.6") is not None

    on_the_virtual_clock(body)


def test_a_proxy_has_no_bound_of_its_own() -> None:
    async def body(closed: list[str]) -> None:
        connections = Connections(limit=10, waiting=2, shared=lambda address: address == "10.0.0.1")
        for n in range(10):
            waiting(connections, "10.0.0.1", closed, str(n))
        assert closed == []

    on_the_virtual_clock(body)


def test_who_owes_something_for_too_long_is_closed_and_who_does_not_is_left_alone() -> None:
    async def body(closed: list[str]) -> None:
        connections = Connections(limit=10)
        waiting(connections, "192.0.2.1", closed, "silent", 10)
        waiting(connections, "192.0.2.1", closed, "served", 10).serve()
        waiting(connections, "192.0.2.1", closed, "gone", 10).leave()
        late = waiting(connections, "192.0.2.1", closed, "late", 10)
        late.wait(10, lambda: closed.append("in words"))
        await asyncio.sleep(9.9)
        assert closed == []
        await asyncio.sleep(0.2)
        assert closed == ["silent", "in words"]
        late.leave()
        late.wait(1)  # has left: no timer any more
        await asyncio.sleep(5)
        assert closed == ["silent", "in words"]

    on_the_virtual_clock(body)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("phone +4930", "phone +4930"),
    ],
)
def test_an_ipv6_network_counts_as_one_peer(address: str, group: str) -> None:
    assert network(address) == group


# --- accepting -------------------------------------------------------------------------------------------------------


def test_out_of_descriptors_the_listener_frees_one_pauses_and_writes_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the connections that are left in the queue each try would have cost a traceback, and none a pause."""
    tries: list[float] = []

    async def body(closed: list[str]) -> None:
        loop = asyncio.get_running_loop()

        async def exhausted(listening: socket.socket) -> None:
            tries.append(loop.time())
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(loop, "sock_accept", exhausted)
        connections = Connections(limit=10)
        for name in ("first", "second"):
            waiting(connections, "192.0.2.1", closed, name)
        waiting(connections, "192.0.2.1", closed, "call").serve()

        async def serve(connection: socket.socket, place: Place) -> None:
            raise AssertionError("nothing was accepted")

        with socket.socket() as listening:
            accepting = asyncio.ensure_future(Listener(listening, connections, serve).run())  # noqa: TID251 - cancelled below
            await asyncio.sleep(30)
            accepting.cancel()
            await asyncio.wait((accepting,))

    assert on_the_virtual_clock(body) == ["first", "second"], "the call goes on"
    assert len(tries) == pytest.approx(30 / tcp.PAUSE, abs=2)
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("no connection can be accepted", None)
    ]


@pytest.mark.parametrize("error", [ConnectionAbortedError(errno.ECONNABORTED, "gone"), None])
def test_a_peer_that_leaves_before_it_is_accepted_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        accept, failures = loop.sock_accept, [error] if error else []

        async def unreliable(listening: socket.socket) -> tuple[socket.socket, object]:
            if failures:
                raise failures.pop() or AssertionError
            return await accept(listening)

        monkeypatch.setattr(loop, "sock_accept", unreliable)

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
            assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.write(b"hello")
            writer.close()
            place.leave()

        connections = Connections(limit=2)
        with listen("127.0.0.1", 0) as listening:
            async with asyncio.TaskGroup() as tasks:
                accepting = tasks.create_task(Listener(listening, connections, streams(take)).run())
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                heard = await reader.read()
                writer.close()
                accepting.cancel()
        assert len(connections) == 0
        return heard

    assert asyncio.run(main()) == b"hello"


def test_a_port_that_is_taken_is_an_error() -> None:
    with listen("127.0.0.1", 0) as listening, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listening.getsockname()[1])
