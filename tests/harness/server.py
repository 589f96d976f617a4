"""The real server in a process of its own, as `vivavoce serve` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

VANISHED = {"VIVAVOCE_SERVER_RESUME_WINDOW": "2"}
"""For servers whose clients vanish without a goodbye: a call waits for them so many seconds, not thirty."""

READY = 120.0
"""Seconds until the models must be loaded; a loaded machine takes twenty."""


@dataclass(frozen=True)
class Server:
    """A running server. `log` grows while it runs."""

    url: str
    pid: int
    log: list[str]

    @property
    def websocket(self) -> str:
        return self.url.replace("http", "ws", 1)

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        (line,) = [
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS")
        ]
        return int(line.split()[1]) * 1024

    def calls(self) -> int:
        return int(httpx.get(f"{self.url}/readyz", timeout=30).json()["calls"])

    def until_calls(self, count: int, seconds: float = 20.0) -> None:
        """Waits until so many calls run. (A client that vanishes is waited for: see `VANISHED`.)"""
        deadline = time.monotonic() + seconds
        while self.calls() != count:
            assert time.monotonic() < deadline, f"{self.calls()} calls are running, expected {count}"
            time.sleep(0.05)


@contextmanager
def serving(*arguments: str, environment: Mapping[str, str] | None = None, ready: bool = True) -> Iterator[Server]:
    """Starts `vivavoce serve --port 0 ...`, waits until it takes calls, and stops it as Ctrl-C would."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vivavoce.realtime", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    log: list[str] = []
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        log.append(line.rstrip())
        if found := re.search(r"Talk to it: (\S+)/", line):
            address = found[1]
            break
    assert address, "\n".join(log)
    reader = threading.Thread(
        target=lambda out: log.extend(line.rstrip() for line in out), args=(process.stdout,), daemon=True
    )
    reader.start()
    try:
        if ready:
            _until_ready(address, log)
        yield Server(address, process.pid, log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError("the server did not stop within 30 s:\n" + "\n".join(log[-30:])) from None
        reader.join(5)
        process.stdout.close()
        assert code in (0, 130, -signal.SIGINT), "\n".join(log[-30:])


def _until_ready(address: str, log: list[str]) -> None:
    deadline = time.monotonic() + READY
    while True:
        answer = httpx.get(f"{address}/readyz", timeout=60)
        if answer.status_code == 200:
            return
        assert answer.json()["status"] == "loading", "\n".join(log[-30:])
        assert time.monotonic() < deadline, "\n".join(log[-30:])
        time.sleep(0.1)
