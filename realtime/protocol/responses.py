"""The ladder of one response: the model's tokens in, the protocol's events out, in the order that clients check.

    response.created
      output_item.added → item.added → content_part.added      opened by the first word or sound
        … transcript.delta, audio.delta | text.delta …
      output_item.added → item.added                           opened by the first piece of a call
        … arguments.delta … arguments.done → output_item.done → item.done
      .done of the open parts → content_part.done → output_item.done → item.done
    response.done

All words of a reply form one message, each call is an item of its own; a message stays open until the reply ends, since
sound comes later than words. Whether and when a reply is cut is decided in replies.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict

from msgspec import structs

from vivavoce.model.dialogue import Samples, ToolCall, Usage
from vivavoce.realtime.conversation import Conversation, ConversationItem, Entry
from vivavoce.realtime.protocol import response_events as ev
from vivavoce.realtime.protocol.ids import Ids
from vivavoce.realtime.protocol.input_buffer import Encoder
from vivavoce.realtime.protocol.items import FunctionCallItem, MessageItem, OutputAudio, OutputText
from vivavoce.realtime.protocol.messages import ServerEvent
from vivavoce.realtime.protocol.plan import Plan
from vivavoce.realtime.protocol.server_events import ItemAdded, ItemDone

MIN_DELTA: Final = 0.1  # seconds of sound in one event, at least, and at most
MAX_DELTA: Final = 0.25

Status = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(slots=True)
class _Output:
    """One output item: its place in the response, and what it will contain."""

    index: int
    item_id: str
    call: ToolCall | None = None
    text: list[str] = field(default_factory=list)  # words of a message, or arguments of a call
    done: ConversationItem | None = None


class _Where(TypedDict):
    response_id: str
    output_index: int
    item_id: str


class _WherePart(_Where):
    content_index: int


class Ladder:
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
        self._outputs: list[_Output] = []
        self._message: _Output | None = None
        self._call: _Output | None = None

    @property
    def text(self) -> str:
        """The words so far."""
        return "".join(self._message.text) if self._message else ""

    @property
    def opened(self) -> bool:
        """Clients know of the message."""
        return self._message is not None

    def create(self) -> ServerEvent:
        return ev.ResponseCreated(response=self._response)

    def say(self, text: str) -> Iterator[ServerEvent]:
        """More words."""
        yield from self._open_message()
        assert self._message is not None
        self._message.text.append(text)
        if self._plan.modality == "audio":
            yield ev.TranscriptDelta(**self._part(), delta=text)
        else:
            yield ev.TextDelta(**self._part(), delta=text)

    def sound(self, samples: Samples) -> Iterator[ServerEvent]:
        """More sound of the words."""
        yield from self._open_message()
        if self._encoder is not None:
            self._unsent += self._encoder.push(samples)
            yield from self._deltas(self._encoder, MIN_DELTA)

    def tool(self, token: ToolCall) -> Iterator[ServerEvent]:
        """More of a call."""
        if self._call is None or (self._call.call and self._call.call.call_id != token.call_id):
            yield from self._close_call("incomplete")
            self._call = self._output(_Output(len(self._outputs), self._ids.new("item"), token))
            yield from self._added(self._call_item(self._call, "in_progress"), self._call)
        call = self._call
        call.text.append(token.arguments)
        where = _Where(response_id=self.id, output_index=call.index, item_id=call.item_id)
        if token.arguments:
            yield ev.CallDelta(**where, call_id=token.call_id, delta=token.arguments)
        if token.final:
            arguments = "".join(call.text)
            yield ev.CallDone(**where, call_id=token.call_id, name=token.name, arguments=arguments)
            yield from self._close_call("completed")

    def close(self, status: Status, details: ev.StatusDetails | None, usage: Usage) -> Iterator[ServerEvent]:
        """Ends everything open, and the response."""
        ending: Literal["completed", "incomplete"] = "completed" if status == "completed" else "incomplete"
        yield from self._close_call("incomplete")
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
        self._message = self._output(_Output(len(self._outputs), self._plan.spec.id))
        empty = MessageItem(
            id=self._message.item_id, object="realtime.item", status="in_progress", role="assistant", content=[]
        )
        yield from self._added(empty, self._message)
        spoken = self._plan.modality == "audio"
        part = ev.AudioPart(transcript="") if spoken else ev.TextPart(text="")
        yield ev.ContentPartAdded(**self._part(), part=part)

    def _close_message(self, message: _Output, status: Literal["completed", "incomplete"]) -> Iterator[ServerEvent]:
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
            yield from self._done(self._call_item(call, status), call, "")

    def _call_item(self, call: _Output, status: Literal["completed", "incomplete", "in_progress"]) -> FunctionCallItem:
        assert call.call is not None
        return FunctionCallItem(
            id=call.item_id,
            object="realtime.item",
            status=status,
            call_id=call.call.call_id,
            name=call.call.name,
            arguments="".join(call.text),
        )

    def _output(self, output: _Output) -> _Output:
        self._outputs.append(output)
        return output

    def _part(self) -> _WherePart:
        assert self._message is not None
        where = _Where(response_id=self.id, output_index=self._message.index, item_id=self._message.item_id)
        return _WherePart(**where, content_index=0)

    def _added(self, item: ConversationItem, output: _Output) -> Iterator[ServerEvent]:
        yield ev.OutputItemAdded(response_id=self.id, output_index=output.index, item=item)
        if self._conversation is not None:
            before = self._conversation.last
            spoken = isinstance(item, MessageItem) and self._plan.modality == "audio"
            self._conversation.add(Entry(item, reply=self.number if spoken else None))
            yield ItemAdded(previous_item_id=before, item=item)

    def _done(self, item: ConversationItem, output: _Output, text: str) -> Iterator[ServerEvent]:
        output.done = item
        yield ev.OutputItemDone(response_id=self.id, output_index=output.index, item=item)
        known = self._conversation.get(output.item_id) if self._conversation else None
        if self._conversation is not None and known is not None:  # else the client has deleted it meanwhile
            known.item, known.text = item, text
            yield ItemDone(previous_item_id=self._conversation.before(output.item_id), item=item)

    def _deltas(self, encoder: Encoder, least: float) -> Iterator[ServerEvent]:
        """Sound in pieces of at most `MAX_DELTA`, none shorter than `least` seconds."""
        largest = int(MAX_DELTA * encoder.bytes_per_second)
        smallest = max(int(least * encoder.bytes_per_second), 1)
        while len(self._unsent) >= smallest:
            piece, self._unsent = self._unsent[:largest], self._unsent[largest:]
            yield ev.AudioDelta(**self._part(), delta=piece)


def _usage(usage: Usage) -> ev.ResponseUsage:
    received = usage.input_text + usage.input_audio + usage.input_image
    given = usage.output_text + usage.output_audio
    return ev.ResponseUsage(
        total_tokens=received + given,
        input_tokens=received,
        output_tokens=given,
        input_token_details=ev.InputDetails(
            text_tokens=usage.input_text,
            audio_tokens=usage.input_audio,
            image_tokens=usage.input_image,
            cached_tokens=usage.cached,
            cached_tokens_details=ev.TokenDetails(text_tokens=usage.cached, audio_tokens=0, image_tokens=0),
        ),
        output_token_details=ev.OutputDetails(text_tokens=usage.output_text, audio_tokens=usage.output_audio),
    )
