"""`livekit-plugins-openai` against the real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.clients import Report, samples
from harness.speech import Listener, agrees

pytestmark = [pytest.mark.clients, pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def report(python_client: Callable[[str], Report]) -> Report:
    return python_client("livekit")


def test_a_typed_question_is_answered_in_words(report: Report) -> None:
    facts = report["text"]
    assert "Paris" in facts["answer"]
    assert facts["silent"]
    assert facts["history"] == ["user", "assistant"]


def test_a_spoken_question_is_heard_and_answered_aloud(report: Report, listener: Listener) -> None:
    facts = report["voice"]
    assert "capital of france" in facts["heard"].lower()
    assert "Paris" in facts["answer"]
    assert agrees(listener.understand(samples(facts["sound"])), facts["answer"])


def test_a_tool_is_called_and_its_result_is_taken_up(report: Report) -> None:
    facts = report["tool"]
    assert facts["name"] == "get_temperature"
    assert facts["arguments"] == {"city": "Paris"}
    assert "21" in facts["answer"]


def test_cutting_in_ends_the_answer_where_it_was_heard(report: Report) -> None:
    facts = report["barge_in"]
    assert (facts["status"], facts["reason"]) == ("cancelled", "turn_detected")
    assert facts["truncated"] == facts["played"]
    assert facts["answered"]
