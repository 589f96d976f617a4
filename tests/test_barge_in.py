"""realtime/turns/barge_in.py."""

import pytest

from vivavoce.realtime.turns.barge_in import BargeIn


def ages(pattern: str, audible: bool) -> list[int]:
    """What BargeIn says to each window; '#' is voiced, '.' is not."""
    barge_in = BargeIn()
    return [barge_in.receive(mark == "#", audible) for mark in pattern]


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
def test_in_quiet_three_voiced_windows_in_a_row_take_the_floor(pattern: str, expected: list[int]) -> None:
    assert ages(pattern, audible=False) == expected


@pytest.mark.parametrize("cough", ["###", "####..##", "##..##..##..##", "######"])
def test_a_cough_does_not_stop_the_assistant(cough: str) -> None:
    assert not any(ages(cough, audible=True))


@pytest.mark.parametrize(("speech", "windows"), [("#######", 7), ("####.###", 8), ("##.###.##", 9)])
def test_a_quarter_of_a_second_of_speech_stops_the_assistant(speech: str, windows: int) -> None:
    assert ages(speech, audible=True)[-1] == windows
    assert not any(ages(speech, audible=True)[:-1])


def test_reset_forgets_what_was_counted() -> None:
    barge_in = BargeIn()
    for _ in range(2):
        barge_in.receive(True, audible=False)
    barge_in.reset()
    assert barge_in.receive(True, audible=False) == 0
