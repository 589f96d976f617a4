"""All tests, in lanes: `make test` runs this file. It ends with one line that counts the tests of all lanes.

    models    one process: what was loaded is shared ───┐
    scripted  everything else, beside it ───────────────┴─► peers, alone

Two cores are enough for two lanes: tests with models take one and wait for sound in real time half of the time. Real
peers (browsers, official clients, SIPp, Asterisk) keep real time and take whole cores: they begin when the others are
over, so that nothing disturbs them.

Arguments go to each pytest: `python tests/harness/lanes.py -k resume`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from typing import IO, Final

LANES: Final = ("models", "scripted", "peers")

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


def begin(lane: str, arguments: list[str], output: IO[str] | int) -> subprocess.Popen[str]:
    color = ["--color=yes"] if sys.stdout.isatty() else []
    command = [sys.executable, "-m", "pytest", f"--lane={lane}", *color, *arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)


def follow(running: subprocess.Popen[str]) -> str:
    """Shows what a run says as it says it; returns all of it."""
    assert running.stdout is not None
    said = ""
    while piece := running.stdout.read(1):
        print(piece, end="", flush=True)
        said += piece
    running.wait()
    return said


def main(arguments: list[str]) -> int:
    """Runs all lanes; the exit code is that of the first that failed."""
    with tempfile.TemporaryFile("w+") as kept:
        beside = begin("models", arguments, kept.fileno())
        try:
            scripted = begin("scripted", arguments, subprocess.PIPE)
            reports = [follow(scripted)]
            beside.wait()
        finally:
            beside.terminate()
        kept.seek(0)
        print(shown := kept.read(), end="", flush=True)
    peers = begin("peers", arguments, subprocess.PIPE)
    reports += [shown, follow(peers)]
    total = sum((counts(report) for report in reports), Counter[str]())
    codes = [run.returncode for run in (scripted, beside, peers)]
    failed = [code for code in codes if code not in (0, NO_TESTS)]
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return failed[0] if failed else (0 if total else NO_TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
