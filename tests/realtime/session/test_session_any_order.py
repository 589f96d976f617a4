"""Any order of client events and of facts from floor, model and loudspeaker keeps the promises of the protocol.

A random run plays all four sides at once. `Watch` is a client that checks what clients rely on; a real model context
follows the actions, so that what the model knows can be compared with the conversation.
"""

from __future__ import annotations

import base64
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.session_line import MS, SessionLine, sound
from harness.tools import ERASE, LOOK_UP
from vivavoce.model.cascade.context import Context
from vivavoce.model.dialogue import AudioToken, Done, Message, ReplySpec, TextToken, ToolCall, Transcript, WordEnd
from vivavoce.realtime.events import (
    Answer,
    CallTool,
    CloseTurn,
    Cut,
    Fact,
    Failure,
    Forget,
    ListTools,
    PlayoutEnded,
    PlayoutStarted,
    Read,
    Replied,
    ReplyFailed,
    StartReply,
    StopReply,
    StopTools,
    TimerFired,
    ToolAnswered,
    ToolsLate,
    ToolsListed,
    TurnEnded,
    TurnIdle,
    TurnStarted,
)
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.tools.builtin import listed

SERVER = {"type": "mcp", "server_label": "web", "server_url": "https://tools.example/mcp"}
CALLABLE = ("look", "look_up", "erase", "time")
"""Tools of the client, of a server without and with approval, and of ours; not all of them are always offered."""


