"""One server for all clients, and what they say to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import CLIENTS, Missing, Report, drive, python_of
from harness.file_server import Answer, FileServer
from harness.scripted_llm import ScriptedLlm
from harness.server import Server, serving
from harness.speech import Speaker

SAID = {
    "question": "What is the capital of France?",
    "interruption": "Stop. Stop it please, that is enough.",
}


@pytest.fixture(scope="package")
def site() -> Iterator[FileServer]:
    """A developer's own web server: pages on another origin than ours."""
    page = Answer(b'<!doctype html><meta charset="utf-8"><title>app</title>', kind="text/html")
    with FileServer({"/": [page]}) as running:
        yield running


@pytest.fixture(scope="package")
def server(site: FileServer, llm: ScriptedLlm) -> Iterator[Server]:
    with serving(environment={"VIVAVOCE_SERVER_ORIGINS": site.url(), **llm.environment}) as running:
        yield running
        running.until_calls(0)
        assert not [line for line in running.log if " ERROR " in line or "Traceback" in line], "\n".join(running.log)


@pytest.fixture(scope="package")
def sounds(speaker: Speaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the clients say: PCM, 16 bits, 24 kHz."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, words in SAID.items():
        (folder / f"{name}.pcm").write_bytes((speaker.say(words) * 32767).astype("<i2").tobytes())
    return folder


@pytest.fixture(scope="package")
def python_client(server: Server, sounds: Path) -> Callable[[str], Report]:
    """Runs the checks of a client in Python."""

    def run(client: str) -> Report:
        try:
            python = python_of(client)
        except Missing as missing:
            pytest.skip(str(missing))
        return drive([python, CLIENTS / "scripts" / f"drive_{client}.py"], server.url, sounds)

    return run
