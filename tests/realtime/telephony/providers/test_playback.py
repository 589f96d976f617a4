"""Playback: the frames that the caller has heard, by the clock and by marks. Frames are of 20 ms."""

import pytest

from vivavoce.realtime.telephony.providers.media_stream import Playback


def play(frames: int, playback: Playback, now: float, round_trip: float | None = None, every: int = 5) -> list[str]:
    """Sends frames in real time from `now` on, with marks, which come back after the round trip; returns those that are
    still out."""
    names: list[tuple[str, float]] = []
    for n in range(frames):
        at = now + n * 0.02
        while round_trip is not None and names and names[0][1] <= at:
            playback.mark_reached(names.pop(0)[0], at)
        playback.sent(1, at)
        if (n + 1) % every == 0:
            names.append((playback.mark(), at + 0.02 + (round_trip or 0.0)))
    return [name for name, _ in names]


def test_nothing_is_heard_before_it_is_sent() -> None:
    playback = Playback()
    assert playback.heard(0.0) == 0
    playback.sent(10, 1.0)
    assert playback.heard(1.0) == 0
    assert playback.heard(1.1) == 5
    assert playback.heard(1.2) == playback.heard(9.0) == 10


def test_a_lead_is_not_heard_until_its_time() -> None:
    playback = Playback()
    playback.sent(4, 0.0)
    for n in range(10):
        playback.sent(1, (n + 1) * 0.02)
    assert playback.heard(0.2) == 10, "14 were sent, 4 of them ahead of time"


def test_pauses_count_as_heard() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    for _ in range(20):
        playback.skipped()
    assert playback.heard(1.0) == 25
    playback.sent(5, 1.0)
    assert playback.heard(1.04) == 27


@pytest.mark.parametrize("round_trip", [0.0, 0.08, 0.3])
def test_frames_heard_when_a_clear_arrives_do_not_depend_on_the_round_trip(round_trip: float) -> None:
    playback = Playback()
    play(100, playback, 0.0, round_trip)
    assert playback.heard(2.0) == 100
    assert playback.heard(1.99) in (99, 100)


def test_a_stall_at_the_provider_delays_all_that_follows() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    first = playback.mark()
    playback.mark_reached(first, 0.15)  # a round trip of 50 ms
    playback.sent(5, 0.1)
    second = playback.mark()
    playback.mark_reached(second, 0.45)  # 0.2 s later than it should have been
    playback.sent(5, 0.2)
    playback.sent(5, 0.3)
    assert playback.heard(0.42) == 20 - 9


def test_only_marks_count_once_they_are_a_second_late() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    playback.mark_reached(playback.mark(), 0.12)
    playback.sent(100, 0.2)
    playback.mark()
    assert playback.heard(2.0) == 95
    assert playback.heard(5.0) == 5


def test_cleared_frames_were_not_heard_and_their_marks_are_ignored() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    heard = playback.mark()
    playback.sent(45, 0.1)
    waiting = playback.mark()
    playback.mark_reached(heard, 0.12)
    assert playback.clear(0.5) == 25
    playback.mark_reached(waiting, 0.51)  # Twilio sends back at once what was waiting
    assert playback.heard(0.6) == 50, "nothing is queued any more"
    playback.sent(10, 1.0)
    assert playback.heard(1.1) == 55


def test_marks_that_were_never_sent_are_ignored() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    playback.mark_reached("17", 0.01)
    playback.mark_reached("0.5", 0.01)
    assert playback.heard(0.02) == 1


def test_remaining_is_the_time_until_the_last_word_was_heard() -> None:
    playback = Playback()
    assert playback.remaining(0.0) == 0
    playback.sent(5, 0.0)
    playback.mark_reached(playback.mark(), 0.2)  # a round trip of 0.1 s
    playback.sent(50, 1.0)
    assert playback.remaining(1.0) == pytest.approx(1.1)
    assert playback.remaining(3.0) == 0
