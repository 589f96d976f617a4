"""TCP and UDP in memory, on the virtual clock: real servers and clients of one event loop, without sockets.

    async def main() -> None:
        server = await asyncio.start_server(...)          uvicorn, websockets, httpx, datagram endpoints work, too
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

    run(main())

A socket pair of the kernel would do for the bytes, but its readiness is real time: here everything that was written has
arrived before the clock moves. Names are resolved and functions for threads are run on the spot, so nothing is waited
for that the loop cannot see.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from unittest.mock import patch

from harness.virtual_time import VirtualTimeLoop

T = TypeVar("T")
Address = tuple[str, int]

HIGH_WATER = 64 << 10
"""Bytes that may wait for a reader before `pause_writing`, as in asyncio's own transports."""


class _Socket:
    """What protocols ask of a socket besides its bytes."""

    def __init__(self, local: Address, remote: Address | None = None) -> None:
        self.family, self.type, self.proto = socket.AF_INET, socket.SOCK_STREAM, 0
        self._local, self._remote = local, remote

    def getsockname(self) -> Address:
        return self._local

    def getpeername(self) -> Address:
        if self._remote is None:
            raise OSError("not connected")
        return self._remote

    def setsockopt(self, *option: object) -> None:
        """There is no kernel to tell."""

    def fileno(self) -> int:
        return -1


class _Stream(asyncio.Transport):
    """One end of a connection; `other` is the far one."""

    other: _Stream

    def __init__(self, loop: MemoryNetworkLoop, protocol: asyncio.Protocol, local: Address, remote: Address) -> None:
        pair = _Socket(local, remote)
        super().__init__({"socket": pair, "sockname": local, "peername": remote})
        self._loop = loop
        self._protocol = protocol
        self._waiting: deque[bytes] = deque()
        self._reads, self._ends, self._closing, self._lost, self._slow = True, False, False, False, False
        self._high = HIGH_WATER

    # --- what protocols call -----------------------------------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reads

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._loop.call_soon(self.other._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._waiting))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._ends or not data:
            return
        self._waiting.append(bytes(data))
        self._loop.call_soon(self._deliver)
        if not self._slow and self.get_write_buffer_size() > self._high:
            self._slow = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ends:
            self._ends = True
            self._loop.call_soon(self._deliver)

    def close(self) -> None:
        """What was written still arrives."""
        if not self._closing:
            self._closing = self._ends = True
            self._loop.call_soon(self._deliver)

    def abort(self) -> None:
        self._waiting.clear()
        self.close()

    # --- between the ends --------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Hands over what waits, if the far end reads."""
        if self._lost:
            return
        while self._waiting and self.other._reads and not self.other._closing:
            self.other._protocol.data_received(self._waiting.popleft())
        if self._waiting and self.other._closing:
            self._waiting.clear()
            self._lose(ConnectionResetError("the far end has closed the connection"))
            return
        if self._slow and self.get_write_buffer_size() <= self._high:
            self._slow = False
            self._protocol.resume_writing()
        if not self._waiting and self._ends:
            self._finish()

    def _finish(self) -> None:
        """The far end has read everything, and there will be no more."""
        if not self.other._closing and not self.other._protocol.eof_received():
            self.other.close()
        self._ends = self._closing
        if self._closing:
            self._lose(None)
            self._loop.call_soon(self.other._deliver)  # what waits there will not be read any more

    def _lose(self, error: Exception | None) -> None:
        self._closing = True
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, error)


class _Datagrams(asyncio.DatagramTransport):
    """One bound port."""

    def __init__(
        self,
        loop: MemoryNetworkLoop,
        protocol: asyncio.DatagramProtocol,
        local: Address,
        bound: socket.socket | None,
    ) -> None:
        super().__init__({"socket": bound or _Socket(local), "sockname": local})
        self._loop = loop
        self.protocol = protocol
        self._local = local
        self._bound = bound
        self._closing = False

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """To whom nobody listens, nothing arrives."""
        host, port = addr[:2]
        far = self._loop.datagrams.get((host, port)) or self._loop.datagrams.get(("0.0.0.0", port))
        if far is not None and not self._closing:
            self._loop.datagrams_to[host, port] += 1
            self._loop.call_soon(far._receive, bytes(data), self._local)

    def _receive(self, data: bytes, source: Address) -> None:
        if not self._closing:
            self.protocol.datagram_received(data, source)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.datagrams.pop(self._local, None)
            if self._bound is not None:
                self._bound.close()
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close


class _Server(asyncio.AbstractServer):
    """One listening port."""

    def __init__(self, loop: MemoryNetworkLoop, factory: Callable[[], asyncio.Protocol], local: Address) -> None:
        self._loop = loop
        self.factory = factory
        self._local = local
        self.sockets = (_Socket(local),)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._loop.servers.get(self._local) is self

    async def start_serving(self) -> None:
        """It does, from the beginning."""

    async def serve_forever(self) -> None:
        raise NotImplementedError("a test ends its servers")

    def close(self) -> None:
        if self.is_serving():
            del self._loop.servers[self._local]

    async def wait_closed(self) -> None:
        """Connections live on by themselves."""


