"""Recordings of real calls, replayed: each stands for something that once went wrong, or must go right for ever.

To add one: `vivavoce replay FOLDER --pack tests/data/recordings/NAME`. It must be small, and nobody's but your own.
When something is now decided otherwise, and better, `--pack NEW --accept` writes a copy in which that is right.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from harness import DATA
from harness.peer import Peer
from harness.recordings import only, replayed
from harness.scripted_llm import ScriptedLlm
from harness.server import Server, serving
from harness.speech import Speaker
from vivavoce.model.store import Store
from vivavoce.realtime.cli import replay as command
from vivavoce.realtime.cli.replay import ReplayOptions
from vivavoce.realtime.config import Config
from vivavoce.realtime.recording.reader import RecordingReader

pytestmark = pytest.mark.integration

RECORDINGS = sorted((DATA / "recordings").iterdir())

MAX_SIZE = 420_000
"""Bytes of one."""


@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)
def test_what_was_decided_then_is_decided_now(folder: Path) -> None:
    replay, _ = replayed(folder)
    assert replay.outcome.differences == []
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MAX_SIZE


def test_an_interrupted_answer_ends_at_the_word_that_was_heard() -> None:
    replay, said = replayed(RECORDINGS[0].parent / "interrupted")
    asked, answer, *_ = said
    assert asked.text.startswith("Tell me something about")
    assert answer.heard is not None
    assert 0 < answer.heard < len(answer.text)
    assert not answer.text[answer.heard].isalnum()  # not within a word
    assert replay.outcome.count == 0


# --- how they are made -------------------------------------------------------------------------------------------


async def interrupt(server: Server, speaker: Speaker) -> None:
    """Asks for something long, and stops it after a second and a half."""
    peer = Peer()
    session = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    async with httpx.AsyncClient(timeout=30) as web:

        async def offer(sdp: str) -> str:
            kind = {"Content-Type": "application/sdp"}
            answer = await web.post(f"{server.url}/v1/realtime/calls?extras=true", content=sdp, headers=kind)
            return answer.text

        await peer.connect(offer)
    peer.send({"type": "session.update", "session": session})
    await peer.event("session.updated", 20)
    peer.play(speaker.say("Tell me something about Paris."))
    await peer.event("vivavoce.turn.latency", 30)
    await asyncio.sleep(1.5)
    peer.play(speaker.say("Stop, please stop."))
    await peer.event("vivavoce.heard", 20)
    await asyncio.sleep(2.5)
    await peer.close()


def quietly(folder: Path) -> dict[str, str]:
    """Settings of a server whose user knows that it records."""
    return {"VIVAVOCE_SERVER_RECORDINGS": str(folder), "VIVAVOCE_SERVER_RECORDING_NOTICE": ""}


@pytest.fixture
def recorded(speaker: Speaker, llm: ScriptedLlm, tmp_path: Path) -> Path:
    """A folder into which the real server has recorded a real call."""
    folder = tmp_path / "recordings"
    with serving(environment=quietly(folder) | llm.environment) as server:
        asyncio.run(interrupt(server, speaker))
        server.until_calls(0)
    return folder


@pytest.mark.models
@pytest.mark.slow
def test_a_real_call_is_recorded_and_decided_again_without_a_difference(
    recorded: Path, models: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = only(recorded)
    assert RecordingReader(folder).end == "over"
    replay, said = replayed(folder)
    assert replay.outcome.differences == []
    assert said[0].side == "user"
    assert any(line.heard is not None for line in said)
    assert command.run(Config(home=models.root.parent), folder, ReplayOptions(against_models=True)) == 0
    print(capsys.readouterr().out)
