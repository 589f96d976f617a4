"""Talking to the page: real Chromium, the real server, the real models."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import soxr

from harness import browser
from harness.browser import RATE, Caller, calling
from harness.scripted_llm import FIVE, ScriptedLlm
from harness.server import VANISHED, Server, serving
from harness.speech import Listener, Speaker, agrees, silence, spoken_span
from vivavoce.codecs.audio import SAMPLE_RATE, Samples

pytestmark = [
    pytest.mark.browser,
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="no Chromium; enable with: sudo apt-get install chromium"),
]


@pytest.fixture(scope="module")
def server(llm: ScriptedLlm) -> Iterator[Server]:
    with serving(environment=VANISHED | llm.environment) as running:
        yield running


@pytest.fixture
def caller(server: Server) -> Iterator[Caller]:
    """Somebody whose call is connected."""
    with calling(server.url) as person:
        person.page.click("#talk")
        person.until("listening")
        yield person
        person.page.click("#talk")
        server.until_calls(0)


def ask(caller: Caller, question: Samples) -> Samples:
    """Asks, waits for the whole answer; returns it as it was heard after the end of the question, at 24 kHz."""
    begins = caller.say(np.concatenate([question, silence(0.3)]))
    ends = begins + round(spoken_span(question, SAMPLE_RATE)[1] * RATE)
    caller.until("speaking")
    caller.until("listening")
    time.sleep(0.3)
    first, heard = caller.heard()
    answer = heard[max(ends - first, 0) :]
    begin, end = spoken_span(answer, RATE)
    return np.asarray(soxr.resample(answer[round(begin * RATE) : round(end * RATE)], RATE, SAMPLE_RATE), np.float32)


def test_a_spoken_question_is_answered_and_the_next_one_builds_on_it(
    caller: Caller, llm: ScriptedLlm, speaker: Speaker, listener: Listener
) -> None:
    questions = ("What is two plus three?", "What was the answer again?")
    for question in questions:
        answer = ask(caller, speaker.say(question))
        assert caller.captions("assistant")[-1].endswith(FIVE)  # after the name of who speaks
        assert agrees(listener.understand(answer), FIVE)
    first, answered, second = llm.messages()
    assert answered == ("assistant", FIVE)
    assert agrees(first[1], questions[0])
    assert agrees(second[1], questions[1])


def test_cutting_in_stops_the_voice_and_strikes_out_what_was_not_heard(caller: Caller, speaker: Speaker) -> None:
    caller.say(np.concatenate([speaker.say("Tell me a little about the moon, please."), silence(0.3)]))
    caller.until("speaking")
    time.sleep(1)
    interruption = speaker.say("Stop. Stop it please, that is enough.")
    begins = caller.say(interruption) + round(spoken_span(interruption, SAMPLE_RATE)[0] * RATE)
    caller.page.wait_for_selector("#captions s", timeout=5000)
    time.sleep(1)
    first, heard = caller.heard()
    half = round(spoken_span(interruption, SAMPLE_RATE)[1] * RATE / 2)  # how soon it stops, the bench measures
    assert spoken_span(heard[begins - first : begins - first + 2 * half], RATE)[1] * RATE <= half
    struck = caller.page.locator("#captions s").first.inner_text()
    assert struck.strip()


def test_a_closed_tab_leaves_nothing_behind(server: Server, speaker: Speaker) -> None:
    def call_and_vanish(tabs: int) -> None:
        with calling(server.url) as person:
            for one in (person, *(person.another_tab() for _ in range(tabs - 1))):
                one.page.bring_to_front()
                one.page.click("#talk")
                one.until("listening")
                one.say(np.concatenate([speaker.say("Tell me a long story about a dog."), silence(0.3)]))
                one.until("speaking")
        server.until_calls(0)

    call_and_vanish(2)  # fills the pools, nearly
    threads = server.threads()
    call_and_vanish(2)
    assert server.threads() < threads + 4, "two threads for each tab"


def test_typed_words_are_answered_without_a_microphone(server: Server) -> None:
    with calling(server.url, permissions=[]) as person:
        person.page.fill("#message", "What is the capital of France?")
        person.page.keyboard.press("Enter")
        person.page.wait_for_function(
            "[...document.querySelectorAll('li[data-role=assistant]')].some(e => e.innerText.includes('Paris'))",
            timeout=30000,
        )
