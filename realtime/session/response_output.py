"""Emits the events of one response from the model's tokens, in the order that clients check.

    response.created
      output_item.added → item.added → content_part.added      opened by the first word or sound
        … transcript.delta, audio.delta | text.delta …
      output_item.added → item.added                           opened by the first piece of a call
        … arguments.delta … arguments.done → output_item.done → item.done
        … arguments.done → mcp_call.in_progress … completed | failed → output_item.done → item.done
      .done of the open parts → content_part.done → output_item.done → item.done
    response.done

All words of a reply form one message, each call is an item of its own. A message stays open until the reply ends, since
sound comes later than words. responses.py decides when a reply is cut.

    function_call           the client runs it          function_call_arguments.delta* .done
    mcp_call                the server runs it          mcp_call_arguments.delta* .done, in_progress, completed | failed
    mcp_approval_request    the client has to approve   mcp_call_arguments.delta* .done
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import UNSET, structs

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import ToolCall, Usage
from vivavoce.realtime.events import Answer, Failure, Outcome
from vivavoce.realtime.session.audio_buffer import MAX_KEPT, Encoder, pcm16
from vivavoce.realtime.session.conversation import SAMPLE_BYTES, Conversation, ConversationItem, Entry
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.mcp_servers import Approved, Served
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire import response_events as ev
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    McpApprovalRequestItem,
    McpCallItem,
    McpExecutionError,
    McpHttpError,
    McpProtocolError,
    MessageItem,
    OutputAudio,
    OutputText,
)
from vivavoce.realtime.wire.server_events import ItemAdded, ItemDone

MIN_DELTA: Final = 0.1  # seconds of sound in one event, at least, and at most
MAX_DELTA: Final = 0.25

Status = Literal["completed", "cancelled", "incomplete", "failed"]


class _Place(ev.OutputPlace):
    content_index: int


class ResponseEmitter:
    """Events of one response. `deltas`: sound goes to the client as messages."""

    def __init__(
        self, number: int, opening: ev.Response, plan: Plan, conversation: Conversation, ids: Ids, deltas: bool
    ) -> None:
        self.number = number
        self.id = opening.id
        self._response = opening
        self._plan = plan
        self._conversation = conversation if plan.joins else None
        self._ids = ids
        self._encoder = Encoder(plan.format) if deltas else None
        self._unsent = b""
        self._kept = bytearray()  # the message's sound for `conversation.item.retrieve`, 16-bit at 24 kHz
        self._outputs: list[Output] = []
        self._message: Output | None = None
        self._call: Output | None = None
        self._running: dict[str, Output] = {}  # calls which the server carries out

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._message.text) if self._message else ""

    @property
    def empty(self) -> bool:
        """Whether there is no output item yet."""
        return not self._outputs

    @property
    def opened(self) -> bool:
        """Whether the client has seen the message."""
        return self._message is not None

    def create(self) -> ServerEvent:
        return ev.ResponseCreated(response=self._response)

    def say(self, text: str) -> Iterator[ServerEvent]:
        """Takes more text."""
        yield from self._open_message()
        assert self._message is not None
        self._message.text.append(text)
        if self._plan.modality == "audio":
            yield ev.TranscriptDelta(**self._part(), delta=text)
        else:
            yield ev.TextDelta(**self._part(), delta=text)

    def sound(self, samples: Samples) -> Iterator[ServerEvent]:
        """Takes more sound of the text."""
        yield from self._open_message()
        if self._conversation is not None and len(self._kept) < SAMPLE_BYTES * MAX_KEPT:
            self._kept += pcm16(samples)
        if self._encoder is not None:
            self._unsent += self._encoder.push(samples)
            yield from self._deltas(self._encoder, MIN_DELTA)

    def tool(self, token: ToolCall, approved: Approved | None = None) -> Iterator[ServerEvent]:
        """Takes more of a call; all of one that was `approved`."""
        if self._call is None or (self._call.call and self._call.call.call_id != token.call_id):
            yield from self._close_call("incomplete")
            served = approved.served if approved else self._plan.served.get(token.name)
            request_id = approved.request_id if approved else ""
            output = Output(len(self._outputs), self._ids.new("item"), token, served, request_id)
            self._call = self._output(output)
            yield from self._added(call_item(self._call, "in_progress"), self._call)
        call = self._call
        call.text.append(token.arguments)
        if token.arguments:
            yield more_arguments(self.id, call, token.arguments)
        if token.final:
            yield all_arguments(self.id, call)
            if call.runs:
                self._call, self._running[call.item_id] = None, call
                if self._conversation is not None and (known := self._conversation.get(call.item_id)):
                    known.item = call_item(call, "in_progress")
                yield started(call)
            else:
                yield from self._close_call("completed")

    def answered(self, item_id: str, outcome: Outcome) -> Iterator[ServerEvent]:
        """Takes the outcome of a call that the server ran."""
        call = self._running.pop(item_id)
        call.outcome = outcome
        yield ended(call)
        yield from self._done(call_item(call, "completed"), call, "")

    def close(self, status: Status, details: ev.StatusDetails | None, usage: Usage) -> Iterator[ServerEvent]:
        """Closes the open items, and the response."""
        ending: Literal["completed", "incomplete"] = "completed" if status == "completed" else "incomplete"
        yield from self._close_call("incomplete")
        for call in self._running.values():
            yield from self._abandon(call)
        if self._message is not None:
            yield from self._close_message(self._message, ending)
        output = [output.done for output in self._outputs if output.done is not None]
        self._response = structs.replace(
            self._response, status=status, status_details=details, output=output, usage=_usage(usage)
        )
        yield ev.ResponseDone(response=self._response)

    def _open_message(self) -> Iterator[ServerEvent]:
        if self._message is not None:
            return
        self._message = self._output(Output(len(self._outputs), self._plan.spec.id))
        empty = MessageItem(
            id=self._message.item_id, object="realtime.item", status="in_progress", role="assistant", content=[]
        )
        yield from self._added(empty, self._message)
        spoken = self._plan.modality == "audio"
        part = ev.AudioPart(transcript="") if spoken else ev.TextPart(text="")
        yield ev.ContentPartAdded(**self._part(), part=part)

    def _close_message(self, message: Output, status: Literal["completed", "incomplete"]) -> Iterator[ServerEvent]:
        where, text = self._part(), self.text
        if self._plan.modality == "text":
            yield ev.TextDone(**where, text=text)
            yield ev.ContentPartDone(**where, part=ev.TextPart(text=text))
        else:
            if self._encoder is not None and status == "completed":
                self._unsent += self._encoder.flush()
                yield from self._deltas(self._encoder, 0)
            yield ev.AudioDone(**where)
            yield ev.TranscriptDone(**where, transcript=text)
            yield ev.ContentPartDone(**where, part=ev.AudioPart(transcript=text))
        content = OutputText(text=text) if self._plan.modality == "text" else OutputAudio(transcript=text)
        item = MessageItem(
            id=message.item_id, object="realtime.item", status=status, role="assistant", content=[content]
        )
        yield from self._done(item, message, text)

    def _close_call(self, status: Literal["completed", "incomplete"]) -> Iterator[ServerEvent]:
        if self._call is not None:
            call, self._call = self._call, None
            yield from self._done(call_item(call, status), call, "")

    def _abandon(self, call: Output) -> Iterator[ServerEvent]:
        """The reply ends before the call. (No `item.done`: clients take it for an outcome, and request a response.)"""
        call.outcome = Failure("tool_execution_error", "The call was cancelled.")
        call.done = call_item(call, "incomplete")
        yield ended(call)
        yield ev.OutputItemDone(response_id=self.id, output_index=call.index, item=call.done)
        known = self._conversation.get(call.item_id) if self._conversation else None
        if known is not None:
            known.item = call.done

    def _output(self, output: Output) -> Output:
        self._outputs.append(output)
        return output

    def _part(self) -> _Place:
        assert self._message is not None
        where = ev.OutputPlace(response_id=self.id, output_index=self._message.index, item_id=self._message.item_id)
        return _Place(**where, content_index=0)

    def _added(self, item: ConversationItem, output: Output) -> Iterator[ServerEvent]:
        yield ev.OutputItemAdded(response_id=self.id, output_index=output.index, item=item)
        if self._conversation is not None:
            before = self._conversation.last
            spoken = isinstance(item, MessageItem) and self._plan.modality == "audio"
            self._conversation.add(Entry(item, reply=self.number if spoken else None))
            yield ItemAdded(previous_item_id=before, item=item)

    def _done(self, item: ConversationItem, output: Output, text: str) -> Iterator[ServerEvent]:
        output.done = item
        yield ev.OutputItemDone(response_id=self.id, output_index=output.index, item=item)
        if self._conversation is not None and output.item_id in self._conversation:  # else the client has deleted it
            sound = bytes(self._kept[: SAMPLE_BYTES * MAX_KEPT]) if output is self._message else b""
            self._conversation.complete(output.item_id, item, text, sound)
            yield ItemDone(previous_item_id=self._conversation.before(output.item_id), item=item)

    def _deltas(self, encoder: Encoder, least: float) -> Iterator[ServerEvent]:
        """The sound in pieces of at most `MAX_DELTA` seconds, none shorter than `least`."""
        largest = int(MAX_DELTA * encoder.bytes_per_second)
        smallest = max(int(least * encoder.bytes_per_second), 1)
        while len(self._unsent) >= smallest:
            piece, self._unsent = self._unsent[:largest], self._unsent[largest:]
            yield ev.AudioDelta(**self._part(), delta=piece)


def _usage(usage: Usage) -> ev.ResponseUsage:
    received = usage.input_text + usage.input_audio + usage.input_image
    generated = usage.output_text + usage.output_audio
    return ev.ResponseUsage(
        total_tokens=received + generated,
        input_tokens=received,
        output_tokens=generated,
        input_token_details=ev.InputDetails(
            text_tokens=usage.input_text,
            audio_tokens=usage.input_audio,
            image_tokens=usage.input_image,
            cached_tokens=usage.cached,
            cached_tokens_details=ev.TokenDetails(text_tokens=usage.cached, audio_tokens=0, image_tokens=0),
        ),
        output_token_details=ev.OutputDetails(text_tokens=usage.output_text, audio_tokens=usage.output_audio),
    )


@dataclass(slots=True)
class Output:
    """An output item: its index in the response, and its contents. A call has `call`; a call of an MCP tool has
    `served`, the `request_id` of its approval, and in the end an `outcome`. `done`: the complete item."""

    index: int
    item_id: str
    call: ToolCall | None = None
    served: Served | None = None
    request_id: str = ""
    outcome: Outcome | None = None
    text: list[str] = field(default_factory=list)  # words of a message, or arguments of a call
    done: ConversationItem | None = None

    @property
    def runs(self) -> bool:
        """Whether the server runs it, without an approval or with the client's."""
        return self.served is not None and (not self.served.approval or bool(self.request_id))

    @property
    def arguments(self) -> str:
        return "".join(self.text)


