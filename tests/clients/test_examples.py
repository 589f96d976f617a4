"""The examples of the documentation that are clients, run as they stand there; only the server's address is another."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import pytest

from harness.clients import ROOT, Missing, javascript, python_of, run
from harness.server import Server
from vivavoce.codecs.audio import SAMPLE_RATE

pytestmark = [pytest.mark.clients, pytest.mark.models, pytest.mark.slow]

EXAMPLES = ROOT / "realtime/docs/examples"
ADDRESS = "127.0.0.1:8790"


def example(name: str, server: Server) -> str:
    """The script, for this server."""
    code = (EXAMPLES / name).read_text()
    assert ADDRESS in code
    return code.replace(ADDRESS, server.url.removeprefix("http://"))


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("openai_text.py", "openai"),
        ("openai_voice.py", "openai"),
        ("openai_agents.py", "openai_agents"),
    ],
)
def test_a_python_example_prints_the_answer(
    name: str, client: str, server: Server, sounds: Path, tmp_path: Path
) -> None:
    try:
        python = python_of(client)
    except Missing as missing:
        pytest.skip(str(missing))
    with wave.open(str(tmp_path / "question.wav"), "wb") as question:
        question.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        question.writeframes((sounds / "question.pcm").read_bytes())
    ran = run([python, "-c", example(name, server)], tmp_path)
    assert "Paris" in ran.stdout, ran.stderr


def test_the_javascript_example_prints_the_answer(server: Server) -> None:
    try:
        home = javascript()
    except Missing as missing:
        pytest.skip(str(missing))
    code = example("agents_websocket.mjs", server)
    ran = run(["node", "--input-type=module", "--eval", code], home)
    assert "Paris" in ran.stdout, ran.stderr


def test_the_example_with_a_tool_prints_what_the_tool_answered(server: Server, tmp_path: Path) -> None:
    try:
        python = python_of("openai")
    except Missing as missing:
        pytest.skip(str(missing))
    ran = run([python, "-c", example("openai_tool.py", server)], tmp_path)
    assert "21" in ran.stdout, ran.stderr


def test_the_example_for_a_browser_can_be_read() -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node.js; enable with: sudo apt-get install nodejs npm")
    ran = run(["node", "--check", EXAMPLES / "agents_webrtc.mjs"])
    assert ran.returncode == 0, ran.stderr


def test_the_livekit_example_is_an_agent_of_the_package() -> None:
    try:
        python = python_of("livekit")
    except Missing as missing:
        pytest.skip(str(missing))
    ran = run([python, EXAMPLES / "livekit_agent.py", "--help"])
    assert ran.returncode == 0, ran.stderr
    assert "console" in ran.stdout
