"""The jitter buffer: packets in, in any order and at any time; sound without gaps out."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vivavoce.codecs.audio import Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.realtime.transports.webrtc.jitter_buffer import (
    FADE,
    MAX_WAITING,
    STARVED,
    JitterBuffer,
    Packet,
    TargetDelay,
)

FRAME = 480
PERIOD = 0.02


class Levels:
    """A codec whose packets are one byte, the level of 20 ms of sound; `redundant` ones carry the byte before, too."""

    clock_hz = 48_000

    def __init__(self) -> None:
        self.last = 0

    def decode(self, payload: bytes) -> Samples:
        if payload[0] == 0:
            raise BadPacket("zero")
        self.last = payload[0]
        return np.full(FRAME, payload[0], np.float32)

    def recover(self, payload: bytes, n: int) -> Samples | None:
        if len(payload) < 2:
            return None
        if payload[1] == 0:
            raise BadPacket("zero")
        return np.full(n, payload[1], np.float32)

    def conceal(self, n: int) -> Samples:
        return np.full(n, self.last, np.float32)


class Stream:
    """A jitter buffer and what it delivered. Packet `n` is picked up at n * 20 ms and says n + 1."""

    def __init__(self, first: int = 0, ticks: int = 0) -> None:
        self.buffer = JitterBuffer(Levels())
        self.first, self.ticks = first, ticks
        self.heard: list[Samples] = []

    def packet(self, n: int, payload: bytes | None = None, ssrc: int = 7) -> Packet:
        return Packet(ssrc, (self.first + n) % 65536, (self.ticks + n * 960) % 2**32, payload or bytes([n % 250 + 1]))

    def arrive(self, n: int, now: float | None = None, payload: bytes | None = None, ssrc: int = 7) -> None:
        """Packet `n` arrives, by default at once."""
        at = n * PERIOD if now is None else now
        self.heard += self.buffer.receive(self.packet(n, payload, ssrc), at)

    def settle(self) -> None:
        """A clean second, so that the target delay is short; then nothing is in memory but the last level, 50."""
        for n in range(300):
            self.arrive(n)
        self.heard.clear()

    @property
    def sound(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *self.heard])

    @property
    def levels(self) -> list[float]:
        """The level in the middle of each frame."""
        return [round(float(level), 2) for level in self.sound[FRAME // 2 :: FRAME]]


def level(n: int) -> float:
    return n % 250 + 1


def test_packets_in_order_are_heard_at_once() -> None:
    stream = Stream()
    for n in range(5):
        stream.arrive(n)
        assert stream.levels == [level(k) for k in range(n + 1)]


def test_counters_that_wrap_do_not_disturb() -> None:
    stream = Stream(first=65534, ticks=2**32 - 960)
    for n in range(5):
        stream.arrive(n)
    assert stream.levels == [1, 2, 3, 4, 5]
    assert stream.buffer.lost == 0


@pytest.mark.parametrize("first", [0, 65_500])
@pytest.mark.parametrize("slip", [0.16, 0.3, 0.9, 3.0])
def test_a_sender_whose_clock_slipped_is_heard_again(slip: float, first: int) -> None:
    """Its machine was busy, so that its microphone stood still: all that follows is so much later. `first`: near the
    end of its counters, which have begun anew by then."""
    stream, ticked = Stream(first, ticks=2**32 - 36 * 960 if first else 0), 0.0
    for n in range(150):
        at = n * PERIOD + (slip if n >= 100 else 0)
        while ticked < at:
            stream.heard += stream.buffer.tick(ticked)
            ticked += 0.005
        stream.arrive(n, at)
    heard = [n for n in range(100, 150) if level(n) in stream.levels[-60:]]
    assert heard[-1] == 149
    assert len(heard) >= 43, "all but those of the first tenth of a second"
    assert stream.levels[-len(heard) :] == [level(n) for n in heard]
    assert stream.buffer.deadline is not None
    assert at < stream.buffer.deadline < at + 1


def test_packets_that_the_network_held_back_do_not_move_the_clock() -> None:
    stream, ticked = Stream(), 0.0
    for n in range(150):
        at = max(n * PERIOD, 2.3 if n >= 100 else 0)  # those of 0.3 s come at once
        while ticked < at:
            stream.heard += stream.buffer.tick(ticked)
            ticked += 0.005
        stream.arrive(n, at)
    assert len(stream.sound) == 150 * FRAME
    assert stream.levels[120:] == [level(n) for n in range(120, 150)]


def test_swapped_packets_are_put_in_order() -> None:
    stream = Stream()
    for n in (0, 1, 3):
        stream.arrive(n, n * PERIOD + (0.02 if n == 1 else 0))
    stream.heard += stream.buffer.receive(stream.packet(2), 0.061)
    assert stream.levels == [1, 2, 3, 4]


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    stream = Stream()
    for n in (0, 1, 1, 0, 2):
        stream.arrive(n, 2 * PERIOD)
    assert stream.levels == [1, 2, 3]


def test_a_lost_packet_is_recovered_from_the_next_one_as_soon_as_that_comes() -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(301, payload=bytes([9, 8]))
    assert stream.levels == [8, 9]


@pytest.mark.parametrize("payload", [bytes([9]), bytes([9, 0])])
def test_a_lost_packet_without_redundancy_is_guessed(payload: bytes) -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(301, payload=payload)
    assert stream.levels[0] == pytest.approx(level(299) * (1 - FRAME / 2 / FADE), rel=0.01)
    assert stream.levels[1] == 9


def test_of_a_lost_burst_the_last_frame_is_recovered_and_the_others_guessed() -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(303, payload=bytes([9, 8]))
    assert len(stream.sound) == 4 * FRAME
    assert stream.levels[2:] == [8, 9]
    assert stream.levels[0] > stream.levels[1] > 0


def test_a_packet_that_comes_after_its_time_was_filled_is_dropped() -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(301)
    stream.arrive(300, 301 * PERIOD + 0.001)
    stream.arrive(302)
    assert stream.levels[1:] == [level(301), level(302)]


def test_when_nothing_comes_time_goes_on_and_the_sound_fades_to_silence() -> None:
    stream = Stream()
    stream.settle()
    now = 299 * PERIOD
    for _ in range(20):
        assert stream.buffer.deadline is not None
        assert stream.buffer.deadline - now < STARVED + PERIOD + 0.011
        now = stream.buffer.deadline
        stream.heard += stream.buffer.tick(now)
    assert len(stream.sound) == 20 * FRAME
    assert np.all(np.diff(stream.sound[:FADE]) <= 0)
    assert not stream.sound[FADE:].any()


def test_a_tick_before_the_deadline_gives_nothing() -> None:
    stream = Stream()
    assert stream.buffer.tick(5.0) == []
    stream.settle()
    assert stream.buffer.deadline is not None
    assert stream.buffer.tick(stream.buffer.deadline - 0.001) == []


def test_sound_that_was_guessed_is_not_heard_again_when_it_arrives_late() -> None:
    stream = Stream()
    stream.settle()
    stream.heard += stream.buffer.tick(303 * PERIOD)  # frame 300, and nothing else, is overdue
    guessed = len(stream.sound)
    for n in (300, 301, 302, 303):
        stream.arrive(n, 303 * PERIOD)
    assert guessed == FRAME
    assert len(stream.sound) == 4 * FRAME
    assert stream.levels[1:] == [level(301), level(302), level(303)]


def test_after_silence_the_sound_rises_without_a_click() -> None:
    stream = Stream()
    stream.settle()
    stream.heard += stream.buffer.tick(310 * PERIOD)
    n = 300 + len(stream.sound) // FRAME
    stream.heard.clear()
    stream.arrive(n, 310 * PERIOD, payload=bytes([100]))
    assert stream.sound[0] == 0
    assert np.max(np.diff(stream.sound)) < 2
    assert stream.levels == [100]


def test_a_pause_of_the_sender_is_silence() -> None:
    stream = Stream()
    stream.settle()
    paused = stream.packet(300)
    stream.heard += stream.buffer.receive(
        Packet(7, paused.sequence, paused.timestamp + 10 * 960, b"\x05"), 310 * PERIOD
    )
    assert len(stream.sound) == 11 * FRAME
    assert stream.levels[-1] == 5


def test_a_payload_that_cannot_be_decoded_is_guessed() -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(300, payload=b"\x00")
    stream.arrive(301)
    assert len(stream.sound) == 2 * FRAME
    assert stream.levels[1] == level(301)


def test_a_late_payload_that_cannot_be_decoded_is_forgotten() -> None:
    stream = Stream()
    stream.settle()
    stream.heard += stream.buffer.tick(303 * PERIOD)
    stream.arrive(300, 303 * PERIOD, payload=b"\x00")
    stream.arrive(301, 303 * PERIOD)
    assert stream.levels[-1] == level(301)
    assert len(stream.sound) == 2 * FRAME


def test_empty_packets_that_probe_the_line_make_no_sound() -> None:
    stream = Stream()
    stream.settle()
    before = stream.packet(299)
    stream.heard += stream.buffer.receive(Packet(7, before.sequence + 1, before.timestamp, b""), 300 * PERIOD)
    stream.heard += stream.buffer.receive(Packet(7, before.sequence + 2, before.timestamp + 960, b"\x05"), 300 * PERIOD)
    assert stream.levels == [5]


def test_a_new_source_goes_on_behind_the_old_one() -> None:
    stream = Stream()
    stream.settle()
    stream.arrive(0, 300 * PERIOD, ssrc=8)
    stream.arrive(1, 301 * PERIOD, ssrc=8)
    assert stream.levels == [1, 2]


def test_timestamps_that_jump_for_no_reason_are_followed() -> None:
    stream = Stream()
    stream.settle()
    for n in (0, 1):
        jumped = Packet(7, 300 + n, 2**31 + n * 960, bytes([n + 1]))
        stream.heard += stream.buffer.receive(jumped, (300 + n) * PERIOD)
    assert stream.levels == [1, 2]
    assert stream.buffer.deadline == pytest.approx(302 * PERIOD, abs=0.1)


def test_sequence_numbers_that_begin_anew_are_followed() -> None:
    stream = Stream()
    stream.settle()
    for n in (0, 1):
        stream.heard += stream.buffer.receive(
            Packet(7, 60_000 + n, (300 + n) * 960, bytes([n + 1])), (300 + n) * PERIOD
        )
    assert stream.levels == [1, 2]


def test_a_long_pause_with_a_true_clock_loses_nothing() -> None:
    stream = Stream()
    stream.settle()
    for n in range(300, 600):
        stream.heard += stream.buffer.tick(n * PERIOD)
    stream.arrive(600)
    assert len(stream.sound) == 301 * FRAME
    assert stream.levels[-1] == level(600)


def test_a_flood_behind_a_hole_is_not_kept() -> None:
    stream = Stream()
    stream.settle()
    for n in range(301, 301 + MAX_WAITING + 1):
        stream.arrive(n, 300 * PERIOD)
    assert len(stream.sound) == (MAX_WAITING + 2) * FRAME


@pytest.mark.parametrize("seed", range(20))
def test_any_network_gives_each_sample_once_in_order_and_in_time(seed: int) -> None:
    chance = random.Random(seed)
    stream = Stream(first=chance.randrange(65536), ticks=chance.randrange(2**32))
    jitter = chance.choice([0.0, 0.01, 0.06])
    arrivals = [(n * PERIOD + chance.random() * jitter, n) for n in range(400) if n < 5 or chance.random() > 0.1]
    delays = []
    for at, n in sorted(arrivals):
        while (deadline := stream.buffer.deadline) is not None and deadline < at:
            stream.heard += stream.buffer.tick(deadline)
        stream.arrive(n, at)
        delays.append(at - len(stream.sound) / FRAME * PERIOD + PERIOD)  # age of the oldest sound not yet delivered
    assert 395 <= len(stream.sound) / FRAME <= 405
    assert max(delays) < TargetDelay.MOST + STARVED + 2 * PERIOD
    said = np.repeat([level(n) for n in range(410)], FRAME)[: len(stream.sound)]
    assert np.mean(stream.sound == said) > 0.65  # the rest was guessed, or rises from a guess
    assert np.corrcoef(stream.sound, said)[0, 1] > 0.95


def test_the_target_delay_follows_the_jitter_and_forgets_it() -> None:
    delay, chance = TargetDelay(), random.Random(1)
    for _ in range(300):
        delay.observe(1.0)
    calm = delay.seconds
    for _ in range(100):
        delay.observe(1.0 + 0.05 * chance.random())
    shaken = delay.seconds
    for _ in range(150):
        delay.observe(1.0)
    assert calm == TargetDelay.LEAST
    assert 0.04 < shaken < 0.065
    assert delay.seconds <= 0.01


def test_the_target_delay_is_bounded() -> None:
    delay = TargetDelay()
    for n in range(200):
        delay.observe(n % 2 * 3.0)
    assert delay.seconds == TargetDelay.MOST


def test_the_target_delay_follows_a_clock_that_drifts() -> None:
    delay = TargetDelay()
    for n in range(5000):
        delay.observe(1.0 + n * PERIOD * 100e-6)  # 100 ppm
    assert delay.base == pytest.approx(1.01, abs=0.0011)
    assert delay.seconds == TargetDelay.LEAST
