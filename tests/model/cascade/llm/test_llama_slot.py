"""model/cascade/llm/llama_cpp.py: what a slot makes of a model's text. The model is scripted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest

from vivavoce.model.cascade.llm import Piece, Prompt, Stopped
from vivavoce.model.cascade.llm.llama_cpp import LlamaSlot
from vivavoce.model.cascade.llm.tool_calls import Grammars
from vivavoce.model.dialogue import Message, TextToken, Tool, ToolCall

TIMER = Tool("timer", "", {"type": "object", "properties": {"seconds": {"type": "integer"}}})


class Model:
    """A model that writes `texts`, one in each completion ("…": its tokens are used up behind it), and a checker that
    finds fault with negative numbers."""

    def __init__(self, *texts: str) -> None:
        self._texts = iter(texts)
        self.requests: list[dict[str, Any]] = []
        self.checker = self
        self.grammars = Grammars(self)  # type: ignore[arg-type]  # scripted

    def compiles(self, grammar: str) -> str:
        return ""

    def fits(self, schema: Any, arguments: Any) -> str:
        return "too small" if arguments.get("seconds", 0) < 0 else ""

    def complete(self, slot: int, request: dict[str, Any], generation: Any, on_text: Any, live: Any) -> Stopped:
        self.requests.append(request)
        text = next(self._texts)
        for start in range(0, len(text.removesuffix("…")), 3):
            on_text(text.removesuffix("…")[start : start + 3])
        return Stopped("length" if text.endswith("…") else "stop")

    def release(self, slot: LlamaSlot) -> None:
        """There is one slot."""


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def run(thread: ThreadPoolExecutor, model: Model, tools: tuple[Tool, ...] = (TIMER,)) -> tuple[list[Piece], Stopped]:
    slot, queue = LlamaSlot(model, 0, thread), SimpleQueue[Piece]()  # type: ignore[arg-type]  # scripted
    slot.generate(Prompt("", (Message("a", "user", "Go!"),), tools), 40, queue.put)
    pieces: list[Piece] = []
    while not isinstance(piece := queue.get(timeout=10), Stopped):
        pieces.append(piece)
    slot.close()
    return pieces, piece


def call(seconds: int) -> str:
    return json.dumps({"name": "timer", "arguments": {"seconds": seconds}})


def calls_of(pieces: Iterable[Piece]) -> list[str]:
    assert all(isinstance(piece, ToolCall) and piece.final for piece in pieces)
    return [piece.arguments for piece in pieces if isinstance(piece, ToolCall)]


def test_calls_come_whole_and_in_their_order(thread: ThreadPoolExecutor) -> None:
    pieces, stopped = run(thread, Model(f"{call(1)}\n{call(2)}"))
    assert calls_of(pieces) == ['{"seconds": 1}', '{"seconds": 2}']
    assert stopped == Stopped("stop")


def test_a_call_that_does_not_fit_is_tried_once_more_at_its_place(thread: ThreadPoolExecutor) -> None:
    model = Model(f"{call(-1)}\n{call(2)}", call(1))
    pieces, stopped = run(thread, model)
    assert calls_of(pieces) == ['{"seconds": 1}', '{"seconds": 2}']
    assert stopped == Stopped("stop")
    assert "too small" in model.requests[1]["prompt"]
    assert "start: calls" in model.requests[1]["grammar"], "speech is not allowed"


def test_a_call_that_does_not_fit_twice_fails_the_reply_and_is_not_passed_on(thread: ThreadPoolExecutor) -> None:
    pieces, stopped = run(thread, Model(call(-1), call(-2)))
    assert pieces == []
    assert (stopped.reason, stopped.again) == ("error", False)
    assert stopped.error == "The language model called the function 'timer' in a way that does not fit: too small."


def test_a_call_that_the_limit_cuts_is_not_final(thread: ThreadPoolExecutor) -> None:
    (cut,), stopped = run(thread, Model(f"{call(1)[:-4]}…"))
    assert isinstance(cut, ToolCall)
    assert not cut.final
    assert stopped.reason == "length"


def test_a_tool_that_no_call_can_fit_fails_the_reply_without_another_try(thread: ThreadPoolExecutor) -> None:
    broken = Tool("f", "", {"type": "object", "properties": {"a": {"type": "nonsense"}}})
    pieces, stopped = run(thread, Model(), (broken,))
    assert pieces == []
    assert stopped.error.startswith("The tool 'f' cannot be used: parameters.properties.a.type is no type")
    assert not stopped.again


def test_thoughts_are_left_out_and_have_room(thread: ThreadPoolExecutor) -> None:
    model = Model("<think>A colour, which is…", " blue.</think>It is blue.")
    pieces, stopped = run(thread, model, ())
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextToken)) == "It is blue."
    assert stopped.reason == "stop"
    assert model.requests[1]["prompt"].endswith("<think>A colour, which is"), "it goes on where it was"


def test_thoughts_without_an_end_are_an_answer_without_words(thread: ThreadPoolExecutor) -> None:
    assert run(thread, Model("<think>Hm.…", "Hm.…"), ()) == ([], Stopped("length"))
