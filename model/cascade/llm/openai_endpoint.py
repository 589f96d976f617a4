"""Calls an LLM behind an OpenAI-compatible HTTP endpoint: vLLM, Ollama, llama.cpp's server, or a hosted one.

    EndpointSlot ── one thread with an event loop ──► POST {url}/chat/completions ──server-sent events──► deliver(Piece)

Each conversation has a connection of its own, which is kept between its replies. Cancelling closes it, which every
server takes as the end of the work. Prompt caching is the server's job; `prefill` does nothing. Prompts are sent as
requests of OpenAI's chat completions, with pictures as JPEG data URIs.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import httpx

from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped
from vivavoce.model.dialogue import Call, CallResult, Message, Picture, TextToken, ToolCall, Usage

TEMPERATURE: Final = 0.4
"""Between the correctness of a small model and the liveliness of a large one."""

CONNECT: Final = 3.0
"""Seconds until a connection must stand."""

PATIENCE: Final = 30.0
"""Seconds between two tokens, after which a request fails."""

DRAIN: Final = 0.1
"""Seconds for the end of a response behind its last event."""

CHUNKS: Final = 2
"""Chunks per token of the limit; a server that sends more ignores the limit, and its response is cut."""


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
        elif error := task.exception():  # a bug of ours; it ends the thread too, and is raised there
            self.deliver(Stopped("error", error=f"The language model's connection broke: {type(error).__name__}."))
        else:
            self.deliver(task.result())


class EndpointSlot:
    """One conversation; the endpoint keeps no state of it. Implements `LlmSlot`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.new_event_loop()
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()  # at most one is not cancelled
        self._generation = EndpointGeneration(self._loop)
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name="llm-endpoint")
        self._thread.start()

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """Does nothing: the server gets the prompt when it is complete."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> EndpointGeneration:
        self._generation.cancel()
        self._generation = EndpointGeneration(self._loop)
        job = _Job(prompt, max_tokens, deliver, self._generation)
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, job)
        return self._generation

    def close(self) -> None:
        if not self._loop.is_closed():
            self._generation.cancel()
            self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)
            self._thread.join()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with self._endpoint.connect() as client, asyncio.TaskGroup() as tasks:
            while (job := await self._jobs.get()) is not None:
                task = tasks.create_task(self._endpoint.complete(client, job.prompt, job.max_tokens, job.deliver))
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
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = httpx.Timeout(patience, connect=CONNECT)

    @property
    def lateness(self) -> float:
        return 0.0  # how long a server lets requests wait is not known here

    def open(self) -> EndpointSlot:
        return EndpointSlot(self)

    def close(self) -> None:
        """Does nothing: each slot closes its own connection."""

    def connect(self) -> httpx.AsyncClient:
        """A client for one conversation."""
        return httpx.AsyncClient(timeout=self._timeout, headers=self._headers)

    async def complete(self, client: httpx.AsyncClient, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Stopped:
        """Streams one completion."""
        request = request_of(prompt, self._model, max_tokens, self.vision)
        try:
            async with client.stream("POST", f"{self.url}/chat/completions", json=request) as response:
                if response.status_code != 200:
                    return Stopped("error", error=await _refusal(self.url, response))
                return await _EventStream(deliver, max_tokens * CHUNKS).read(response.aiter_lines())
        except httpx.ConnectError as error:
            return Stopped("error", error=f"The language model at {self.url} cannot be reached: {error}.")
        except httpx.TimeoutException:
            return Stopped("error", error=f"The language model at {self.url} takes too long to answer.")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Stopped("error", error=f"The connection to the language model at {self.url} failed: {error}.")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) or type(error).__name__
            return Stopped(
                "error", error=f"The answer of the language model at {self.url} cannot be understood: {reason}."
            )


@dataclass
class _EventStream:
    """Reads one stream of server-sent events (WHATWG HTML, section 9.2). `complete` catches what malformed events
    raise."""

    deliver: Deliver
    limit: int
    calls: dict[int, ToolCall] = field(default_factory=dict)
    finish: str = ""
    usage: Usage = field(default_factory=Usage)
    chunks: int = 0

    async def read(self, lines: AsyncIterator[str]) -> Stopped:
        async for line in lines:
            field_name, _, data = line.partition(":")
            if field_name != "data":
                continue
            if data.strip() == "[DONE]":
                await _drain(lines)
                break
            event = json.loads(data)
            if error := event.get("error"):
                message = error.get("message") if isinstance(error, dict) else error
                return Stopped("error", self.usage, f"The language model failed: {message}.")
            self._take(event)
            if self.chunks > self.limit:
                return Stopped("length", self.usage)
        return self._stopped()

    def _take(self, event: Mapping[str, Any]) -> None:
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            if text := delta.get("content"):
                self.chunks += 1
                self.deliver(TextToken(text))
            for part in delta.get("tool_calls") or ():
                self.chunks += 1
                self._continue_call(part)
            self.finish = choice.get("finish_reason") or self.finish
        if counts := event.get("usage"):
            self.usage = _usage(counts)

    def _continue_call(self, part: Mapping[str, Any]) -> None:
        """The first part of a call names it; later parts have its index only."""
        function = part.get("function") or {}
        index = part.get("index") or 0
        if index not in self.calls:
            self.calls[index] = ToolCall(part["id"], function["name"], "", final=False)
        known = self.calls[index]
        self.deliver(ToolCall(known.call_id, known.name, function.get("arguments") or "", final=False))

    def _stopped(self) -> Stopped:
        if not self.finish:
            return Stopped("error", self.usage, "The language model broke off in the middle of its answer.")
        if self.finish == "length":
            return Stopped("length", self.usage)
        for call in self.calls.values():
            self.deliver(ToolCall(call.call_id, call.name, "", final=True))
        return Stopped("stop", self.usage)


def _usage(counts: Mapping[str, Any]) -> Usage:
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(
        input_text=counts.get("prompt_tokens") or 0, cached=cached, output_text=counts.get("completion_tokens") or 0
    )


async def _drain(lines: AsyncIterator[str]) -> None:
    """Reads the end of the body, without which the connection could not be kept for the next reply."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN):
            async for _ in lines:
                pass


