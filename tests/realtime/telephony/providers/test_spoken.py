"""A phone call with the real server and models: streamdouble simulates Twilio, our ASR recognizes the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamdouble.chaos import Impairments
from streamdouble.scenario import parse
from streamdouble.session import SessionConfig

from harness.scripted_llm import ScriptedLlm
from harness.server import Server, serving
from harness.speech import Listener, Speaker, agrees, spoken_span
from harness.streams import earpiece, simulated_call, write_wav
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

pytestmark = [pytest.mark.models, pytest.mark.slow]

SECRET = "spoken-on-the-phone"
GREETING = "Hello, this is the town library."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calls")


@pytest.fixture(scope="module")
def server(folder: Path, llm: ScriptedLlm) -> Iterator[Server]:
    settings = {
        "VIVAVOCE_PHONE_TWILIO_TOKEN": SECRET,
        "VIVAVOCE_PHONE_SECRET": SECRET,
        "VIVAVOCE_PHONE_GREETING": GREETING,
        "VIVAVOCE_SERVER_RECORDINGS": str(folder / "recordings"),
        "VIVAVOCE_SERVER_RECORDING_NOTICE": "",
    }
    with serving(environment=settings | llm.environment) as running:
        yield running


def wav(folder: Path, speaker: Speaker, text: str) -> str:
    """Synthesized speech of the caller, as a file of 8 kHz."""
    narrow = Resampler(SAMPLE_RATE, 8000).push(speaker.say(text))
    return str(write_wav(folder / f"{len(text)}.wav", narrow))


def recorded(folder: Path) -> str:
    """The recorded events of the last call, with their words."""
    (*_, last) = sorted((folder / "recordings").iterdir(), key=lambda call: call.name)
    return (last / "events.jsonl").read_text()


def recognized(folder: Path) -> str:
    """The transcripts of the last call."""
    return " ".join(re.findall(r'"is":"Transcript"[^}]*?"stable":"([^"]*)"[^}]*"final":true', recorded(folder)))


def parts(heard: Samples) -> list[Samples]:
    """Stretches of audio with more than a second of silence between them."""
    hop = SAMPLE_RATE // 50
    loud = np.flatnonzero(np.abs(heard[: len(heard) // hop * hop].reshape(-1, hop)).max(axis=1) > 0.01)
    cuts = np.flatnonzero(np.diff(loud) > 50) + 1
    return [heard[part[0] * hop : (part[-1] + 1) * hop] for part in np.split(loud, cuts) if len(part) > 5]


def test_a_call_has_greeting_answer_barge_in_keys_and_hang_up(
    server: Server, llm: ScriptedLlm, folder: Path, speaker: Speaker, listener: Listener
) -> None:
    asked = len(llm.said)
    question = wav(folder, speaker, "What is the capital of France?")
    story = wav(folder, speaker, "Please count slowly from one to twenty.")
    stop = wav(folder, speaker, "Wait, stop, that is enough for me now.")
    steps = [
        {"wait_for": "quiet"},
        {"say": question},
        {"wait": 5.0},
        {"say": story},
        {"wait": 4.0},
        {"say": stop},
        {"wait_for": "clear"},
        {"wait": 2.0},
        {"dtmf": "42"},
        {"wait": 2.5},
        "hangup",
    ]
    url = f"{server.websocket}/phone/twilio/{SECRET}"
    report = asyncio.run(simulated_call(url, parse({"name": "library", "steps": steps})))
    server.until_calls(0)
    assert report.violations == []
    heard = earpiece(report.result)
    greeting, answer = parts(heard)[:2]
    assert agrees(listener.understand(greeting), GREETING)
    assert spoken_span(greeting, SAMPLE_RATE)[1] > 1.2, "and was not clipped"
    assert agrees(listener.understand(answer), llm.said[asked])
    assert report.result.clears_received >= 1, "a barge-in"
    assert "[The caller pressed 4 2 on the telephone.]" in recorded(folder)


def test_speech_with_one_lost_packet_in_twenty_is_recognized(server: Server, folder: Path, speaker: Speaker) -> None:
    question = wav(folder, speaker, "How many days does a week have?")
    steps = [{"wait_for": "quiet"}, {"say": question}, {"wait": 3.0}, "hangup"]
    bad = SessionConfig(impairments=Impairments(loss=0.05, jitter_ms=30), chaos_seed=7)
    url = f"{server.websocket}/phone/twilio/{SECRET}"
    report = asyncio.run(simulated_call(url, parse({"name": "loss", "steps": steps}), bad))
    server.until_calls(0)
    assert report.result.frames_dropped > 3
    assert report.spoke
    words = recognized(folder).lower()
    assert "how many" in words or "week" in words, words  # a word or two may be lost