def call_item(
    output: Output, status: Literal["completed", "incomplete", "in_progress"]
) -> FunctionCallItem | McpCallItem | McpApprovalRequestItem:
    """The item of a call."""
    assert output.call is not None
    if output.served is None:
        return FunctionCallItem(
            id=output.item_id,
            object="realtime.item",
            status=status,
            call_id=output.call.call_id,
            name=output.call.name,
            arguments=output.arguments,
        )
    label, name = output.served.label, output.served.name
    if not output.runs:
        return McpApprovalRequestItem(id=output.item_id, server_label=label, name=name, arguments=output.arguments)
    return McpCallItem(
        id=output.item_id,
        server_label=label,
        name=name,
        arguments=output.arguments,
        approval_request_id=output.request_id or UNSET,
        output=output.outcome.text if isinstance(output.outcome, Answer) else UNSET,
        error=_error(output.outcome) if isinstance(output.outcome, Failure) else UNSET,
    )


def more_arguments(response_id: str, output: Output, delta: str) -> ev.CallDelta | ev.McpArgumentsDelta:
    """The event for a piece of a call's arguments."""
    assert output.call is not None
    where = ev.OutputPlace(response_id=response_id, output_index=output.index, item_id=output.item_id)
    if output.served is None:
        return ev.CallDelta(**where, call_id=output.call.call_id, delta=delta)
    return ev.McpArgumentsDelta(**where, delta=delta, obfuscation="")


