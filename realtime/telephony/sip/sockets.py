"""The sockets below SIP: one port for UDP and TCP, and two UDP ports for the RTP of each call. Decides nothing.

SipSockets   datagrams and TCP messages ──► received(data, Remote)      send(data, Remote)
RtpSockets   RTP and RTCP of one call   ──► received(data, address)     send(data, address), send_rtcp(data, address)
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import re
import socket
from collections.abc import Callable
from typing import Final, Self

from vivavoce.realtime.telephony.sip.messages import MAX_MESSAGE, Remote

log = logging.getLogger(__name__)

Address = tuple[str, int]

MAX_CONNECTIONS: Final = 256
"""TCP connections at the same time, theirs and ours; further ones are closed at once."""

CONNECT: Final = 5.0
"""Seconds that connecting by TCP may take."""

FIRST: Final = 8.0
"""Seconds within which a TCP connection must have sent its first message."""

WHOLE: Final = 8.0
"""Seconds within which a message that has begun must be complete."""

IDLE: Final = 900.0
"""Seconds without a message or a keep-alive after which a TCP connection is closed."""

MAX_UNSENT: Final = 1 << 20
"""Bytes that may wait for a slow TCP peer."""

MAX_UNCONNECTED: Final = 16
"""Messages that may wait for one TCP connection to open."""

ATTEMPTS: Final = 50
"""Pairs of ports tried for one call."""


class SipSockets:
    """The SIP port of one endpoint (RFC 3261 section 18)."""

    def __init__(self, received: Callable[[bytes, Remote], None], is_allowed: Callable[[Remote], bool]) -> None:
        """`is_allowed`: whether requests from an address are served; TCP connections of others are closed at once."""
        self._received = received
        self._is_allowed = is_allowed
        self._udp: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._writers: dict[Remote, asyncio.StreamWriter] = {}
        self._connecting: dict[Remote, list[bytes]] = {}  # what is sent once they are open
        self._tasks: asyncio.TaskGroup
        self.port = 0

    async def open(self, host: str, port: int, tasks: asyncio.TaskGroup) -> None:
        """Listens at `host`; the connections live in `tasks`. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._receive_datagram), (host, port))
        self.port = self._udp.get_extra_info("sockname")[1]
        try:
            self._server = await asyncio.start_server(self._serve, host, self.port, limit=MAX_MESSAGE)
        except OSError:
            self._udp.close()
            raise

    async def close(self) -> None:
        """Closes everything."""
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers.values()):
            writer.transport.abort()

    def send(self, data: bytes, to: Remote) -> None:
        """Sends one message; connects by TCP first if needed."""
        if to.protocol == "UDP":
            if self._udp is not None and not self._udp.is_closing():
                self._udp.sendto(data, (to.host, to.port))
        elif (writer := self._writers.get(to)) is not None:
            self._write(writer, data)
        elif (waiting := self._connecting.get(to)) is not None:
            if len(waiting) < MAX_UNCONNECTED:
                waiting.append(data)
        elif len(self._writers) + len(self._connecting) < MAX_CONNECTIONS:
            self._connecting[to] = [data]
            self._tasks.create_task(self._connect(to))

    def _receive_datagram(self, data: bytes, source: Address) -> None:
        self._received(data, Remote(source[0], source[1]))

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer.transport.get_write_buffer_size() > MAX_UNSENT:
            writer.transport.abort()
        elif not writer.is_closing():
            writer.write(data)

    async def _connect(self, to: Remote) -> None:
        try:
            async with asyncio.timeout(CONNECT):
                reader, writer = await asyncio.open_connection(to.host, to.port, limit=MAX_MESSAGE)
        except (OSError, TimeoutError) as error:
            log.warning("SIP connection failed", extra={"reason": type(error).__name__})
            return  # the transaction will time out
        finally:
            waiting = self._connecting.pop(to, [])
        for data in waiting:
            self._write(writer, data)
        await self._read(reader, writer, to, IDLE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")
        remote = Remote(source[0], source[1], "TCP") if source is not None else None
        if remote is not None and self._is_allowed(remote):
            if len(self._writers) + len(self._connecting) < MAX_CONNECTIONS:
                await self._read(reader, writer, remote, FIRST)
            else:
                log.warning("too many SIP connections", extra={"limit": MAX_CONNECTIONS})
        writer.close()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Remote, first: float
    ) -> None:
        """Reads messages until the connection ends. `first`: seconds within which the first must have come."""
        self._writers[source] = writer
        try:
            async with asyncio.timeout(first):
                data = await read_message(reader, first)
            while True:
                self._received(data, source)
                data = await read_message(reader, IDLE)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError):
            pass  # it was closed, or is not SIP
        finally:
            if self._writers.get(source) is writer:
                del self._writers[source]
            writer.close()


