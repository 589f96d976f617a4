"""One answered SIP call as a phone connection: RTP both ways, DTMF, hold, transfer.

    RTP ──RtpReceiver──► AudioReceiver (jitter buffer) ──Sound──► Arrivals ──► the call
              └─DtmfReceived─────────────────────────────Keys───► Arrivals
    speak(pull): every 20 ms ──► a telephone-event, or pull() ──encoder──► RtpSender ──► RTP

While the far end holds the call, nothing is pulled and nothing is delivered: music on hold is not a caller. Audio is
pulled when it is sent, so none is ever ahead, but for the delay of network and phone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Never, Protocol

from vivavoce.codecs import g711, g722, opus
from vivavoce.codecs.audio import Samples
from vivavoce.codecs.packets import Decoder
from vivavoce.realtime.config.sip import CodecName
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import ActionFailed
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.sdp import NegotiatedMedia
from vivavoce.realtime.telephony.sip.sockets import Address, RtpSockets
from vivavoce.realtime.transports import Ending, Intake, Keys, Pull, Sound
from vivavoce.realtime.transports.pacing import PERIOD, Pace
from vivavoce.realtime.transports.queues import Arrivals, until_gone
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver

log = logging.getLogger(__name__)

SILENT: Final = 60.0
"""Seconds without RTP or RTCP, unless on hold, after which the far end counts as lost. (Phones that send nothing in
pauses still send reports.)"""

REPORT: Final = 250
"""Frames (5 s) between two RTCP reports."""

TRANSFER: Final = 20.0
"""Seconds in which a transfer has to succeed or fail."""

DTMF_PATIENCE: Final = 2.0
"""Seconds beyond their length that keys may take to be sent."""

INFO_INTERVAL: Final = 0.25
"""Seconds between two keys that are sent by SIP INFO."""


class Signalling(Protocol):
    """The SIP side of the call; see `SipCall`."""

    def hang_up(self) -> None:
        """Ends the call, if it has not ended."""

    async def refer(self, target: str) -> int:
        """Asks the far end to call `target`; returns the final status of that call."""

    def send_info(self, key: str) -> None:
        """Sends a key by SIP INFO."""


class SipConnection:
    """Implements `PhoneConnection`. Owns `sockets`."""

    def __init__(self, sockets: RtpSockets, signalling: Signalling, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds, for reports."""
        self._sockets = sockets
        self._signalling = signalling
        self._clock = clock
        self._arrivals = Arrivals()
        self._opened = asyncio.Event()  # media are negotiated, or the call has ended
        self._media: _Media | None = None
        self._sender = rtp.RtpSender(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32))
        self._cname = secrets.token_hex(6).encode()
        self._pace = Pace()
        self._marker = True  # the next packet begins a talkspurt
        self._received_at = 0.0
        self.reported_loss = 0
        """Packets of ours that the far end reports as lost."""

    @property
    def port(self) -> int:
        """Our RTP port."""
        return self._sockets.port

    # --- called by the SIP side --------------------------------------------------------------------------------------

    def set_media(self, negotiated: NegotiatedMedia) -> None:
        """Takes what was negotiated, at first or anew."""
        media = self._media
        if media is not None and media.negotiated.can_send != negotiated.can_send:
            log.info("call resumed" if negotiated.can_send else "call on hold")
        if media is None or not media.update(negotiated):
            if media is not None:
                media.audio.close()
            self._media = _open_media(negotiated, lambda samples: self._arrivals.put(Sound(samples)))
        self._marker = True
        self._received_at = asyncio.get_running_loop().time()
        self._opened.set()

    def receive_datagram(self, data: bytes, source: Address) -> None:
        """Takes a datagram of one of the RTP sockets."""
        media = self._media
        if media is None:
            return
        if rtp.is_rtcp_packet(data):
            self._receive_report(media, data, source)
            return
        now = asyncio.get_running_loop().time()
        received = media.receiver.receive(data, source, now)
        if received is not None:
            self._received_at = now
        if isinstance(received, DtmfReceived):
            self.receive_dtmf(received)
        elif received is not None and media.negotiated.can_receive:
            media.audio.receive(received)

    def receive_dtmf(self, dtmf: DtmfReceived) -> None:
        """Takes a key of the far end."""
        self._arrivals.put(Keys(dtmf.key))

    def end(self, reason: str) -> None:
        """The call is over."""
        self._arrivals.end(reason)
        self._opened.set()

    # --- called by the switchboard -----------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Returns when media are negotiated. Raises `PeerGone`."""
        await self._opened_media()

    async def receive(self, intake: Intake) -> None:
        """Hands audio and keys to `intake` until the far end hangs up, or is lost: then raises `PeerGone`."""
        await until_gone(self._arrivals.feed(intake), self._watch())

    async def speak(self, pull: Pull) -> Never:
        """Sends a frame every 20 ms; pulls it, but for frames of hold or DTMF."""
        await self._opened_media()
        loop = asyncio.get_running_loop()
        while True:
            number, due = self._pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            media = await self._opened_media()
            if media.negotiated.can_send:
                self._send(media, number, pull)
            else:
                self._marker = True
            if number % REPORT == REPORT - 1:
                self._send_report(media)

    def recall(self) -> None:
        """Nothing: no audio is ever ahead."""

    async def send_dtmf(self, keys: str) -> None:
        """Sends keys as telephone-events, else by SIP INFO. Raises `ActionFailed`."""
        media = await self._opened_media()
        if media.negotiated.event_type is None:
            for key in keys:
                self._signalling.send_info(key)
                await asyncio.sleep(INFO_INTERVAL)
            return
        try:
            media.events.add(keys)
        except ValueError as error:
            raise ActionFailed(str(error)) from error
        try:
            async with asyncio.timeout(DTMF_PATIENCE + 0.3 * len(keys)):
                while not media.events.idle:  # noqa: ASYNC110 - `_send` takes one frame after the other, and reports none
                    await asyncio.sleep(PERIOD)
        except TimeoutError:
            raise ActionFailed("the keys could not be sent: the call is on hold") from None

    async def transfer(self, target: str) -> None:
        """Asks the far end to call `target` instead of us. Raises `ActionFailed`."""
        try:
            async with asyncio.timeout(TRANSFER):
                status = await self._signalling.refer(target)
        except TimeoutError:
            raise ActionFailed(f"the transfer was not confirmed within {TRANSFER:g} s") from None
        if status >= 300:
            raise ActionFailed(f"the far end could not transfer the call (SIP {status})")

    async def close(self, ending: Ending) -> None:
        """Hangs up, and frees the sockets."""
        self._arrivals.end(str(ending))
        self._signalling.hang_up()
        if self._media is not None:
            self._media.audio.close()
            log.info("RTP statistics", extra=self._statistics(self._media))
        self._sockets.close()

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _opened_media(self) -> _Media:
        """The media, once they are negotiated. Raises `PeerGone` when the call has ended."""
        await self._opened.wait()
        if self._media is None:
            self._arrivals.check()
        assert self._media is not None
        return self._media

    async def _watch(self) -> None:
        media = await self._opened_media()
        loop = asyncio.get_running_loop()
        while not media.negotiated.can_send or loop.time() - self._received_at < SILENT:
            await asyncio.sleep(1)
            media = await self._opened_media()
        self._arrivals.end(f"nothing came from the far end for {SILENT:g} s")

    def _send(self, media: _Media, number: int, pull: Pull) -> None:
        negotiated, step = media.negotiated, media.negotiated.clock_hz // 50
        event = media.events.next()
        if event is not None and negotiated.event_type is not None:
            data = self._sender.packet(negotiated.event_type, event.payload, (number - event.since) * step, event.first)
            self._marker = True
        else:
            payload = media.encoder.encode(pull())
            data = self._sender.packet(negotiated.payload_type, payload, number * step, self._marker)
            self._marker = False
        self._sockets.send(data, media.receiver.latch.address)

    def _send_report(self, media: _Media) -> None:
        negotiated, (host, port) = media.negotiated, media.receiver.latch.address
        as_negotiated = (host, port) == (negotiated.host, negotiated.port)
        to = (host, negotiated.rtcp_port if as_negotiated else port if negotiated.rtcp_mux else port + 1)
        if to[1] < 65536:
            report = self._sender.report(media.receiver.reception, self._clock(), self._cname)
            self._sockets.send_rtcp(report, to, negotiated.rtcp_mux)

    def _receive_report(self, media: _Media, data: bytes, source: Address) -> None:
        if source[0] != media.receiver.latch.address[0]:
            return
        loss = rtp.reported_loss(data, self._sender.ssrc)
        if loss is not None:
            self.reported_loss = loss
            self._received_at = asyncio.get_running_loop().time()

    def _statistics(self, media: _Media) -> dict[str, object]:
        reception = media.receiver.reception
        return {
            "codec": media.negotiated.codec,
            "sent": self._sender.packets,
            "reported_loss": self.reported_loss,
            "received": reception.received if reception else 0,
            "lost": reception.lost if reception else 0,
            "concealed_ms": media.audio.lost // 24,
        }


