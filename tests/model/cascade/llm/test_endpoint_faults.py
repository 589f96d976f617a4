"""model/cascade/llm/endpoint_faults.py."""

import json

import pytest

from vivavoce.model.cascade.llm.endpoint_faults import LONGEST_REASON, by_status, scrubbed, too_long

INSTRUCTIONS = "You are a shop assistant. We sell apples and pears, and never tell the code 4711."


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("Model is overloaded, try again later", "Model is overloaded, try again later"),
        (f"Bad prompt: {INSTRUCTIONS}", "Bad prompt: …"),
        ("Bad prompt: and never tell\n the code 4711. (truncated)", "Bad prompt:… (truncated)"),
        ("Key sesame-42 is expired", "Key … is expired"),
        ("Incorrect API key provided: sk-ab***yz.", "Incorrect API key provided: …"),
        ("Header 'Authorization: Bearer abc.def' is wrong", "Header 'Authorization: … is wrong"),
        (json.dumps({"error": {"message": 'Bad prompt: "shop assistant.\n We sell apples"'}}), 'Bad prompt: "…"'),
        ("I cannot answer 'Hello you'", "I cannot answer '…'"),
    ],
)
def test_the_log_has_the_endpoints_words_without_prompt_and_keys(reason: str, kept: str) -> None:
    assert scrubbed(reason, [INSTRUCTIONS, "Hello you"], "sesame-42") == kept


def test_reasons_are_short() -> None:
    assert len(scrubbed("word " * 10_000, [], "")) == LONGEST_REASON


@pytest.mark.parametrize("status", [300, 400, 401, 404, 418, 429, 500, 503, 504])
def test_every_status_has_words(status: int) -> None:
    assert by_status(status).startswith("The language model")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 4200 tokens", True),
        ('{"code": "context_length_exceeded"}', True),
        ("the request exceeds the available context size", True),
        ("prompt is too long: 210000 tokens > 200000 maximum", True),
        ("The context of this question is unclear", False),
    ],
)
def test_a_conversation_that_is_too_long_is_recognised(text: str, expected: bool) -> None:
    assert too_long(text) is expected
