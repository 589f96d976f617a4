"""model/cascade/llm/tool_calls.py."""

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.llm import Prompt, tool_calls
from vivavoce.model.cascade.llm.schema_checker import TOO_COSTLY
from vivavoce.model.cascade.llm.tool_calls import (
    MAX_CALLS,
    SPEECH,
    CallGate,
    CheckedCall,
    Grammars,
    ToolCallParser,
    effective_choice,
    second_try,
)
from vivavoce.model.dialogue import Call, CallResult, Message, TextToken, Tool, ToolCall
from vivavoce.model.errors import InvalidTool, ToolCallError

WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
TIMER = Tool("timer", "A timer", {"type": "object", "properties": {"seconds": {"type": "integer"}}})
TOOLS = (WEATHER, TIMER)


class Checker:
    """Compiles grammars without any of `forbidden`; finds `problem` in all arguments. Keeps what it is asked."""

    def __init__(self, *forbidden: str, problem: str | None = "") -> None:
        self.forbidden, self.problem = forbidden, problem
        self.grammars: list[str] = []
        self.checked: list[tuple[Any, Any]] = []

    def compiles(self, grammar: str) -> str | None:
        self.grammars.append(grammar)
        return "no" if any(word in grammar for word in self.forbidden) else ""

    def fits(self, schema: Any, arguments: Any) -> str | None:
        self.checked.append((schema, arguments))
        return self.problem


def grammar(tools: tuple[Tool, ...], choice: str, checker: Checker | None = None) -> str | None:
    return Grammars(checker or Checker()).of(tools, choice)  # type: ignore[arg-type]  # scripted


def schemas_of(text: str | None) -> list[dict[str, Any]]:
    """The arguments' schemas in a grammar, and the definitions."""
    rules = [line.partition(": %json ")[2] for line in str(text).splitlines()]
    calls = [json.loads(rule) for rule in rules if rule]
    return [made["properties"]["arguments"] | made.get("$defs", {}) for made in calls]


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
    assert schemas[-1]["properties"]["arguments"] == {"required": [], "additionalProperties": False, **TIMER.parameters}
    assert lines["calls"] == ("call" if choice == "timer" else f'call ("\\n" call){{0,{MAX_CALLS - 1}}}')


# --- what compiles -----------------------------------------------------------------------------------------------

