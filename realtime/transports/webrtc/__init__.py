"""A transport over WebRTC, for browsers and other clients that post an SDP offer.

    answer(offer) ──► WebRtcTransport, SDP answer

    audio track ──► tracks.AudioReceiver ──┐
    video track ──► tracks.Camera ─────────┼──► Arrivals ──► the call's inbox
    oai-events ────────────────────────────┘
    oai-events ◄── send(event)            audio track ◄── tracks.AudioSender ◄── speak(pull)

ICE is not trickled by us: the answer holds all our candidates, and none of the offer's are needed. There is no
renegotiation; a client whose network changed comes with a new offer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Literal, cast

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.mediastreams import MediaStreamTrack

from vivavoce.codecs import g711, opus
from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import Picture
from vivavoce.realtime.transports import CloseReason, Ending, Intake, Message, PeerGone, Pull, Seen, Sound
from vivavoce.realtime.transports.pacing import pull_in_real_time
from vivavoce.realtime.transports.queues import Arrivals, until_gone
from vivavoce.realtime.transports.webrtc import aiortc_patches as patches
from vivavoce.realtime.transports.webrtc.delivery import Confirmed, Delivery, Report
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet
from vivavoce.realtime.transports.webrtc.sdp import IceServer, IceSettings, Offer, OfferError, read
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver, AudioSender, Camera

__all__ = ["IceServer", "IceSettings", "OfferError", "WebRtcTransport", "answer"]

CHANNEL = "oai-events"
CONNECT = 15.0
"""Seconds a client may take from the answer to an open data channel."""

SILENT = 10
"""Seconds without any packet after which a peer is given up. (Consent checks of ICE alone would take 30.)"""

MAX_QUEUED = 4 << 20
"""Bytes of events waiting for a client that reads slowly."""

MAX_MESSAGE = 256 << 10
"""Bytes of one message that clients are told they may send; a picture in a message needs more than aiortc's 64 KiB."""

GOODBYE, FLUSH = 2.0, 1.0  # seconds that `close` may take, and of these for what is still queued

log = logging.getLogger(__name__)


async def answer(
    offer_sdp: str, ice: IceSettings, speech: opus.OpusSettings | None = None
) -> tuple[WebRtcTransport, str]:
    """Answers an offer; the transport connects by itself once the client has the answer. The caller closes it.

    `speech` sets how Opus is sent. Raises `OfferError`; ValueError when a server's address in `ice` is malformed."""
    offer = read(offer_sdp)
    servers = [RTCIceServer(list(s.urls), s.username, s.credential) for s in ice.servers]
    transport = WebRtcTransport(RTCPeerConnection(RTCConfiguration(iceServers=servers)))
    try:
        return transport, await transport._answer(offer, ice.loopback, speech)
    except BaseException:
        await transport.close(Ending(CloseReason.ERROR))
        raise


