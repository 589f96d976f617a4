"""Sound of a stream, without gaps: lost pieces are concealed, pieces in the wrong order put right.

    Media(payload, at) ──► place by its time ──► Microphone (decoder, concealment) ──► Samples

Over TCP nothing is lost or late; what the carrier lost shows as a jump of the time stamps. So the clock here is that
of the newest piece: a hole is closed as soon as something newer has come, and a burst is late for nothing."""

from __future__ import annotations

from typing import Final

from vivavoce.model.dialogue import Samples
from vivavoce.realtime.transports.microphone import Decoder, Microphone, Packet

LONGEST_HOLE: Final = 50
"""Pieces that may be missing at once; more is no loss but a new count."""


class Inbound:
    """One call's microphone."""

    def __init__(self, decoder: Decoder, width: int) -> None:
        """`width`: bytes of one tick of the codec's clock."""
        self._clock_hz = decoder.clock_hz
        self._width = width
        self._microphone = Microphone(decoder)
        self._place = 0  # of the piece before
        self._newest = 0
        self._at: int | None = None
        self._began = False

    def receive(self, payload: bytes, at: int | None) -> list[Samples]:
        """The next piece, `at` milliseconds of the stream if that is known; returns what can be heard now."""
        ticks = len(payload) // self._width
        if not ticks:
            return []
        self._place += self._step(at, ticks)
        self._at = at
        self._newest = max(self._newest, self._place)
        now = (self._newest + 1) * ticks / self._clock_hz
        packet = Packet(1, self._place & 0xFFFF, self._place * ticks & 0xFFFFFFFF, payload)
        return self._microphone.receive(packet, now)

    @property
    def lost(self) -> int:
        """Samples concealed so far."""
        return self._microphone.lost

    def _step(self, at: int | None, ticks: int) -> int:
        """How many pieces further this one is than the one before."""
        if not self._began:
            self._began = True
            return 0
        if at is None or self._at is None:
            return 1
        steps = round((at - self._at) * self._clock_hz / (1000 * ticks))
        return steps if steps and abs(steps) <= LONGEST_HOLE else 1
