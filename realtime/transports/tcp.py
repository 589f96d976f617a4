"""Accept TCP connections from anyone: bounded in number and in time, so that none keeps the others out.

    listening socket ──Listener──► Connections.admit ──► a place ──► its protocol
                                         │
                     a place *waits*  while its peer owes something: the head of a request, a body, a first message
                              *serves* while we owe something: a response, a call

A place that waits has a deadline. It also gives way: where too many wait for one address, or the process has no room
left, the place that has waited longest is closed for the newcomer. A place that serves is never taken away; those are
bounded by what they serve (calls, sidebands). Nobody has shown a key by then.

Out of descriptors, the listener frees a place, pauses and tries again. (asyncio's own server retries its whole backlog
at once, with a traceback for each try.)
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, Never

log = logging.getLogger(__name__)

WAITING: Final = 64
"""Places that may wait for one address; a browser opens six connections to one host."""

PAUSE: Final = 0.2
"""Seconds until the next try when there are no descriptors left."""

QUIET: Final = 60.0
"""Seconds between two log lines about missing descriptors."""

EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Place:
    """One open connection among the `Connections`. Starts without a deadline; to be told how the connection goes on."""

    def __init__(self, connections: Connections, group: str) -> None:
        self.group = group
        self.close: Callable[[], object] = lambda: None
        """Closes the connection at once; called when the place gives way."""
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, seconds: float, late: Callable[[], object] | None = None) -> None:
        """The peer owes something, within `seconds`; then `late` is called, or the connection closed."""
        self._stop()
        if self._connections.waits(self):
            self._timer = asyncio.get_running_loop().call_later(seconds, late or (lambda: self.close()))

    def serve(self) -> None:
        """The peer owes nothing."""
        self._stop()
        self._connections.serves(self)

    def leave(self) -> None:
        """The connection is closed. To be called once; later calls do nothing."""
        self._stop()
        self._connections.left(self)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """All open connections of one process, or of one port."""

    def __init__(
        self, limit: int, waiting: int = WAITING, shared: Callable[[str], bool] = lambda address: False
    ) -> None:
        """`limit`: open at the same time. `waiting`: of these, without having said what they want, for one address;
        `shared` tells addresses of proxies, which stand for many peers and have no bound of their own."""
        self._limit = limit
        self._max_waiting = waiting
        self._shared = shared
        self._places: set[Place] = set()
        self._waiting: dict[str, dict[Place, None]] = {}  # by group; those that have waited longest come first

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._places)

    def admit(self, address: str) -> Place | None:
        """A place for a new connection, which may cost another one its place; None when all are served."""
        group = "" if self._shared(address) else network(address)
        if group and len(self._waiting.get(group, ())) >= self._max_waiting:
            self._close(next(iter(self._waiting[group])))
        if len(self._places) >= self._limit and not self.give_way():
            return None
        place = Place(self, group)
        self._places.add(place)
        return place

    def give_way(self) -> bool:
        """Closes the connection that has waited longest, of the address for which most wait; False when none waits."""
        group = max(self._waiting, key=lambda one: len(self._waiting[one]), default=None)
        if group is None:
            return False
        self._close(next(iter(self._waiting[group])))
        return True

    # --- called by places --------------------------------------------------------------------------------------------

    def waits(self, place: Place) -> bool:
        """A place that waits goes to the end of its group's queue; False for one that was left."""
        if place not in self._places:
            return False
        self.serves(place)
        self._waiting.setdefault(place.group, {})[place] = None
        return True

    def serves(self, place: Place) -> None:
        """A place waits no longer."""
        queue = self._waiting.get(place.group, {})
        queue.pop(place, None)
        if not queue:
            self._waiting.pop(place.group, None)

    def left(self, place: Place) -> None:
        """A place is free."""
        self.serves(place)
        self._places.discard(place)

    def _close(self, place: Place) -> None:
        place.leave()
        place.close()


class Listener:
    """Accepts connections on one listening socket, one in each round of the event loop."""

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        serve: Callable[[socket.socket, Place], Coroutine[Any, Any, None]],
    ) -> None:
        """`serve` hands a connected socket to its protocol, which sets how its place is closed. It may raise `OSError`.
        The caller makes and closes `listening`."""
        self._listening = listening
        self._connections = connections
        self._serve = serve
        self._told = float("-inf")

    async def run(self) -> Never:
        """Accepts, until cancelled. Raises `OSError` when the socket cannot be listened on."""
        self._listening.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            while True:
                connection, address = await self._accept()
                place = self._connections.admit(str(address[0]))
                if place is None:
                    connection.close()
                else:
                    place.close = tasks.create_task(self._begin(connection, place)).cancel
                await asyncio.sleep(0)  # a flood of connections leaves time for those that are open

    async def _begin(self, connection: socket.socket, place: Place) -> None:
        try:
            no_delay(connection)
            await self._serve(connection, place)
        except OSError:  # the peer has left already, or speaks no TLS
            connection.close()
            place.leave()
        except BaseException:  # among them: the place gave way during a TLS handshake
            place.leave()
            raise

    async def _accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.sock_accept(self._listening)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._exhausted(error, loop.time())
                    await asyncio.sleep(PAUSE)
                elif not isinstance(error, ConnectionError):  # a peer that has gone already is no reason to stop
                    raise

    def _exhausted(self, error: OSError, now: float) -> None:
        self._connections.give_way()
        if now - self._told >= QUIET:
            self._told = now
            log.error("no connection can be accepted", extra={"reason": error.strerror, "open": len(self._connections)})


def streams(
    take: Callable[[asyncio.StreamReader, asyncio.StreamWriter, Place], None], limit: int = 1 << 16
) -> Callable[[socket.socket, Place], Coroutine[Any, Any, None]]:
    """For a `Listener` whose connections are read as streams: `take` gets them, with `limit` bytes of a line at most,
    and has their places left when they are closed."""

    async def begin(connection: socket.socket, place: Place) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        place.close = transport.abort
        take(reader, asyncio.StreamWriter(transport, protocol, reader, loop), place)

    return begin


def listen(host: str, port: int, backlog: int = 128) -> socket.socket:
    """A listening socket. Raises `OSError`.

    Its protocol is named, for only then do asyncio's connections send small messages at once (TCP_NODELAY)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def no_delay(connection: socket.socket) -> None:
    """Small messages leave at once: without Nagle's algorithm, which holds back a second one until the first is
    acknowledged, for up to 40 ms."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def network(address: str) -> str:
    """What counts as one peer: an IPv4 address, or the /64 network of an IPv6 address (one household, one machine)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), 64), strict=False))
