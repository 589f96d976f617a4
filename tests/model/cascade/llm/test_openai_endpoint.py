"""model/cascade/llm/openai_endpoint.py, against real servers."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import av
import numpy as np
import pytest

from harness.chat_server import DONE, ChatServer, Step, event
from vivavoce.model.cascade.llm import Piece, Prompt, Stopped
from vivavoce.model.cascade.llm.openai_endpoint import Endpoint, EndpointSlot
from vivavoce.model.dialogue import Call, CallResult, Message, Picture, TextToken, Tool, ToolCall, Usage
from vivavoce.model.store import Store

QUESTION = Prompt("Be kind.", (Message("1", "user", "Hello"),))
TIMER = Tool("timer", "Starts a timer", {"type": "object"})
HELLO = [
    event({"role": "assistant", "content": ""}),
    event({"content": "Hel"}),
    event({"content": "lo"}),
    event({}, "stop"),
]
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def collect(slot: EndpointSlot, prompt: Prompt = QUESTION, max_tokens: int = 40) -> tuple[list[Piece], Stopped]:
    queue = SimpleQueue[Piece]()
    slot.generate(prompt, max_tokens, queue.put)
    pieces: list[Piece] = []
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        pieces.append(piece)
    assert queue.empty()
    return pieces, piece


def ask(endpoint: Endpoint, prompt: Prompt = QUESTION, max_tokens: int = 40) -> tuple[list[Piece], Stopped]:
    slot = endpoint.open()
    try:
        return collect(slot, prompt, max_tokens)
    finally:
        slot.close()


def scripted(
    *steps: Step, status: int = 200, max_tokens: int = 40, patience: float = 30.0
) -> tuple[list[Piece], Stopped]:
    with ChatServer(steps, status) as server:
        return ask(Endpoint(server.url, "m", patience=patience), max_tokens=max_tokens)


def body_of(prompt: Prompt, vision: bool = False) -> dict[str, Any]:
    """The body of the request that the server got."""
    with ChatServer([*HELLO, DONE]) as server:
        ask(Endpoint(f"{server.url}/", "m", vision=vision), prompt)
    return server.requests[0].body


# --- a real server -------------------------------------------------------------------------------------------------


@pytest.mark.models
@pytest.mark.slow
def test_a_real_server_answers_and_is_cancelled(models: Store) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    (file,) = models.path("smollm2-135m").glob("*.gguf")
    params.model.path = str(file)
    params.n_ctx, params.n_parallel, params.verbosity = 2048, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.api_keys = ["sesame"]
    server = xllamacpp.Server(params)
    url = f"{server.listening_address}/v1"
    question = Prompt("Answer in one short sentence.", (Message("1", "user", "What is the capital of France?"),))
    pieces, stopped = ask(Endpoint(url, "smollm2", "sesame"), question)
    assert "Paris" in "".join(piece.text for piece in pieces if isinstance(piece, TextToken))
    assert stopped.reason == "stop"
    assert stopped.usage.input_text > 10
    assert stopped.usage.output_text >= len(pieces)
    assert ask(Endpoint(url, "smollm2", "sesame"), question, max_tokens=2)[1].reason == "length"
    _, refused = ask(Endpoint(url, "smollm2", "guess"), question)
    assert refused.error == f"The language model at {url} refused: HTTP 401, Invalid API Key"
    slot, queue = Endpoint(url, "smollm2", "sesame").open(), SimpleQueue[Piece]()
    generation = slot.generate(question, 500, queue.put)
    assert isinstance(queue.get(timeout=PATIENCE), TextToken)
    generation.cancel()
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        pass
    assert piece.reason == "cancelled"
    slot.close()


# --- the request ---------------------------------------------------------------------------------------------------


def test_the_conversation_is_sent_as_the_api_defines_it() -> None:
    items = (
        Message("1", "user", "Two timers, please"),
        Call("2", "c1", "timer", '{"seconds": 1}'),
        Call("3", "c2", "timer", '{"seconds": 2}'),
        CallResult("4", "c1", "started"),
        CallResult("5", "c2", "failed"),
        Message("6", "assistant", "One is running."),
    )
    body = body_of(Prompt("Be kind.", items, (TIMER,)))
    first, second = (
        {"id": f"c{n}", "type": "function", "function": {"name": "timer", "arguments": f'{{"seconds": {n}}}'}}
        for n in (1, 2)
    )
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Two timers, please"},
        {"role": "assistant", "content": None, "tool_calls": [first, second]},
        {"role": "tool", "tool_call_id": "c1", "content": "started"},
        {"role": "tool", "tool_call_id": "c2", "content": "failed"},
        {"role": "assistant", "content": "One is running."},
    ]
    described = {"name": "timer", "description": "Starts a timer", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": described}]
    assert body["tool_choice"] == "auto"
    assert (body["model"], body["max_tokens"], body["stream"]) == ("m", 40, True)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("required", "required"), ("timer", {"type": "function", "function": {"name": "timer"}}), ("none", None)],
)
def test_the_tool_choice_is_sent(choice: str, sent: object) -> None:
    body = body_of(Prompt("", QUESTION.items, (TIMER,), choice))
    assert body.get("tool_choice") == sent
    assert ("tools" in body) == (choice != "none")


def test_a_model_that_sees_gets_pictures_as_jpeg_and_the_view_with_the_newest_question() -> None:
    red = Picture(np.full((32, 48, 3), (255, 0, 0), np.uint8), 0.0)
    blue = Picture(np.full((30, 40, 3), (0, 0, 255), np.uint8), 1.0)
    items = (Message("1", "user", "Look", (red,)), Message("2", "assistant", "Nice"), Message("3", "user", "And now?"))
    messages = body_of(Prompt("", items, view=blue), vision=True)["messages"]
    shown = {}
    for message in messages[1:]:
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "image_url":
                kind, _, data = part["image_url"]["url"].partition(";base64,")
                assert kind == "data:image/jpeg"
                with av.open(io.BytesIO(base64.b64decode(data)), "r") as container:
                    pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
                shown[messages.index(message)] = (
                    pixels.shape,
                    [int(value) for value in pixels.mean(axis=(0, 1)).round(-1)],
                )
    assert shown == {1: ((32, 48, 3), [250, 0, 0]), 3: ((30, 40, 3), [0, 0, 250])}
    assert messages[3]["content"][-1] == {"type": "text", "text": "And now?"}
    assert [m["content"] for m in body_of(Prompt("", items, view=blue))["messages"]] == ["", "Look", "Nice", "And now?"]
    assert len(body_of(Prompt("only", (), view=blue), vision=True)["messages"]) == 1


def test_the_key_is_sent_and_the_connection_is_kept() -> None:
    with ChatServer([*HELLO, DONE]) as server:
        slot = Endpoint(server.url, "m", "sesame").open()
        slot.prefill(QUESTION)
        collect(slot)
        collect(slot)
        slot.close()
        slot.close()
    first, second = server.requests
    assert first.headers["Authorization"] == "Bearer sesame"
    assert first.client == second.client


# --- the response --------------------------------------------------------------------------------------------------


def test_text_comes_as_it_is_sent() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    last = b'data: {"choices": [], "usage": ' + str(usage).replace("'", '"').encode() + b"}\n\n"
    pieces, stopped = scripted(b": comment\n\n", *HELLO, last, DONE)
    assert pieces == [TextToken("Hel"), TextToken("lo")]
    assert stopped == Stopped("stop", Usage(input_text=9, cached=4, output_text=2))


def test_calls_come_in_pieces_and_end() -> None:
    def part(index: int, **known: Any) -> bytes:
        return event({"tool_calls": [{"index": index, **known}]})

    pieces, stopped = scripted(
        part(0, id="c1", function={"name": "timer", "arguments": ""}),
        part(0, function={"arguments": '{"sec'}),
        part(0, function={"arguments": 'onds": 1}'}),
        part(1, id="c2", function={"name": "timer", "arguments": "{}"}),
        event({}, "tool_calls"),
        DONE,
    )
    assert (
        "".join(piece.arguments for piece in pieces if isinstance(piece, ToolCall) and piece.call_id == "c1")
        == '{"seconds": 1}'
    )
    assert [piece.call_id for piece in pieces if isinstance(piece, ToolCall) and piece.final] == ["c1", "c2"]
    assert stopped.reason == "stop"


def test_a_call_that_the_limit_cuts_is_never_final() -> None:
    part = event({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "timer", "arguments": "{"}}]})
    pieces, stopped = scripted(part, event({}, "length"), DONE)
    assert pieces == [ToolCall("c", "timer", "{", final=False)]
    assert stopped.reason == "length"


def test_a_server_that_ignores_the_limit_is_cut_off() -> None:
    pieces, stopped = scripted(*[event({"content": "la "})] * 1000, "hang", max_tokens=10)
    assert stopped.reason == "length"
    assert len(pieces) <= 30


def test_a_server_that_does_not_end_its_answer_is_not_waited_for() -> None:
    began = time.monotonic()
    assert scripted(*HELLO, DONE, "hang")[1].reason == "stop"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("steps", "status", "message"),
    [
        ([b'{"error": {"message": "No such key"}}'], 401, "refused: HTTP 401, No such key"),
        ([b"Internal Server Error"], 500, "refused: HTTP 500, Internal Server Error"),
        ([], 503, "refused: HTTP 503, without a reason"),
        ([b'{"error": "strange"}'], 400, 'refused: HTTP 400, {"error": "strange"}'),
        ([b"data: {nonsense\n\n"], 200, "cannot be understood"),
        ([b"data: 5\n\n"], 200, "cannot be understood"),
        ([b'data: {"choices": [5]}\n\n'], 200, "cannot be understood"),
        ([b'data: {"choices": 5}\n\n'], 200, "cannot be understood"),
        ([event({"tool_calls": [{"function": {}}]})], 200, "cannot be understood"),
        ([b'data: {"error": {"message": "overloaded"}}\n\n'], 200, "The language model failed: overloaded."),
        ([b'data: {"error": "overloaded"}\n\n'], 200, "The language model failed: overloaded."),
        ([b"<html>hello</html>"], 200, "broke off"),
        ([event({"content": "Hel"}), DONE], 200, "broke off"),
        ([event({"content": "Hel"}), "cut"], 200, "failed"),
        (["hang"], 200, "takes too long"),
        ([event({"content": "Hel"}), "hang"], 200, "takes too long"),
    ],
)
def test_a_bad_answer_is_a_clear_error(steps: Sequence[Step], status: int, message: str) -> None:
    _, stopped = scripted(*steps, status=status, patience=0.2)
    assert stopped.reason == "error"
    assert message in stopped.error


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        _, stopped = ask(Endpoint(url, "m"))
    assert stopped.reason == "error"
    assert stopped.error.startswith(f"The language model at {url} cannot be reached: ")


@pytest.mark.parametrize("steps", [["hang"], [event({"content": "Hel"}), "hang"]])
def test_cancelling_closes_the_connection_at_once(steps: Sequence[Step]) -> None:
    with ChatServer(steps) as server:
        slot, queue = Endpoint(server.url, "m").open(), SimpleQueue[Piece]()
        generation = slot.generate(QUESTION, 40, queue.put)
        while not server.requests or (len(steps) > 1 and queue.empty()):
            time.sleep(0.005)
        began = time.monotonic()
        generation.cancel()
        generation.cancel()
        while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
            pass
        assert piece == Stopped("cancelled")
        assert server.left.wait(0.3)
        assert time.monotonic() - began < 0.3
        slot.close()


def test_cancelling_at_once_ends_the_reply_and_the_next_one_comes() -> None:
    with ChatServer([*HELLO, DONE]) as server:
        slot, queue = Endpoint(server.url, "m").open(), SimpleQueue[Piece]()
        slot.generate(QUESTION, 40, queue.put).cancel()
        assert queue.get(timeout=PATIENCE) == Stopped("cancelled")
        assert collect(slot)[0] == [TextToken("Hel"), TextToken("lo")]
        slot.close()


def test_closing_ends_what_is_under_way() -> None:
    with ChatServer(["hang"]) as server:
        slot, queue = Endpoint(server.url, "m").open(), SimpleQueue[Piece]()
        generation = slot.generate(QUESTION, 40, queue.put)
        while not server.requests:
            time.sleep(0.005)
        slot.close()
        assert queue.get(timeout=PATIENCE) == Stopped("cancelled")
        generation.cancel()  # too late, and no harm
        Endpoint(server.url, "m").close()
