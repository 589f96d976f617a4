"""All tests, in lanes: `make test` runs this file. It ends with one line that counts the tests of all lanes.

    models    one process: what was loaded is shared ───┐
    scripted  everything else, beside it ───────────────┴─► peers, alone

Two cores are enough for two lanes: tests with models take one and wait for sound in real time half of the time. Real
peers (browsers, official clients, SIPp, Asterisk) keep real time and take whole cores: they begin when the others are
over, so that nothing disturbs them.

A test that hangs ends its lane after ten minutes, with the stacks of all threads (`faulthandler_timeout` in
pyproject.toml); the lane counts as one failure more.

Arguments go to each pytest: `python tests/harness/lanes.py -k resume`. With `--halves`, two processes share the chosen
tests by module: `make unit`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, Final

LANES: Final = ("models", "scripted", "peers")
HALVES: Final = ("1", "2")

NO_TESTS: Final = 5
"""pytest's exit code when nothing was left to run."""

OF: Final = {"passed": "passed", "xpassed": "passed", "failed": "failed", "error": "failed", "errors": "failed"}
OF_SKIPPED: Final = {"skipped": "skipped", "xfailed": "skipped"}
"""What pytest's closing line counts, and as what it is counted here."""


def counts(report: str) -> Counter[str]:
    """The tests of a run, from the last line of its report: "2 failed, 30 passed, 1 skipped in 5.1s"."""
    found = Counter[str]()
    closing = re.sub(r"\x1b\[[\d;]*m", "", report).rstrip().rpartition("\n")[2]
    for number, kind in re.findall(r"(\d+) (\w+)", closing):
        if said := (OF | OF_SKIPPED).get(kind):
            found[said] += int(number)
    return found


def begin(arguments: Sequence[str], output: IO[str] | int) -> subprocess.Popen[str]:
    color = ["--color=yes"] if sys.stdout.isatty() else []
    command = [sys.executable, "-m", "pytest", *color, *arguments]
    live = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a lane that is killed has said how far it came
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=live)


def closing_line(total: Counter[str], seconds: float) -> str:
    """The tests of all lanes in the words of pytest's closing line."""
    kinds = [kind for kind in ("failed", "passed", "skipped") if total[kind]]
    return f"{', '.join(f'{total[kind]} {kind}' for kind in kinds) or 'no tests ran'} in {seconds:.2f}s"


def follow(running: subprocess.Popen[str]) -> str:
    """Shows what a run says as it says it; returns all of it."""
    assert running.stdout is not None
    said = ""
    while piece := running.stdout.read(1):
        print(piece, end="", flush=True)
        said += piece
    running.wait()
    return said


def side_by_side(runs: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Runs of pytest at the same time: their exit codes and reports. The last is shown as it goes on, the others when
    they are over."""
    with ExitStack() as stack:
        kept = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in runs[1:]]
        beside = [begin(run, file) for run, file in zip(runs, kept, strict=False)]
        for one in beside:
            stack.callback(one.terminate)
        last = begin(runs[-1], subprocess.PIPE)
        ended = [(follow(last), last)]
        for file, one in zip(kept, beside, strict=True):
            one.wait()
            file.seek(0)
            print(shown := file.read(), end="", flush=True)
            ended.append((shown, one))
    return [(one.returncode, report) for report, one in ended]


def main(arguments: list[str]) -> int:
    """Runs all lanes, or two halves of the tests (`--halves`); the exit code is that of the first that failed."""
    began = time.monotonic()
    if arguments[:1] == ["--halves"]:
        ended = side_by_side([[f"--half={half}", *arguments[1:]] for half in HALVES])
    else:
        *beside, alone = ([f"--lane={lane}", *arguments] for lane in LANES)
        ended = side_by_side(beside) + side_by_side([alone])
    total = sum((counts(report) for _, report in ended), Counter[str]())
    failed = [code for code, _ in ended if code not in (0, NO_TESTS)]
    # A lane that broke off has no closing line.
    total["failed"] += sum(code not in (0, NO_TESTS) and not counts(report)["failed"] for code, report in ended)
    print(closing_line(total, time.monotonic() - began))
    return failed[0] if failed else (0 if total.total() else NO_TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
