"""model/cascade/llm/tool_calls.py."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.tool_calls import MAX_CALLS, SPEECH, ToolCallParser, effective_choice, grammar
from vivavoce.model.dialogue import Call, CallResult, Message, TextToken, Tool, ToolCall
from vivavoce.model.errors import ToolCallError

WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
TIMER = Tool("timer", "A timer", {"type": "object", "properties": {"seconds": {"type": "integer"}}})
TOOLS = (WEATHER, TIMER)


def call(name: str, arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def read(pieces: Iterable[str], tools: tuple[Tool, ...] = TOOLS, choice: str = "auto") -> tuple[str, list[list[Any]]]:
    """The speech, and each call as [name, arguments, complete]."""
    parser = ToolCallParser(tools, choice)
    words, calls = "", dict[str, list[Any]]()
    for text in pieces:
        for piece in parser.push(text):
            match piece:
                case TextToken():
                    words += piece.text
                case ToolCall():
                    entry = calls.setdefault(piece.call_id, [piece.name, "", False])
                    assert not entry[2], "nothing may follow the final piece"
                    entry[1] += piece.arguments
                    entry[2] = piece.final
    return words, list(calls.values())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(st.text(), values, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["weather", "timer"]), arguments), min_size=1, max_size=3), st.data())
def test_any_chunking_gives_the_same_calls(made: list[tuple[str, Any]], data: st.DataObject) -> None:
    text = "\n".join(call(name, given_arguments) for name, given_arguments in made)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    words, calls = read(pieces)
    assert words == ""
    assert [(name, json.loads(text), complete) for name, text, complete in calls] == [
        (name, given_arguments, True) for name, given_arguments in made
    ]


@given(st.text(min_size=1).filter(lambda text: text.strip() and text.lstrip()[0] != "{"), st.data())
def test_speech_comes_out_unchanged(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    assert read([text[:cut], text[cut:]]) == (text.lstrip(), [])


def test_a_call_that_was_cut_off_is_not_complete() -> None:
    assert read([call("timer", {"seconds": 60})[:-4]]) == ("", [["timer", '{"seconds": ', False]])


def test_one_piece_of_text_makes_one_piece_of_arguments() -> None:
    parser = ToolCallParser(TOOLS)
    pieces = list(parser.push(call("timer", {"seconds": 60})))
    assert [(type(piece), getattr(piece, "final", None)) for piece in pieces] == [(ToolCall, True)]


def test_calls_have_different_ids() -> None:
    parser = ToolCallParser(TOOLS)
    text = call("timer", {}) + "\n" + call("timer", {})
    ids = {piece.call_id for piece in parser.push(text) if isinstance(piece, ToolCall)}
    assert len(ids) == 2
    assert all(made.startswith("call_") for made in ids)


@pytest.mark.parametrize(("tools", "choice"), [((), "auto"), (TOOLS, "none")])
def test_without_tools_braces_are_speech(tools: tuple[Tool, ...], choice: str) -> None:
    assert read([' {"name": '], tools, choice) == (' {"name": ', [])


@pytest.mark.parametrize(
    "text",
    [
        call("nonsense", {}),
        '{"arguments": {}, "name": "timer"}',
        '{"name": ["timer"], "arguments": {}}',
        '{"name": "timer", "other": {}}',
        '{"name": "timer", "arguments", {}}',
        '{"name": "timer"}',
        "{}",
        "{{}}",
    ],
)
def test_a_call_of_an_unknown_tool_is_an_error(text: str) -> None:
    with pytest.raises(ToolCallError, match="language model called"):
        read([text])


def test_leading_white_space_decides_nothing() -> None:
    assert read(["  ", "\n", call("timer", {})]) == ("", [["timer", "{}", True]])
    assert read(["  ", " Yes"]) == ("Yes", [])


def test_without_tools_there_is_no_grammar() -> None:
    assert grammar((), "auto") is None
    assert grammar((), "none") is None


def test_with_tool_choice_none_only_speech_is_allowed() -> None:
    assert str(grammar(TOOLS, "none")).splitlines()[1:] == ["start: speech", SPEECH]


@pytest.mark.parametrize(
    ("choice", "then"), [("auto", "none"), ("required", "required"), ("timer", "timer"), ("none", "none")]
)
def test_after_a_tools_result_comes_speech_unless_a_call_is_required(choice: str, then: str) -> None:
    asked, call, answered = Message("1", "user", "Go!"), Call("2", "c", "timer", "{}"), CallResult("3", "c", "started")
    assert effective_choice(Prompt("", (asked, call, answered), TOOLS, choice)) == then
    assert effective_choice(Prompt("", (asked, call, answered, asked), TOOLS, choice)) == choice
    assert effective_choice(Prompt("", (), TOOLS, choice)) == choice


@pytest.mark.parametrize(
    ("choice", "start", "named"),
    [("auto", "speech | calls", 2), ("required", "calls", 2), ("timer", "calls", 1)],
)
def test_the_grammar_allows_what_the_choice_says(choice: str, start: str, named: int) -> None:
    lines = dict(line.partition(": ")[::2] for line in str(grammar(TOOLS, choice)).splitlines())
    assert lines["start"] == start
    assert lines["call"].count("call") == named
    schemas = [json.loads(rule.removeprefix("%json ")) for rule in lines.values() if rule.startswith("%json")]
    assert schemas[-1]["properties"]["name"] == {"const": "timer"}
    assert schemas[-1]["properties"]["arguments"] == {"additionalProperties": False, **TIMER.parameters}
    assert lines["calls"] == ("call" if choice == "timer" else f'call ("\\n" call){{0,{MAX_CALLS - 1}}}')
