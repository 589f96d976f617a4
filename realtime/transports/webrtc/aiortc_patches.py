"""Patches of aiortc: all places where we reach into its private parts.

    take_packets       a receiver's packets come to us, and pass neither its jitter buffer nor its decoder's thread
    offer_loopback     127.0.0.1 becomes a candidate
    set_payload_type   the answer has the offer's payload type where aiortc would take its own
    ask_for_fec        the answer tells the sender that we make use of Opus in-band FEC
    divert_media       packets about to be sent come to us first (bad networks of the benchmark)
    forgive_late_data  messages retransmitted into a closed connection are no error
    is_flushed         whether all messages reached the other side
    said_goodbye       whether the other side closed the connection, or it broke
    watch_received     counts packets that the peer sent, media and messages: signs of life
    watch_sent         each RTP packet of a sender, as it leaves: its sequence number and timestamp
    watch_reports      receiver reports about a sender's stream, and the round trip

Each is done to one object, never to a class or module, and checks that it finds what it replaces: a newer aiortc that
has changed there fails loudly with `AiortcChanged` (and in test_aiortc_patches.py), not by sounding bad. Written
for aiortc 1.16, aioice 0.13."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import AnyRtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket, RtpPacket
from OpenSSL import SSL

from vivavoce.realtime.transports import TransportError
from vivavoce.realtime.transports.webrtc.delivery import Report
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet

_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_HISTORY = "_RTCRtpSender__rtp_history"
_ROUND_TRIP = "_RTCRtpSender__rtt"


class AiortcChanged(TransportError):
    """aiortc is not built as this module expects."""


class _Tap:
    """Takes the place of the receiver's jitter buffer. Called once for each packet, before any decoding; it never has
    a frame for the decoder thread, which sleeps until it is stopped. Stock: 80 ms of prefetch, 280 ms after one lost
    packet, a thread hand-off per frame."""

    def __init__(self, sink: Callable[[Packet], None]) -> None:
        self._sink = sink

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """`JitterBuffer.add`: (ask for a key frame, complete frame)."""
        self._sink(Packet(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload))
        return False, None


def take_packets(receiver: RTCRtpReceiver, sink: Callable[[Packet], None]) -> None:
    """Hands every packet of `receiver` to `sink`, at once, in the order of arrival; reports to the sender go on as
    before.

    `sink` runs on the event loop within aiortc's own task: it must be quick and must not raise."""
    if not isinstance(getattr(receiver, _BUFFER, None), JitterBuffer):
        raise AiortcChanged(f"RTCRtpReceiver has no {_BUFFER}")
    setattr(receiver, _BUFFER, _Tap(sink))


class _History(dict[int, RtpPacket]):
    """Takes the place of the sender's store of last packets: each is put here once, just before it leaves, and not
    again when it is retransmitted."""

    def __init__(self, sink: Callable[[int, int], None]) -> None:
        super().__init__()
        self._sink = sink

    def __setitem__(self, slot: int, packet: RtpPacket) -> None:
        super().__setitem__(slot, packet)
        self._sink(packet.sequence_number, packet.timestamp)


def watch_sent(sender: RTCRtpSender, sink: Callable[[int, int], None]) -> None:
    """Tells `sink` the sequence number (16 bits) and timestamp (32 bits) of each packet; called before they flow.

    `sink` runs within aiortc's own task: it must be quick and must not raise."""
    if getattr(sender, _HISTORY, None) != {}:
        raise AiortcChanged(f"RTCRtpSender has no {_HISTORY}, or it has begun to send")
    setattr(sender, _HISTORY, _History(sink))


def watch_reports(sender: RTCRtpSender, clock_hz: int, sink: Callable[[Report], None]) -> None:
    """Tells `sink` each report about the sender's stream; `clock_hz` is the RTP clock which counts their jitter."""
    handle = getattr(sender, "_handle_rtcp_packet", None)
    if handle is None or not hasattr(sender, _ROUND_TRIP) or not hasattr(sender, "_ssrc"):
        raise AiortcChanged(f"RTCRtpSender has no _handle_rtcp_packet, no {_ROUND_TRIP} or no _ssrc")

    async def handle_and_tell(packet: AnyRtcpPacket) -> None:
        await handle(packet)
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for info in packet.reports:
                if info.ssrc == sender._ssrc:
                    sink(_report(info, clock_hz, getattr(sender, _ROUND_TRIP)))

    setattr(sender, "_handle_rtcp_packet", handle_and_tell)  # noqa: B010 - a method, replaced on one object


def _report(info: RtcpReceiverInfo, clock_hz: int, round_trip: float | None) -> Report:
    return Report(
        info.highest_sequence,
        info.packets_lost,
        info.fraction_lost / 256,
        info.jitter / clock_hz,
        None if round_trip is None else max(0.0, round_trip),
    )


