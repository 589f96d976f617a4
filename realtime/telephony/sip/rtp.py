"""RTP and RTCP of one call, without the network: who is listened to, what a packet is, what leaves, what is reported.

    datagram ──Incoming.receive──► Packet (for microphone.py), Key, or nothing
    payload ──Outgoing.packet────► datagram                     Outgoing.report ──► RTCP, every five seconds

aiortp packs and unpacks. Its sessions are not used: they follow whoever sent the last packet, hold back sound in a
fixed buffer, and send a key as one burst. Times are seconds, and given.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

from aiortp.dtmf import EVENT_TO_DIGIT, DtmfEvent
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

from vivavoce.realtime.telephony.sip.sdp import Media
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet

Address = tuple[str, int]

SILENT: Final = 2.0
"""Seconds without a packet from where they came so far, after which they may come from elsewhere."""

KEY_PAUSE: Final = 0.04
"""Seconds between two keys that a person or machine can press; more often is noise, or malice."""

MAX_PAYLOAD: Final = 1_500
_MALFORMED: Final = (ValueError, IndexError, struct.error)
_NTP: Final = 2_208_988_800  # seconds from 1900 to 1970


@dataclass(frozen=True, slots=True)
class Key:
    """A key was pressed; told at its first packet."""

    key: str


class Latch:
    """Where the far end really is (symmetric RTP, RFC 4961): a phone behind a router does not know its own address.

    Its first packet tells, and it stays so: nobody can take over the call by sending something, unless the far end has
    fallen silent. From the agreed address it may always come."""

    def __init__(self, agreed: Address) -> None:
        self.address = agreed
        self._agreed = agreed
        self._heard: float | None = None

    def accept(self, source: Address, now: float) -> bool:
        """Whether a packet from `source` belongs to the call."""
        silent = self._heard is None or now - self._heard > SILENT
        if source != self.address and source != self._agreed and not silent:
            return False
        self.address, self._heard = source, now
        return True


class Incoming:
    """The far end's stream."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self.latch = Latch((media.host, media.port))
        self.reception: Reception | None = None
        self._pressed: deque[int] = deque(maxlen=8)  # timestamps of the last keys
        self._key_at = -1.0
        self.heard_at: float | None = None
        """When its last packet came."""

    def receive(self, data: bytes, source: Address, now: float) -> Packet | Key | None:
        """One datagram of the RTP port. RTCP that shares the port is not for here: see `is_report`."""
        if len(data) > MAX_PAYLOAD:
            return None
        try:
            packet = RtpPacket.parse(data)
        except _MALFORMED:
            return None
        known = packet.payload_type in (self._media.payload_type, self._media.keys, 13)
        if not known or not self.latch.accept(source, now):
            return None
        self.heard_at = now
        if self.reception is None or self.reception.ssrc != packet.ssrc:
            self.reception = Reception(packet.ssrc, self._media.clock_hz)
        self.reception.count(packet.sequence_number, packet.timestamp, now)
        if packet.payload_type == self._media.payload_type:
            return Packet(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload)
        if packet.payload_type == self._media.keys and (key := self._key(packet, now)) is not None:
            return key
        return self._filler(packet)

    def _key(self, packet: RtpPacket, now: float) -> Key | None:
        try:
            event = DtmfEvent.parse(packet.payload)
        except _MALFORMED:
            return None
        if packet.timestamp in self._pressed or event.event not in EVENT_TO_DIGIT or now - self._key_at < KEY_PAUSE:
            return None
        self._pressed.append(packet.timestamp)
        self._key_at = now
        return Key(event.digit)

    def _filler(self, packet: RtpPacket) -> Packet:
        """Keys and comfort noise take numbers in the stream: without sound, but not missing."""
        lasted = 0
        if packet.payload_type == self._media.keys and len(packet.payload) >= 4:
            ticks = int.from_bytes(packet.payload[2:4], "big")
            lasted = ticks * self._media.clock_hz // self._media.keys_hz
        timestamp = (packet.timestamp + lasted) % (1 << 32)
        return Packet(packet.ssrc, packet.sequence_number, timestamp, b"")


class Reception:
    """What a receiver report says of a stream (RFC 3550 section 6.4.1 and appendix A)."""

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._clock_hz = clock_hz
        self._first = self._highest = -1  # extended sequence numbers
        self._before = (0, 0)  # expected and received at the last report
        self._transit: float | None = None
        self._jitter = 0.0

    def count(self, sequence: int, timestamp: int, now: float) -> None:
        """A packet came."""
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
        """Packets that never came, so far."""
        return max(0, self._highest - self._first + 1 - self.received) if self._highest >= 0 else 0

    def block(self) -> RtcpReceiverInfo:
        """The next report block."""
        expected = self._highest - self._first + 1
        new, came = expected - self._before[0], self.received - self._before[1]
        self._before = expected, self.received
        fraction = min(255, max(0, new - came) * 256 // new) if new > 0 else 0
        lost = min(self.lost, (1 << 23) - 1)
        highest = self._highest % (1 << 32)
        return RtcpReceiverInfo(self.ssrc, fraction, lost, highest, int(self._jitter) % (1 << 32), 0, 0)


class Outgoing:
    """Our stream. `ssrc`, `sequence` and `timestamp` are drawn by lot (RFC 3550 section 5.1)."""

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        self._sequence = sequence
        self._start = timestamp
        self._newest = timestamp

    def packet(self, payload_type: int, payload: bytes, ticks: int, marker: bool = False) -> bytes:
        """The next packet; `ticks` of the codec's clock since the stream began."""
        self._newest = (self._start + ticks) % (1 << 32)
        packet = RtpPacket(payload_type, int(marker), self._sequence, self._newest, self.ssrc, payload)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return packet.serialize()

    def report(self, reception: Reception | None, unix: float, name: bytes) -> bytes:
        """A sender report with what we received; `unix` seconds, `name` of nobody in particular."""
        blocks = [reception.block()] if reception else []
        ntp = int((unix + _NTP) * (1 << 32)) % (1 << 64)
        sender = RtcpSenderInfo(ntp, self._newest, self.packets % (1 << 32), self.octets % (1 << 32))
        report = RtcpSrPacket(self.ssrc, sender, blocks) if self.packets else RtcpRrPacket(self.ssrc, blocks)
        return bytes(report) + bytes(RtcpSdesPacket([RtcpSourceInfo(self.ssrc, [(1, name)])]))


def is_report(data: bytes) -> bool:
    """Whether a datagram is RTCP (RFC 5761 section 4)."""
    return is_rtcp(data)


def lost_there(data: bytes, ssrc: int) -> int | None:
    """Of our packets, how many the far end says it has missed; None if it says nothing that can be read."""
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
