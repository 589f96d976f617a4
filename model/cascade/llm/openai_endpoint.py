"""Calls an LLM behind an OpenAI-compatible HTTP endpoint: vLLM, Ollama, llama.cpp's server, or a hosted one.

    EndpointSlot ── one thread with an event loop ──► POST {url}/chat/completions ──server-sent events──► deliver(Piece)
                        openai_request: the body, without what was refused     openai_stream: the answer

Each conversation has a connection of its own, which is kept between its replies. Cancelling closes it, which every
server takes as the end of the work. Prompt caching is the server's job; `prefill` does nothing.

Users are told the kind of a fault, in our words. What the endpoint writes in its refusals goes to the log, without the
prompt and the key that it may cite.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final

import httpx

from vivavoce.model.cascade.llm import CONTEXT_FULL, Deliver, Piece, Prompt, Stopped
from vivavoce.model.cascade.llm import endpoint_faults as faults
from vivavoce.model.cascade.llm.openai_request import Dialect, request_of, texts_of
from vivavoce.model.cascade.llm.openai_stream import (
    FAILED,
    LENGTH,
    LONGEST_LINE,
    WITHHELD,
    AnswerReader,
    lines,
)
from vivavoce.model.cascade.llm.schema_checker import SchemaChecker
from vivavoce.model.cascade.llm.thoughts import THOUGHT_TOKENS, Thoughts
from vivavoce.model.cascade.llm.tool_calls import CallGate, CheckedCall, second_try
from vivavoce.model.dialogue import ToolCall, Working
from vivavoce.model.errors import EndpointFailed, UnreadableAnswer

CONNECT: Final = 3.0
"""Seconds until a connection must stand."""

PATIENCE: Final = 30.0
"""Seconds between two tokens, after which a request fails."""

DRAIN: Final = 0.1
"""Seconds for the end of a response behind its last event."""

CHUNKS: Final = 2
"""Chunks per token of the limit; a server that sends more ignores the limit, and its response is cut."""

TRIES: Final = 8
"""Requests for one answer, each without what the one before was refused for."""

HOLD: Final = 3.0
"""Seconds for which the first text of an unknown endpoint is withheld: it may be thoughts of which only the end is
marked. Later answers are known."""

CLOSING: Final = 2.0
"""Seconds for the threads of conversations to end, when the endpoint is closed."""

REFUSALS: Final = (400, 422, 500)
"""Statuses of refusals that name a parameter; 500 comes from templates that fail."""

LONGEST_REFUSAL: Final = 1 << 16
"""Bytes of a refusal that are read."""

MAX_EXTRAS: Final = 256
"""Calls of one conversation whose additions are kept for the endpoint."""

Answer = tuple[Stopped, list[ToolCall]]
"""How an answer ended, and its calls."""

log = logging.getLogger(__name__)


class EndpointGeneration:
    """A request under way: a task of the slot's event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cancelled = False  # only the loop's thread touches this and the task
        self._task: asyncio.Task[Stopped] | None = None

    def cancel(self) -> None:
        if not self._loop.is_closed():  # else all its tasks have ended
            self._loop.call_soon_threadsafe(self._cancel)

    def begun(self, task: asyncio.Task[Stopped]) -> None:
        self._task = task
        if self._cancelled:
            task.cancel()

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()


@dataclass(frozen=True, slots=True)
class _Job:
    prompt: Prompt
    max_tokens: int
    deliver: Deliver
    generation: EndpointGeneration

    def end(self, task: asyncio.Task[Stopped]) -> None:
        """Called for every task, even one that was cancelled before its first step."""
        if task.cancelled():
            self.deliver(Stopped("cancelled"))
        elif task.exception() is not None:  # a bug of ours; it ends the thread too, and is raised there
            self.deliver(Stopped("error", error=faults.BROKEN))
        else:
            self.deliver(task.result())


