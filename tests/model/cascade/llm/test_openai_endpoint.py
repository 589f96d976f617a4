"""model/cascade/llm/openai_endpoint.py, against real servers."""

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import av
import numpy as np
import pytest

from harness.chat_server import DONE, ChatServer, Step, event
from vivavoce.model.cascade.llm import CONTEXT_FULL, Piece, Prompt, Stopped
from vivavoce.model.cascade.llm import endpoint_faults as faults
from vivavoce.model.cascade.llm.openai_endpoint import TRIES, Endpoint, EndpointSlot
from vivavoce.model.cascade.llm.openai_stream import LONGEST_LINE
from vivavoce.model.cascade.llm.thoughts import Opened
from vivavoce.model.dialogue import Call, CallResult, Message, Picture, TextToken, Tool, ToolCall, Usage, Working
from vivavoce.model.store import Store

pytestmark = pytest.mark.integration

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
    try:
        return collect(endpoint.open(), prompt, max_tokens)
    finally:
        endpoint.close()


def words(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextToken))


def scripted(
    *steps: Step, status: int = 200, max_tokens: int = 40, patience: float = 30.0
) -> tuple[list[Piece], Stopped]:
    with ChatServer(steps, status) as server:
        pieces, stopped = ask(Endpoint(server.url, "m", patience=patience), max_tokens=max_tokens)
    assert server.url not in stopped.error
    return pieces, stopped


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
    assert stopped.usage.output_text >= sum(isinstance(piece, TextToken) for piece in pieces)
    assert ask(Endpoint(url, "smollm2", "sesame"), question, max_tokens=2)[1].reason == "length"
    _, refused = ask(Endpoint(url, "smollm2", "guess"), question)
    assert refused.error == "The language model's endpoint does not accept the server's key."
    endpoint, queue = Endpoint(url, "smollm2", "sesame"), SimpleQueue[Piece]()
    endpoint.dialect.opened = Opened.NO
    slot = endpoint.open()
    generation = slot.generate(question, 500, queue.put)
    while isinstance(queue.get(timeout=PATIENCE), Working):
        pass
    generation.cancel()
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        pass
    assert piece.reason == "cancelled"
    endpoint.close()


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
        endpoint = Endpoint(server.url, "m", "sesame")
        slot = endpoint.open()
        slot.prefill(QUESTION)
        collect(slot)
        collect(slot)
        slot.close()
        endpoint.close()
    first, second = server.requests
    assert first.headers["Authorization"] == "Bearer sesame"
    assert first.client == second.client


# --- the response --------------------------------------------------------------------------------------------------


def test_text_comes_as_it_is_sent() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    last = b'data: {"choices": [], "usage": ' + str(usage).replace("'", '"').encode() + b"}\n\n"
    pieces, stopped = scripted(b": comment\n\n", *HELLO, last, DONE)
    assert words(pieces) == "Hello"
    assert stopped == Stopped("stop", Usage(input_text=9, cached=4, output_text=2))


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
    assert scripted(*HELLO, DONE, "hang")[1].reason == "stop"


