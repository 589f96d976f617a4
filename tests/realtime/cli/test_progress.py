"""realtime/cli/progress.py: what people see of a download."""

from __future__ import annotations

import io

from vivavoce.realtime.cli.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_terminal_line_is_redrawn_and_ends_with_a_line_break() -> None:
    out, clock = Terminal(), Clock()
    bar = Bar(out, clock)
    for second, done in enumerate((0, 10_000_000, 20_000_000, 40_000_000)):
        clock.now = float(second)
        bar("voice", done, 40_000_000)
    drawings = out.getvalue().split("\r")[1:]
    assert [text.split()[2] for text in drawings] == ["0%", "25%", "50%", "100%"]
    assert "10.0 / 40.0 MB  10.0 MB/s" in drawings[1]
    assert [text.endswith("\n") for text in drawings] == [False, False, False, True]
    assert drawings[1].count("#") * 4 == drawings[3].count("#")


def test_terminal_is_not_written_more_often_than_eyes_can_follow() -> None:
    out, clock = Terminal(), Clock()
    bar = Bar(out, clock)
    for step in range(1000):
        clock.now = step / 1000
        bar("voice", step, 1001)
    assert 9 <= out.getvalue().count("\r") <= 11


def test_file_gets_a_plain_line_for_each_quarter() -> None:
    out, clock = io.StringIO(), Clock()
    bar = Bar(out, clock)
    for done in range(101):
        bar("voice", done * 1_000_000, 100_000_000)
    assert out.getvalue().splitlines() == [f"voice: {share}% of 100.0 MB" for share in (0, 25, 50, 75, 100)]


def test_artefact_that_is_there_already_is_one_line() -> None:
    for out in (io.StringIO(), Terminal()):
        bar = Bar(out, Clock())
        bar("voice", 5, 5)
        bar("voice", 5, 5)
        bar("ears", 7, 7)
        assert out.getvalue().count("\n") == 2


def test_artefacts_each_have_their_own_rate() -> None:
    out, clock = Terminal(), Clock()
    bar = Bar(out, clock)
    bar("voice", 0, 2_000_000)
    clock.now = 1.0
    bar("voice", 2_000_000, 2_000_000)
    bar("ears", 4_000_000, 8_000_000)  # half of it was there before
    clock.now = 2.0
    bar("ears", 7_000_000, 8_000_000)
    assert "3.0 MB/s" in out.getvalue().split("\r")[-1]