class EndpointSlot:
    """One conversation; the endpoint keeps no state of it. Implements `LlmSlot`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.new_event_loop()
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()  # at most one is not cancelled
        self._generation = EndpointGeneration(self._loop)
        self._extras: dict[str, Any] = {}  # of tool calls, what the endpoint wants back with them
        self._closed = False
        self.thread = threading.Thread(target=copy_context().run, args=(self._work,), name="llm-endpoint")
        self.thread.start()

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """Does nothing: the server gets the prompt when it is complete."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> EndpointGeneration:
        self._generation.cancel()
        self._generation = EndpointGeneration(self._loop)
        job = _Job(prompt, max_tokens, deliver, self._generation)
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, job)
        return self._generation

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._generation.cancel()
            self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with self._endpoint.connect() as client, asyncio.TaskGroup() as tasks:
            while (job := await self._jobs.get()) is not None:
                task = tasks.create_task(_Exchange(self._endpoint, client, self._extras, job).run())
                task.add_done_callback(job.end)
                job.generation.begun(task)


class Endpoint:
    """An OpenAI-compatible chat endpoint; `url` ends before `/chat/completions`. `patience`: seconds between two
    tokens. `speculative`: replies may be begun there that are perhaps dropped. Implements `Llm`."""

    def __init__(
        self,
        url: str,
        model: str,
        key: str = "",
        vision: bool = False,
        speculative: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self.url = url.rstrip("/")
        self.vision = vision
        self.speculative = speculative
        self.model = model
        self.key = key
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._timeout = httpx.Timeout(patience, connect=CONNECT)
        self.dialect = Dialect()
        self.checker = SchemaChecker()
        self._slots: list[EndpointSlot] = []
        # Reading the certificates takes 20 ms: once, not for each conversation.
        self._tls = httpx.create_ssl_context() if self.url.startswith("https:") else False

    @property
    def lateness(self) -> float:
        return 0.0  # how long a server lets requests wait is not known here

    def fits(self, prompt: Prompt) -> bool:
        return True  # how much the model takes is not known here

    def open(self) -> EndpointSlot:
        self._slots = [slot for slot in self._slots if slot.thread.is_alive()]
        self._slots.append(slot := EndpointSlot(self))
        return slot

    def close(self) -> None:
        for slot in self._slots:
            slot.close()
        for slot in self._slots:
            slot.thread.join(CLOSING)
        self.checker.close()

    def connect(self) -> httpx.AsyncClient:
        """A client for one conversation."""
        return httpx.AsyncClient(timeout=self._timeout, headers=self._headers, verify=self._tls)

    @property
    def address(self) -> str:
        """Where it is, for the log."""
        return re.sub(r"//[^/@]*@", "//", self.url).partition("?")[0]


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One answer: requests to `endpoint` over the connection of one conversation, until one is not refused for what can
    be left out."""

    endpoint: Endpoint
    client: httpx.AsyncClient
    extras: dict[str, Any]
    job: _Job

    async def run(self) -> Stopped:
        """Streams the answer; calls come whole, at its end. One that does not fit is tried once more."""
        job = self.job
        stopped, calls = await self._answered(job.prompt, job.deliver)
        for checked in calls:
            fitting: CheckedCall | None = checked
            if checked.problem:
                stopped, again = await self._answered(second_try(job.prompt, checked), self._deliver_life)
                if stopped.error:
                    return stopped
                fitting = next((one for one in again if one.call.final and not one.problem), None)
            if fitting is None:
                return Stopped("error", stopped.usage, checked.error, again=False)
            job.deliver(fitting.call)
        return stopped

    def _deliver_life(self, piece: Piece) -> None:
        """Signs of life alone: the words in front of a call were said."""
        if isinstance(piece, Working):
            self.job.deliver(piece)

    async def _answered(self, prompt: Prompt, deliver: Deliver) -> tuple[Stopped, list[CheckedCall]]:
        """One answer, and its calls. A refusal or two may come before it."""
        for _ in range(TRIES):
            answer = await self._request(prompt, deliver)
            if answer is not None:
                stopped, calls = answer
                gate = CallGate(prompt.tools, self.endpoint.checker)
                for call in calls:
                    gate.take(call)
                return stopped, await asyncio.to_thread(gate.checked) if calls else []
        return Stopped("error", error=faults.by_status(400)), []

    async def _request(self, prompt: Prompt, deliver: Deliver) -> Answer | None:
        """One request; None where it taught something, so that it is to be repeated."""
        endpoint, limit = self.endpoint, self.job.max_tokens
        request = request_of(prompt, endpoint.model, limit, endpoint.vision, endpoint.dialect, self.extras)
        try:
            async with self.client.stream("POST", f"{endpoint.url}/chat/completions", json=request) as response:
                if response.status_code == 200:
                    return await self._answer(response, request, deliver)
                return self._refused(response.status_code, await _start_of(response), request)
        except httpx.ConnectError as error:
            return self._failed(faults.UNREACHABLE, str(error), request)
        except httpx.TimeoutException as error:
            return self._failed(faults.SLOW, type(error).__name__, request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._failed(faults.BROKEN, str(error) or type(error).__name__, request)
        except UnreadableAnswer as error:
            return self._failed(faults.UNREADABLE, str(error), request)
        except EndpointFailed as error:
            words = CONTEXT_FULL if faults.too_long(str(error)) else faults.FAILED
            return self._failed(words, str(error), request)

    def _refused(self, status: int, refusal: str, request: Mapping[str, Any]) -> Answer | None:
        if faults.too_long(refusal):
            return self._failed(CONTEXT_FULL, refusal, request, status)
        if status in REFUSALS and self.endpoint.dialect.learn(refusal, request):
            return None
        return self._failed(faults.by_status(status), refusal, request, status)

    def _failed(self, words: str, reason: str, request: Mapping[str, Any], status: int | None = None) -> Answer:
        """A fault: `words` for the user, the rest for the operator."""
        reason = faults.scrubbed(reason, texts_of(request), self.endpoint.key)
        log.warning("endpoint failed", extra={"url": self.endpoint.address, "status": status, "reason": reason})
        return Stopped("error", error=words), []

    async def _answer(self, response: httpx.Response, request: Mapping[str, Any], deliver: Deliver) -> Answer | None:
        """Reads an answer; see `_request`."""
        dialect, limit = self.endpoint.dialect, self.job.max_tokens * CHUNKS
        roomy, loop = dialect.thinks, asyncio.get_running_loop()
        room, thoughts = THOUGHT_TOKENS * CHUNKS if roomy else 0, Thoughts(dialect.opened)
        reader = AnswerReader(deliver, thoughts, limit, room, HOLD, loop.time, loop.call_later)
        whole = "json" in response.headers.get("content-type", "")
        try:
            await (_read_whole(response, reader) if whole else _read_stream(response, reader))
        finally:
            reader.closed = True
        if not (reader.finish or reader.cut):
            return self._failed(faults.BROKE_OFF, "the stream ended early", request)
        cut = reader.cut or reader.finish in LENGTH
        calls = reader.end(cut)
        dialect.note(reader.thoughts, reader.thinks, answered=reader.spoke and not cut)
        silent = not (reader.spoke or calls)
        if reader.finish in FAILED or (silent and reader.finish in WITHHELD):
            return self._failed(faults.WITHHELD, reader.finish, request)
        self.extras.update({call.id: call.extra for call in reader.calls.calls if call.extra is not None})
        while len(self.extras) > MAX_EXTRAS:
            del self.extras[next(iter(self.extras))]
        if cut and silent and reader.thinks and not roomy:
            return None  # all tokens went into thoughts, which have room from now on
        return Stopped("length" if cut else "stop", reader.usage), calls


async def _start_of(response: httpx.Response) -> str:
    """The body of a refusal, or the beginning of it."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_REFUSAL:
            break
    return body[:LONGEST_REFUSAL].decode(errors="replace")


async def _read_stream(response: httpx.Response, reader: AnswerReader) -> None:
    body = lines(response.aiter_bytes())
    async for line in body:
        reader.line(line)
        if reader.cut:
            return
        if reader.over:
            break
    with suppress(TimeoutError):  # without the end of the body the connection could not be kept for the next reply
        async with asyncio.timeout(DRAIN):
            async for _ in body:
                pass


async def _read_whole(response: httpx.Response, reader: AnswerReader) -> None:
    """An answer that is not streamed."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_LINE:
            raise UnreadableAnswer("an answer of more than a megabyte")
    reader.event(body)
    reader.finish = reader.finish or "stop"
