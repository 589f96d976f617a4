"""realtime/audio/playout.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.realtime.audio import playout as module
from vivavoce.realtime.audio.fader import DUCKED, RAMP
from vivavoce.realtime.audio.playout import Playout, PlayoutFull
from vivavoce.realtime.events import Loudness


def sound(n: int, value: float = 1.0, words: tuple[WordEnd, ...] = ()) -> AudioToken:
    return AudioToken(np.full(n, value, np.float32), words)


def test_sound_is_played_once_and_in_order() -> None:
    playout = Playout()
    playout.push(1, sound(30, 1))
    playout.push(1, sound(30, 2))
    taken = [playout.take(40).samples for _ in range(2)]
    assert np.array_equal(np.concatenate(taken), [1] * 30 + [2] * 30 + [0] * 20)


def test_the_beginning_and_the_end_of_a_reply_are_told_once() -> None:
    playout = Playout()
    assert playout.take(10).started == []
    playout.push(1, sound(15))
    playout.finish(1)
    frames = [playout.take(10) for _ in range(3)]
    assert [frame.started for frame in frames] == [[1], [], []]
    assert [frame.ended for frame in frames] == [[], [1], []]


def test_the_end_is_told_when_it_is_known_after_the_last_sample_was_played() -> None:
    playout = Playout()
    playout.push(1, sound(10))
    assert playout.take(10).ended == []
    playout.finish(1)
    assert playout.take(10).ended == [1]


def test_a_reply_without_sound_neither_starts_nor_ends() -> None:
    playout = Playout()
    playout.finish(1)
    frame = playout.take(10)
    assert (frame.started, frame.ended) == ([], [])


def test_replies_play_one_after_the_other_within_one_frame() -> None:
    playout = Playout()
    for number in (1, 2):
        playout.push(number, sound(5, number))
        playout.finish(number)
    frame = playout.take(10)
    assert list(frame.samples) == [1] * 5 + [2] * 5
    assert (frame.started, frame.ended) == ([1, 2], [1, 2])


def test_a_reply_that_is_still_being_made_keeps_its_place() -> None:
    playout = Playout()
    playout.push(1, sound(5, 1))
    playout.push(2, sound(5, 2))
    assert list(playout.take(10).samples) == [1] * 5 + [0] * 5
    assert playout.audible == 1


def test_heard_counts_whole_words() -> None:
    playout = Playout()
    playout.push(1, sound(100, words=(WordEnd(3, 30), WordEnd(9, 90))))
    assert playout.heard(1) == (0, 0)
    playout.take(29)
    assert playout.heard(1) == (29, 0)
    playout.take(1)
    assert playout.heard(1) == (30, 3)
    playout.take(70)
    assert playout.heard(1) == (100, 9)
    assert playout.chars_at(1, 30) == 3
    assert playout.heard(7) == (0, 0)
    assert playout.chars_at(7, 10) == 0


def test_a_cut_is_immediate_and_what_comes_late_is_dropped() -> None:
    playout = Playout()
    playout.push(1, sound(100, words=(WordEnd(3, 10),)))
    playout.take(10)
    assert playout.cut(1) == (10, 3)
    assert playout.audible is None
    assert not playout.push(1, sound(10))
    frame = playout.take(10)
    assert not frame.samples.any()
    assert frame.ended == []
    assert playout.heard(1) == (10, 3)


def test_a_cut_before_the_first_sound_keeps_the_reply_silent() -> None:
    playout = Playout()
    assert playout.cut(1) == (0, 0)
    assert not playout.push(1, sound(10))
    assert playout.waiting == 0


def test_waiting_and_pushed_count_samples() -> None:
    playout = Playout()
    playout.push(1, sound(30))
    playout.take(10)
    assert (playout.waiting, playout.pushed(1), playout.pushed(2)) == (20, 30, 0)


def test_too_much_waiting_sound_is_refused() -> None:
    playout = Playout()
    playout.push(1, sound(module.MAX_SECONDS * SAMPLE_RATE))
    with pytest.raises(PlayoutFull, match="600 s"):
        playout.push(1, sound(1))


def test_accounts_of_old_replies_are_forgotten_in_the_end() -> None:
    playout = Playout()
    for number in range(module.KEPT + 2):
        playout.push(number, sound(1))
        playout.finish(number)
        playout.take(2)
    assert playout.pushed(0) == 0
    assert playout.pushed(module.KEPT + 1) == 1


@given(st.lists(st.integers(1, 50), max_size=20), st.lists(st.integers(1, 50), max_size=30), st.integers(0, 40))
def test_no_sample_is_lost_or_repeated(pushes: list[int], takes: list[int], cut_after: int) -> None:
    """Whatever the order of pushing and taking, what was heard is a prefix of what was pushed."""
    playout = Playout()
    total = sum(pushes)
    stream = np.arange(1, total + 1, dtype=np.float32)
    heard: list[float] = []
    at = 0
    for turn in range(max(len(pushes), len(takes))):
        if turn < len(pushes):
            playout.push(1, AudioToken(stream[at : at + pushes[turn]]))
            at += pushes[turn]
        if turn < len(takes):
            heard += [sample for sample in playout.take(takes[turn]).samples if sample]
        if turn == cut_after:
            assert playout.cut(1)[0] == len(heard)
    assert heard == list(stream[: len(heard)])
    assert playout.heard(1)[0] == len(heard)


def test_a_ducked_voice_goes_on_softly_and_comes_back_without_a_click() -> None:
    playout = Playout()
    playout.push(1, sound(10 * RAMP))
    playout.turn("ducked")
    heard = playout.take(2 * RAMP).samples
    assert heard[RAMP:] == pytest.approx(DUCKED)
    playout.turn("full")
    heard = np.concatenate((heard, playout.take(2 * RAMP).samples))
    assert np.abs(np.diff(heard)).max() < 2 / RAMP
    assert heard[-1] == 1.0
    assert playout.heard(1)[0] == 4 * RAMP


def test_a_held_voice_fades_and_keeps_its_place() -> None:
    playout = Playout()
    playout.push(1, AudioToken(np.arange(1, 5 * RAMP + 1, dtype=np.float32)))
    playout.turn("held")
    faded = playout.take(2 * RAMP).samples
    assert np.count_nonzero(faded) == RAMP
    assert not playout.take(RAMP).samples.any()
    assert playout.heard(1)[0] == RAMP
    assert playout.audible == 1
    playout.turn("full")
    assert playout.take(3 * RAMP).samples[RAMP:].tolist() == list(range(2 * RAMP + 1, 4 * RAMP + 1))


def test_a_voice_that_nobody_decides_about_comes_back_by_itself() -> None:
    playout = Playout()
    playout.push(1, sound(5 * SAMPLE_RATE))
    playout.turn("ducked")
    playout.turn("held")
    waited = np.concatenate([playout.take(480).samples for _ in range(60)])
    assert waited[-1] == 1.0
    assert not waited[RAMP : SAMPLE_RATE - 480].any()


def test_the_next_reply_is_not_held_for_the_one_that_was_cut() -> None:
    playout = Playout()
    playout.push(1, sound(1000))
    playout.turn("held")
    playout.take(1000)
    playout.cut(1)
    playout.push(2, sound(10))
    assert playout.take(10).samples.tolist() == [1.0] * 10


def test_nothing_to_hear_is_not_held() -> None:
    playout = Playout()
    playout.turn("held")
    playout.push(1, sound(10))
    assert playout.take(10).samples.tolist() == [1.0] * 10


@pytest.mark.parametrize(
    ("asks", "left", "expected"), [(False, 7199, False), (False, 7201, True), (True, 19_199, False)]
)
def test_nobody_interrupts_the_very_end_of_a_reply(asks: bool, left: int, expected: bool) -> None:
    playout = Playout()
    assert not playout.interruptible
    playout.push(1, sound(30_000))
    playout.take(30_000 - left)
    assert playout.interruptible  # more may come
    playout.finish(1, asks)
    assert playout.interruptible is expected


LOUDNESSES = st.sampled_from(["full", "ducked", "held"])


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(1, 900), LOUDNESSES), max_size=40), st.integers(1, 4000))
def test_ducking_and_holding_lose_no_sample_and_repeat_none(script: list[int | Loudness], total: int) -> None:
    """Two playouts under the same script: what the one with a constant tells of the gain is taken off the other."""
    counted, constant = Playout(), Playout()
    counted.push(1, AudioToken(np.arange(1, total + 1, dtype=np.float32)))
    constant.push(1, sound(total))
    heard: list[float] = []
    for step in [*script, "full", total, total]:
        if isinstance(step, int):
            gains, weighted = constant.take(step).samples, counted.take(step).samples
            assert (gains <= 1.0).all()
            heard += (weighted[gains > 0] / gains[gains > 0]).tolist()
            assert counted.heard(1)[0] == len(heard)
        else:
            counted.turn(step)
            constant.turn(step)
    assert heard == pytest.approx(range(1, total + 1), rel=1e-4)
