"""A language model behind an OpenAI-compatible HTTP endpoint: vLLM, Ollama, llama.cpp's server, or a hosted one.

    Thread ── one OS thread ──► POST {url}/chat/completions (stream) ──server-sent events──► deliver(Piece)

Prompt caching is the server's affair; `prefill` does nothing.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_never

import httpx
from vivavoce.model.cascade.language import Calls, Deliver, Prompt, Stopped, Words
from vivavoce.model.dialogue import Call, CallResult, Item, Message, Picture, Usage

TIMEOUT = httpx.Timeout(30.0, connect=3.0)
"""Between two tokens at most 30 s; a server that cannot be reached is given up after 3 s."""


class EndpointGeneration:
    """A request under way. Cancelling closes its connection, which every server takes as the end of the work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._response: httpx.Response | None = None
        self.cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            if self._response is not None:
                self._shut(self._response)

    def begin(self, response: httpx.Response) -> None:
        with self._lock:
            self._response = response
            if self.cancelled:
                self._shut(response)

    def end(self) -> None:
        with self._lock:
            self._response = None

    @staticmethod
    def _shut(response: httpx.Response) -> None:
        """Wakes a reader that is blocked in another thread; closing the response alone would wait for it."""
        stream = response.extensions.get("network_stream")
        raw = stream.get_extra_info("socket") if stream is not None else None
        if raw is not None:
            try:
                raw.shutdown(2)
            except OSError:
                pass  # the peer was quicker


class EndpointThread:
    """One conversation; the endpoint keeps no state of it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="language-endpoint")
        self._generation = EndpointGeneration()

    def prefill(self, prompt: Prompt) -> None:
        """Nothing: the server sees the prompt when it is complete."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> EndpointGeneration:
        self._generation.cancel()
        self._generation = generation = EndpointGeneration()
        self._pool.submit(self._run, prompt, max_tokens, deliver, generation)
        return generation

    def close(self) -> None:
        self._generation.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: EndpointGeneration) -> None:
        try:
            stopped = self._endpoint.complete(prompt, max_tokens, deliver, generation)
        except httpx.HTTPError as error:
            where = self._endpoint.url
            stopped = Stopped("error", error=f"The language model at {where} cannot be reached: {_reason(error)}.")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            stopped = Stopped("error", error=f"The language model's answer cannot be understood: {_reason(error)}.")
        deliver(Stopped("cancelled") if generation.cancelled else stopped)


class Endpoint:
    """An OpenAI-compatible chat endpoint; `url` ends before `/chat/completions`."""

    def __init__(self, url: str, model: str, key: str = "", vision: bool = False, temperature: float = 0.4) -> None:
        self.url = url.rstrip("/")
        self.vision = vision
        self._model = model
        self._temperature = temperature
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(timeout=TIMEOUT, headers=headers)

    def open(self) -> EndpointThread:
        return EndpointThread(self)

    def close(self) -> None:
        self._client.close()

    def complete(
        self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: EndpointGeneration
    ) -> Stopped:
        """Streams one completion; blocks. Raises `httpx.HTTPError`, or ValueError and its like on nonsense."""
        request: dict[str, Any] = {
            "model": self._model, "messages": self._messages(prompt), "max_tokens": max_tokens,
            "temperature": self._temperature, "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        if prompt.tools and prompt.tool_choice != "none":
            request["tools"] = [_function(tool.name, tool.description, tool.parameters) for tool in prompt.tools]
            named = prompt.tool_choice not in ("auto", "required")
            choice = {"type": "function", "function": {"name": prompt.tool_choice}}
            request["tool_choice"] = choice if named else prompt.tool_choice
        with self._client.stream("POST", f"{self.url}/chat/completions", json=request) as response:
            generation.begin(response)
            try:
                if response.status_code != 200:
                    return Stopped("error", error=_refusal(self.url, response))
                return _stream(response.iter_lines(), deliver)
            finally:
                generation.end()

    def _messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        messages = [{"role": "system", "content": prompt.instructions}, *map(self._message, prompt.items)]
        if prompt.view is not None and self.vision:
            for message in reversed(messages):
                if message["role"] == "user":
                    message["content"] = _with_pictures(message["content"], (prompt.view,))
                    break
        return messages

    def _message(self, item: Item) -> dict[str, Any]:
        match item:
            case Message(role=role, text=text, pictures=pictures):
                content = _with_pictures(text, pictures) if pictures and self.vision else text
                return {"role": role, "content": content}
            case Call(call_id=call_id, name=name, arguments=arguments):
                call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case CallResult(call_id=call_id, output=output):
                return {"role": "tool", "tool_call_id": call_id, "content": output}
            case _:
                assert_never(item)


def _stream(lines: Iterator[str], deliver: Deliver) -> Stopped:
    """Reads server-sent events (WHATWG HTML, section 9.2) until `[DONE]`."""
    calls: dict[int, Calls] = {}
    stopped = Stopped("stop")
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if error := event.get("error"):
            return Stopped("error", error=f"The language model failed: {error.get('message', error)}.")
        for choice in event.get("choices", ()):
            delta = choice.get("delta", {})
            if text := delta.get("content"):
                deliver(Words(text))
            for part in delta.get("tool_calls") or ():
                _continue_call(calls, part, deliver)
            if reason := choice.get("finish_reason"):
                stopped = Stopped("length" if reason == "length" else "stop", stopped.usage)
        if usage := event.get("usage"):
            stopped = Stopped(stopped.reason, _usage(usage))
    if stopped.reason == "stop":
        for call in calls.values():
            deliver(Calls(call.call_id, call.name, "", final=True))
    return stopped


def _continue_call(calls: dict[int, Calls], part: dict[str, Any], deliver: Deliver) -> None:
    function = part.get("function", {})
    index = part.get("index", 0)
    if index not in calls:
        calls[index] = Calls(part["id"], function["name"], "", final=False)
    known = calls[index]
    deliver(Calls(known.call_id, known.name, function.get("arguments") or "", final=False))


def _usage(counts: dict[str, Any]) -> Usage:
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(input_text=counts["prompt_tokens"], cached=cached, output_text=counts["completion_tokens"])


def _function(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _with_pictures(text: str, pictures: tuple[Picture, ...]) -> list[dict[str, Any]]:
    parts = [{"type": "image_url", "image_url": {"url": _data_uri(picture)}} for picture in pictures]
    return [*parts, {"type": "text", "text": text}]


def _data_uri(picture: Picture) -> str:
    """JPEG by av, which the project carries anyway."""
    import av

    frame = av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _refusal(url: str, response: httpx.Response) -> str:
    response.read()
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return f"The language model at {url} refused: HTTP {response.status_code}, {message}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
