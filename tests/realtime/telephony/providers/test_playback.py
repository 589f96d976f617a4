"""What the caller heard, by the clock and by marks. Frames are of 20 ms."""

import pytest

from vivavoce.realtime.telephony.providers.line import Playback


def spoken(frames: int, playback: Playback, now: float, trip: float | None = None, every: int = 5) -> list[str]:
    """Frames sent in real time from `now` on, with marks; those that are due are echoed after the round trip."""
    names: list[tuple[str, float]] = []
    for n in range(frames):
        at = now + n * 0.02
        while trip is not None and names and names[0][1] <= at:
            playback.echoed(names.pop(0)[0], at)
        playback.sent(1, at)
        if (n + 1) % every == 0:
            names.append((playback.mark(), at + 0.02 + (trip or 0.0)))
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
        playback.passed()
    assert playback.heard(1.0) == 25
    playback.sent(5, 1.0)
    assert playback.heard(1.04) == 27


@pytest.mark.parametrize("trip", [0.0, 0.08, 0.3])
def test_a_long_way_changes_nothing_about_what_is_heard_when_the_clear_arrives(trip: float) -> None:
    playback = Playback()
    spoken(100, playback, 0.0, trip)
    assert playback.heard(2.0) == 100
    assert playback.heard(1.99) in (99, 100)


def test_a_stall_at_the_provider_delays_all_that_follows() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    first = playback.mark()
    playback.echoed(first, 0.15)  # a round trip of 50 ms
    playback.sent(5, 0.1)
    second = playback.mark()
    playback.echoed(second, 0.45)  # 0.2 s later than it should have been
    playback.sent(5, 0.2)
    playback.sent(5, 0.3)
    assert playback.heard(0.42) == 20 - 9


def test_only_marks_are_believed_once_they_are_a_second_late() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    playback.echoed(playback.mark(), 0.12)
    playback.sent(100, 0.2)
    playback.mark()
    assert playback.heard(2.0) == 95
    assert playback.heard(5.0) == 5


def test_what_is_cleared_was_not_heard_and_its_marks_say_nothing() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    heard = playback.mark()
    playback.sent(45, 0.1)
    waiting = playback.mark()
    playback.echoed(heard, 0.12)
    assert playback.clear(0.5) == 25
    playback.echoed(waiting, 0.51)  # Twilio sends back at once what was waiting
    assert playback.heard(0.6) == 50, "nothing is under way any more"
    playback.sent(10, 1.0)
    assert playback.heard(1.1) == 55


def test_marks_that_were_never_sent_are_passed_over() -> None:
    playback = Playback()
    playback.sent(5, 0.0)
    playback.echoed("17", 0.01)
    playback.echoed("0.5", 0.01)
    assert playback.heard(0.02) == 1


def test_it_knows_when_the_last_word_will_have_been_heard() -> None:
    playback = Playback()
    assert playback.left(0.0) == 0
    playback.sent(5, 0.0)
    playback.echoed(playback.mark(), 0.2)  # a round trip of 0.1 s
    playback.sent(50, 1.0)
    assert playback.left(1.0) == pytest.approx(1.1)
    assert playback.left(3.0) == 0