async def _refusal(url: str, response: httpx.Response) -> str:
    text = (await response.aread())[:2000].decode(errors="replace")
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:200].strip() or "without a reason"
    return f"The language model at {url} refused: HTTP {response.status_code}, {message}"


def request_of(prompt: Prompt, model: str, max_tokens: int, vision: bool) -> dict[str, Any]:
    """The body of a streaming request for chat completions."""
    request: dict[str, Any] = {
        "model": model,
        "messages": _messages(prompt, vision),
        "max_tokens": max_tokens,
        "temperature": TEMPERATURE,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools and prompt.tool_choice != "none":
        request["tools"] = [
            _function(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in prompt.tools
        ]
        named = prompt.tool_choice not in ("auto", "required")
        request["tool_choice"] = _function(name=prompt.tool_choice) if named else prompt.tool_choice
    return request


def _messages(prompt: Prompt, vision: bool) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt.instructions}]
    questions = [item for item in prompt.items if isinstance(item, Message) and item.role == "user"]
    for item in prompt.items:
        match item:
            case Message(role=role, text=text, pictures=pictures):
                newest = bool(questions) and item is questions[-1]
                view = (prompt.view,) if prompt.view is not None and newest else ()
                shown = [_picture(picture) for picture in (*pictures, *view)] if vision else []
                messages.append({"role": role, "content": [*shown, {"type": "text", "text": text}] if shown else text})
            case Call(call_id=call_id, name=name, arguments=arguments):
                if "tool_calls" not in messages[-1]:  # calls made together are one message, followed by their results
                    messages.append({"role": "assistant", "content": None, "tool_calls": []})
                messages[-1]["tool_calls"].append({"id": call_id} | _function(name=name, arguments=arguments))
            case CallResult(call_id=call_id, output=output):
                messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
            case _:
                assert_never(item)
    return messages


def _function(**description: Any) -> dict[str, Any]:
    return {"type": "function", "function": description}


def _picture(picture: Picture) -> dict[str, Any]:
    import av  # only where pictures are used

    frame = av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()},
    }