class WebRtcTransport:
    """One WebRTC peer; implements `Transport`. Made by `answer`."""

    plays = True

    def __init__(self, peer: RTCPeerConnection) -> None:
        self._peer = peer
        self._arrivals = Arrivals()
        self._sender = AudioSender()
        self._delivery = Delivery()
        self._audible = True  # the client takes our sound
        self._receiver: AudioReceiver | None = None
        self._video: MediaStreamTrack | None = None
        self._channel: RTCDataChannel | None = None
        self._open = asyncio.Event()
        self._early: deque[bytes] = deque()  # events from before the channel opened
        self._packets: Callable[[], int] = int  # that came from the peer
        self._closing: asyncio.Future[None] | None = None
        peer.on("datachannel", self._take_channel)
        peer.on("connectionstatechange", self._follow_state)

    @property
    def concealed(self) -> int:
        """Samples of the microphone that were lost, and then recovered (FEC) or concealed."""
        return self._receiver.lost if self._receiver else 0

    @property
    def confirmed(self) -> Confirmed | None:
        """The peer's last RTCP receiver report about our sound."""
        return self._delivery.confirmed

    def reached(self, played: int | None = None) -> int:
        """Frames that have reached the peer, by the timestamp it `played`, its reports or its signs of life."""
        return self._delivery.reached(played)

    async def connected(self) -> None:
        """Returns when the event channel is open. Raises `PeerGone` when it does not open in time."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._open.wait()
        except TimeoutError:
            raise PeerGone(f"the peer did not connect and open {CHANNEL} within {CONNECT:.0f} s") from None

    async def receive(self, intake: Intake) -> None:
        """Puts all that comes from the peer into `intake`, until it leaves (`PeerGone`) or cannot be reached
        (`PeerLost`)."""
        sides = [self._arrivals.feed(intake), self._watch()]
        if self._video is not None:
            sides.append(Camera(self._take_picture).watch(self._video))
        await until_gone(*sides)

    async def speak(self, pull: Pull) -> None:
        """Pulls `FRAME` samples every 20 ms, from when the peer is connected, each just before it is sent."""
        await (self._sender.speak(pull) if self._audible else pull_in_real_time(pull))

    def send(self, text: bytes) -> None:
        """Queues one event, before the data channel opens, too. Raises `PeerGone`."""
        channel = self._channel
        waiting = channel.bufferedAmount if channel else sum(map(len, self._early))
        self._arrivals.check()
        if waiting + len(text) > MAX_QUEUED:
            raise PeerGone(f"the client reads too slowly: {waiting} bytes of events are waiting for it")
        if channel is None:
            self._early.append(text)
        else:
            _put(channel, text)

    async def close(self, ending: Ending) -> None:
        """Sends what is queued and closes the connection; WebRTC has no place for `ending`. Takes 2 s at most."""
        self._arrivals.end(str(ending))
        if self._receiver:
            self._receiver.close()
        await self._flush()
        # Not cancelled when it is late: a connection half closed stays so, for its second close does nothing.
        self._closing = self._closing or asyncio.ensure_future(self._peer.close())  # noqa: TID251 - kept, and waited for
        done, _ = await asyncio.wait((self._closing,), timeout=GOODBYE - FLUSH)
        if not done:
            log.warning("peer did not close in time", extra={"seconds": GOODBYE})
        for closing in done:
            closing.result()

    # --- setting up ------------------------------------------------------------------------------------------------

    async def _answer(self, offer: Offer, loopback: bool, speech: opus.OpusSettings | None) -> str:
        peer = self._peer
        sender = peer.addTrack(self._sender)
        audio = next(t for t in peer.getTransceivers() if t.sender is sender)
        known = RTCRtpSender.getCapabilities("audio").codecs
        audio.setCodecPreferences([c for c in known if c.mimeType.lower() == f"audio/{offer.codec}"])
        try:
            await peer.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            self._take_tracks(audio, offer.codec, speech)
            patches.set_payload_type(audio, offer.payload_type)
            patches.ask_for_fec(audio)
            if loopback:
                patches.offer_loopback(peer)
            await peer.setLocalDescription(await peer.createAnswer())
            patches.forgive_late_data(peer)
            self._packets = patches.watch_received(peer)
        except (patches.AiortcChanged, OSError):
            raise  # our fault, not the offer's
        except Exception as error:  # a parser's border: aiortc reads the offer once more, and fails in ways of its own
            log.warning("offer could not be answered", extra={"error": type(error).__name__})
            raise OfferError("the offer cannot be answered, though each of its lines was understood") from error
        self._audible = audio.currentDirection in ("sendrecv", "sendonly")
        stock = f"a=max-message-size:{peer.sctp.getCapabilities().maxMessageSize}" if peer.sctp else ""
        ours = peer.localDescription.sdp.replace(stock, f"a=max-message-size:{MAX_MESSAGE}")
        return offer.answer(ours)

    def _take_tracks(self, audio: RTCRtpTransceiver, codec: str, speech: opus.OpusSettings | None) -> None:
        """Takes the first track of each kind; packets of others are dropped before they are decoded."""
        if codec == "opus":
            clock_hz = opus.CLOCK_HZ
            self._sender.encode_with(opus.Encoder(speech), clock_hz)
            self._receiver = AudioReceiver(opus.Decoder(), self._take_samples)
        else:
            law, clock_hz = cast(Literal["pcmu", "pcma"], codec), g711.CLOCK_HZ
            self._sender.encode_with(g711.Encoder(law), clock_hz)
            self._receiver = AudioReceiver(g711.Decoder(law), self._take_samples)
        patches.watch_sent(audio.sender, lambda number, at: self._delivery.sent(number, at, self._sender.pulled))
        patches.watch_reports(audio.sender, clock_hz, self._take_report)
        for transceiver in self._peer.getTransceivers():
            track = transceiver.receiver.track
            if transceiver is audio:
                patches.take_packets(transceiver.receiver, self._take_packet)
            elif track is not None and track.kind == "video" and self._video is None:
                self._video = track
            else:
                patches.take_packets(transceiver.receiver, lambda packet: None)

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None:
            return
        self._channel = channel
        channel.on("message", lambda text: self._arrivals.put(Message(text)))
        channel.on("close", self._channel_closed)
        self._open.set()
        try:
            while self._early:
                _put(channel, self._early.popleft())
        except PeerGone as gone:
            self._arrivals.end(str(gone))

    # --- while it is connected ---------------------------------------------------------------------------------------

    def _take_packet(self, packet: Packet) -> None:
        assert self._receiver is not None
        self._delivery.live(self._sender.pulled)
        self._receiver.receive(packet)

    def _take_report(self, report: Report) -> None:
        self._delivery.report(report, asyncio.get_running_loop().time())

    def _take_samples(self, samples: Samples) -> None:
        self._arrivals.put(Sound(samples))

    def _take_picture(self, picture: Picture | None) -> None:
        self._arrivals.put(Seen(picture))

    def _follow_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            opened = self._open.is_set()
            reason = "the connection was lost" if opened else "no connection came about"
            self._arrivals.end(reason, lost=opened and not patches.said_goodbye(self._peer))

    def _channel_closed(self) -> None:
        self._arrivals.end("the client closed its event channel", lost=not patches.said_goodbye(self._peer))

    async def _watch(self) -> None:
        """Ends the connection of a peer that never connects, or that falls silent without a goodbye."""
        try:
            await self.connected()
        except PeerGone as gone:
            self._arrivals.end(str(gone))
            return
        received, silent, pulled = 0, 0, 0
        while silent < SILENT:
            await asyncio.sleep(1)
            before, received = received, self._packets()
            silent = silent + 1 if received == before else 0
            if not silent:
                self._delivery.live(pulled)  # a packet came at some time since the last look
            pulled = self._sender.pulled
        self._arrivals.end(f"nothing came from the peer for {SILENT} s", lost=True)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH):
                # aiortc has no event for "all is confirmed", so it is polled.
                while self._channel and self._channel.readyState == "open" and not patches.is_flushed(self._peer):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.info("events left unsent", extra={"bytes": self._channel.bufferedAmount if self._channel else 0})


def _put(channel: RTCDataChannel, text: bytes) -> None:
    try:
        channel.send(text.decode())
    except InvalidStateError as error:
        raise PeerGone("the event channel is closed") from error
    except ValueError as error:
        raise PeerGone(f"an event is longer than the client takes: {error}") from error