class _Accepting:
    """A listening socket whose connections are accepted one by one (`sock_accept`)."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.queue: asyncio.Queue[_AcceptedSocket] = asyncio.Queue()


class _AcceptedSocket(_Socket):
    """A connection that has no protocol yet at our end."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__(*(stream.get_extra_info(name) for name in ("sockname", "peername")))
        self.stream = stream

    def close(self) -> None:
        self.stream.abort()


class MemoryNetworkLoop(VirtualTimeLoop):
    """See the module. `connections`: the addresses of all that were made; `datagrams_to`: datagrams by destination."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: dict[Address, _Server | _Accepting] = {}
        self.datagrams: dict[Address, _Datagrams] = {}
        self.connections: list[Address] = []
        self.datagrams_to: Counter[Address] = Counter()
        self._ports = itertools.count(40_000)

    def _run_once(self) -> None:
        """Takes a nanosecond, so that a timer which rounding lets fire early does not do so for ever."""
        self._jumping.now += 1e-9
        super()._run_once()  # type: ignore[misc]  # asyncio's own, in every version

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Runs it at once: the loop cannot see a thread, and would jump over its time."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # the border: the caller's
            done.set_exception(error)
        return done

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> _Server:
        local = self._bind(host, port, sock, self.servers)
        self.servers[local] = server = _Server(self, protocol_factory, local)
        return server

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, **options: Any
    ) -> tuple[_Stream, asyncio.Protocol]:
        host = "127.0.0.1" if host == "localhost" else host
        server = self.servers.get((host, port)) or self.servers.get(("0.0.0.0", port))
        if server is None:
            raise ConnectionRefusedError(f"nobody listens at port {port}")
        if isinstance(server, _Accepting) and server.listening.fileno() == -1:
            raise ConnectionRefusedError(f"nobody listens at port {port} any more")
        local = ("127.0.0.1", next(self._ports))
        self.connections.append((host, port))
        near = _Stream(self, protocol_factory(), local, (host, port))
        far = _Stream(
            self, asyncio.Protocol() if isinstance(server, _Accepting) else server.factory(), (host, port), local
        )
        near.other, far.other = far, near
        if isinstance(server, _Accepting):
            far.pause_reading()
            server.queue.put_nowait(_AcceptedSocket(far))
        else:
            far._protocol.connection_made(far)
        near._protocol.connection_made(near)
        return near, near._protocol

    async def sock_accept(self, sock: socket.socket) -> tuple[Any, Address]:
        local = sock.getsockname()[:2]
        server = self.servers.setdefault(local, _Accepting(sock))
        assert isinstance(server, _Accepting)
        accepted = await server.queue.get()
        return accepted, accepted.getpeername()

    async def connect_accepted_socket(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], sock: Any, **options: Any
    ) -> tuple[_Stream, asyncio.Protocol]:
        stream, protocol = sock.stream, protocol_factory()
        stream.set_protocol(protocol)
        protocol.connection_made(stream)
        stream.resume_reading()
        return stream, protocol

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: Address | None = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[_Datagrams, asyncio.DatagramProtocol]:
        host, port = local_addr or (None, None)
        local = self._bind(host, port, sock, self.datagrams)
        protocol = protocol_factory()
        self.datagrams[local] = transport = _Datagrams(self, protocol, local, sock)
        protocol.connection_made(transport)
        return transport, protocol

    def _bind(self, host: str | None, port: int | None, sock: socket.socket | None, taken: Any) -> Address:
        if sock is not None:
            host, port = sock.getsockname()[:2]
        local = (host or "0.0.0.0", port or next(self._ports))
        if local in taken:
            raise OSError(98, "Address already in use")
        return local


def network() -> MemoryNetworkLoop:
    """The one that the test runs on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MemoryNetworkLoop)
    return loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` with a network of its own, on a virtual clock that begins at 0. Fails when tasks are left."""
    with (
        patch("anyio.to_thread.run_sync", _on_the_spot),
        asyncio.Runner(loop_factory=MemoryNetworkLoop) as runner,
    ):
        return runner.run(_tidy(main))


async def _on_the_spot(func: Callable[..., T], *arguments: Any, **_options: Any) -> T:
    """In place of a thread of anyio's, as Starlette uses them for files."""
    return func(*arguments)


async def _tidy(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(200):
        if not (left := asyncio.all_tasks() - {asyncio.current_task()}):
            return result
        await asyncio.sleep(0.01)  # they end by themselves
    raise AssertionError(f"tasks were left: {[task.get_coro() for task in left]}")
