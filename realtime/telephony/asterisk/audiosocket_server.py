"""Listens for Asterisk's AudioSocket: each TCP connection is a call.

    TCP ──bytes──► Parser ──► Sound, Keys          pull, every 20 ms ──► audio_message ──► TCP

Asterisk plays audio when it arrives: none is ahead, so nothing can be recalled. The protocol carries keys from Asterisk
only, and no transfers.

The protocol has no authentication, so only this machine may connect, and the peers that the settings name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Never, Self

import numpy as np

from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import DtmfReceived, PhoneCall
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk.audio import AsteriskCodec, SilenceFiller
from vivavoce.realtime.telephony.errors import BadAudioSocket, NotSupported
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.unreadable import UnreadableFrames
from vivavoce.realtime.telephony.webhooks.ringing import Accepted, Ringing
from vivavoce.realtime.transports import Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.pacing import Pace

log = logging.getLogger(__name__)

IDENTIFY: Final = 5.0
"""Seconds within which a connection must identify its call."""

ACK_TIMEOUT: Final = 10_000
"""Milliseconds without an acknowledgement after which a TCP connection counts as broken."""

DEFAULT_RATE: Final = 8_000
FIRST_AUDIO: Final = 0.5
"""Seconds without audio from the telephone after which we speak, at the default rate."""

MAX_PENDING: Final = 64 << 10
"""Bytes that may wait for a peer that does not read: two seconds of audio at 16 kHz."""

GOODBYE: Final = 1.0
"""Seconds that closing a connection may take."""

CHUNK: Final = 16 << 10


class AudioSocketServer:
    """Listens while it is entered; leaving it waits for its calls, which the gateway ends before."""

    def __init__(self, switchboard: Switchboard, ringing: Ringing, settings: PhoneConfig) -> None:
        host, _, port = settings.audiosocket.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._peers = [ipaddress.ip_network(peer) for peer in settings.asterisk_peers]
        self._switchboard = switchboard
        self._ringing = ringing
        self._calls = asyncio.TaskGroup()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        await self._calls.__aenter__()
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port)
        except OSError:
            await self._calls.__aexit__(None, None, None)
            raise
        log.info("listening for AudioSocket", extra={"host": self._host, "port": self.port})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._calls.__aexit__(kind, error, trace)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, and does not disturb the others."""
        peer = str(writer.get_extra_info("peername")[0])
        if not self._is_allowed(peer):
            log.warning("AudioSocket connection from an address that is not allowed", extra={"peer": peer})
            writer.transport.abort()
            return
        _set_options(writer.get_extra_info("socket"))
        parser = audiosocket.Parser()
        try:
            async with asyncio.timeout(IDENTIFY):
                uuid = await _identify(reader, parser)
        except (BadAudioSocket, TimeoutError, EOFError, OSError) as error:
            log.warning("not AudioSocket", extra={"peer": peer, "reason": str(error) or "nothing was received"})
            writer.transport.abort()
            return
        connection = AudioSocketConnection(reader, writer, parser)
        call = PhoneCall(new_call_id(), "audiosocket", headers=(("UUID", uuid),))
        CALL.set(call.id)
        decision = await self._ringing.decide_while_open(connection, call)
        if isinstance(decision, Accepted):
            await self._switchboard.take(call, connection, decision.config)
        else:
            await connection.close(Ending())

    def _is_allowed(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self._peers)


async def _identify(reader: asyncio.StreamReader, parser: audiosocket.Parser) -> str:
    """The call's id; drops what comes before it. Raises `BadAudioSocket`, and EOFError or OSError when the connection
    ends before."""
    while data := await reader.read(CHUNK):
        for event in parser.receive(data):
            if isinstance(event, audiosocket.Identified):
                return str(event.id)
            raise BadAudioSocket("expected the call's id first, got an error")
    raise EOFError("the connection ended before the call's id came")


def _set_options(connection: socket.socket) -> None:
    """Sends small messages at once, and notices a peer that vanished."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACK_TIMEOUT)


class AudioSocketConnection:
    """Implements `PhoneConnection` on a connection whose call is identified."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parser: audiosocket.Parser) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = parser
        self._codec: AsteriskCodec | None = None  # of the rate that is in use
        self._rate_known = asyncio.Event()
        self._unreadable = UnreadableFrames("audiosocket")

    async def connected(self) -> None:
        """Returns at the caller's first audio, whose rate is the one to speak at, or after `FIRST_AUDIO`."""
        try:
            async with asyncio.timeout(FIRST_AUDIO):
                await self._rate_known.wait()
        except TimeoutError:
            self._set_rate(DEFAULT_RATE)

    async def receive(self, intake: Intake) -> Never:
        """See `PhoneConnection`."""
        loop = asyncio.get_running_loop()
        filler = SilenceFiller(loop.time())
        while True:
            try:
                async with asyncio.timeout_at(filler.deadline):
                    data = await self._read()
            except TimeoutError:
                await intake.deliver(Sound(np.zeros(filler.missing(loop.time()), np.float32)))
                continue
            for received in self._parse(data):
                if isinstance(received, Sound):
                    filler.received(len(received.samples), loop.time())
                await intake.deliver(received)

    async def speak(self, pull: Pull) -> Never:
        """See `PhoneConnection`."""
        loop = asyncio.get_running_loop()
        await self.connected()
        pace = Pace()
        while True:
            _, due = pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            codec = self._codec or self._set_rate(DEFAULT_RATE)
            self._write(audiosocket.audio_message(codec.rate, codec.encode(pull())))

    def recall(self) -> None:
        """Nothing: no audio is ever ahead."""

    async def send_dtmf(self, keys: str) -> None:
        """Raises `NotSupported`."""
        raise NotSupported("keys cannot be pressed on this line")

    async def transfer(self, target: str) -> None:
        """Raises `NotSupported`."""
        raise NotSupported("calls cannot be transferred from this line")

    async def close(self, ending: Ending) -> None:
        """Ends Asterisk's application; the dialplan goes on."""
        try:
            self._write(audiosocket.HANG_UP)
            async with asyncio.timeout(GOODBYE):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()
        except (OSError, TimeoutError, PeerGone):
            self._writer.transport.abort()

    def _set_rate(self, rate: int) -> AsteriskCodec:
        """Takes the far end's rate, which may change during a call."""
        self._codec = AsteriskCodec(rate)
        self._rate_known.set()
        return self._codec

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(CHUNK)
        except OSError:
            data = b""
        if not data:
            raise PeerGone("the caller hung up")
        return data

    def _parse(self, data: bytes) -> Iterable[Sound | Keys]:
        """Raises `PeerGone`."""
        for event in self._parser.receive(data):
            if isinstance(event, audiosocket.Unreadable):
                self._unreadable.skip(event.kind)
                continue
            self._unreadable.read()
            match event:
                case audiosocket.AudioReceived(rate=rate, pcm=pcm):
                    codec = self._codec if self._codec and self._codec.rate == rate else self._set_rate(rate)
                    yield Sound(codec.decode(pcm))
                case DtmfReceived(key=key):
                    yield Keys(key)
                case audiosocket.HungUp():
                    raise PeerGone("the caller hung up")
                case audiosocket.ErrorReceived(reason=reason):
                    raise PeerGone(f"Asterisk gave up: {reason}")

    def _write(self, message: bytes) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            raise PeerGone("the caller hung up")
        if transport.get_write_buffer_size() > MAX_PENDING:
            raise PeerGone("Asterisk does not read its audio")
        self._writer.write(message)