@pytest.mark.parametrize(
    ("steps", "status", "message"),
    [
        ([b'{"error": {"message": "No such key"}}'], 401, faults.NO_KEY),
        ([b'{"error": {"message": "No such model"}}'], 404, faults.BY_STATUS[404]),
        ([b'{"error": {"message": "Slow down"}}'], 429, faults.BY_STATUS[429]),
        ([b"Internal Server Error"], 500, "The language model's endpoint has failed (HTTP 500)."),
        ([], 503, "The language model's endpoint has failed (HTTP 503)."),
        ([b'{"error": "strange"}'], 400, "The language model's endpoint refused the request (HTTP 400)."),
        ([b'{"error": {"code": "context_length_exceeded"}}'], 400, CONTEXT_FULL),
        ([b"data: {nonsense\n\n"], 200, faults.UNREADABLE),
        ([b"data: 5\n\n"], 200, faults.UNREADABLE),
        ([b'data: {"choices": [5]}\n\n'], 200, faults.UNREADABLE),
        ([b'data: {"choices": 5}\n\n'], 200, faults.UNREADABLE),
        ([event({"content": 5})], 200, faults.UNREADABLE),
        ([event({"content": {"text": "Hel"}})], 200, faults.UNREADABLE),
        ([event({"content": [{"type": "text", "text": 5}]})], 200, faults.UNREADABLE),
        ([event({"content": [5]})], 200, faults.UNREADABLE),
        ([event({"tool_calls": 5})], 200, faults.UNREADABLE),
        ([event({"tool_calls": [{"index": "0", "function": {"name": "timer"}}]})], 200, faults.UNREADABLE),
        ([event({"tool_calls": [{"function": {"name": 5}}]})], 200, faults.UNREADABLE),
        ([event({"tool_calls": [{"function": {"name": "timer", "arguments": 5}}]})], 200, faults.UNREADABLE),
        ([event({"tool_calls": [{"function": {}}]})], 200, faults.UNREADABLE),
        ([b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n\n'], 200, faults.UNREADABLE),
        ([b"data: " + b"x" * (LONGEST_LINE + 1)], 200, faults.UNREADABLE),
        ([b'data: {"error": {"message": "overloaded"}}\n\n'], 200, faults.FAILED),
        ([b'data: {"error": "overloaded"}\n\n'], 200, faults.FAILED),
        ([b'data: {"object": "error", "message": "overloaded"}\n\n'], 200, faults.FAILED),
        ([b'error: {"message": "overloaded"}\n\n'], 200, faults.FAILED),
        ([b'data: {"error": {"message": "the maximum context length is 2048 tokens"}}\n\n'], 200, CONTEXT_FULL),
        ([event({}, "content_filter"), DONE], 200, faults.WITHHELD),
        ([b"<html>hello</html>"], 200, faults.BROKE_OFF),
        ([event({"content": "Hel"}), DONE], 200, faults.BROKE_OFF),
        ([event({"content": "Hel"}), "cut"], 200, faults.BROKEN),
        (["hang"], 200, faults.SLOW),
        ([event({"content": "Hel"}), "hang"], 200, faults.SLOW),
    ],
)
def test_a_bad_answer_is_a_clear_error_in_our_words(steps: Sequence[Step], status: int, message: str) -> None:
    _, stopped = scripted(*steps, status=status, patience=0.2)
    assert stopped.reason == "error"
    assert stopped.error == message


def test_a_server_that_is_not_there_is_a_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but it does not listen
        port = taken.getsockname()[1]
        _, stopped = ask(Endpoint(f"http://user:secret@127.0.0.1:{port}/v1?key=secret", "m"))
    assert stopped == Stopped("error", error=faults.UNREACHABLE)
    (record,) = caplog.records
    assert vars(record)["url"] == f"http://127.0.0.1:{port}/v1"
    assert "secret" not in str(vars(record))


def test_what_an_endpoint_writes_is_for_the_log_alone_and_without_the_prompt_and_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = {
        "message": 'Incorrect API key: sk-ab***yz, in "Be kind to Mrs. Robinson, please." from sesame-1',
        "code": 401,
    }
    prompt = Prompt("Be kind to Mrs. Robinson, please.", QUESTION.items)
    with ChatServer([json.dumps({"error": told}).encode()], 401) as server:
        _, stopped = ask(Endpoint(server.url, "m", "sesame-1"), prompt)
    assert stopped.error == faults.NO_KEY
    (record,) = caplog.records
    reason = vars(record)["reason"]
    assert "Incorrect API key" in reason
    assert not [word for word in ("Robinson", "sesame", "sk-ab") if word in reason]


# --- dialects ------------------------------------------------------------------------------------------------------


def answers(refuses: Callable[[dict[str, Any]], Any], *steps: bytes) -> Callable[[dict[str, Any]], Any]:
    """A server that answers with `steps` where `refuses` finds nothing to refuse."""

    def answer(body: dict[str, Any]) -> tuple[int, Sequence[Step]]:
        refusal = refuses(body)
        return (400, [json.dumps(refusal).encode()]) if refusal else (200, [*(steps or HELLO), DONE])

    return answer


def test_refused_parameters_are_learned_one_by_one_and_not_sent_again() -> None:
    def refuses(body: dict[str, Any]) -> Any:
        if "max_tokens" in body:
            text = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return {"error": {"message": text, "param": "max_tokens", "code": "unsupported_parameter"}}
        if body.get("temperature", 1) != 1:
            text = "Unsupported value: 'temperature' does not support 0.4 with this model. Only 1 is."
            return {"error": {"message": text, "param": "temperature", "code": "unsupported_value"}}
        return None

    with ChatServer(answer=answers(refuses)) as server:
        endpoint = Endpoint(server.url, "m")
        first, second = endpoint.open(), endpoint.open()
        assert words(collect(first)[0]) == "Hello"
        assert words(collect(second)[0]) == "Hello"
        endpoint.close()
    bodies = [request.body for request in server.requests]
    assert [{"max_tokens", "temperature"} & body.keys() for body in bodies] == [
        {"max_tokens", "temperature"},
        {"temperature"},
        set(),
        set(),
    ]
    assert bodies[-1]["max_completion_tokens"] == 40


def test_a_refusal_that_teaches_nothing_is_not_repeated() -> None:
    refusal = {"error": {"message": "Your prompt is nonsense."}}
    with ChatServer(answer=answers(lambda body: refusal)) as server:
        assert ask(Endpoint(server.url, "m"))[1].error == faults.by_status(400)
    assert len(server.requests) == 1


def test_an_endpoint_that_refuses_everything_is_given_up() -> None:
    def refuses(body: dict[str, Any]) -> Any:
        return {"error": {"message": f"Unsupported parameters: {', '.join(body)}"}}

    with ChatServer(answer=answers(refuses)) as server:
        assert ask(Endpoint(server.url, "m"), Prompt("", QUESTION.items, (TIMER,)))[1].reason == "error"
    assert len(server.requests) <= TRIES


def test_a_model_that_spends_all_its_tokens_on_thoughts_gets_room_for_them() -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Sequence[Step]]:
        if body["max_tokens"] < 500:
            return 200, [event({"reasoning_content": "Hm."}), event({}, "length"), DONE]
        return 200, [event({"reasoning_content": "Hm."}), event({"content": "Blue."}), event({}, "stop"), DONE]

    with ChatServer(answer=answer) as server:
        pieces, stopped = ask(Endpoint(server.url, "m"))
    assert (words(pieces), stopped.reason, len(server.requests)) == ("Blue.", "stop", 2)


def test_an_answer_of_thoughts_alone_is_an_answer_without_words() -> None:
    pieces, stopped = scripted(
        event({"content": "<think>Hm."}), event({"content": "</think>\n"}), event({}, "stop"), DONE
    )
    assert (pieces, stopped.reason, stopped.error) == ([], "stop", "")


def test_thoughts_whose_end_alone_arrives_are_not_given_out_and_the_next_answer_is_known() -> None:
    thinking = [event({"content": piece}) for piece in ("A colour: ", "blue.\n</th", "ink>\n\nIt is", " blue.")]
    with ChatServer([*thinking, event({}, "stop"), DONE]) as server:
        endpoint = Endpoint(server.url, "m")
        assert words(collect(endpoint.open())[0]) == "It is blue."
        assert endpoint.dialect.opened is Opened.YES
        assert words(collect(endpoint.open())[0]) == "It is blue."
        endpoint.close()


def test_a_model_that_does_not_think_is_known_after_its_first_answer() -> None:
    with ChatServer([*HELLO, DONE]) as server:
        endpoint = Endpoint(server.url, "m")
        assert collect(endpoint.open())[0] == [TextToken("Hello")]
        assert collect(endpoint.open())[0] == [TextToken("Hel"), TextToken("lo")]
        endpoint.close()


def test_an_answer_that_is_not_streamed_is_read() -> None:
    message = {"role": "assistant", "content": "Hello", "tool_calls": None}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}})
    with ChatServer([body.encode()], content_type="application/json; charset=utf-8") as server:
        assert ask(Endpoint(server.url, "m")) == ([TextToken("Hello")], Stopped("stop", Usage(input_text=9)))


