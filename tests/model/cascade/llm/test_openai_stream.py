"""model/cascade/llm/openai_stream.py: the dialects of the servers that are used."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from vivavoce.model.cascade.llm import SIGN_OF_LIFE, Piece
from vivavoce.model.cascade.llm.openai_stream import AnswerReader, lines
from vivavoce.model.cascade.llm.thoughts import Opened, Thoughts
from vivavoce.model.dialogue import TextToken, ToolCall, Usage, Working
from vivavoce.model.errors import EndpointFailed, UnreadableAnswer

PARIS, ROME, OSLO = ('{"city": "Paris"}', '{"city": "Rome"}', '{"city": "Oslo"}')


class Clock:
    """Time, and what is due: stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.at = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.at

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        self._due.append((self.at + seconds, work))

    def advance(self, seconds: float) -> None:
        self.at += seconds
        due, self._due = self._due, []
        for moment, work in due:
            if moment <= self.at:
                work()
            else:
                self._due.append((moment, work))


def reader_of(pieces: list[Piece], opened: Opened = Opened.NO, limit: int = 1000) -> tuple[AnswerReader, Clock]:
    clock = Clock()
    return AnswerReader(pieces.append, Thoughts(opened), limit, 0, 3.0, clock.now, clock.after), clock


def read(*deltas: Any, finish: str = "stop", cut: bool = False) -> list[Piece]:
    """What comes of an answer, but for signs of life."""
    pieces: list[Piece] = []
    reader, _ = reader_of(pieces)
    for delta in deltas:
        reader.line(b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode())
    reader.line(b"data: " + json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]}).encode())
    return [*pieces, *reader.end(cut)]


def parts(*calls: dict[str, Any]) -> dict[str, Any]:
    """A delta with these parts of calls."""
    return {"tool_calls": list(calls)}


def part(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = None
) -> dict[str, Any]:
    given = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in given.items() if value is not None}


