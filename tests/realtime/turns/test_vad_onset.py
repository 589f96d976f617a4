"""realtime/turns/vad.py: the debounce."""

import pytest

from vivavoce.realtime.turns.vad import Debounce


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("##", [0, 0]),
        ("###", [0, 0, 3]),
        (".###", [0, 0, 0, 3]),
        ("##.##", [0, 0, 0, 0, 0]),
        ("#.###", [0, 0, 0, 0, 5]),
    ],
)
def test_three_voiced_windows_in_a_row_begin_a_turn(pattern: str, expected: list[int]) -> None:
    debounce = Debounce()
    assert [debounce.receive(mark == "#") for mark in pattern] == expected


def test_reset_forgets_what_was_counted() -> None:
    debounce = Debounce()
    for _ in range(2):
        debounce.receive(True)
    debounce.reset()
    assert debounce.receive(True) == 0


def test_a_turn_is_pending_while_the_last_window_is_voiced() -> None:
    debounce = Debounce()
    assert not debounce.pending
    debounce.receive(True)
    assert debounce.pending
    debounce.receive(False)
    assert not debounce.pending
