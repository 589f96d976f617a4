"""realtime/turns/vad.py."""

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
def test_three_voiced_windows_in_a_row_take_the_floor(pattern: str, expected: list[int]) -> None:
    onset = Debounce()
    assert [onset.receive(mark == "#") for mark in pattern] == expected


def test_reset_forgets_what_was_counted() -> None:
    onset = Debounce()
    for _ in range(2):
        onset.receive(True)
    onset.reset()
    assert onset.receive(True) == 0


def test_somebody_has_begun_while_the_last_window_is_voiced() -> None:
    onset = Debounce()
    assert not onset.begun
    onset.receive(True)
    assert onset.begun
    onset.receive(False)
    assert not onset.begun
