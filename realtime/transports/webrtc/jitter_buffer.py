"""Jitter buffer: turns RTP packets that come late, twice, out of order or never into sound without gaps.

    receive(packet, now) ──► in order?   ──► decode, deliver at once
                             a hole      ──► wait for the target delay, then recover (FEC) or conceal
    tick(now) ─────────────► overdue     ──► conceal in real time, fading to silence: the clock never stands still

Nobody listens to this sound but machines, so there is no playout clock and no stored reserve: while packets come in
order the delay is zero, and it is zero again with the first packet after a loss. The target delay only says how long a
hole may stay open. Packets that arrive after their time was filled are dropped; so sample positions stay true to the
sender's clock.

The module is a core: packets and times in, samples out. It knows neither the codec (see `Decoder`) nor the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.packets import Decoder

STARVED = 0.045
"""Seconds after its due time (and the target delay) at which missing sound is concealed though nothing newer has come
either. Two frames: the packet behind a lost one, whose FEC is better than concealment, has time to arrive."""

FADE = SAMPLE_RATE // 10
"""Samples over which concealment fades to silence; speech cannot be extrapolated further than 100 ms."""

JUMP = SAMPLE_RATE
"""Samples (1 s) of difference between timestamp and clock beyond which the sender has begun a new count."""

SLIPPED = 0.1
"""Seconds in which all packets came in order and too late, from which on the sender's clock has slipped: its microphone
stood still while its machine was busy. A network that stood still lets go of its packets all at once."""

MAX_WAITING = 64
"""Packets kept behind a hole; only a flood reaches it, since holes are given up in time."""

_FRAME = SAMPLE_RATE // 50
_RISE = np.linspace(
    0, 1, SAMPLE_RATE * 3 // 1000, dtype=np.float32
)  # 3 ms: from silence back into speech without a click


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet; `timestamp` in ticks of the codec's clock, 32 bits; `sequence` 16 bits."""

    ssrc: int
    sequence: int
    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Waiting:
    position: int
    payload: bytes


class TargetDelay:
    """How long a missing packet is waited for: the 95 % quantile of how late packets lately came, 5 to 100 ms. Times in
    seconds."""

    LEAST, MOST = 0.005, 0.1
    _BUCKET, _FORGET, _QUANTILE, _WINDOW = 0.005, 0.98, 0.95, 250

    def __init__(self) -> None:
        self._shares = np.zeros(round(self.MOST / self._BUCKET) + 1)
        self._shares[4] = 1.0  # before any packet: 20 ms
        self._fastest = self._fastest_before = np.inf
        self._seen = 0
        self.seconds = 0.02

    def observe(self, transit: float) -> None:
        """Takes the `transit` seconds of a packet, by two clocks that need not agree."""
        self._seen += 1
        if self._seen % self._WINDOW == 0:  # the fastest of the last 5 to 10 s: clocks drift
            self._fastest, self._fastest_before = np.inf, self._fastest
        self._fastest = min(self._fastest, transit)
        late = transit - self.base
        self._shares *= self._FORGET
        self._shares[min(int(late / self._BUCKET), len(self._shares) - 1)] += 1 - self._FORGET
        bucket = int(np.searchsorted(np.cumsum(self._shares), self._QUANTILE))
        self.seconds = min(self.MOST, self.LEAST + bucket * self._BUCKET)

    @property
    def base(self) -> float:
        """Transit time of the fastest recent packet."""
        return min(self._fastest, self._fastest_before)