STRICT = Tool("timer", "", {"type": "object", "properties": {"seconds": {"type": "integer"}}, "required": ["seconds"]})


def calling(*arguments: str) -> Callable[[dict[str, Any]], tuple[int, Sequence[Step]]]:
    """A server that says something and calls `timer`, each time with the next arguments."""
    rest = iter(arguments)

    def answer(body: dict[str, Any]) -> tuple[int, Sequence[Step]]:
        call = {"index": 0, "id": f"c{len(body['messages'])}", "function": {"name": "timer", "arguments": next(rest)}}
        return 200, [event({"content": "Well."}), event({"tool_calls": [call]}), event({}, "tool_calls"), DONE]

    return answer


@pytest.mark.slow
def test_arguments_that_do_not_fit_are_asked_for_once_more_and_nothing_is_said_twice() -> None:
    prompt = Prompt("", QUESTION.items, (STRICT,))
    with ChatServer(answer=calling('{"second": 5}', '{"seconds": 5}')) as server:
        pieces, stopped = ask(Endpoint(server.url, "m"), prompt)
    assert pieces == [TextToken("Well."), ToolCall("c4", "timer", '{"seconds": 5}', final=True)]
    assert stopped.reason == "stop"
    again = server.requests[1].body
    assert again["tool_choice"]["function"] == {"name": "timer"}
    assert "'seconds' is a required property" in again["messages"][-1]["content"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ['{"second": 5}', '{"seconds": "5"}', '{"sec', "[1]"])
