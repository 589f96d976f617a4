"""RTP, RTCP and telephone-events of one call, without the network (RFC 3550, RFC 4733).

    datagram ──RtpReceiver.receive──► Packet (for the jitter buffer), DtmfReceived, or nothing
    payload ──RtpSender.packet──────► datagram                  RtpSender.report ──► RTCP, every five seconds
    keys ──TelephoneEvents.next─────► payload of a telephone-event

aiortp packs and unpacks. Its sessions are not used: they follow any address that sends a packet, hold
audio in a fixed buffer, and send a key as one burst. Times are seconds, and passed in.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

from aiortp.dtmf import DTMF_EVENTS, EVENT_TO_DIGIT, DtmfEvent
from aiortp.packet import (
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
    is_rtcp,
)

from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.sip.sdp import NegotiatedMedia
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet

Address = tuple[str, int]

LATCH_TIMEOUT: Final = 2.0
"""Seconds without a packet from the latched address, after which another address is accepted."""

MIN_KEY_INTERVAL: Final = 0.04
"""Seconds between two keys; faster ones are noise or an attack, and dropped."""

COMFORT_NOISE: Final = 13
"""Payload type of comfort noise (RFC 3389)."""

MAX_PACKET: Final = 1_500
"""Bytes of one datagram."""

_MALFORMED: Final = (ValueError, IndexError, struct.error)
_NTP: Final = 2_208_988_800  # seconds from 1900 to 1970


class Latch:
    """The true address of the far end (symmetric RTP, RFC 4961): a phone behind a router does not know its own.

    The first packet sets it, and it stays: no other sender can take over the call, unless the far end has fallen
    silent. Packets from the negotiated address are always accepted."""

    def __init__(self, negotiated: Address) -> None:
        self.address = negotiated
        self._negotiated = negotiated
        self._last: float | None = None

    def accept(self, source: Address, now: float) -> bool:
        """Whether a packet from `source` belongs to the call."""
        silent = self._last is None or now - self._last > LATCH_TIMEOUT
        if source != self.address and source != self._negotiated and not silent:
            return False
        self.address, self._last = source, now
        return True


class RtpReceiver:
    """The far end's stream."""

    def __init__(self, media: NegotiatedMedia) -> None:
        self._media = media
        self.latch = Latch((media.host, media.port))
        self.reception: Reception | None = None
        self._keys: deque[int] = deque(maxlen=8)  # timestamps of the last keys
        self._key_at = -1.0

    def receive(self, data: bytes, source: Address, now: float) -> Packet | DtmfReceived | None:
        """Takes one datagram of the RTP port; RTCP that shares the port goes elsewhere, see `is_rtcp_packet`. A key is
        reported at its first packet."""
        if len(data) > MAX_PACKET:
            return None
        try:
            packet = RtpPacket.parse(data)
        except _MALFORMED:
            return None
        known = packet.payload_type in (self._media.payload_type, self._media.event_type, COMFORT_NOISE)
        if not known or not self.latch.accept(source, now):
            return None
        if self.reception is None or self.reception.ssrc != packet.ssrc:
            self.reception = Reception(packet.ssrc, self._media.clock_hz)
        self.reception.count(packet.sequence_number, packet.timestamp, now)
        if packet.payload_type == self._media.payload_type:
            return Packet(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload)
        if packet.payload_type == self._media.event_type and (dtmf := self._dtmf(packet, now)) is not None:
            return dtmf
        return self._placeholder(packet)

    def _dtmf(self, packet: RtpPacket, now: float) -> DtmfReceived | None:
        try:
            event = DtmfEvent.parse(packet.payload)
        except _MALFORMED:
            return None
        if packet.timestamp in self._keys or event.event not in EVENT_TO_DIGIT or now - self._key_at < MIN_KEY_INTERVAL:
            return None
        self._keys.append(packet.timestamp)
        self._key_at = now
        return DtmfReceived(event.digit)

    def _placeholder(self, packet: RtpPacket) -> Packet:
        """An empty packet for telephone-events and comfort noise: their sequence numbers are not missing."""
        duration = 0
        if packet.payload_type == self._media.event_type and len(packet.payload) >= 4:
            ticks = int.from_bytes(packet.payload[2:4], "big")
            duration = ticks * self._media.clock_hz // self._media.event_clock_hz
        timestamp = (packet.timestamp + duration) % (1 << 32)
        return Packet(packet.ssrc, packet.sequence_number, timestamp, b"")


