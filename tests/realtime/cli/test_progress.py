"""What people see of a download."""

from __future__ import annotations

import io
import threading
from contextlib import suppress

import pytest

from vivavoce.realtime.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def drawings(self) -> list[str]:
        """What was drawn over one another, one line after the other."""
        return [text for text in self.getvalue().replace("\n", "\n\r").split("\r") if text.strip()]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def test_terminal_line_is_redrawn_and_ends_with_a_line_break(clock: Clock) -> None:
    out = Terminal()
    progress = Progress(out)
    for second, done in enumerate((0, 10_000_000, 20_000_000, 40_000_000)):
        clock.now = float(second)
        progress("voice", done, 40_000_000)
    shares = [text.split()[2] for text in out.drawings]
    assert list(dict.fromkeys(shares)) == ["0%", "25%", "50%", "100%"]
    assert "10.0MB / 40.0MB  10.0MB/s" in out.drawings[1]
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\n")
    assert out.drawings[1].count("#") * 4 == out.drawings[-1].count("#")


def test_terminal_is_not_written_more_often_than_eyes_can_follow(clock: Clock) -> None:
    out = Terminal()
    progress = Progress(out)
    for step in range(1000):
        clock.now = step / 1000
        progress("voice", step, 1001)
    assert 9 <= len(out.drawings) <= 11


def test_file_gets_a_plain_line_for_each_quarter() -> None:
    out = io.StringIO()
    progress = Progress(out)
    for done in range(101):
        progress("voice", done * 1_000_000, 100_000_000)
    assert out.getvalue().splitlines() == [f"voice: {share}% of 100.0 MB" for share in (0, 25, 50, 75, 100)]


def test_artefact_that_is_there_already_is_one_line(clock: Clock) -> None:
    for out in (io.StringIO(), Terminal()):
        progress = Progress(out)
        progress("voice", 5, 5)
        progress("voice", 5, 5)
        progress("asr", 7, 7)
        assert out.getvalue().count("\n") == 2


def test_artefacts_each_have_their_own_rate(clock: Clock) -> None:
    out = Terminal()
    progress = Progress(out)
    progress("voice", 0, 2_000_000)
    clock.now = 1.0
    progress("voice", 2_000_000, 2_000_000)
    progress("asr", 4_000_000, 8_000_000)  # half of it was there before
    clock.now = 2.0
    progress("asr", 7_000_000, 8_000_000)
    assert "3.00MB/s" in out.drawings[-1]


def test_a_download_that_fails_leaves_a_whole_line(clock: Clock) -> None:
    out = Terminal()
    with suppress(OSError), Progress(out) as progress:
        progress("voice", 1_000_000, 2_000_000)
        raise OSError("the disk is full")
    assert out.getvalue().endswith("\n")


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    Progress(Terminal())("voice", 5, 5)
    assert threading.active_count() == before
