"""tests/harness/lanes.py and the rules of tests/conftest.py, on small suites."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT
from harness.lanes import counts

SETTINGS = f"""
[pytest]
addopts = -p no:cacheprovider
markers =
    slow
    models
    peers
    browser
pythonpath = {ROOT}/tests
"""
NOTES = """
import os
import pytest

@pytest.fixture(autouse=True)
def noted(request):
    with open("notes", "a") as notes:
        notes.write(f"{request.node.name.partition('[')[0]} {os.getpid()}\\n")
"""


def run(folder: Path, body: str, *command: str | Path) -> tuple[int, list[str]]:
    """Runs a suite: the exit code, and the lines of the report."""
    shutil.copy(ROOT / "tests/conftest.py", folder / "conftest.py")
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_suite.py").write_text(NOTES + body)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def in_pytests_words(line: str) -> str:
    """What the closing line of all lanes counts."""
    counted, _, seconds = line.rpartition(" in ")
    assert seconds.endswith("s")
    assert float(seconds[:-1]) > 0
    return counted


@pytest.mark.parametrize(
    ("report", "passed", "failed", "skipped"),
    [
        ("...\n3 passed in 0.1s\n", 3, 0, 0),
        ("== 1 failed, 2 passed, 4 skipped, 7 deselected, 1 warning, 2 errors in 83.20s (0:01:23) ==", 2, 3, 4),
        ("\x1b[32m\x1b[1m12 passed\x1b[0m, \x1b[33m1 xfailed\x1b[0m\x1b[32m in 2s\x1b[0m", 12, 0, 1),
        ("no tests ran in 0.01s", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_the_closing_line_of_a_lane_is_counted(report: str, passed: int, failed: int, skipped: int) -> None:
    found = counts(report)
    assert (found["passed"], found["failed"], found["skipped"]) == (passed, failed, skipped)


MANY = """
@pytest.mark.browser
def test_peer(): pass

@pytest.mark.models
@pytest.mark.parametrize("n", range(4))
def test_model(n): pass

@pytest.mark.parametrize("n", range(9))
def test_scripted(n): assert n != BAD

def test_skipped(): pytest.skip("not here")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "code", "closing"), [(-1, 0, "14 passed"), (3, 1, "1 failed, 13 passed")])
def test_lanes_are_processes_peers_come_last_and_the_last_line_counts_all(
    tmp_path: Path, bad: int, code: int, closing: str
) -> None:
    ended, report = run(tmp_path, f"BAD = {bad}\n{MANY}", ROOT / "tests/harness/lanes.py")
    assert (ended, in_pytests_words(report[-1])) == (code, f"{closing}, 1 skipped")
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    assert len(notes) == 15
    assert notes[-1][0] == "test_peer"
    assert len({process for _, process in notes}) == 3
    assert len({process for test, process in notes if test == "test_model"}) == 1


@pytest.mark.slow
def test_a_test_that_hangs_ends_its_lane_with_the_stacks_of_all_threads(tmp_path: Path) -> None:
    hanging = f"""
import time

@pytest.mark.models
def test_hanging(): time.sleep(100)
{MANY}"""
    limits = ("-o", "faulthandler_timeout=3", "-o", "faulthandler_exit_on_timeout=true", "-p", "no:randomly")
    ended, report = run(tmp_path, f"BAD = -1\n{hanging}", ROOT / "tests/harness/lanes.py", *limits)
    assert (ended, in_pytests_words(report[-1])) == (1, "1 failed, 10 passed, 1 skipped")
    assert any("in test_hanging" in line for line in report)


@pytest.mark.slow
def test_a_choice_that_leaves_lanes_empty_is_no_failure_but_one_that_leaves_all_empty_is(tmp_path: Path) -> None:
    lanes = ROOT / "tests/harness/lanes.py"
    ended, report = run(tmp_path, f"BAD = -1\n{MANY}", lanes, "-k", "peer")
    assert (ended, in_pytests_words(report[-1])) == (0, "1 passed")
    ended, report = run(tmp_path, f"BAD = -1\n{MANY}", lanes, "-k", "nothing")
    assert (ended, in_pytests_words(report[-1])) == (5, "no tests ran")


@pytest.mark.slow
def test_halves_are_two_processes_that_share_the_modules(tmp_path: Path) -> None:
    (tmp_path / "test_more.py").write_text("def test_one(): pass\n\ndef test_two(): pass\n")
    ended, report = run(tmp_path, f"BAD = -1\n{MANY}", ROOT / "tests/harness/lanes.py", "--halves", "-m", "not browser")
    assert (ended, in_pytests_words(report[-1])) == (0, "15 passed, 1 skipped")
    assert [counts(line)["passed"] for line in report if "passed in" in line or "passed, " in line][:2] in (
        [2, 13],
        [13, 2],
    )


@pytest.mark.slow
def test_a_long_test_that_is_not_marked_slow_fails(tmp_path: Path) -> None:
    busy = """
import time

def work():
    end = time.process_time() + 2.1
    while time.process_time() < end:
        pass

def test_unmarked(): work()

@pytest.mark.slow
def test_marked(): work()
"""
    ended, report = run(tmp_path, busy, "-m", "pytest", "-q")
    assert ended == 1
    assert counts(report[-1]) == {"failed": 1, "passed": 1}
