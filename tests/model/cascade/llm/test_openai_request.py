"""model/cascade/llm/openai_request.py: what is learned from refusals, as servers write them."""

import json
from typing import Any

import pytest

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.openai_request import LIMITS, Dialect, request_of, texts_of
from vivavoce.model.cascade.llm.thoughts import THOUGHT_TOKENS, Opened, Thoughts
from vivavoce.model.dialogue import Message, Tool

QUESTION = Prompt("Be kind.", (Message("1", "user", "Hello"),), (Tool("timer", "Starts a timer", {"type": "object"}),))
ALL = {"max_tokens", "temperature", "stream", "stream_options", "tools", "tool_choice"}


def error(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})


def learned(refusal: str, prompt: Prompt = QUESTION, dialect: Dialect | None = None) -> set[str]:
    """The parameters that the next request has no more."""
    dialect = dialect or Dialect()
    sent = request_of(prompt, "m", 40, False, dialect, {})
    changed = dialect.learn(refusal, sent)
    again = request_of(prompt, "m", 40, False, dialect, {})
    assert changed == (sent != again)
    return set(sent) - set(again)


REFUSALS = {
    "OpenAI": (
        error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
        {"max_tokens"},
    ),
    "OpenAI, a value": (
        error(
            "Unsupported value: 'temperature' does not support 0.4. Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
        {"temperature"},
    ),
    "without the field param": (error("Unsupported parameter: `temperature`"), {"temperature"}),
    "only the field param": (error("Invalid request.", param="temperature"), {"temperature"}),
    "two at once": (error("temperature and max_tokens are not supported"), {"temperature", "max_tokens"}),
    "Mistral": (
        json.dumps(
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "stream_options"],
                            "msg": "Extra inputs are not permitted",
                            "input": {"include_usage": True, "temperature": 1},
                        }
                    ]
                },
            }
        ),
        {"stream_options"},
    ),
    "JSON within a string": (
        json.dumps({"object": "error", "message": '{"detail":[{"loc":["body","temperature"],"msg":"Extra inputs"}]}'}),
        {"temperature"},
    ),
    "FastAPI": (
        json.dumps({"detail": [{"loc": ["body", "tool_choice"], "msg": "value is not valid"}]}),
        {"tool_choice"},
    ),
    "Gemini": (
        json.dumps([{"error": {"code": 400, "message": 'Unknown name "stream_options": Cannot find field.'}}]),
        {"stream_options"},
    ),
    "vLLM": (
        json.dumps({"object": "error", "message": "Unrecognized request argument supplied: stream_options"}),
        {"stream_options"},
    ),
    "plain text": ("Argument not supported: temperature", {"temperature"}),
    "streaming": (
        error("Your organization must be verified to stream this model.", param="stream"),
        {"stream", "stream_options"},
    ),
    "a model without tools (Ollama)": (
        error("registry.ollama.ai/library/gemma:2b does not support tools"),
        {"tools", "tool_choice"},
    ),
    "a server without parser (vLLM)": (
        error('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        {"tool_choice"},
    ),
    "about something else": (error("The question is about the weather."), set()),
    "nothing known": (error("top_p is not supported"), set()),
    "a longer name": (error("max_tokens_to_sample is not supported, nor temperature_scale"), set()),
    "the prompt is too long": (
        error("max_tokens is not valid: this model's maximum context length is 2048 tokens", param="max_tokens"),
        set(),
    ),
    "no JSON": ("<html>Bad Request</html>", set()),
    "deeply nested": ("[" * 200 + '"temperature is not supported"' + "]" * 200, set()),
}


@pytest.mark.parametrize(("refusal", "without"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_a_refusal_names_is_left_out_of_the_next_request(refusal: str, without: set[str]) -> None:
    assert learned(refusal) == without


def test_the_limit_has_another_name_and_is_left_out_in_the_end() -> None:
    dialect, limits = Dialect(), []
    for _ in range(3):
        request = request_of(QUESTION, "m", 40, False, dialect, {})
        limits.append({name: request[name] for name in LIMITS if name in request})
        learned(error(f"'{dialect.limit}' is not supported"), dialect=dialect)
    assert limits == [{"max_tokens": 40}, {"max_completion_tokens": 40}, {}]


def test_a_server_that_takes_no_choice_of_tools_is_asked_without_tools_in_the_end() -> None:
    dialect, text = Dialect(), error('"auto" tool choice requires --enable-auto-tool-choice')
    assert learned(text, dialect=dialect) == {"tool_choice"}
    assert learned(text, dialect=dialect) == {"tools"}


def test_tools_are_not_left_out_where_a_call_is_required() -> None:
    required = Prompt("", QUESTION.items, QUESTION.tools, "required")
    assert learned(error("this model does not support tools"), required) == set()


@pytest.mark.parametrize(
    "refusal",
    [
        error(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.", param="messages[0].role"
        ),
        error("System role not supported"),
        error("This template: system messages are not allowed"),
    ],
)
def test_instructions_go_with_the_question_where_there_is_no_system_role(refusal: str) -> None:
    dialect = Dialect()
    assert dialect.learn(refusal, request_of(QUESTION, "m", 40, False, dialect, {}))
    messages = request_of(QUESTION, "m", 40, False, dialect, {})["messages"]
    assert messages == [{"role": "user", "content": "Be kind.\n\nHello"}]
    assert not dialect.learn(refusal, {"messages": messages})


def test_a_model_that_thinks_gets_room_for_its_thoughts() -> None:
    dialect = Dialect()
    dialect.note(Thoughts(), thinks=True, answered=True)
    assert request_of(QUESTION, "m", 40, False, dialect, {})["max_tokens"] == 40 + THOUGHT_TOKENS


def test_whether_the_template_opens_thoughts_is_learned_from_answers() -> None:
    dialect, thoughts = Dialect(), Thoughts(Opened.UNKNOWN)
    thoughts.push("Hm.</think>Blue.")
    dialect.note(Thoughts(), thinks=False, answered=False)
    assert dialect.opened is Opened.UNKNOWN
    dialect.note(Thoughts(), thinks=False, answered=True)
    assert dialect.opened is Opened.NO
    dialect.note(thoughts, thinks=True, answered=True)
    assert dialect.opened is Opened.YES
    dialect.note(Thoughts(), thinks=False, answered=True)
    assert dialect.opened is Opened.UNKNOWN


def test_everything_said_is_among_the_texts_of_a_request() -> None:
    texts = texts_of(request_of(QUESTION, "m", 40, False, Dialect(), {}))
    assert {"Be kind.", "Hello", "Starts a timer"} <= set(texts)
    assert "system" not in texts
