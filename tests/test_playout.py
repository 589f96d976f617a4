"""realtime/playout.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.dialogue import SAMPLE_RATE, AudioToken, WordEnd
from vivavoce.realtime import playout as module
from vivavoce.realtime.playout import Playout, PlayoutFull


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