EXACT = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^a$"}, "n": {"type": "integer"}}}
ODD = Tool("odd", "", EXACT | {"required": ["x"]})
CLOSED = {"required": ["x"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("forbidden", "schema"),
    [
        ((), EXACT | CLOSED),
        (("pattern",), {"type": "object", "properties": {"x": {"type": "string"}, "n": {"type": "integer"}}, **CLOSED}),
        (("pattern", "integer"), {"type": "object", "properties": {"x": {}, "n": {}}, **CLOSED}),
        (('"required": ["x"',), {"type": "object"}),
    ],
)
def test_a_schema_that_does_not_compile_is_made_looser_until_it_does(
    forbidden: tuple[str, ...], schema: dict[str, Any]
) -> None:
    assert schemas_of(grammar((ODD,), "auto", Checker(*forbidden))) == [schema]


def test_of_several_tools_only_the_one_that_does_not_compile_is_made_looser() -> None:
    made = schemas_of(grammar((TIMER, ODD), "auto", Checker("pattern")))
    assert made[0]["properties"] == TIMER.parameters["properties"]
    assert made[1]["properties"]["x"] == {"type": "string"}


def test_a_grammar_is_compiled_once() -> None:
    checker = Checker()
    grammars = Grammars(checker)  # type: ignore[arg-type]  # scripted
    first = grammars.of(TOOLS, "auto")
    asked = len(checker.grammars)
    assert grammars.of(TOOLS, "auto") == first
    assert len(checker.grammars) == asked


def test_what_is_known_is_bounded_while_several_threads_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_calls, "MAX_KNOWN", 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    grammars = Grammars(Checker())  # type: ignore[arg-type]  # scripted
    try:
        with ThreadPoolExecutor(4) as threads:
            many = [(Tool(f"t{number}", "", {"type": "object"}),) for number in range(500)]
            made = list(threads.map(lambda tools: grammars.of(tools, "auto"), many))
    finally:
        sys.setswitchinterval(interval)
    assert all(f'"t{number}"' in str(text) for number, text in enumerate(made))


def test_tools_with_too_much_to_say_keep_their_names_alone() -> None:
    wide = {f"property number {n}": {"type": "string", "enum": [f"{n}" * 40]} for n in range(200)}
    many = tuple(Tool(f"t{n}", "", {"type": "object", "properties": wide}) for n in range(20))
    text = str(grammar(many, "auto"))
    assert len(text) < 10_000
    assert schemas_of(text) == [{"type": "object"}] * 20


def test_references_are_definitions_of_the_call() -> None:
    parameters = {"$defs": {"City": {"enum": ["a"]}}, "type": "object", "properties": {"c": {"$ref": "#/$defs/City"}}}
    (made,) = schemas_of(grammar((Tool("f", "", parameters),), "auto"))
    assert made["properties"] == {"c": {"$ref": "#/$defs/d0"}}
    assert made["d0"] == {"enum": ["a"]}


def test_a_tool_that_no_call_can_fit_is_an_error_with_its_place() -> None:
    broken = Tool("f", "", {"type": "object", "properties": {"a": {"type": "nonsense"}}})
    with pytest.raises(InvalidTool, match=r"The tool 'f' cannot be used: parameters\.properties\.a\.type is no type"):
        grammar((broken,), "auto")


# --- checked afterwards --------------------------------------------------------------------------------------------


def gate(*pieces: ToolCall, problem: str | None = "") -> tuple[list[CheckedCall], Checker]:
    checker = Checker(problem=problem)
    checked = CallGate(TOOLS, checker)  # type: ignore[arg-type]  # scripted
    for piece in pieces:
        checked.take(piece)
    return checked.checked(), checker


def test_pieces_become_whole_calls_in_their_order() -> None:
    calls, checker = gate(
        ToolCall("a", "timer", '{"sec', final=False),
        ToolCall("b", "weather", "{}", final=True),
        ToolCall("a", "timer", 'onds": 1}', final=True),
    )
    assert [one.call for one in calls] == [
        ToolCall("a", "timer", '{"seconds": 1}', final=True),
        ToolCall("b", "weather", "{}", final=True),
    ]
    assert [one.problem for one in calls] == ["", ""]
    schema = {"type": ["object"], "properties": {"seconds": {"type": ["integer"]}}}
    assert checker.checked[0] == (schema, {"seconds": 1})


@pytest.mark.parametrize(
    ("name", "text", "found", "problem"),
    [
        ("timer", "{}", "", ""),
        ("timer", "{}", "'seconds' is missing", "'seconds' is missing"),
        ("timer", "{}", None, ""),  # not known
        ("timer", "{}", TOO_COSTLY, ""),
        ("timer", '{"a', "", "the arguments are not JSON"),
        pytest.param("timer", "[" * 100_000, "", "the arguments are not JSON", id="deep"),
        ("timer", "[]", "", "the arguments are not a JSON object"),
        ("nonsense", "{}", "", "there is no function of this name"),
    ],
)
def test_what_does_not_fit_is_said(name: str, text: str, found: str | None, problem: str) -> None:
    (checked,), _ = gate(ToolCall("a", name, text, final=True), problem=found)
    assert checked.problem == problem


def test_a_call_that_was_cut_is_not_checked() -> None:
    (checked,), checker = gate(ToolCall("a", "timer", '{"sec', final=False), problem="broken")
    assert (checked.problem, checker.checked) == ("", [])


@pytest.mark.parametrize(("text", "kept"), [('{"a": 1}', '{"a": 1}'), ('{"a', "{}"), ("[]", "{}")])
def test_the_second_try_is_told_what_was_wrong_and_may_only_call(text: str, kept: str) -> None:
    failed = CheckedCall(ToolCall("a", "timer", text, final=True), "'seconds' is missing")
    prompt = second_try(Prompt("", (Message("1", "user", "Go!"),), TOOLS), failed)
    _, made, answered = prompt.items
    assert made == Call("", "a", "timer", kept)
    assert isinstance(answered, CallResult)
    assert "'seconds' is missing" in answered.output
    assert (prompt.tool_choice, effective_choice(prompt)) == ("timer", "timer")
    unknown = CheckedCall(ToolCall("a", "nonsense", "{}", final=True), "there is no function of this name")
    assert second_try(Prompt("", (), TOOLS), unknown).tool_choice == "auto"