class Watch:
    """A client with a mirror of the conversation, that fails at the first broken promise."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.event_ids: set[str] = set()
        self.responses: dict[str, str] = {}  # id -> status
        self.defaults: set[str] = set()  # running, of the conversation
        self.deltas: dict[str, str] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.output: dict[str, str] = {}  # response id -> started | over
        self.calls: dict[str, str] = {}  # of servers: item id -> in_progress | over
        self.requests: list[str] = []  # for approval

    def see(self, event: dict[str, Any]) -> None:
        assert event["event_id"] not in self.event_ids
        self.event_ids.add(event["event_id"])
        name = event["type"]
        if name.startswith("response.mcp_call."):
            self._call(name.removeprefix("response.mcp_call."), event["item_id"])
        elif name.startswith("response."):
            self._response(event)
        elif name.startswith("output_audio_buffer."):
            self._buffer(name.rsplit(".", 1)[1], event["response_id"])
        elif name == "conversation.item.added":
            self._added(event)
        elif name == "conversation.item.done":
            place = self.order.index(event["item"]["id"])
            assert event["previous_item_id"] == (self.order[place - 1] if place else None)
        elif name == "conversation.item.deleted":
            self.order.remove(event["item_id"])
        elif name == "input_audio_buffer.committed":
            assert event["previous_item_id"] == (self.order[-1] if self.order else None)

    def _call(self, what: str, item_id: str) -> None:
        assert self.calls.get(item_id, "") == ("" if what == "in_progress" else "in_progress")
        self.calls[item_id] = "in_progress" if what == "in_progress" else "over"

    def _added(self, event: dict[str, Any]) -> None:
        before, item_id = event["previous_item_id"], event["item"]["id"]
        assert item_id not in self.order
        self.order.insert(self.order.index(before) + 1 if before is not None else 0, item_id)

    def _buffer(self, what: str, response_id: str) -> None:
        if what == "started":
            assert response_id not in self.output
            self.output[response_id] = "started"
        else:
            assert self.output[response_id] == "started"
            self.output[response_id] = "over"
            assert what == "cleared" or self.responses[response_id] != "in_progress"

    def _response(self, event: dict[str, Any]) -> None:
        name = event["type"].removeprefix("response.")
        if name == "created":
            response = event["response"]
            assert response["id"] not in self.responses
            self.responses[response["id"]] = "in_progress"
            if response["conversation_id"] is not None:
                assert not self.defaults, "one response of the conversation at a time"
                self.defaults.add(response["id"])
        elif name == "done":
            response = event["response"]
            assert self.responses[response["id"]] == "in_progress"
            self.responses[response["id"]] = response["status"]
            self.defaults.discard(response["id"])
            for item in response["output"]:
                assert self.finished[item["id"]] == item
        else:
            assert self.responses[event["response_id"]] == "in_progress", "nothing follows response.done"
            self._output(name, event)

    def _output(self, name: str, event: dict[str, Any]) -> None:
        item_id = event.get("item_id") or event["item"]["id"]
        if event.get("item", {}).get("type") == "mcp_approval_request" and name == "output_item.done":
            self.requests.append(item_id)
        if name.endswith(("transcript.delta", "text.delta", "arguments.delta")):
            self.deltas[item_id] = self.deltas.get(item_id, "") + event["delta"]
        elif name == "output_audio.delta":
            assert base64.b64decode(event["delta"])
        elif name.endswith(("transcript.done", "text.done", "arguments.done")):
            whole = event.get("transcript", event.get("text", event.get("arguments")))
            assert whole == self.deltas.get(item_id, "")
        elif name == "output_item.added":
            assert event["item"].get("status", "in_progress") == "in_progress"
            assert item_id not in self.deltas
        elif name == "output_item.done":
            item = self.finished[item_id] = event["item"]
            assert self.calls.get(item_id, "over") == "over"
            part = item["content"][0] if item["type"] == "message" else {}
            whole = part.get("transcript", part.get("text", item.get("arguments")))
            assert whole == self.deltas.get(item_id, "")


class World:
    """Floor, model, loudspeaker and client of one session, driven by small numbers."""

    def __init__(self, plays: bool) -> None:
        self.line = SessionLine(plays, tools=ToolOptions(offered=listed(["time"])))
        self.watch = Watch()
        self.context = Context()
        self.specs: dict[int, ReplySpec] = {}
        self.words: dict[int, str] = {}
        self.alive: set[int] = set()  # replies the model makes
        self.stopping: set[int] = set()  # cancelled, with tokens still on their way
        self.late: deque[Fact] = deque()  # facts of the loudspeaker not yet delivered
        self.listings: list[str] = []
        self.calls: dict[str, int] = {}  # the server carries out: id -> reply
        self.called: set[str] = set()
        self.position = 0
        self.transcripts: list[str] = []
        self._follow(self.line.told)
        self.run("equip", 1)
        self.run("list_tools", 1)

    def run(self, op: str, n: int) -> None:
        self._follow(getattr(self, op)(n) or [])

    # --- the client ---

    def create_text(self, n: int) -> Any:
        after = [None, "root", *self.watch.order][n % (len(self.watch.order) + 2)]
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"say {n}"}]}
        if n % 3 == 0:
            item["id"] = f"own{n}"
        return self.line.tell("conversation.item.create", item=item, previous_item_id=after)

    def create_result(self, n: int) -> Any:
        item = {"type": "function_call_output", "call_id": f"call_{n}", "output": "ok"}
        return self.line.tell("conversation.item.create", item=item)

    def create_sound(self, n: int) -> Any:
        part = {"type": "input_audio", "audio": base64.b64encode(bytes(480)).decode()}
        return self.line.tell("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})

    def delete(self, n: int) -> Any:
        return self.line.tell("conversation.item.delete", item_id=self._some(n))

    def retrieve(self, n: int) -> Any:
        return self.line.tell("conversation.item.retrieve", item_id=self._some(n))

    def truncate(self, n: int) -> Any:
        said = [i for i in self.watch.order if i in {spec.id for spec in self.specs.values()}] or ["none"]
        return self.line.tell(
            "conversation.item.truncate", item_id=said[n % len(said)], content_index=0, audio_end_ms=n * 40
        )

    def respond(self, n: int) -> Any:
        response: dict[str, Any] = {}
        if n & 1:
            response["output_modalities"] = ["text"]
        if n & 2:
            response["conversation"] = "none"
        if n & 4:
            response["input"] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}]
        return self.line.tell("response.create", response=response)

    def cancel(self, n: int) -> Any:
        running = [r for r, status in self.watch.responses.items() if status == "in_progress"]
        named = {"response_id": running[n % len(running)]} if n & 1 and running else {}
        return self.line.tell("response.cancel", **named)

    def clear_output(self, n: int) -> Any:
        return self.line.tell("output_audio_buffer.clear")

    def commit(self, n: int) -> Any:
        return self.line.tell("input_audio_buffer.commit")

    def clear(self, n: int) -> Any:
        return self.line.tell("input_audio_buffer.clear")

    def update(self, n: int) -> Any:
        detections: list[Any] = [
            None,
            {"type": "server_vad", "idle_timeout_ms": 5000},
            {"type": "semantic_vad", "interrupt_response": False},
            {"type": "server_vad", "create_response": False},
        ]
        audio: dict[str, Any] = {"input": {"turn_detection": detections[n % 4], "transcription": {} if n & 1 else None}}
        if n & 2:
            audio["output"] = {"format": {"type": "audio/pcma"}}
        return self.line.update(audio=audio)

    def equip(self, n: int) -> Any:
        server = {**SERVER, "authorization": f"key{n % 2}", "require_approval": {"always": {"tool_names": ["erase"]}}}
        return self.line.update(tools=[[], [server], [server, {"type": "function", "name": "look"}]][n % 3])

    def approve(self, n: int) -> Any:
        request = [*self.watch.requests, "none"][n % (len(self.watch.requests) + 1)]
        item = {"type": "mcp_approval_response", "approval_request_id": request, "approve": n % 3 > 0}
        return self.line.tell("conversation.item.create", item=item)

    # --- the server's tools ---

    def list_tools(self, n: int) -> Any:
        if self.listings:
            item_id = self.listings.pop(n % len(self.listings))
            tools = Failure("http_error", "no", 500) if n == 0 else (LOOK_UP, ERASE)
            return self.line.fact(ToolsListed(item_id, tools))

    def answer(self, n: int) -> Any:
        if self.calls:
            call_id = sorted(self.calls)[n % len(self.calls)]
            outcome = Answer("42") if n & 1 else Failure("tool_execution_error", "no")
            return self.line.fact(ToolAnswered(self.calls.pop(call_id), call_id, outcome))

    def late_answer(self, n: int) -> Any:
        return self.line.fact(ToolAnswered(max(len(self.specs), 1), f"none{n}", Answer("42")))

    def be_late(self, n: int) -> Any:
        return self.line.fact(ToolsLate(max(len(self.specs) - n % 2, 1)))

    def ring(self, n: int) -> Any:
        return self.line.fact(TimerFired(f"ring {n}"))

    # --- the floor ---

    def start_turn(self, n: int) -> Any:
        self.position += n * MS
        return self.line.fact(TurnStarted(self.position))

    def speak(self, n: int) -> Any:
        self.line.keep(sound(20 * n))
        return []

    def end_turn(self, n: int) -> Any:
        return self.line.fact(TurnEnded(self.position + n * MS))

    def idle(self, n: int) -> Any:
        return self.line.fact(TurnIdle(self.position, self.position + 5000 * MS))

    # --- the model ---

    def say(self, n: int) -> Any:
        if number := self._reply(n):
            text = f"w{n} "
            if number in self.alive:
                self.words[number] = self.words.get(number, "") + text
                if self.specs[number].context is None:
                    self.context.answered(self.specs[number].id, self.words[number])
            return self.line.fact(Replied(number, TextToken(text)))

    def sound(self, n: int) -> Any:
        number = self._reply(n)
        if number and self.specs[number].audio:
            said = len(self.words.get(number, ""))
            end = self.line.playout.pushed(number) + 100 * n * MS
            return self.line.fact(Replied(number, AudioToken(sound(100 * n), (WordEnd(said, end),))))

    def call(self, n: int) -> Any:
        if number := self._reply(n):
            name = CALLABLE[n // 4]
            return self.line.fact(Replied(number, ToolCall(f"call_{name}_{n & 2}", name, "{}", final=bool(n & 1))))

    def call_and_stop(self, n: int) -> Any:
        """The usual end of a model that calls."""
        number = self._reply(n)
        if number in self.alive:
            name = CALLABLE[n // 4]
            told = self.line.fact(Replied(number, ToolCall(f"all_{name}_{n}", name, "{}", final=True)))
            self.alive.discard(number)
            return told + self.line.fact(Replied(number, Done("stop")))

    def finish(self, n: int) -> Any:
        number = self._reply(n)
        if number:
            self.alive.discard(number)
            self.stopping.discard(number)
            if n % 4 == 3:
                return self.line.fact(ReplyFailed(number, "no"))
            return self.line.fact(Replied(number, Done("length" if n % 4 == 2 else "stop")))

    def transcribe(self, n: int) -> Any:
        if self.transcripts:
            item_id = self.transcripts[n % len(self.transcripts)]
            if n & 1:
                self.transcripts.remove(item_id)
                self.context.transcribed(item_id, f"heard {n}")
                return self.line.fact(Transcript(item_id, f"heard {n}", "", final=True))
            return self.line.fact(Transcript(item_id, "", "hea", final=False))

    # --- the loudspeaker ---

    def play(self, n: int) -> Any:
        frame = self.line.playout.take(n * 60 * MS)
        self.late.extend(PlayoutStarted(number) for number in frame.started)
        self.late.extend(PlayoutEnded(number) for number in frame.ended)
        return self.deliver(n) if n & 1 else None

    def deliver(self, n: int) -> Any:
        told: list[Any] = []
        while self.late:
            told += self.line.fact(self.late.popleft())
        return told

    # --- at the end ---

    def settle(self) -> None:
        """Everything under way comes to its end."""
        for _ in range(40):
            while self.alive | self.stopping:
                self.run("finish", 0)
            self.run("answer", 1)
            self.run("end_turn", 50)
        assert not self.calls
        for _ in range(4):
            self.run("play", 2001)
        assert not self.watch.defaults
        assert all(status != "in_progress" for status in self.watch.responses.values())
        assert all(state == "over" for state in self.watch.output.values())
        assert self.line.session.response_id(len(self.specs)) is None
        self._compare()

    def _compare(self) -> None:
        """What the model knows is what the conversation holds; empty words are as good as none."""
        conversation = self.line.session._state.conversation
        assert list(conversation.ids) == self.watch.order
        held = [item for item_id in conversation.ids for item in conversation[item_id].known()]
        known = {item.id: item for item in self.context.items(ReplySpec("", context=conversation.names))}
        for item in held:
            if isinstance(item, Message) and item.text.strip():
                assert known[item.id].text.strip() == item.text.strip()  # type: ignore[union-attr]
            elif item.id.removesuffix(".call") in self.watch.calls:
                assert item in self.context._items
        assert set(known) <= set(conversation.names)
        assert {item.id for item in self.context._items} <= set(conversation.names)

    def _some(self, n: int) -> str:
        return [*self.watch.order, "none"][n % (len(self.watch.order) + 1)]

    def _reply(self, n: int) -> int:
        numbers = sorted(self.alive | self.stopping)
        return numbers[n % len(numbers)] if numbers else 0

    def _follow(self, told: list[dict[str, Any]]) -> None:
        for event in told:
            self.watch.see(event)
        done, self.line.done = self.line.done, []
        for action in done:
            match action:
                case StartReply(number=number, spec=spec):
                    assert number not in self.alive
                    self.words.pop(number, None)
                    self.specs[number] = spec
                    self.alive.add(number)
                case StopReply(number=number):
                    self.alive.remove(number)
                    self.stopping.add(number)
                case ListTools(item_id=item_id):
                    self.listings.append(item_id)
                case CallTool(number=number, call_id=call_id):
                    assert call_id not in self.called, "once"
                    self.called.add(call_id)
                    self.calls[call_id] = number
                case StopTools(number=number):
                    assert number in self.calls.values()
                    self.calls = {known: other for known, other in self.calls.items() if other != number}
                case Cut(heard=heard):
                    self.context.cut(heard)
                case Read(item=item, after=after):
                    self.context.read(item, after)
                case Forget(item_id=item_id):
                    self.context.forget(item_id)
                case CloseTurn(item_id=item_id):
                    self.context.read(Message(item_id, "user", ""))
                    self.transcripts.append(item_id)


OPS = [name for name in vars(World) if not name.startswith("_") and name not in ("run", "settle")]
OFTEN = ["respond", "say", "sound", "play", "start_turn", "speak", "end_turn", "call", "finish"]
OFTEN += ["call_and_stop", "call_and_stop", "answer", "approve", "be_late"]
steps = st.lists(st.tuples(st.sampled_from(OPS + 2 * OFTEN), st.integers(0, 15)), max_size=80)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), steps)
def test_any_order_keeps_the_promises(plays: bool, run: list[tuple[str, int]]) -> None:
    world = World(plays)
    for op, n in run:
        world.run(op, n)
    world.settle()
