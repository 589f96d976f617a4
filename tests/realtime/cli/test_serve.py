"""`vivavoce serve` as a process: how it leaves, and when it does not begin. The models are scripted."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from harness import ROOT

pytestmark = pytest.mark.slow

BOTH = [signal.SIGINT, signal.SIGTERM]
PROGRAM = """
import sys, time
from harness.fakes import ScriptedDialogue, ScriptedEngine
from vivavoce.model.errors import DamagedModel
from vivavoce.realtime.__main__ import main
from vivavoce.realtime.cli import serve

def load(settings, store):
    %s
    return ScriptedEngine(["one two"])

serve.prepare = lambda store, settings: None
serve._load = load
sys.exit(main(["serve", "--port", "0"]))
"""


@contextmanager
def serving(load: str = "pass", **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its address; `load` is what its models do when they are loaded."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("VIVAVOCE_")}
    settings |= {"PYTHONPATH": str(ROOT / "tests")} | {f"VIVAVOCE_{name}": value for name, value in environ.items()}
    command = [sys.executable, "-c", PROGRAM % load]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http(://\S+)/", process.stdout.readline())
            assert found, process.communicate()
            yield process, f"ws{found[1]}"
        finally:
            process.kill()


@contextmanager
def call(address: str) -> Iterator[ClientConnection]:
    """A call whose client knows our own events; waits until the models are loaded."""
    while httpx.get(f"{address.replace('ws', 'http', 1)}/readyz", timeout=30).json()["status"] == "loading":
        time.sleep(0.05)
    with connect(f"{address}/v1/realtime?extras=true") as connection:
        assert json.loads(connection.recv(30))["type"] == "session.created"
        yield connection


def events(connection: ClientConnection) -> tuple[list[Any], tuple[int, str]]:
    """All events up to the close of a call, and how it was closed."""
    received = [json.loads(message) for message in connection]
    assert connection.close_code is not None
    return received, (connection.close_code, connection.close_reason or "")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code, and what was logged."""
    _, log = process.communicate(timeout=60)
    return process.returncode, log


@pytest.mark.parametrize("sign", BOTH)
def test_a_signal_says_goodbye_to_every_call_and_the_process_ends_well(sign: signal.Signals) -> None:
    with serving() as (process, address), call(address) as first, call(address) as second:
        silent = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        silent.sendall(b"GET / HTTP/1.1\r\nHo")
        process.send_signal(sign)
        for connection in (first, second):
            received, how = events(connection)
            assert received[-1]["type"] == "vivavoce.closing"
            assert (received[-1]["reason"], received[-1]["message"]) == ("shutdown", "The server is being stopped.")
            assert how == (1001, "shutdown: The server is being stopped.")
        code, log = ended(process)
        silent.close()
        assert code == 0
        assert not re.search("ERROR|WARNING|Traceback", log), log
        assert log.count("reason=shutdown") == 2


@pytest.mark.parametrize("sign", BOTH)
def test_a_second_signal_ends_the_process_at_once(sign: signal.Signals) -> None:
    slow = "ScriptedDialogue.close = lambda self: __import__('asyncio').sleep(3600)"
    with serving(slow) as (process, address), call(address) as connection:
        process.send_signal(sign)
        assert events(connection)[1][0] == 1001  # it is leaving, and waits for the model
        process.send_signal(sign)
        assert ended(process)[0] == -sign


def test_a_signal_while_the_models_load_ends_the_process_without_waiting_for_them() -> None:
    with serving("time.sleep(3600)") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ('raise DamagedModel("The model smart-turn is damaged.")', "vivavoce: The model smart-turn is damaged."),
        ('raise ValueError("boom")', "vivavoce: The models could not be loaded: boom"),
    ],
)
def test_models_that_cannot_be_loaded_end_the_process_with_one_line(load: str, message: str) -> None:
    with serving(load) as (process, _):
        code, log = ended(process)
    assert code == 1
    assert log.splitlines()[-1] == message
    assert "DamagedModel" not in load or log == f"{message}\n", "no traceback, nothing else"


def test_a_port_for_telephones_that_is_taken_ends_the_process_with_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving(SIP_LISTEN=listen) as (process, _):
            code, log = ended(process)
    assert code == 1
    assert log.splitlines()[-1].startswith(f"vivavoce: 'phone.sip.listen' is {listen}, where nobody can listen: ")
    assert "Traceback" not in log