def all_arguments(response_id: str, output: Output) -> ev.CallDone | ev.McpArgumentsDone:
    """The event for complete arguments of a call."""
    assert output.call is not None
    where = ev.OutputPlace(response_id=response_id, output_index=output.index, item_id=output.item_id)
    if output.served is None:
        return ev.CallDone(**where, call_id=output.call.call_id, name=output.call.name, arguments=output.arguments)
    return ev.McpArgumentsDone(**where, arguments=output.arguments)


def started(output: Output) -> ev.McpCallStarted:
    """The event for a call that the server begins to run."""
    return ev.McpCallStarted(item_id=output.item_id, output_index=output.index)


def ended(output: Output) -> ev.McpCallCompleted | ev.McpCallFailed:
    """The event for the outcome of a call."""
    kind = ev.McpCallCompleted if isinstance(output.outcome, Answer) else ev.McpCallFailed
    return kind(item_id=output.item_id, output_index=output.index)


def _error(failure: Failure) -> McpProtocolError | McpExecutionError | McpHttpError:
    match failure.kind:
        case "protocol_error":
            return McpProtocolError(code=failure.code, message=failure.message)
        case "http_error":
            return McpHttpError(code=failure.code, message=failure.message)
        case _:
            return McpExecutionError(message=failure.message)