def offer_loopback(peer: RTCPeerConnection) -> None:
    """Adds 127.0.0.1 to the addresses that `peer` will gather: aioice leaves it out. To be called before they are
    gathered."""
    for ice in {transport.transport for transport in _dtls_transports(peer)}:
        connection = getattr(ice, "_connection", None)
        gather = getattr(connection, "get_component_candidates", None)
        if gather is None or list(inspect.signature(gather).parameters) != ["component", "addresses", "timeout"]:
            raise AiortcChanged("aioice.Connection.get_component_candidates(component, addresses, timeout) is gone")
        setattr(connection, "get_component_candidates", _with_loopback(gather))  # noqa: B010 - a method, replaced on one object


def _with_loopback(gather: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def gather_more(component: int, addresses: list[str], timeout: int = 5) -> Any:  # noqa: ASYNC109
        return await gather(component, [*addresses, "127.0.0.1"], timeout)

    return gather_more


def set_payload_type(transceiver: RTCRtpTransceiver, payload_type: int) -> None:
    """The payload type that the offer gave to the codec; aiortc takes over those above 95 only."""
    codecs = getattr(transceiver, "_codecs", None)
    if not codecs:
        raise AiortcChanged("RTCRtpTransceiver has no _codecs after the offer was set")
    codecs[0].payloadType = payload_type


def ask_for_fec(transceiver: RTCRtpTransceiver) -> None:
    """Writes the Opus parameters (RFC 7587 section 6.1) into the answer to come: mono, and redundancy for lost
    packets."""
    codecs = getattr(transceiver, "_codecs", None)
    if not codecs:
        raise AiortcChanged("RTCRtpTransceiver has no _codecs after the offer was set")
    for codec in codecs:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters = {"minptime": 10, "useinbandfec": 1, "stereo": 0}


def codec_name(transceiver: RTCRtpTransceiver) -> str:
    """The codec which `transceiver` will send, in lower case, such as "opus"; known once the offer was set."""
    codecs = getattr(transceiver, "_codecs", None)
    if not codecs:
        raise AiortcChanged("RTCRtpTransceiver has no _codecs after the offer was set")
    return str(codecs[0].name).lower()


def divert_media(sender: RTCRtpSender, take: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
    """Hands `take` each packet of sound or pictures that the transport of `sender` is about to send, ready, as a
    function that sends it; never called, it is lost. Reports (RTCP) pass by. Called on the event loop."""
    transport: Any = sender.transport
    if not inspect.iscoroutinefunction(getattr(transport, "_send_rtp", None)) or not hasattr(transport, "_tx_srtp"):
        raise AiortcChanged("RTCDtlsTransport has no _send_rtp(data) with _tx_srtp")
    send = transport._send_rtp

    async def divert(data: bytes) -> None:
        if 64 <= data[1] & 0x7F < 96:  # RTCP (RFC 5761 section 4)
            await send(data)
            return
        packet = transport._tx_srtp.protect(data)  # now: in the order of their numbers
        take(lambda: transport.transport._send(packet))

    transport._send_rtp = divert


def watch_received(peer: RTCPeerConnection) -> Callable[[], int]:
    """Counts the packets that come from now on: sound, pictures, reports, messages; not the connectivity checks. Only
    packets that could be decrypted count, since others can send to the port, too (aiortc's own count takes those)."""
    count = 0

    def counted(take: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def take_and_count(*packet: Any, **how: Any) -> None:
            nonlocal count
            count += 1
            await take(*packet, **how)

        return take_and_count

    places = [(one, name) for one in set(_dtls_transports(peer)) for name in ("_handle_rtp_data", "_handle_rtcp_data")]
    if peer.sctp is not None:
        places.append((peer.sctp, "_handle_data"))
    for owner, name in places:
        if not inspect.iscoroutinefunction(getattr(owner, name, None)):
            raise AiortcChanged(f"{type(owner).__name__} has no {name}")
        setattr(owner, name, counted(getattr(owner, name)))
    return lambda: count


def is_flushed(peer: RTCPeerConnection) -> bool:
    """Whether the other side has confirmed all data channel messages sent so far."""
    sctp = peer.sctp
    return sctp is None or not (sctp._data_channel_queue or sctp._outbound_queue or sctp._sent_queue)


def forgive_late_data(peer: RTCPeerConnection) -> None:
    """Ignores the error of a message that is retransmitted when the data channel's connection is closed: aiortc does so
    in a task that is awaited nowhere, whose failure would be reported as a bug of ours."""
    if (sctp := peer.sctp) is None:
        return
    transmit = getattr(sctp, "_transmit", None)
    if not inspect.iscoroutinefunction(transmit):
        raise AiortcChanged("RTCSctpTransport has no _transmit")

    async def transmit_or_not() -> None:
        with suppress(ConnectionError):
            await transmit()

    sctp._transmit = transmit_or_not  # type: ignore[method-assign]


def said_goodbye(peer: RTCPeerConnection) -> bool:
    """Whether the other side ended the connection on purpose: it closed DTLS, or DTLS is still connected."""
    return any(
        transport.state == "connected" or (transport._ssl and transport._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        for transport in _dtls_transports(peer)
    )


def _dtls_transports(peer: RTCPeerConnection) -> Iterator[Any]:
    for transceiver in peer.getTransceivers():
        yield transceiver.receiver.transport
    if peer.sctp is not None:
        yield peer.sctp.transport
