"""The Python package `openai` against the real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.clients import Report, samples
from harness.speech import Listener, agrees

pytestmark = [pytest.mark.clients, pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def report(python_client: Callable[[str], Report]) -> Report:
    return python_client("openai")


def test_a_typed_question_is_answered_in_words(report: Report) -> None:
    facts = report["text"]
    assert "Paris" in facts["answer"]
    assert facts["answer"] == facts["item"]
    assert facts["tokens"] > 0


def test_a_spoken_question_is_heard_and_answered_aloud(report: Report, listener: Listener) -> None:
    facts = report["voice"]
    assert "capital of france" in facts["heard"].lower()
    assert "Paris" in facts["answer"]
    assert facts["answer"] == facts["item"]
    assert agrees(listener.understand(samples(facts["sound"])), facts["answer"])


def test_a_tool_is_called_and_its_result_is_taken_up(report: Report) -> None:
    facts = report["tool"]
    assert facts["name"] == "get_temperature"
    assert facts["arguments"] == {"city": "Paris"}
    assert facts["streamed"] == facts["arguments"]
    assert "21" in facts["answer"]


def test_cutting_in_ends_the_answer_where_it_was_heard(report: Report) -> None:
    facts = report["barge_in"]
    assert (facts["status"], facts["reason"]) == ("cancelled", "turn_detected")
    assert not facts["late"]
    assert facts["truncated"] == facts["played"]
    assert facts["said"].startswith(facts["heard"])
    assert 0 < len(facts["heard"]) < len(facts["said"])
    assert facts["kept"] == "", "what was said is not what was heard: the history keeps no words"


def test_the_client_can_cancel_an_answer(report: Report) -> None:
    assert report["barge_in"]["cancelled"] == ["cancelled", "client_cancelled"]


def test_every_event_is_one_of_the_types_of_the_package(report: Report) -> None:
    facts = report["events"]
    assert not facts["problems"]
    assert len(facts["seen"]) > 20
