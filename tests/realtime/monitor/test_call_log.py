"""Every log line of a call carries the call's id: in its tasks, on the models' threads, in a peer that comes back."""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from harness import virtual_time
from harness.fakes import Line, LinePeer, ScriptedDialogue, ScriptedEngine
from harness.log_lines import log_lines
from vivavoce.model.cascade.llm import Piece, Prompt
from vivavoce.model.cascade.llm.llama_cpp import LlamaSlot
from vivavoce.model.cascade.llm.openai_endpoint import Endpoint
from vivavoce.model.cascade.speech_queue import SpeechEnd, SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import AudioToken, Message, ReplySpec, ReplyToken, ToolCall, Transcript
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.call import CallOptions, Calls
from vivavoce.realtime.cli.serve import log_handler
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.events import ListedTool
from vivavoce.realtime.monitor.call_log import CALL, call_context
from vivavoce.realtime.peers.resumable import Since
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session, random_ids
from vivavoce.realtime.transports import Ending, Intake, Pull

QUESTION = Prompt("Be kind.", (Message("1", "user", "Hello"),))

log = logging.getLogger("vivavoce.scripted")

IDS = ("rtc_anna", "rtc_bob")


class LoggingDialogue(ScriptedDialogue):
    """Logs in every task that uses it; `owner`: the call that it belongs to."""

    owner = ""

    def _say(self, message: str) -> None:
        log.info(message, extra={"owner": self.owner})

    def turn(self, item_id: str) -> None:
        self._say("dialogue.turn")
        super().turn(item_id)

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        async for token in super().reply(spec):
            self._say("dialogue.reply")
            yield token

    async def transcripts(self) -> AsyncIterator[Transcript]:
        async for transcript in super().transcripts():
            self._say("dialogue.transcripts")
            yield transcript

    async def close(self) -> None:
        self._say("dialogue.close")
        await super().close()


class LoggingEngine(ScriptedEngine):
    """Its conversations belong to `owners`, in the order in which they are opened."""

    def __init__(self, owners: Sequence[str], lines: Sequence[Line]) -> None:
        super().__init__(lines=lines)
        self._owners = iter(owners)

    def open(self) -> ScriptedDialogue:
        dialogue = LoggingDialogue(self._transcripts, self._lines)
        dialogue.owner = next(self._owners)
        return dialogue


class LoggingPeer(LinePeer):
    """Logs in the tasks of the transport."""

    def __init__(self, owner: str) -> None:
        super().__init__(plays=True)
        self._owner = owner

    def _say(self, message: str) -> None:
        log.info(message, extra={"owner": self._owner})

    async def receive(self, intake: Intake) -> None:
        self._say("peer.receive")
        await super().receive(intake)

    async def speak(self, pull: Pull) -> None:
        self._say("peer.speak")
        await super().speak(pull)

    def send(self, text: bytes) -> None:
        self._say("peer.send")
        super().send(text)

    async def close(self, ending: Ending) -> None:
        self._say("peer.close")
        await super().close(ending)


class BrokenTools:
    """Implements `CallTools`: one tool, which has a bug."""

    def has(self, name: str) -> bool:
        return name == "break_down"

    async def run(self, name: str, given: dict[str, Any]) -> str:
        raise RuntimeError("a bug")


SCRIPT = (
    Line("", calls=ToolCall("call_1", "break_down", "{}", final=True)),
    Line("It broke down.", seconds=1.0),
    Line("One two", fails="The model stumbled."),
    Line("One two", fails="The model stumbled again."),
    Line("One two three four five six.", seconds=6.0),
)


async def talk(calls: Calls, call_id: str) -> None:
    """One call, and its peer."""
    peer = LoggingPeer(call_id)
    calls.reserve(call_id)
    offered = ListedTool("break_down", "Breaks down.", {"type": "object", "properties": {}})
    defaults = SessionDefaults(ToolOptions(offered=(offered,)))
    session = new_session(True, SessionRequest(extras=True), random_ids(), 1000, defaults=defaults)
    options = CallOptions(BrokenTools(), lambda dialogue: dialogue)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(calls.run(call_id, peer, session, options))
        await script(calls, call_id, peer)


async def script(calls: Calls, call_id: str, peer: LinePeer) -> None:
    """A tool that fails, a reply that fails, a connection that is lost and comes back, speech."""
    await peer.until("session.created")
    for answers in (1, 2):
        await ask(peer)
        await peer.until("response.done", answers)
        await asyncio.sleep(5)
    await ask(peer)
    await peer.until("output_audio_buffer.started")
    token = str(peer.of("vivavoce.call.resumable")[-1]["token"])
    peer.break_off(len(peer.played))
    await asyncio.sleep(1)
    found = calls.resumable(token)
    assert found is not None
    back = LoggingPeer(call_id)
    with call_context(found.id):  # as the gateway does
        calls.resume(found, back, Since(peer.events[-1]["event_id"]))
    await back.until("vivavoce.call.resumed")
    await back.until("output_audio_buffer.stopped")
    await back.say(1.0)
    await back.pause(3.0)
    await back.until("response.done")
    calls.hang_up(call_id)


