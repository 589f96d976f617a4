"""model/cascade/asr/streaming.py: local agreement of two hypotheses, and loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.asr.streaming import LOOP_TOKENS, agreed, loop_start

Tokens = list[int]


def starts_word(token: int) -> bool:
    """In these tests, tokens below 10 begin a word and the others continue one."""
    return token < 10


@pytest.mark.parametrize(
    ("older", "newer", "count"),
    [
        ([], [1, 2], 0),
        ([1, 2], [], 0),
        ([1, 2, 3], [1, 2, 4], 2),
        ([1, 2], [1, 2], 1),  # the last word may be half of a longer one
        ([1, 20, 3], [1, 20, 21, 3], 0),  # "walk", then "walking": the word has changed
        ([1, 2, 20], [1, 2, 3], 2),
        ([1, 2, 20], [1, 2, 21, 3], 1),
        ([5, 2, 3], [1, 2, 3], 0),
    ],
)
def test_agreement_ends_where_the_newer_hypothesis_begins_a_word(older: Tokens, newer: Tokens, count: int) -> None:
    assert agreed(older, newer, starts_word) == count


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_what_is_agreed_is_common_to_both(older: Tokens, newer: Tokens) -> None:
    count = agreed(older, newer, starts_word)
    assert older[:count] == newer[:count]
    assert count == 0 or starts_word(newer[count])


@pytest.mark.parametrize(
    ("tokens", "start"),
    [
        ([1] * LOOP_TOKENS, 1),
        ([7, 8] + [1] * LOOP_TOKENS, 3),
        ([7, *[1, 2, 3] * 4], 4),
        ([7, *[1, 2, 3] * 4, 1], 4),
        ([9, *[1, 2, 3, 4, 5] * 4], 6),
    ],
)
def test_a_loop_is_found_and_its_first_round_kept(tokens: Tokens, start: int) -> None:
    assert loop_start(tokens) == start


@pytest.mark.parametrize(
    "tokens",
    [[], [1, 1, 1, 1, 1], [1, 2, 3] * 3, list(range(40)), [*[1] * LOOP_TOKENS, 2], [1, 2, 3, 4, 1, 2, 3, 5] * 3],
)
def test_repetition_that_people_use_is_no_loop(tokens: Tokens) -> None:
    assert loop_start(tokens) is None
