"""The places where we reach into aiortc, all of them; nothing else in the product touches its private parts.

    take_packets     a receiver's packets come to us instead of going through its jitter buffer and its decoder's thread
    offer_loopback   127.0.0.1 becomes a candidate
    ask_for_fec      the answer tells the sender that we make use of Opus in-band FEC
    is_flushed       all messages reached the other side
    count_received   packets that came in, media and messages, for the watch over a silent peer

Each is done to one object, never to a class or module, and checks that it finds what it replaces: a newer aiortc that
has changed there fails loudly with `AiortcChanged` (and in tests/test_webrtc.py), not by sounding bad. Written for
aiortc 1.16, aioice 0.13."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from vivavoce.realtime.transports.microphone import Packet

_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_RECEIVED = "_RTCDtlsTransport__rx_packets"


class AiortcChanged(Exception):
    """aiortc does not look inside as this module expects."""


class _Tap:
    """Stands where the receiver's jitter buffer stood. Called once for each packet, before any decoding; it never has
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


def count_received(peer: RTCPeerConnection) -> int:
    """Packets received so far: sound, pictures, reports, messages; not the connectivity checks."""
    return sum(int(getattr(transport, _RECEIVED)) for transport in set(_dtls_transports(peer)))


def is_flushed(peer: RTCPeerConnection) -> bool:
    """Whether the other side has confirmed all data channel messages sent so far."""
    sctp = peer.sctp
    return sctp is None or not (sctp._data_channel_queue or sctp._outbound_queue or sctp._sent_queue)


def _dtls_transports(peer: RTCPeerConnection) -> Iterator[Any]:
    for transceiver in peer.getTransceivers():
        yield transceiver.receiver.transport
    if peer.sctp is not None:
        yield peer.sctp.transport
