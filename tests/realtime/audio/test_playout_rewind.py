"""realtime/audio/playout.py, and the playout that goes back to what did not arrive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.realtime.audio.playout import LONGEST_WORD, REMEMBERED, Played, Playout, begins

WORD = 100  # samples


def speech(words: int, first: int = 0) -> AudioToken:
    """Each sample says its own position, so that what is played tells where it comes from."""
    samples = np.arange(first, first + words * WORD, dtype=np.float32)
    return AudioToken(samples, tuple(WordEnd(5 * n, WORD * n) for n in range(1, words + 1)))


def playing(*lengths: int) -> Playout:
    playout = Playout()
    for number, words in enumerate(lengths, 1):
        playout.push(number, speech(words, 100_000 * number))
        playout.finish(number)
    return playout


def rest(playout: Playout) -> Samples:
    return playout.take(playout.waiting).samples


def test_a_reply_goes_on_with_the_word_that_did_not_arrive_whole() -> None:
    playout = playing(10)
    playout.take(730)
    playout.rewind(1, 480)
    assert playout.heard(1) == (400, 20)
    assert np.array_equal(rest(playout), speech(10, 100_000).samples[400:])


def test_where_a_word_ends_exactly_nothing_is_said_twice() -> None:
    playout = playing(10)
    playout.take(730)
    playout.rewind(1, 500)
    assert rest(playout)[0] == 100_500


def test_what_all_arrived_is_not_played_again() -> None:
    playout = playing(10)
    playout.take(730)
    playout.rewind(*playout.place)
    assert rest(playout)[0] == 100_730


def test_a_place_that_was_never_reached_changes_nothing() -> None:
    playout = playing(10)
    playout.take(300)
    playout.rewind(1, 900)
    assert rest(playout)[0] == 100_300


def test_a_reply_that_had_ended_begins_and_ends_once_more() -> None:
    playout = playing(3)
    assert playout.take(400).ended == [1]
    playout.rewind(1, 250)
    assert playout.audible == 1
    frame = playout.take(400)
    assert (frame.started, frame.ended) == ([1], [1])
    assert np.array_equal(frame.samples[:100], speech(3, 100_000).samples[200:])


def test_replies_after_the_place_are_played_again_from_their_beginning() -> None:
    playout = playing(3, 4)
    playout.take(500)
    playout.rewind(1, 100)
    assert np.array_equal(rest(playout), [*range(100_100, 100_300), *range(200_000, 200_400)])


def test_the_first_reply_is_played_again_from_its_beginning_where_nothing_arrived() -> None:
    playout = playing(3)
    assert playout.place == (0, 0)
    playout.take(200)
    playout.rewind(0, 0)
    assert np.array_equal(rest(playout), speech(3, 100_000).samples)


def test_a_reply_that_was_cut_stays_cut() -> None:
    playout = playing(3, 4)
    playout.take(450)
    playout.cut(2)
    playout.rewind(2, 50)
    assert playout.waiting == 0
    assert playout.heard(1)[0] == 300
    playout.rewind(1, 200)
    assert np.array_equal(rest(playout), range(100_200, 100_300))


def test_without_word_ends_it_goes_back_to_the_sample() -> None:
    playout = Playout()
    playout.push(1, AudioToken(np.arange(1000, dtype=np.float32)))
    playout.take(500)
    playout.rewind(1, 333)
    assert playout.take(10).samples[0] == 333


@pytest.mark.parametrize(
    ("sample", "begin"),
    [(0, 0), (99, 0), (100, 100), (LONGEST_WORD + 200, 200), (LONGEST_WORD + 201, LONGEST_WORD + 201)],
)
def test_the_beginning_of_a_word_is_looked_for_nearby(sample: int, begin: int) -> None:
    assert begins([WordEnd(2, 100), WordEnd(4, 200)], sample) == begin


def test_what_is_remembered_is_bounded() -> None:
    played = Played()
    piece = np.zeros(SAMPLE_RATE, np.float32)
    for number in range(100):
        played.add(number, piece)
    kept = 0
    while played.newest() is not None:
        kept += len(played.back()[1])
    assert REMEMBERED <= kept < REMEMBERED + SAMPLE_RATE


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.data(),
)
def test_after_a_rewind_every_sample_after_the_place_is_played_and_at_most_a_word_twice(
    lengths: list[int], takes: list[int], data: st.DataObject
) -> None:
    playout = playing(*lengths)
    whole = np.concatenate([speech(n, 100_000 * k).samples for k, n in enumerate(lengths, 1)])
    places, played = [playout.place], [0]
    for n in takes:
        played.append(min(len(whole), played[-1] + n))
        playout.take(n)
        places.append(playout.place)
    arrived = data.draw(st.integers(0, len(takes)))
    playout.rewind(*places[arrived])
    again = rest(playout)
    repeated = len(again) - (len(whole) - played[arrived])
    assert 0 <= repeated < WORD
    assert np.array_equal(again, whole[len(whole) - len(again) :])
