"""Steps of streaming networks over ragged batches, with a network small enough to follow by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.streaming import Array, State, run

SIZE = 3


class Sums:
    """Gives the sum of all it was given so far, after each step of three numbers."""

    size = SIZE

    def __init__(self) -> None:
        self.batches: list[int] = []

    def step(self, x: Array, state: State, rows: Array) -> Array:
        self.batches.append(len(rows))
        state.arrays["total"][rows] += x.sum(1)
        return state.arrays["total"][rows][:, None]


def new_state(slots: int) -> State:
    return State(
        {
            "total": np.zeros(slots, np.float32),
            "waiting": np.zeros((slots, SIZE), np.float32),
            "filled": np.zeros(slots, np.int64),
        }
    )


def feed(chunks: list[list[int]]) -> list[float]:
    state, given_out = new_state(1), []
    for chunk in chunks:
        given_out += [float(result[0]) for result in run(Sums(), [np.array(chunk, np.float32)], state)[0]]
    return given_out


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8))
def test_any_chunking_gives_what_one_chunk_gives(chunks: list[list[int]]) -> None:
    assert feed(chunks) == feed([[number for chunk in chunks for number in chunk]])


def test_slots_go_at_their_own_pace_and_those_who_are_ready_share_a_batch() -> None:
    network, state = Sums(), new_state(3)

    results = run(network, [np.ones(7), np.ones(2), np.ones(3)], state)

    assert [[float(result[0]) for result in slot] for slot in results] == [[3, 6], [], [3]]
    assert network.batches == [2, 1]
    (second,) = run(network, [np.zeros(0), np.ones(1), np.zeros(0)], state)[1]
    assert second == 3


def test_a_reset_slot_begins_anew_and_its_neighbours_do_not_notice() -> None:
    state = new_state(2)
    run(Sums(), [np.ones(4), np.ones(4)], state)

    state.reset(0)

    first, second = run(Sums(), [np.ones(3), np.ones(2)], state)
    assert [float(first[0][0]), float(second[0][0])] == [3, 6]


@pytest.mark.parametrize("slot", [-1, 2])
def test_there_is_no_resetting_a_slot_that_does_not_exist(slot: int) -> None:
    with pytest.raises(IndexError, match=f"slot from 0 to 1, got {slot}"):
        new_state(2).reset(slot)


def test_each_slot_must_get_its_chunk() -> None:
    with pytest.raises(ValueError, match="one chunk for each of 2 slots, got 1"):
        run(Sums(), [np.ones(3)], new_state(2))
