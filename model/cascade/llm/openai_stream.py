"""Reads the answers of OpenAI-compatible endpoints, as the servers that are used really write them.

    bytes ──lines──► server-sent events ──msgspec──► Chunk ──┬─ content ──► Thoughts ──► TextToken
                                                            ├─ thoughts in fields of their own ──► Working
                                                            └─ tool calls ──► CallAssembler ──► calls, at the end

The types hold the fields that are used, and no others. A field of a wrong type fails the whole answer
(`UnreadableAnswer`); unknown fields are passed over. Known departures:

    content as a list of parts, thoughts among them     Mistral
    thoughts in `reasoning_content` or `reasoning`      DeepSeek, vLLM, llama.cpp, Ollama, OpenRouter
    every call with index 0, or without index           Ollama, Gemini; the index within `function`: older Ollama
    a new id, or the name, in every part of a call      older vLLM
    arguments as an object; "null" as id                Mistral
    `error` as the name of an event                     older llama.cpp
    a whole answer, not streamed                        where streaming is refused, or not known
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from vivavoce.model.cascade.llm import SIGN_OF_LIFE, Piece
from vivavoce.model.cascade.llm.thoughts import Thoughts
from vivavoce.model.dialogue import TextToken, ToolCall, Usage, Working
from vivavoce.model.errors import EndpointFailed, UnreadableAnswer

LONGEST_LINE: Final = 1 << 20
"""Bytes of one event, or of an answer that is not streamed."""

TEXT_PARTS: Final = ("text", "output_text", "refusal")
"""Types of the parts of a content that are for the user."""

LENGTH: Final = ("length", "model_length", "max_tokens", "MAX_TOKENS")
FAILED: Final = ("error",)
WITHHELD: Final = ("content_filter", "refusal", "SAFETY", "safety", "RECITATION")
"""Reasons for which an answer ends, but for its own end."""


class Part(Struct):
    """One of several parts of a content."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


class Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    index: int | None = None


class CallPart(Struct):
    """A part of a tool call."""

    index: int | None = None
    id: str | int | None = None
    function: Function | None = None
    extra_content: Any = None


class Delta(Struct):
    """More of the answer, or all of it. Thoughts count only as a sign of life."""

    content: str | list[Part | str] | None = None
    refusal: str | None = None
    tool_calls: list[CallPart] | None = None
    function_call: Function | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_text: Any = None
    thinking: Any = None


class Choice(Struct):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class InputDetails(Struct):
    cached_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None