class Reception:
    """The statistics of a stream for receiver reports (RFC 3550 section 6.4.1 and appendix A)."""

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._clock_hz = clock_hz
        self._first = self._highest = -1  # extended sequence numbers
        self._reported = (0, 0)  # expected and received at the last report
        self._transit: float | None = None
        self._jitter = 0.0

    def count(self, sequence: int, timestamp: int, now: float) -> None:
        """Counts a packet."""
        self.received += 1
        if self._highest < 0:
            self._first = self._highest = sequence
        ahead = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        self._highest += max(ahead, 0)
        transit = now * self._clock_hz - timestamp
        if self._transit is not None and (late := abs(transit - self._transit)) < 10 * self._clock_hz:
            self._jitter += (late - self._jitter) / 16
        self._transit = transit

    @property
    def lost(self) -> int:
        """Packets lost so far."""
        return max(0, self._highest - self._first + 1 - self.received) if self._highest >= 0 else 0

    def block(self) -> RtcpReceiverInfo:
        """The next report block."""
        expected = self._highest - self._first + 1
        new, received = expected - self._reported[0], self.received - self._reported[1]
        self._reported = expected, self.received
        fraction = min(255, max(0, new - received) * 256 // new) if new > 0 else 0
        lost = min(self.lost, (1 << 23) - 1)
        highest = self._highest % (1 << 32)
        return RtcpReceiverInfo(self.ssrc, fraction, lost, highest, int(self._jitter) % (1 << 32), 0, 0)


class RtpSender:
    """Our stream. `ssrc`, `sequence` and `timestamp` are random (RFC 3550 section 5.1)."""

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        self._sequence = sequence
        self._start = timestamp
        self._newest = timestamp

    def packet(self, payload_type: int, payload: bytes, ticks: int, marker: bool = False) -> bytes:
        """The next packet; `ticks`: of the RTP clock since the stream began."""
        self._newest = (self._start + ticks) % (1 << 32)
        packet = RtpPacket(payload_type, int(marker), self._sequence, self._newest, self.ssrc, payload)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return packet.serialize()

    def report(self, reception: Reception | None, unix: float, cname: bytes) -> bytes:
        """A sender report with the statistics of what we received; `unix`: seconds; `cname`: a random name."""
        blocks = [reception.block()] if reception else []
        ntp = int((unix + _NTP) * (1 << 32)) % (1 << 64)
        sender = RtcpSenderInfo(ntp, self._newest, self.packets % (1 << 32), self.octets % (1 << 32))
        report = RtcpSrPacket(self.ssrc, sender, blocks) if self.packets else RtcpRrPacket(self.ssrc, blocks)
        return bytes(report) + bytes(RtcpSdesPacket([RtcpSourceInfo(self.ssrc, [(1, cname)])]))


def is_rtcp_packet(data: bytes) -> bool:
    """Whether a datagram is RTCP (RFC 5761 section 4)."""
    return is_rtcp(data)


def reported_loss(data: bytes, ssrc: int) -> int | None:
    """The far end's count of our lost packets, from RTCP; None if there is none."""
    try:
        packets = RtcpPacket.parse(data)
    except _MALFORMED:
        return None
    for packet in packets:
        if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
            for block in packet.reports:
                if block.ssrc == ssrc:
                    return max(0, block.packets_lost)
    return None


KEY_FRAMES: Final = 8
"""Frames that a key lasts: 160 ms."""

END_PACKETS: Final = 3
"""Times that the end of a key is sent, since one packet may be lost (RFC 4733 section 2.5.1.4)."""

KEY_GAP: Final = 4
"""Frames of audio between two keys: 80 ms."""

VOLUME: Final = 10
"""Decibels below full scale."""

MAX_PENDING: Final = 64


@dataclass(frozen=True, slots=True)
class EventPacket:
    """A telephone-event that takes the place of a frame. `since`: frames since the key began; its timestamp stays
    there."""

    payload: bytes
    since: int
    first: bool


class TelephoneEvents:
    """The keys that one connection sends: telephone-events in place of audio, at its pace (RFC 4733 section 2.5).

        add("12") ──► next(), every 20 ms ──► EventPacket for this frame, or None: the frame is for audio

    One key is eight frames, the last of them sent three times, then four frames of audio. (aiortp sends a key as one
    burst of packets, which phones and gateways take for a short click, or ignore.)"""

    def __init__(self, clock_hz: int) -> None:
        self._ticks = clock_hz // 50
        self._pending: deque[str] = deque()
        self._step = 0  # frames into the key, or into the gap behind it

    @property
    def idle(self) -> bool:
        """No key is being sent or pending."""
        return not self._pending and not self._step

    def add(self, keys: str) -> None:
        """Queues keys. Raises ValueError for characters that are no keys, and for more than `MAX_PENDING`."""
        wrong = [key for key in keys if key not in DTMF_EVENTS]
        if wrong or len(self._pending) + len(keys) > MAX_PENDING:
            raise ValueError(f"at most {MAX_PENDING} keys of 0-9, *, #, A-D")
        self._pending.extend(keys)

    def next(self) -> EventPacket | None:
        """The telephone-event for the next frame."""
        if self.idle:
            return None
        self._step += 1
        if self._step > KEY_FRAMES + END_PACKETS - 1:
            if self._step == KEY_FRAMES + END_PACKETS:
                self._pending.popleft()
            if self._step == KEY_FRAMES + END_PACKETS - 1 + KEY_GAP:
                self._step = 0
            return None
        duration = min(self._step, KEY_FRAMES)
        event = DtmfEvent(DTMF_EVENTS[self._pending[0]], self._step >= KEY_FRAMES, VOLUME, duration * self._ticks)
        return EventPacket(event.serialize(), self._step - 1, self._step == 1)