async def read_message(reader: asyncio.StreamReader, patience: float) -> bytes:
    """The next message of a stream (RFC 3261 section 18.3), which begins within `patience` seconds, each keep-alive
    counted, and is complete `WHOLE` seconds later. Raises `TimeoutError`, EOFError, ValueError, `LimitOverrunError`."""
    while True:
        async with asyncio.timeout(patience):
            begun = await reader.readexactly(1)
        async with asyncio.timeout(WHOLE):
            head = begun + await reader.readuntil(b"\n")
            if head != b"\r\n":  # else a keep-alive (RFC 5626)
                return await _read_rest(reader, head)


async def _read_rest(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """A message whose first line was read."""
    head += await reader.readuntil(b"\r\n\r\n")
    found = _CONTENT_LENGTH.search(head)
    length = int(found[1]) if found else 0
    if len(head) + length > MAX_MESSAGE:
        raise ValueError(f"a message of {len(head) + length} bytes; at most {MAX_MESSAGE}")
    return head + await reader.readexactly(length)


_CONTENT_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:(?:\r\n[ \t]|[ \t])*(\d{1,8})(?:\r\n[ \t]|[ \t])*\r\n", re.IGNORECASE
)
"""The header, which may be folded."""


class RtpSockets:
    """The ports of one call: an even one for RTP, the next for RTCP."""

    def __init__(self, rtp: asyncio.DatagramTransport, rtcp: asyncio.DatagramTransport) -> None:
        self._rtp = rtp
        self._rtcp = rtcp
        self.port: int = rtp.get_extra_info("sockname")[1]

    @classmethod
    async def open(cls, host: str, ports: tuple[int, int] | None, received: Callable[[bytes, Address], None]) -> Self:
        """Opens a pair of ports at `host`, within `ports` if given. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        rtp, rtcp = _bind_pair(host, ports)
        try:
            first, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(received), sock=rtp)
            second, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(received), sock=rtcp)
        except BaseException:
            rtp.close()
            rtcp.close()
            raise
        return cls(first, second)

    def send(self, data: bytes, to: Address) -> None:
        """Sends an RTP packet."""
        if not self._rtp.is_closing():
            self._rtp.sendto(data, to)

    def send_rtcp(self, data: bytes, to: Address, rtcp_mux: bool) -> None:
        """Sends an RTCP packet."""
        if not self._rtcp.is_closing():
            (self._rtp if rtcp_mux else self._rtcp).sendto(data, to)

    def close(self) -> None:
        """Frees the ports."""
        self._rtp.close()
        self._rtcp.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, (addr[0], addr[1]))  # IPv6 has more fields


def _bind_pair(host: str, ports: tuple[int, int] | None) -> tuple[socket.socket, socket.socket]:
    """Two sockets on neighbouring ports, the first of them even. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(ATTEMPTS):
        first, second = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        try:
            first.bind((host, random.randrange(ports[0] + ports[0] % 2, ports[1], 2) if ports else 0))
            port: int = first.getsockname()[1]
            if port % 2 == 0:
                second.bind((host, port + 1))
                first.setblocking(False)
                second.setblocking(False)
                return first, second
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                first.close()
                second.close()
                raise
        first.close()
        second.close()
    raise OSError(errno.EADDRINUSE, "no pair of ports is free for RTP")
