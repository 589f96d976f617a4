"""One answered SIP call as a phone line: RTP in and out, keys, hold, transfer.

    RTP ──rtp.Incoming──► Hearing (microphone.py) ──Sound──► Arrivals ──► the call's inbox
              └─Key────────────────────────────────Keys────► Arrivals
    speak(pull): every 20 ms ──► a key that is pressed, or pull() ──encoder──► rtp.Outgoing ──► RTP

While the far end has put us on hold, nothing is pulled and nothing is heard: music is no caller. Sound is pulled when
it is sent, so what was pulled is what was heard, but for the network's and the phone's own delay.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Never, Protocol

from vivavoce.realtime.telephony import CannotDo
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.media import RtpMedia, open_channel
from vivavoce.realtime.telephony.sip.sdp import Media
from vivavoce.realtime.telephony.sip.sockets import Address
from vivavoce.realtime.telephony.sip.sockets import Sound as SoundPorts
from vivavoce.realtime.transports import Ending, Intake, Keys, Pull, Sound
from vivavoce.realtime.transports.pacing import PERIOD, Pace
from vivavoce.realtime.transports.queues import Arrivals, until_gone

log = logging.getLogger(__name__)

SILENT: Final = 60.0
"""Seconds without RTP or RTCP, while nobody is on hold, after which the far end is given up. (Phones that send nothing
in pauses still send reports.)"""

REPORT: Final = 250
"""Frames (5 s) between two reports."""

TRANSFER: Final = 20.0
"""Seconds in which a transfer has to succeed or fail."""

KEY_PATIENCE: Final = 2.0
"""Seconds beyond their length that keys may take to be sent."""


class Control(Protocol):
    """The signalling side of the call."""

    def hang_up(self) -> None:
        """Ends the call, if it has not ended."""

    async def refer(self, target: str) -> int:
        """Asks the far end to call `target`; returns the final status of that."""

    def inform(self, key: str) -> None:
        """Sends a key without sound."""


class SipLine:
    """Implements `PhoneLine`. `ports` are the call's own, from now on."""

    def __init__(self, ports: SoundPorts, control: Control, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds, for reports."""
        self._ports = ports
        self._control = control
        self._clock = clock
        self._arrivals = Arrivals()
        self._opened = asyncio.Event()  # or it never will be
        self._channel: RtpMedia | None = None
        self._outgoing = rtp.Outgoing(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32))
        self._name = secrets.token_hex(6).encode()
        self._pace = Pace()
        self._marker = True  # the next packet begins a stretch of sound
        self.missed = 0
        """Packets of ours that the far end says it has missed."""

    @property
    def port(self) -> int:
        """Of our end of the sound."""
        return self._ports.port

    # --- the endpoint's side -----------------------------------------------------------------------------------------

    def agree(self, media: Media) -> None:
        """What the two ends have agreed upon, at first or anew."""
        channel = self._channel
        if channel is not None and channel.media.sends != media.sends:
            log.info("call taken up again" if media.sends else "call held")
        if channel is None or not channel.change(media):
            if channel is not None:
                channel.hearing.close()
            self._channel = open_channel(media, lambda samples: self._arrivals.put(Sound(samples)))
        self._marker = True
        self._heard_at = asyncio.get_running_loop().time()
        self._opened.set()

    def packet(self, data: bytes, source: Address) -> None:
        """A datagram came at one of the ports."""
        channel = self._channel
        if channel is None:
            return
        if rtp.is_report(data):
            self._take_report(channel, data, source)
            return
        now = asyncio.get_running_loop().time()
        came = channel.incoming.receive(data, source, now)
        if came is not None:
            self._heard_at = now
        if isinstance(came, rtp.Key):
            self.pressed(came.key)
        elif came is not None and channel.media.hears:
            channel.hearing.receive(came)

    def pressed(self, key: str) -> None:
        """The far end pressed a key."""
        self._arrivals.put(Keys(key))

    def ended(self, why: str) -> None:
        """The call is over."""
        self._arrivals.end(why)
        self._opened.set()

    # --- the switchboard's side --------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Returns when both ends have said where they want their sound. Raises `PeerGone`."""
        await self._open()

    async def receive(self, intake: Intake) -> None:
        """Puts sound and keys until the far end hangs up, or is gone: then raises `PeerGone`."""
        await until_gone(self._arrivals.feed(intake), self._watch())

    async def speak(self, pull: Pull) -> Never:
        """Pulls a frame whenever one is sent: every 20 ms, but for when we are on hold or press keys."""
        await self._open()
        loop = asyncio.get_running_loop()
        while True:
            number, due = self._pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            channel = await self._open()
            if channel.media.sends:
                self._send(channel, number, pull)
            else:
                self._marker = True
            if number % REPORT == REPORT - 1:
                self._report(channel)

    def recall(self) -> None:
        """Nothing is ever ahead."""

    async def press(self, keys: str) -> None:
        """Presses keys at the far end: as events among the sound, else by SIP INFO. Raises `CannotDo`."""
        channel = await self._open()
        if channel.media.keys is None:
            for key in keys:
                self._control.inform(key)
                await asyncio.sleep(0.25)
            return
        try:
            channel.keys.press(keys)
        except ValueError as error:
            raise CannotDo(str(error)) from error
        try:
            async with asyncio.timeout(KEY_PATIENCE + 0.3 * len(keys)):
                while not channel.keys.idle:  # noqa: ASYNC110 - the frames that it takes are counted, not announced
                    await asyncio.sleep(PERIOD)
        except TimeoutError:
            raise CannotDo("the keys could not be sent: the call is on hold") from None

    async def transfer(self, target: str) -> None:
        """Asks the far end to call `target` instead of us. Raises `CannotDo`."""
        try:
            async with asyncio.timeout(TRANSFER):
                status = await self._control.refer(target)
        except TimeoutError:
            raise CannotDo(f"the transfer was not confirmed within {TRANSFER:g} s") from None
        if status >= 300:
            raise CannotDo(f"the far end could not transfer the call (SIP {status})")

    async def close(self, ending: Ending) -> None:
        """Hangs up, and frees the ports."""
        self._arrivals.end(str(ending))
        self._control.hang_up()
        if self._channel is not None:
            self._channel.hearing.close()
            log.info("sound of a call", extra=self._account(self._channel))
        self._ports.close()

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _open(self) -> RtpMedia:
        """The channel, once there is one. Raises `PeerGone` when the call has ended."""
        await self._opened.wait()
        if self._channel is None:
            self._arrivals.check()
        assert self._channel is not None
        return self._channel

    async def _watch(self) -> None:
        channel = await self._open()
        loop = asyncio.get_running_loop()
        while not channel.media.sends or loop.time() - self._heard_at < SILENT:
            await asyncio.sleep(1)
            channel = await self._open()
        self._arrivals.end(f"nothing came from the far end for {SILENT:g} s", lost=True)

    def _send(self, channel: RtpMedia, number: int, pull: Pull) -> None:
        media, step = channel.media, channel.media.clock_hz // 50
        event = channel.keys.next()
        if event is not None and media.keys is not None:
            data = self._outgoing.packet(media.keys, event.payload, (number - event.since) * step, event.first)
            self._marker = True
        else:
            payload = channel.encoder.encode(pull())
            data = self._outgoing.packet(media.payload_type, payload, number * step, self._marker)
            self._marker = False
        self._ports.send(data, channel.incoming.latch.address)

    def _report(self, channel: RtpMedia) -> None:
        media, (host, port) = channel.media, channel.incoming.latch.address
        told = (host, port) == (media.host, media.port)
        to = (host, media.reports if told else port if media.muxed else port + 1)
        if to[1] < 65536:
            report = self._outgoing.report(channel.incoming.reception, self._clock(), self._name)
            self._ports.report(report, to, media.muxed)

    def _take_report(self, channel: RtpMedia, data: bytes, source: Address) -> None:
        if source[0] != channel.incoming.latch.address[0]:
            return
        missed = rtp.lost_there(data, self._outgoing.ssrc)
        if missed is not None:
            self.missed = missed
            self._heard_at = asyncio.get_running_loop().time()

    def _account(self, channel: RtpMedia) -> dict[str, object]:
        reception = channel.incoming.reception
        return {
            "codec": channel.media.codec,
            "sent": self._outgoing.packets,
            "missed_there": self.missed,
            "received": reception.received if reception else 0,
            "lost": reception.lost if reception else 0,
            "concealed_ms": channel.hearing.lost // 24,
        }