class Counts(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class Chunk(Struct):
    """One event of a stream, or a whole answer."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Any = None
    object: str | None = None


@dataclass
class AssembledCall:
    """A tool call that is being put together. `extra`: goes back to the endpoint with the call."""

    id: str
    name: str
    index: int | None
    arguments: str = ""
    extra: Any = None

    @property
    def complete(self) -> bool:
        """The arguments are a JSON object."""
        try:
            return isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False

    def extend(self, arguments: str) -> None:
        """Takes more of the arguments; not those that are repeated as a whole."""
        if arguments.strip() and self.complete:
            if self.arguments.strip() == "{}":
                self.arguments = ""  # a placeholder
            elif arguments.strip() == self.arguments.strip():
                return
        self.arguments += arguments


class CallAssembler:
    """The tool calls of one answer: their parts belong together by id, by index, or by their order."""

    def __init__(self) -> None:
        self.calls: list[AssembledCall] = []

    def take(self, part: CallPart) -> None:
        """Takes the next part. Raises `UnreadableAnswer` for a call without a name."""
        function = part.function or Function()
        index = function.index if part.index is None else part.index
        given = function.arguments
        arguments = given if isinstance(given, str) else "" if given is None else json.dumps(given)
        call = self._known(_id(part), index, function.name or "", arguments)
        if call is None:
            call = self._begin(_id(part), index, function.name or self._name_of(index))
        call.extend(arguments)
        call.extra = call.extra or part.extra_content

    def _known(self, call_id: str, index: int | None, name: str, arguments: str) -> AssembledCall | None:
        """The call that a part continues; None where it begins one."""
        for call in self.calls:
            if call_id and call.id == call_id and index in (None, call.index):
                return call
        place = next((call for call in reversed(self.calls) if index in (None, call.index)), None)
        if place is None:
            return None
        if name:
            return None if call_id or name != place.name or place.complete else place
        again = not call_id and place.complete and arguments.lstrip().startswith("{") and arguments != place.arguments
        return None if again and place.arguments.strip() != "{}" else place

    def _name_of(self, index: int | None) -> str:
        return next((call.name for call in reversed(self.calls) if index in (None, call.index)), "")

    def _begin(self, call_id: str, index: int | None, name: str) -> AssembledCall:
        if not name:
            raise UnreadableAnswer("a tool call without a name")
        taken = {call.id for call in self.calls}
        unique = call_id if call_id and call_id not in taken else f"call_{secrets.token_hex(10)}"
        self.calls.append(AssembledCall(unique, name, index))
        return self.calls[-1]


def _id(part: CallPart) -> str:
    return "" if part.id in (None, "", "null") else str(part.id)


@dataclass
class AnswerReader:
    """Reads one answer, and delivers its text as it comes. `limit`: chunks after which it is cut, `room`: as many again
    for thoughts; `hold`: seconds for which text is withheld that may be thoughts; `now`, `after`: the loop's clock."""

    deliver: Callable[[Piece], None]
    thoughts: Thoughts
    limit: int
    room: int
    hold: float
    now: Callable[[], float]
    after: Callable[[float, Callable[[], None]], object]
    calls: CallAssembler = field(default_factory=CallAssembler)
    finish: str = ""
    usage: Usage = field(default_factory=Usage)
    thinks: bool = False
    """The model reasons."""
    spoke: bool = False
    """Text was delivered."""
    over: bool = False
    """The endpoint has said that its answer is over."""
    chunks: int = 0
    silent_chunks: int = 0
    closed: bool = False
    """Nothing is delivered any more."""
    _waits: bool = False
    _alive_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._alive_at = self.now()

    @property
    def cut(self) -> bool:
        """There is more than the limit allows."""
        return self.chunks > self.limit or self.chunks + self.silent_chunks > self.limit + self.room

    def line(self, line: bytes) -> None:
        """Takes one line of a stream of server-sent events (WHATWG HTML, section 9.2).

        Raises `UnreadableAnswer`, `EndpointFailed`."""
        name, _, data = line.partition(b":")
        if name == b"error":
            raise EndpointFailed(data.decode(errors="replace").strip())
        if not name and line:  # a comment, which keeps the connection
            self._live()
        elif name == b"data" and data.strip() == b"[DONE]":
            self.over = True
        elif name == b"data" and data.strip():
            self.event(data)

    def event(self, data: bytes) -> None:
        """Takes one event, or a whole answer. Raises `UnreadableAnswer`, `EndpointFailed`."""
        try:
            chunk = msgspec.json.decode(data, type=Chunk)
        except msgspec.MsgspecError as error:
            raise UnreadableAnswer(str(error)) from error
        if chunk.error or chunk.object == "error":
            raise EndpointFailed(data.decode(errors="replace").strip())
        for choice in chunk.choices or ():
            self._take(choice.delta or choice.message or Delta())
            self.finish = choice.finish_reason or self.finish
        if chunk.usage is not None:
            self._count(chunk.usage)

    def end(self, cut: bool) -> list[ToolCall]:
        """The answer is over, or was `cut`: delivers text that is still in hand, and returns the calls, each whole."""
        self._say(self.thoughts.flush(cut))
        self.thinks |= self.thoughts.seen
        whole = []
        for call in self.calls.calls:
            final = not cut or call.complete
            arguments = call.arguments if call.arguments.strip() or not final else "{}"
            whole.append(ToolCall(call.id, call.name, arguments, final=final))
        return whole

    def _take(self, delta: Delta) -> None:
        text = _text(delta)
        parts = [
            *(delta.tool_calls or ()),
            *([CallPart(0, function=delta.function_call)] if delta.function_call else ()),
        ]
        silent = delta.reasoning_content or delta.reasoning or delta.reasoning_text or delta.thinking
        self.thinks |= bool(silent) or _thinks(delta)
        for part in parts:
            self.calls.take(part)
        spoken = self.thoughts.push(text) if text else ""
        if self.thoughts.withholds and not self._waits:
            self._waits = True
            self.after(self.hold, self._release)
        self.chunks += bool(spoken) + len(parts)
        self.silent_chunks += not spoken
        self._say(spoken)
        if not spoken:
            self._live()

    def _say(self, text: str) -> None:
        if text:
            self.spoke = True
            self._alive_at = self.now()
            self.deliver(TextToken(text))

    def _release(self) -> None:
        if not self.closed:
            self._say(self.thoughts.release())

    def _live(self) -> None:
        """A sign of life without words: passed on, now and then."""
        if self.now() - self._alive_at >= SIGN_OF_LIFE:
            self._alive_at = self.now()
            self.deliver(Working())

    def _count(self, counts: Counts) -> None:
        self.thinks |= bool(counts.completion_tokens_details and counts.completion_tokens_details.reasoning_tokens)
        self.usage = Usage(
            input_text=counts.prompt_tokens or 0,
            cached=(counts.prompt_tokens_details and counts.prompt_tokens_details.cached_tokens) or 0,
            output_text=counts.completion_tokens or 0,
        )


def _text(delta: Delta) -> str:
    """The text for the user."""
    content = delta.content or ""
    if not isinstance(content, str):
        content = "".join(_part(part) for part in content)
    return content + (delta.refusal or "")


def _part(part: Part | str) -> str:
    if isinstance(part, str):
        return part
    return (part.text or part.refusal or "") if part.type in TEXT_PARTS else ""


def _thinks(delta: Delta) -> bool:
    parts = delta.content if isinstance(delta.content, list) else []
    return any(isinstance(part, Part) and part.type in ("thinking", "reasoning") for part in parts)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a body, without their ends. Raises `UnreadableAnswer` for one that is too long."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
        if len(rest) > LONGEST_LINE:
            raise UnreadableAnswer("an event of more than a megabyte")
    if rest:
        yield rest