async def ask(peer: LinePeer) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Break down, please."}]}
    await peer.tell(type="conversation.item.create", item=item)
    await peer.tell(type="response.create")


def test_every_line_of_two_calls_at_the_same_time_carries_its_own_calls_id() -> None:
    async def main() -> None:
        engine, config = LoggingEngine(IDS, SCRIPT), ServerConfig(echo_cancellation="off")
        async with Calls(engine, config) as calls, asyncio.TaskGroup() as tasks:  # type: ignore[arg-type]
            for call_id in IDS:
                tasks.create_task(talk(calls, call_id))

    with log_lines() as seen:
        virtual_time.run(main())
    assert seen.without_call() == set()
    assert [record for record in seen.records if getattr(record, "owner", record.call) != record.call] == []  # type: ignore[attr-defined]
    for message in (
        *("call started", "call ended", "tool failed", "reply failed", "connection over", "peer came back"),
        *("dialogue.turn", "dialogue.reply", "dialogue.transcripts", "dialogue.close"),
        *("peer.receive", "peer.speak", "peer.send", "peer.close"),
    ):
        assert set(seen.calls(message)) == set(IDS), message


# --- threads -------------------------------------------------------------------------------------------------------


class Bug(Exception):
    pass


def broken(*_: object, **__: object) -> Any:
    raise Bug


def test_the_threads_of_asr_and_tts_log_with_the_id_of_the_call_whose_job_they_do() -> None:
    threads = Threads()
    spoken: queue.Queue[AudioToken | SpeechEnd] = queue.Queue()

    async def work(call_id: str) -> None:
        with call_context(call_id):
            assert await threads.run_asr(CALL.get) == call_id
            with pytest.raises(DialogueError):
                await threads.run_asr(broken)
            utterance = SpeechQueue(SimpleNamespace(speak=broken), threads).begin(ReplySpec("a"), spoken.put)
            utterance.say("Hello there. ")
            utterance.finish()

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for call_id in IDS:
                tasks.create_task(work(call_id))

    try:
        with log_lines() as seen:
            asyncio.run(main())
            for _ in IDS:
                spoken.get(timeout=10)
    finally:
        threads.close()
    assert sorted(map(str, seen.calls("TTS failed"))) == list(IDS)
    assert sorted(map(str, seen.calls("ASR failed"))) == list(IDS)


def test_work_that_tts_goes_on_with_by_itself_keeps_the_id() -> None:
    """The thread queues its next job itself."""
    threads, found = Threads(), queue.SimpleQueue[str]()

    def step(left: int) -> None:
        found.put(CALL.get())
        if left:
            threads.submit_tts(lambda: step(left - 1), time.monotonic())

    try:
        with call_context("rtc_anna"):
            threads.submit_tts(lambda: step(2), time.monotonic())
        assert [found.get(timeout=10) for _ in range(3)] == ["rtc_anna"] * 3
    finally:
        threads.close()


def test_the_thread_of_the_language_model_logs_with_the_id() -> None:
    pieces = queue.SimpleQueue[tuple[str, Piece]]()
    model = SimpleNamespace(complete=broken, release=lambda slot: None)
    with log_lines() as seen, ThreadPoolExecutor(1) as thread:
        slot = LlamaSlot(model, 0, thread)  # type: ignore[arg-type]  # all that is used of it
        for call_id in IDS:
            with call_context(call_id):
                slot.generate(QUESTION, 10, lambda piece: pieces.put((CALL.get(), piece)))
            assert pieces.get(timeout=10)[0] == call_id
        slot.close()
    assert seen.calls("LLM failed") == list(IDS)


def test_the_thread_of_an_endpoint_belongs_to_the_call_that_opened_it() -> None:
    pieces = queue.SimpleQueue[tuple[str, Piece]]()
    with call_context("rtc_anna"):
        thread = Endpoint("http://127.0.0.1:9/v1", "none").open()
    thread.generate(QUESTION, 10, lambda piece: pieces.put((CALL.get(), piece)))
    try:
        assert pieces.get(timeout=10)[0] == "rtc_anna"
    finally:
        thread.close()


# --- the format ----------------------------------------------------------------------------------------------------


def test_the_server_prints_the_call_before_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    handler, ours = log_handler(), logging.getLogger("vivavoce.printed")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        with call_context("rtc_anna"):
            ours.info("call ended", extra={"reason": "idle"})
        ours.info("ready")
    finally:
        ours.removeHandler(handler)
    inside, outside = capsys.readouterr().err.splitlines()
    assert inside.endswith("INFO    vivavoce.printed: call ended call=rtc_anna reason=idle")
    assert outside.endswith("INFO    vivavoce.printed: ready")


def test_a_context_ends_where_it_ends() -> None:
    with call_context("rtc_anna"):
        with call_context("rtc_bob"):
            assert CALL.get() == "rtc_bob"
        assert CALL.get() == "rtc_anna"
    assert CALL.get() == ""