class JitterBuffer:
    """One stream of packets as one stream of sound. `deadline` is when `tick` wants to be called."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._delay = TargetDelay()
        self._ssrc: int | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._sequence = 0  # next to be played, unwrapped
        self._ticks = 0  # newest timestamp, unwrapped
        self._position = 0  # next sample to be delivered, on the sender's clock
        self._concealed = 0  # samples since the last real one
        self._too_late: float | None = None  # since when all packets have come in order and too late
        self._frame = _FRAME
        self.lost = 0
        """Samples concealed so far."""

    @property
    def deadline(self) -> float | None:
        """When the next sound is overdue; None before the first packet."""
        if self._ssrc is None:
            return None
        due = self._delay.base + self._position / SAMPLE_RATE + self._delay.seconds
        return due if self._waiting else due + STARVED

    def receive(self, packet: Packet, now: float) -> list[Samples]:
        """Takes a packet that came at `now`; returns the sound that is ready, in order."""
        if packet.ssrc != self._ssrc:
            self._restart(packet)
        sequence = self._sequence + _difference(packet.sequence, self._sequence, 16)
        ticks = self._ticks + _difference(packet.timestamp, self._ticks, 32)
        position = ticks * SAMPLE_RATE // self._decoder.clock_hz
        if self._is_recount(sequence, position, now) or self._has_slipped(sequence, position, now):
            self._restart(packet)
            sequence, ticks = packet.sequence, packet.timestamp
            position = self._position
        self._ticks = max(self._ticks, ticks)
        self._delay.observe(now - position / SAMPLE_RATE)
        if sequence >= self._sequence:
            self._waiting.setdefault(sequence, _Waiting(position, packet.payload))
        return self.tick(now)

    def tick(self, now: float) -> list[Samples]:
        """Returns the sound that is ready, and the sound that is overdue, at `now`."""
        sound: list[Samples] = []
        while True:
            packet = self._waiting.pop(self._sequence, None)
            if packet is not None:
                sound += self._play(packet)
            elif not self._overdue(now):
                return [samples for samples in sound if len(samples)]
            elif self._waiting:
                sound += self._bridge()
            else:
                sound.append(self._conceal(self._frame))

    def _overdue(self, now: float) -> bool:
        """Whether the missing packet has been waited for long enough."""
        if self.deadline is None or now >= self.deadline:
            return self.deadline is not None
        if not self._waiting:
            return False
        filled = self._waiting[min(self._waiting)].position <= self._position  # so it is of no use any more
        return filled or len(self._waiting) > MAX_WAITING

    def _restart(self, packet: Packet) -> None:
        """Takes up a new sender, or a new count of the old one: its sound follows what was delivered so far."""
        self._ssrc, self._sequence, self._ticks = packet.ssrc, packet.sequence, packet.timestamp
        self._position = packet.timestamp * SAMPLE_RATE // self._decoder.clock_hz
        self._waiting.clear()
        self._too_late = None
        self._delay = TargetDelay()

    def _is_recount(self, sequence: int, position: int, now: float) -> bool:
        """Whether the packet's numbers are too far off for loss, delay or a pause to explain."""
        if sequence < self._sequence - MAX_WAITING and position >= self._position:
            return True
        lateness = now - position / SAMPLE_RATE - self._delay.base
        return min(abs(position - self._position), abs(lateness) * SAMPLE_RATE) > JUMP

    def _has_slipped(self, sequence: int, position: int, now: float) -> bool:
        """Whether the time of all packets was filled for a while, this one's included, though none was overtaken.
        Otherwise nothing would be heard until the fastest packet of the old clock is forgotten, in 5 to 10 s."""
        if sequence < self._sequence:
            return False
        if position + self._frame > self._position:
            self._too_late = None
        elif self._too_late is None:
            self._too_late = now
        return self._too_late is not None and now - self._too_late >= SLIPPED

    def _play(self, packet: _Waiting) -> list[Samples]:
        self._sequence += 1
        if not packet.payload:
            return []  # padding, sent to probe the bandwidth
        gap = packet.position - self._position
        pause = [np.zeros(gap, np.float32)] if gap > 0 else []  # nothing is lost: the sender paused (DTX)
        self._position = max(self._position, packet.position)
        try:
            sound = self._decoder.decode(packet.payload)
        except BadPacket:
            return [*pause, self._conceal(self._frame)] if gap >= 0 else []
        self._frame = len(sound) or self._frame
        sound = sound[max(0, -gap) :]  # the beginning came too late: its time was filled
        if self._concealed and len(sound) >= len(_RISE):
            loudness = max(0.0, 1 - self._concealed / FADE)
            sound[: len(_RISE)] *= loudness + (1 - loudness) * _RISE
        self._concealed = 0 if len(sound) else self._concealed
        self._position += len(sound)
        return [*pause, sound]

    def _bridge(self) -> list[Samples]:
        """Fills the hole before the oldest waiting packet."""
        self._sequence = min(self._waiting)
        behind = self._waiting[self._sequence]
        filled: list[Samples] = []
        while (gap := behind.position - self._position) > self._frame:
            filled.append(self._conceal(self._frame))
        if gap > 0:
            recovered = self._recover(behind.payload, gap)
            filled.append(self._conceal(gap) if recovered is None else recovered)
        return filled

    def _recover(self, payload: bytes, n: int) -> Samples | None:
        try:
            sound = self._decoder.recover(payload, n)
        except BadPacket:
            return None
        if sound is None or len(sound) != n:
            return None
        self.lost += n
        self._position += n
        return sound

    def _conceal(self, n: int) -> Samples:
        self.lost += n
        self._position += n
        start, self._concealed = self._concealed, self._concealed + n
        if start >= FADE:
            return np.zeros(n, np.float32)
        fade = 1 - np.arange(start, start + n, dtype=np.float32) / FADE
        return self._decoder.conceal(n) * np.maximum(fade, 0)


def _difference(new: int, old: int, bits: int) -> int:
    """How far `new` is ahead of `old` (unwrapped) in a counter of so many bits; negative when it is behind."""
    half = 1 << (bits - 1)
    return ((new - old + half) & ((1 << bits) - 1)) - half
