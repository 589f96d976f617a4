"""The package `@openai/agents-realtime` against the real server: over WebSocket in Node.js, over WebRTC in Chromium."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soxr

from harness import browser
from harness.browser import RATE, calling
from harness.clients import Missing, Report, bundle, drive, javascript, samples
from harness.file_server import FileServer
from harness.server import Server
from harness.speech import spoken_span
from vivavoce.codecs.audio import SAMPLE_RATE

pytestmark = [pytest.mark.clients, pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def over_websocket(server: Server, sounds: Path) -> Report:
    try:
        home = javascript()
    except Missing as missing:
        pytest.skip(str(missing))
    return drive(["node", home / "websocket.mjs"], server.url, sounds)


@pytest.fixture(scope="module")
def over_webrtc(server: Server, site: FileServer, sounds: Path) -> Iterator[Report]:
    """A page of another origin than the server's; what it hears is added to its report."""
    if browser.chromium() is None:
        pytest.skip("no Chromium; enable with: sudo apt-get install chromium")
    try:
        script = bundle("webrtc.mjs").decode()
    except Missing as missing:
        pytest.skip(str(missing))
    key = httpx.post(f"{server.url}/v1/realtime/client_secrets", json={}).json()["value"]
    said = {file.stem: base64.b64encode(_floats(file)).decode() for file in sounds.iterdir()}
    checks = {}
    with calling(site.url("/"), permissions=["microphone"]) as caller:
        caller.page.add_script_tag(content=script, type="module")
        caller.page.wait_for_function("window.check !== undefined")
        for name in ("text", "voice", "tool", "barge_in", "events"):
            begin = caller.now()
            arguments = [server.url, key, said, [name]]
            lines = caller.page.evaluate("(given) => window.check(...given)", arguments)
            checks[name] = json.loads(lines[0])
            if name == "voice":
                first, heard = caller.heard()
                pcm = soxr.resample(heard[max(begin - first, 0) :], RATE, SAMPLE_RATE)
                checks[name]["sound"] = base64.b64encode((pcm * 32767).astype("<i2").tobytes()).decode()
    yield Report(checks, "")
    server.until_calls(0)


@pytest.fixture(params=["over_websocket", pytest.param("over_webrtc", marks=pytest.mark.browser)])
def report(request: pytest.FixtureRequest) -> Report:
    found: Report = request.getfixturevalue(request.param)
    return found


def test_a_typed_question_is_answered_in_words(report: Report) -> None:
    facts = report["text"]
    assert "Paris" in facts["answer"]
    assert facts["roles"] == ["user", "assistant"]


def test_a_spoken_question_is_heard_and_answered_aloud(report: Report) -> None:
    facts = report["voice"]
    assert "capital of france" in facts["heard"].lower()
    assert "Paris" in facts["answer"]
    begins, ends = spoken_span(samples(facts["sound"]), SAMPLE_RATE)
    assert ends - begins > 0.25, "seconds of speech; what is said in a Chromium is understood in tests/web/test_talk.py"


def test_a_tool_is_called_and_its_result_is_taken_up(report: Report) -> None:
    facts = report["tool"]
    assert facts["name"] == "get_temperature"
    assert facts["arguments"] == {"city": "Paris"}
    assert "21" in facts["answer"]


def test_no_event_is_ignored_by_the_package(report: Report) -> None:
    facts = report["events"]
    assert not facts["ignored"]
    assert len(facts["seen"]) > 20


def test_cutting_in_over_websocket_ends_the_answer_where_it_was_heard(over_websocket: Report) -> None:
    facts = over_websocket["barge_in"]
    assert (facts["status"], facts["reason"]) == ("cancelled", "turn_detected")
    assert facts["interrupted"] == 1
    assert facts["truncated"] > 1000
    assert facts["said"]
    assert facts["kept"] == "", "what was said is not what was heard: the history keeps no words"


@pytest.mark.browser
def test_cutting_in_over_webrtc_is_the_servers_work(over_webrtc: Report) -> None:
    facts = over_webrtc["barge_in"]
    assert facts["cleared"] == 1
    assert facts["truncated"] > 1000
    assert facts["said"]
    assert facts["kept"] == "", "what was said is not what was heard: the history keeps no words"


def _floats(file: Path) -> bytes:
    return (np.frombuffer(file.read_bytes(), "<i2").astype("<f4") / 32768).tobytes()
