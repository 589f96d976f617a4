"""Run our own server: `vivavoce serve` in a process of its own, on a free loopback port, with given settings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

import httpx

from vivavoce.realtime.bench import BenchError

READY_TIMEOUT: Final = 180.0
"""Seconds for the models to load; a busy machine takes twenty."""

STOP_TIMEOUT: Final = 30.0
"""Seconds that stopping may take."""


class ServerFailed(BenchError):
    """Our own server did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """The running server."""

    url: str
    pid: int


@contextmanager
def serving(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[OwnServer]:
    """Starts `vivavoce [arguments]`, where `arguments` end in `serve` and its options; stops it like Ctrl-C, also when
    this process is terminated. Main thread only.

    Raises `ServerFailed`."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vivavoce.realtime", *arguments, "--host", "127.0.0.1", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **environment},
        )
        assert process.stdout is not None
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            line = process.stdout.readline()
            found = re.search(r"Talk to it: (\S+)/", line)
            if found is None:
                process.wait(STOP_TIMEOUT)
                raise ServerFailed(f"The server did not start.\n{_end_of(log)}")
            _until_ready(found[1], process, log)
            yield OwnServer(found[1], process.pid)
        finally:
            signal.signal(signal.SIGTERM, before)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _until_ready(url: str, process: subprocess.Popen[str], log: IO[str]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        try:
            answer = httpx.get(f"{url}/readyz", timeout=READY_TIMEOUT, trust_env=False)
        except httpx.TransportError:  # the server may be busy loading; the checks below find one that has exited
            answer = None
        if answer is not None and answer.status_code == 200:
            return
        failed = answer is not None and answer.json().get("status") != "loading"
        if failed or process.poll() is not None or time.monotonic() > deadline:
            why = answer.text if answer is not None else f"its exit code is {process.poll()}"
            raise ServerFailed(f"The server is not ready: {why}\n{_end_of(log)}")
        time.sleep(0.1)


def _end_of(log: IO[str]) -> str:
    log.seek(0)
    return "\n".join(log.read().splitlines()[-15:])


@dataclass(frozen=True, slots=True)
class Vitals:
    """Resources of a process. `resident` in bytes; `cpu` in seconds since its start."""

    resident: int
    descriptors: int
    threads: int
    cpu: float


def vitals(pid: int) -> Vitals | None:
    """Reads the resources of a process from /proc; None where there is none."""
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        times = (folder / "stat").read_text().rpartition(")")[2].split()
        return Vitals(
            int(status["VmRSS"].split()[0]) * 1024,
            len(os.listdir(folder / "fd")),
            int(status["Threads"]),
            (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        )
    except (OSError, KeyError, ValueError):
        return None
