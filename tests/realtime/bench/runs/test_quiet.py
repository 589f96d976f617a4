"""realtime/bench/runs/quiet.py: what other programs took of the machine."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from vivavoce.realtime.bench.runs.quiet import Neighbours, Processors, Watch, read_processors


class Machine:
    """Two cores, as told."""

    def __init__(self) -> None:
        self.now = self.own = self.others = self.stolen = 0.0

    def watch(self) -> Watch:
        def processors() -> Processors:
            return Processors(self.own + self.others, self.stolen, 2 * self.now)

        return Watch(lambda: self.own, processors, lambda: self.now)


@pytest.mark.parametrize(
    ("others", "stolen", "found", "quiet"),
    [
        (0.0, 0.0, Neighbours(0.0, 0.0), True),
        (0.9, 0.0, Neighbours(0.09, 0.0), True),
        (1.2, 0.0, Neighbours(0.12, 0.0), False),
        (8.0, 0.0, Neighbours(0.8, 0.0), False),
        (0.0, 0.3, Neighbours(0.0, 0.015), True),
        (0.0, 1.0, Neighbours(0.0, 0.05), False),
        (-0.01, 0.0, Neighbours(0.0, 0.0), True),  # counted in ticks
    ],
)
def test_only_other_programs_and_the_host_disturb(others: float, stolen: float, found: Neighbours, quiet: bool) -> None:
    machine = Machine()
    watch = machine.watch()
    machine.now, machine.own, machine.others, machine.stolen = 10.0, 14.0, others, stolen
    seen = watch.neighbours()
    assert seen is not None
    assert (seen.cores, seen.stolen) == pytest.approx((found.cores, found.stolen))
    assert found.quiet == quiet


def test_what_they_took_is_said_in_words() -> None:
    assert Neighbours(0.84, 0.01).words == "other programs took 0.8 of this machine's cores"
    assert Neighbours(0.0, 0.05).words == "other programs took 0.0 of this machine's cores, its host 5 % of the time"


def test_nothing_is_said_of_less_than_a_second() -> None:
    machine = Machine()
    watch = machine.watch()
    machine.now, machine.others = 0.5, 1.0
    assert watch.neighbours() is None


@pytest.mark.parametrize("text", ["", "cpu", "cpu one two", "cpu 1 2 3"])
def test_a_system_that_does_not_tell_is_not_judged(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stat"
    assert read_processors(file) is None
    file.write_text(text)
    assert read_processors(file) is None
    assert Watch(lambda: 1.0, lambda: None).neighbours() is None
    assert Watch(lambda: None, lambda: Processors(1, 0, 2)).neighbours() is None


def test_the_columns_are_those_of_proc_stat(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    found = read_processors(file)
    assert found is not None
    assert (found.busy, found.stolen, found.total) == pytest.approx((1.63, 0.08, 42.21))


def _spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_a_busy_program_is_found_and_our_own_work_is_not() -> None:
    other = multiprocessing.get_context("spawn").Process(target=_spin, args=(1.0,))
    watch = Watch(time.process_time)
    other.start()
    _spin(0.5)
    other.join()
    found = watch.neighbours()
    assert found is not None
    assert found.cores > 0.2
    assert not found.quiet