class _Encoder(Protocol):
    """One codec at the sending end."""

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame."""


@dataclass(slots=True)
class _Media:
    """The codec in both directions, for what was negotiated."""

    negotiated: NegotiatedMedia
    receiver: rtp.RtpReceiver
    audio: AudioReceiver
    encoder: _Encoder
    events: rtp.TelephoneEvents

    def update(self, negotiated: NegotiatedMedia) -> bool:
        """Takes a new agreement; False when its codec or payload types differ."""
        if _formats(self.negotiated) != _formats(negotiated):
            return False
        if (self.negotiated.host, self.negotiated.port) != (negotiated.host, negotiated.port):
            self.receiver.latch = rtp.Latch((negotiated.host, negotiated.port))
        self.negotiated = negotiated
        return True


def _open_media(negotiated: NegotiatedMedia, deliver: Callable[[Samples], None]) -> _Media:
    """Opens the codec; `deliver` gets the far end's audio. Call on the event loop."""
    audio = AudioReceiver(_decoder(negotiated.codec), deliver)
    receiver, events = rtp.RtpReceiver(negotiated), rtp.TelephoneEvents(negotiated.event_clock_hz)
    return _Media(negotiated, receiver, audio, _encoder(negotiated.codec), events)


def _formats(negotiated: NegotiatedMedia) -> tuple[object, ...]:
    """The part of an agreement that a `_Media` is made for; the rest may change."""
    return negotiated.codec, negotiated.payload_type, negotiated.event_type, negotiated.event_clock_hz


def _decoder(codec: CodecName) -> Decoder:
    match codec:
        case "opus":
            return opus.Decoder()
        case "g722":
            return g722.Decoder()
        case "pcma" | "pcmu":
            return g711.Decoder(codec)


def _encoder(codec: CodecName) -> _Encoder:
    match codec:
        case "opus":
            return opus.Encoder()
        case "g722":
            return g722.Encoder()
        case "pcma" | "pcmu":
            return g711.Encoder(codec)
