"""The page's button "You, as the codec hears you", in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import browser
from harness.browser import Caller, calling
from harness.fakes import ScriptedEngine
from harness.site import site
from harness.tokens import HUM, make_weights
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.tokenizer import FRAME_SIZE
from vivavoce.realtime.gateway import codec_preview

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: apt-get install chromium"),
]

MICROPHONE_ON = "window.test.peers.at(-1).getSenders()[0].track.enabled"
BUTTON = "#as-heard button"


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """In a call, with an assistant who says two words whenever a turn ends."""
    monkeypatch.setattr(codec_preview, "WEIGHTS", make_weights(tmp_path))
    with site(ScriptedEngine(["one two"] * 3)) as server, calling(server.url) as caller:
        caller.page.click("#talk")
        caller.until("listening")
        yield caller
        caller.page.click("#talk")
        caller.until("ended")


def speak(person: Caller) -> None:
    person.say(np.resize(HUM * np.float32(0.5), 2 * SAMPLE_RATE))
    person.until("speaking")
    person.until("listening")


def test_the_last_turn_is_played_with_the_microphone_off(person: Caller) -> None:
    page = person.page
    page.click("summary")
    page.check("#mirror")
    assert not page.is_visible(BUTTON), "nothing has been said yet"
    speak(person)
    page.wait_for_selector(BUTTON)
    assert page.inner_text(BUTTON).strip() == "You, as the codec hears you"
    page.click(BUTTON)
    page.wait_for_function(f"document.querySelector('{BUTTON}').innerText.trim() === 'Stop'")
    assert not page.evaluate(MICROPHONE_ON)
    found = re.fullmatch(r"([\d.]+) s of speech in (\d+) tokens: (\d+) bytes\.", page.inner_text("#as-heard p"))
    assert found
    seconds, count, size = (float(number) for number in found.groups())
    assert 2.0 <= seconds <= 4.0
    assert abs(count - seconds * SAMPLE_RATE / FRAME_SIZE) <= 2
    assert size == -(-count * 12 // 8)
    page.wait_for_function(f"document.querySelector('{BUTTON}').innerText.trim() !== 'Stop'", timeout=10_000)
    assert page.evaluate(MICROPHONE_ON)
    assert len(person.captions("user")) == 1, "the assistant did not hear it"


def test_a_second_press_stops_it_and_mute_stays_mute(person: Caller) -> None:
    page = person.page
    page.click("summary")
    page.check("#mirror")
    speak(person)
    page.click(BUTTON)
    page.wait_for_function(f"document.querySelector('{BUTTON}').innerText.trim() === 'Stop'")
    page.click("#mute")
    page.click(BUTTON)
    page.wait_for_function(f"document.querySelector('{BUTTON}').innerText.trim() !== 'Stop'", timeout=500)
    assert not page.evaluate(MICROPHONE_ON)
    page.click("#mute")
    assert page.evaluate(MICROPHONE_ON)


def test_what_the_server_cannot_do_is_said_beside_the_button(
    person: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = person.page
    monkeypatch.setattr(codec_preview, "WEIGHTS", tmp_path / "nothing")
    page.click("summary")
    page.check("#mirror")
    speak(person)
    page.click(BUTTON)
    page.wait_for_function("document.querySelector('#as-heard p').innerText === 'This server has no audio codec.'")
    assert page.is_enabled(BUTTON)


def test_nobody_is_offered_it_who_did_not_ask(person: Caller) -> None:
    speak(person)
    assert not person.page.is_visible(BUTTON)
