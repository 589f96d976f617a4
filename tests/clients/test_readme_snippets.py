"""The README's snippets, run as they stand there; only the server's address is another."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import pytest

from harness.clients import ROOT, Missing, javascript, python_of, run
from harness.server import Server
from vivavoce.codecs.audio import SAMPLE_RATE

pytestmark = [pytest.mark.clients, pytest.mark.models, pytest.mark.slow]

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:8790"


def snippet(summary: str, language: str, server: Server) -> str:
    """The code under the fold whose summary begins with these words."""
    found = re.search(rf"<summary>{re.escape(summary)}.*?^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, summary
    assert ADDRESS in found[1]
    return found[1].replace(ADDRESS, server.url.removeprefix("http://"))


@pytest.mark.parametrize(
    ("summary", "client"),
    [
        ("Python <code>openai</code>, text", "openai"),
        ("Python <code>openai</code>, voice", "openai"),
        ("Python <code>openai-agents</code>", "openai_agents"),
    ],
)
def test_a_python_snippet_prints_the_answer(
    summary: str, client: str, server: Server, sounds: Path, tmp_path: Path
) -> None:
    try:
        python = python_of(client)
    except Missing as missing:
        pytest.skip(str(missing))
    with wave.open(str(tmp_path / "question.wav"), "wb") as question:
        question.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        question.writeframes((sounds / "question.pcm").read_bytes())
    ran = run([python, "-c", snippet(summary, "python", server)], tmp_path)
    assert "Paris" in ran.stdout, ran.stderr


def test_the_javascript_snippet_prints_the_answer(server: Server) -> None:
    try:
        home = javascript()
    except Missing as missing:
        pytest.skip(str(missing))
    code = snippet("<code>@openai/agents-realtime</code> over WebSocket", "js", server)
    ran = run(["node", "--input-type=module", "--eval", code], home)
    assert "Paris" in ran.stdout, ran.stderr
