"""Listens for Asterisk's AudioSocket: each connection is a call.

Nobody proves anything on this wire, so only this machine may connect, and the peers that the settings name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from types import TracebackType
from typing import Final, Self

from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk.audiosocket_line import AudioSocketLine
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Accepted, Ringing
from vivavoce.realtime.transports import Ending

log = logging.getLogger(__name__)

INTRODUCTION: Final = 5.0
"""Seconds in which a connection must say which call it is."""

DEAD: Final = 10_000
"""Milliseconds without an acknowledgement after which a connection counts as broken."""


class AudioSocketServer:
    """Listens while it is entered; leaving it waits for its calls, which somebody else has told to end."""

    def __init__(self, switchboard: Switchboard, ringing: Ringing, settings: PhoneConfig) -> None:
        host, _, port = settings.audiosocket.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._peers = [ipaddress.ip_network(peer) for peer in settings.asterisk_peers]
        self._switchboard = switchboard
        self._ringing = ringing
        self._calls = asyncio.TaskGroup()
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        await self._calls.__aenter__()
        try:
            self._listening = await asyncio.start_server(self._connected, self._host, self._port)
        except OSError:
            await self._calls.__aexit__(None, None, None)
            raise
        log.info("listening for AudioSocket", extra={"host": self._host, "port": self.port})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listening is not None
        self._listening.close()
        await self._calls.__aexit__(kind, error, trace)

    @property
    def port(self) -> int:
        """The one that is listened on."""
        assert self._listening is not None
        return int(self._listening.sockets[0].getsockname()[1])

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. Nothing it does ends the others."""
        peer = str(writer.get_extra_info("peername")[0])
        if not self._known(peer):
            log.warning("AudioSocket from a stranger", extra={"peer": peer})
            writer.transport.abort()
            return
        _watch(writer.get_extra_info("socket"))
        wire = audiosocket.Reader()
        try:
            async with asyncio.timeout(INTRODUCTION):
                name = await _named(reader, wire)
        except (audiosocket.WireBroken, TimeoutError, EOFError, OSError) as error:
            log.warning("no AudioSocket", extra={"peer": peer, "reason": str(error) or "it said nothing"})
            writer.transport.abort()
            return
        line = AudioSocketLine(reader, writer, wire)
        call = PhoneCall(new_call_id(), "audiosocket", headers=(("UUID", name),))
        CALL.set(call.id)
        decision = await self._ringing.decide_on(line, call)
        if isinstance(decision, Accepted):
            await self._switchboard.take(call, line, decision.config)
        else:
            await line.close(Ending())

    def _known(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self._peers)


async def _named(reader: asyncio.StreamReader, wire: audiosocket.Reader) -> str:
    """The call's id. Raises `WireBroken`, and EOFError or OSError when the connection ends before."""
    for event in wire.receive(await reader.readexactly(audiosocket.NAME_LENGTH)):
        if isinstance(event, audiosocket.Named):
            return str(event.name)
    raise audiosocket.WireBroken("expected the call's id first, got an error")


def _watch(connection: socket.socket) -> None:
    """A peer that vanished without a word is noticed, and small messages leave at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD)