def test_a_call_that_does_not_fit_twice_fails_the_reply_with_its_reason(arguments: str) -> None:
    with ChatServer(answer=calling(arguments, arguments)) as server:
        pieces, stopped = ask(Endpoint(server.url, "m"), Prompt("", QUESTION.items, (STRICT,)))
    assert pieces == [TextToken("Well.")]
    assert (stopped.reason, stopped.again) == ("error", False)
    assert stopped.error.startswith("The language model called the function 'timer' in a way that does not fit: ")
    assert len(server.requests) == 2


def test_what_an_endpoint_adds_to_a_call_goes_back_with_it() -> None:
    signature = {"google": {"thought_signature": "abc"}}
    call = {"index": 0, "id": "c", "function": {"name": "timer", "arguments": "{}"}, "extra_content": signature}
    with ChatServer([event({"tool_calls": [call]}, "stop"), DONE]) as server:
        endpoint = Endpoint(server.url, "m")
        slot = endpoint.open()
        collect(slot, Prompt("", QUESTION.items, (TIMER,)))
        collect(slot, Prompt("", (*QUESTION.items, Call("2", "c", "timer", "{}"), CallResult("3", "c", "done"))))
        endpoint.close()
    assert server.requests[1].body["messages"][2]["tool_calls"][0]["extra_content"] == signature


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [["hang"], [event({"content": "Hel"}), "hang"]])
def test_cancelling_closes_the_connection_at_once(steps: Sequence[Step]) -> None:
    with ChatServer(steps) as server:
        endpoint, queue = Endpoint(server.url, "m"), SimpleQueue[Piece]()
        endpoint.dialect.opened = Opened.NO
        slot = endpoint.open()
        generation = slot.generate(QUESTION, 40, queue.put)
        while not server.requests or (len(steps) > 1 and queue.empty()):
            time.sleep(0.005)
        generation.cancel()
        generation.cancel()
        while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
            pass
        assert piece == Stopped("cancelled")
        assert server.left.wait(PATIENCE), "before the slot is closed"
        endpoint.close()


def test_cancelling_at_once_ends_the_reply_and_the_next_one_comes() -> None:
    with ChatServer([*HELLO, DONE]) as server:
        endpoint, queue = Endpoint(server.url, "m"), SimpleQueue[Piece]()
        slot = endpoint.open()
        slot.generate(QUESTION, 40, queue.put).cancel()
        assert queue.get(timeout=PATIENCE) == Stopped("cancelled")
        assert words(collect(slot)[0]) == "Hello"
        endpoint.close()


def test_closing_returns_at_once_and_ends_what_is_under_way() -> None:
    with ChatServer(["hang"]) as server:
        endpoint, queue = Endpoint(server.url, "m"), SimpleQueue[Piece]()
        slot = endpoint.open()
        generation = slot.generate(QUESTION, 40, queue.put)
        while not server.requests:
            time.sleep(0.005)
        began = time.monotonic()
        slot.close()
        assert time.monotonic() - began < 0.05
        assert queue.get(timeout=PATIENCE) == Stopped("cancelled")
        generation.cancel()  # too late, and no harm
        slot.close()
        endpoint.close()
