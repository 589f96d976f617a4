"""realtime/bench/runs/server.py: our own server for a run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vivavoce.model.store import Store

TIMEOUT = 90.0
STARTS = """
import sys, time
from vivavoce.realtime.bench.runs.server import serving
with serving(["serve"], {}) as own:
    print(own.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.models
@pytest.mark.slow
def test_terminating_the_bench_stops_its_server(models: Store) -> None:
    bench = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    assert bench.stdout is not None
    server = int(bench.stdout.readline())
    assert Path(f"/proc/{server}").exists()
    bench.terminate()
    assert bench.wait(TIMEOUT) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{server}").exists(), "the bench waits for its server to stop"
    bench.stdout.close()
