"""Counts the frames of our sound that have reached the peer: RTCP receiver reports (RFC 3550 section 6.4), held against
the packets that were sent.

    pull ──► frame n ──encode──► RTP packet ──sent(sequence, timestamp, n)──► ┐
    RTCP receiver report ────────────────────report(highest sequence ...)──► ├──► confirmed, reached()
    any packet from the peer ────────────────live(n)──────────────────────► ┘

Reports come every 1 to 5 s (Chromium: 5 on average): exact, but late. Between them a sign of life is evidence: frames
that had left a round trip before the peer's last packet were most likely received. A peer that comes back may know
better, and say which RTP timestamp it played last.

Frames that were not sent (DTX) belong to the packet after them. The class keeps no clock, and does not look into the
packets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT: Final = 1500
"""Packets remembered (30 s): longer than it takes to notice a dead connection."""

FRAME_SECONDS: Final = 0.02

UNKNOWN_ROUND_TRIP: Final = 0.1
"""Seconds assumed for the round trip until a report has measured it."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report block about our stream. `highest` is the extended sequence number, `lost` the packets lost so far,
    `fraction` those of the last interval (0 to 1), `jitter` and `round_trip` are seconds."""

    highest: int
    lost: int
    fraction: float
    jitter: float
    round_trip: float | None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`frames` of those pulled had been received when the report came, `at` seconds; the rest as in `Report`."""

    frames: int
    at: float
    lost: int
    fraction: float
    jitter: float
    round_trip: float | None


@dataclass(frozen=True, slots=True)
class _Sent:
    sequence: int  # 16 bits, as on the wire
    timestamp: int  # 32 bits, as on the wire
    frames: int


class Delivery:
    """The ledger of one stream that we send."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque(maxlen=KEPT)
        self._live = 0  # frames pulled when the peer last gave a sign of life
        self.confirmed: Confirmed | None = None
        """By the last report; None before the first."""

    def sent(self, sequence: int, timestamp: int, frames: int) -> None:
        """A packet leaves; `frames` have been pulled up to and with it."""
        self._sent.append(_Sent(sequence, timestamp, frames))

    def report(self, report: Report, now: float) -> None:
        """Takes a receiver report at `now`; one about a packet that is not remembered confirms no frames."""
        frames = self.confirmed.frames if self.confirmed else 0
        for packet in reversed(self._sent):
            if packet.sequence == report.highest & 0xFFFF:
                frames = max(frames, packet.frames)
                break
        self.confirmed = Confirmed(frames, now, report.lost, report.fraction, report.jitter, report.round_trip)

    def live(self, frames: int) -> None:
        """A packet came from the peer (a sign of life) when `frames` had been pulled."""
        self._live = max(self._live, frames)

    def reached(self, played: int | None = None) -> int:
        """Frames that have reached the peer: by the RTP timestamp it `played` last, where that fits the packets sent,
        else by its last report or sign of life, whichever is more."""
        if played is not None and self._sent:
            before = [p.frames for p in self._sent if (played - p.timestamp) % (1 << 32) < 1 << 31]
            newest = self._sent[-1].timestamp
            if before and (newest - played) % (1 << 32) < 1 << 31:
                return before[-1]
        on_the_way = round(self._round_trip / FRAME_SECONDS)
        presumed = max(0, self._live - on_the_way)
        return max(presumed, self.confirmed.frames if self.confirmed else 0)

    @property
    def _round_trip(self) -> float:
        measured = self.confirmed.round_trip if self.confirmed else None
        return UNKNOWN_ROUND_TRIP if measured is None else measured