def calls_of(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Names and arguments of the calls, each of which comes in one piece."""
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert all(call.final for call in calls)
    assert len({call.call_id for call in calls}) == len(calls), "each has an id of its own"
    return [(call.name, call.arguments) for call in calls]


TWO = [("weather", PARIS), ("weather", ROME)]
STREAMS = {
    "one after the other (OpenAI)": [
        parts(part(0, "c0", "weather", "")),
        parts(part(0, arguments='{"city": ')),
        parts(part(0, arguments='"Paris"}')),
        parts(part(1, "c1", "weather", "")),
        parts(part(1, arguments=ROME)),
    ],
    "in turn": [
        parts(part(0, "c0", "weather", ""), part(1, "c1", "weather", "")),
        parts(part(0, arguments='{"city": ')),
        parts(part(1, arguments='{"city": ')),
        parts(part(1, arguments='"Rome"}'), part(0, arguments='"Paris"}')),
    ],
    "behind words": [
        {"content": "Let me see."},
        parts(part(0, "c0", "weather", PARIS)),
        parts(part(1, "c1", "weather", ROME)),
    ],
    "all at once (Mistral)": [parts(part(0, "c0", "weather", PARIS), part(1, "c1", "weather", ROME))],
    "arguments as an object": [
        parts(part(0, "c0", "weather", {"city": "Paris"})),
        parts(part(1, "c1", "weather", {"city": "Rome"})),
    ],
    "index 0 for each (Ollama, Gemini)": [
        parts(part(0, "c0", "weather", PARIS)),
        parts(part(0, "c1", "weather", ROME)),
    ],
    "without index": [parts(part(None, "c0", "weather", PARIS)), parts(part(None, "c1", "weather", ROME))],
    "without index, torn": [
        parts(part(None, "c0", "weather", "")),
        parts(part(None, arguments=PARIS)),
        parts(part(None, "c1", "weather", "")),
        parts(part(None, arguments=ROME[:4])),
        parts(part(None, arguments=ROME[4:])),
    ],
    "without index and id": [parts(part(name="weather", arguments=PARIS)), parts(part(name="weather", arguments=ROME))],
    "index 0 and no id": [parts(part(0, "", "weather", PARIS)), parts(part(0, "", "weather", ROME))],
    "the same id twice": [parts(part(0, "null", "weather", PARIS)), parts(part(1, "null", "weather", ROME))],
    "one id for two": [parts(part(0, "call", "weather", PARIS)), parts(part(1, "call", "weather", ROME))],
    "index within the function": [
        {"tool_calls": [{"id": "c0", "function": {"index": 0, "name": "weather", "arguments": PARIS}}]},
        {"tool_calls": [{"id": "c1", "function": {"index": 1, "name": "weather", "arguments": ROME}}]},
    ],
    "another id in each part (older vLLM)": [
        parts(part(0, "a", "weather", "")),
        parts(part(0, "b", None, PARIS)),
        parts(part(1, "c", "weather", "")),
        parts(part(1, "d", None, ROME)),
    ],
    "the id in each part": [
        parts(part(0, "c0", "weather", "")),
        parts(part(0, "c0", "", PARIS)),
        parts(part(1, "c1", "weather", "")),
        parts(part(1, "c1", "", ROME)),
    ],
    "the name in each part": [
        parts(part(0, "c0", "weather", "")),
        parts(part(0, None, "weather", PARIS[:5])),
        parts(part(0, None, "weather", PARIS[5:])),
        parts(part(1, "c1", "weather", "")),
        parts(part(1, None, "weather", ROME)),
    ],
    "the second one in the first one's place, without a name": [
        parts(part(0, "c0", "weather", "")),
        parts(part(0, None, "", PARIS)),
        parts(part(0, None, "", ROME)),
    ],
    "the arguments once more at the end": [
        parts(part(0, "c0", "weather", "")),
        parts(part(0, arguments=PARIS)),
        parts(part(1, "c1", "weather", ROME)),
        parts(part(0, arguments=PARIS)),
        parts(part(1, "c1", "weather", ROME)),
    ],
    "a placeholder first (Anthropic)": [
        parts(part(1, "c0", "weather", "{}")),
        parts(part(1, arguments=PARIS)),
        parts(part(2, "c1", "weather", "{}")),
        parts(part(2, arguments=ROME)),
    ],
}


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_two_calls_are_two_calls_in_every_dialect(stream: list[Any], finish: str) -> None:
    assert calls_of(read(*stream, finish=finish)) == TWO


def test_three_calls_keep_their_ids_and_their_order() -> None:
    pieces = read(
        *(parts(part(number, f"c{number}", "weather", city)) for number, city in enumerate((PARIS, ROME, OSLO)))
    )
    assert [(piece.call_id, piece.arguments) for piece in pieces if isinstance(piece, ToolCall)] == [
        ("c0", PARIS),
        ("c1", ROME),
        ("c2", OSLO),
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert calls_of(read(parts(part(0, "c", "now", "")))) == [("now", "{}")]
    assert calls_of(read(parts(part(0, "c", "now")))) == [("now", "{}")]
    assert calls_of(read({"function_call": {"name": "now", "arguments": ""}})) == [("now", "{}")]


def test_words_in_front_of_a_call_come_first() -> None:
    pieces = read({"content": "Let me see."}, parts(part(0, "c", "now", "{}")))
    assert pieces == [TextToken("Let me see."), ToolCall("c", "now", "{}", final=True)]


def test_of_an_answer_that_was_cut_only_whole_calls_are_final() -> None:
    pieces = read(
        parts(part(0, "a", "weather", PARIS)), parts(part(1, "b", "weather", '{"ci')), finish="length", cut=True
    )
    assert pieces == [ToolCall("a", "weather", PARIS, final=True), ToolCall("b", "weather", '{"ci', final=False)]


CONTENTS = {
    "a string": ["It is ", "blue."],
    "parts": [[{"type": "text", "text": "It is "}], [{"type": "text", "text": "blue."}]],
    "thoughts among the parts (Mistral)": [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Which colour?"}], "closed": True}],
        [{"type": "text", "text": "It is "}, {"type": "reference", "reference_ids": [1]}],
        [{"type": "text", "text": "blue."}],
    ],
    "both": [[{"type": "thinking", "thinking": "Hm"}], "It is ", "blue."],
    "strings among the parts": [["It is ", {"text": "blue."}]],
    "nothing in between": ["It is ", None, "", [], "blue."],
}


@pytest.mark.parametrize("contents", CONTENTS.values(), ids=CONTENTS.keys())
def test_the_content_is_text_or_parts_of_it(contents: list[Any]) -> None:
    pieces = read(*({"content": content} for content in contents))
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextToken)) == "It is blue."


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_text", "thinking"])
@pytest.mark.parametrize("thought", ["Which colour?", [{"text": "Which colour?"}], {"text": "Which colour?"}])
def test_thoughts_in_a_field_of_their_own_are_a_sign_of_life_alone(name: str, thought: Any) -> None:
    pieces: list[Piece] = []
    reader, clock = reader_of(pieces)
    for _ in range(3):
        clock.advance(SIGN_OF_LIFE)
        reader.event(json.dumps({"choices": [{"delta": {name: thought, "content": None}}]}).encode())
    reader.event(json.dumps({"choices": [{"delta": {name: thought}}]}).encode())
    assert pieces == [Working()] * 3
    assert reader.thinks


def test_comments_are_signs_of_life() -> None:
    pieces: list[Piece] = []
    reader, clock = reader_of(pieces)
    clock.advance(SIGN_OF_LIFE)
    reader.line(b": PROCESSING")
    reader.line(b"")
    assert pieces == [Working()]


def test_a_refusal_is_spoken() -> None:
    assert read({"refusal": "I cannot "}, {"refusal": "do that."})[-1] == TextToken("do that.")


def test_text_that_may_be_thoughts_is_given_out_after_a_while() -> None:
    pieces: list[Piece] = []
    reader, clock = reader_of(pieces, Opened.UNKNOWN)
    reader.event(b'{"choices": [{"delta": {"content": "It is "}}]}')
    clock.advance(2.9)
    assert pieces == []
    clock.advance(0.2)
    assert pieces == [TextToken("It is ")]
    reader.event(b'{"choices": [{"delta": {"content": "blue."}}]}')
    assert pieces[1:] == [TextToken("blue.")]


def test_nothing_is_given_out_after_the_end() -> None:
    pieces: list[Piece] = []
    reader, clock = reader_of(pieces, Opened.UNKNOWN)
    reader.event(b'{"choices": [{"delta": {"content": "It is "}}]}')
    reader.closed = True
    clock.advance(4)
    assert pieces == []


def test_unknown_fields_are_passed_over() -> None:
    pieces: list[Piece] = []
    reader, _ = reader_of(pieces)
    reader.line(
        b'data: {"id": 5, "object": "chat.completion.chunk", "timings": {}, "progress": [], "choices": [{"index": 0, '
        b'"delta": {"role": "assistant", "content": "Hi", "annotations": 7}, "logprobs": null, "native_finish": 3}], '
        b'"usage": {"prompt_tokens": 1, "cost": 0.1, "prompt_tokens_details": null, '
        b'"completion_tokens_details": {"reasoning_tokens": 0}}}'
    )
    reader.line(b"event: message")
    reader.line(b"retry: 10")
    assert pieces == [TextToken("Hi")]
    assert reader.usage == Usage(input_text=1)
    assert not reader.thinks


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({"choices": [{"delta": {"content": 5}}]}, "$.choices[0].delta.content"),
        ({"choices": [{"delta": {"content": [{"text": 5}]}}]}, "$.choices[0].delta.content[0].text"),
        ({"choices": [{"delta": "secret"}]}, "$.choices[0].delta"),
        ({"choices": [{"finish_reason": ["secret"]}]}, "$.choices[0].finish_reason"),
        ({"usage": {"prompt_tokens": "secret"}}, "$.usage.prompt_tokens"),
    ],
)
def test_a_wrong_type_is_named_by_its_place_and_cites_nothing(event: Any, where: str) -> None:
    reader, _ = reader_of([])
    with pytest.raises(UnreadableAnswer) as caught:
        reader.event(json.dumps(event).encode())
    assert where in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"error": {"message": "overloaded"}}',
        b'data: {"error": "overloaded"}',
        b'data: {"object": "error", "message": "overloaded"}',
        b'error: {"message": "overloaded"}',
    ],
)
def test_a_failure_within_the_answer_has_the_endpoints_words(line: bytes) -> None:
    reader, _ = reader_of([])
    with pytest.raises(EndpointFailed, match="overloaded"):
        reader.line(line)


def test_lines_are_found_however_the_body_is_cut() -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        body = b"data: 1\r\n\r\ndata: 2\n\n: x\ndata: 3"
        for at in range(0, len(body), size):
            yield body[at : at + size]

    async def found(size: int) -> list[bytes]:
        return [line async for line in lines(chunks(size)) if line]

    for size in (1, 2, 5, 9, 100):
        assert asyncio.run(found(size)) == [b"data: 1", b"data: 2", b": x", b"data: 3"]
