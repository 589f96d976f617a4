"""The official clients, each in an environment of its own, driven by a script that reports facts.

    tests/clients/pins/<client>.txt ─uv─► build/clients/<client>/   ─┐
    tests/clients/js/package-lock.json ─npm─► build/clients/js/     ─┴► script --url --sounds ─► one JSON line per check

Clients' dependencies conflict with each other and with ours, so nothing of them is imported here. An environment is
made once, and again when its pins change: `make test` runs this file as a program, which makes all of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.codecs.audio import Samples

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests/clients"
BUILD = ROOT / "build/clients"

PATIENCE = 150.0
"""Seconds that all checks of a client may take together; a loaded machine takes sixty."""

OWN_ENVIRONMENT = {
    "OPENAI_API_KEY": "none",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",  # traces would go to the vendor
    "PYTHONUNBUFFERED": "1",
}


class Missing(Exception):
    """A tool that makes environments is not there; the message says how to get it."""


@dataclass(frozen=True)
class Report:
    """What a client saw. `report["text"]` are the facts of one check; it fails with the client's own words when the
    check did."""

    checks: dict[str, dict[str, Any]]
    log: str

    def __getitem__(self, check: str) -> dict[str, Any]:
        facts = self.checks.get(check)
        assert facts is not None, f"the client never came to the check '{check}':\n{self.log[-4000:]}"
        assert "failed" not in facts, f"{facts['failed']}\n{self.log[-4000:]}"
        return facts


def drive(command: Sequence[str | Path], url: str, sounds: Path) -> Report:
    """Runs a client's script against a server; `sounds` holds what it says."""
    ran = run([*command, "--url", url, "--sounds", sounds])
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"check"')]
    return Report({line["check"]: line for line in lines}, ran.stdout[-2000:] + ran.stderr)


def run(command: Sequence[str | Path], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program of a client, in `folder`, to its end."""
    environment = {**os.environ, **OWN_ENVIRONMENT}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False
    )


def python_of(client: str) -> Path:
    """A Python with the packages of `pins/<client>.txt`. Raises `Missing`."""
    home, pins = BUILD / client, CLIENTS / "pins" / f"{client}.txt"
    python = home / "bin/python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise Missing("no uv; enable with: pip install uv")
    make: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, home],
        [uv, "pip", "install", "--quiet", "--python", python, "-r", pins],
    )
    _once(home, pins, make)
    return python


def javascript() -> Path:
    """The folder with the scripts of `js/` and their packages. Raises `Missing`."""
    home, pins = BUILD / "js", CLIENTS / "js/package-lock.json"
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("no Node.js; enable with: sudo apt-get install nodejs npm")
    home.mkdir(parents=True, exist_ok=True)
    for script in (CLIENTS / "js").iterdir():
        shutil.copy(script, home)
    _once(home, pins, ([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", home],))
    return home


def bundle(script: str) -> bytes:
    """A script of `js/` with all it imports, as a page can load it."""
    home = javascript()
    command: list[str | Path] = [
        home / "node_modules/.bin/esbuild",
        home / script,
        "--bundle",
        "--format=esm",
        "--log-level=error",
    ]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def samples(sound: str) -> Samples:
    """PCM from a report."""
    return np.frombuffer(base64.b64decode(sound), "<i2").astype(np.float32) / np.float32(32768)


def _once(home: Path, pins: Path, make: Sequence[Sequence[str | Path]]) -> None:
    made = hashlib.sha256(pins.read_bytes()).hexdigest()
    stamp = home / ".made"
    if stamp.is_file() and stamp.read_text() == made:
        return
    for command in make:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert ran.returncode == 0, f"{' '.join(map(str, command))}\n{ran.stderr[-2000:]}"
    stamp.write_text(made)


def main() -> None:
    """Makes all environments that can be made here."""
    with suppress(Missing):  # the tests say so
        for pins in sorted((CLIENTS / "pins").glob("*.txt")):
            python_of(pins.stem)
    with suppress(Missing):
        javascript()


if __name__ == "__main__":
    main()
