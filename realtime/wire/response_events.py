"""The events of one response, in order: created, items, parts, deltas, done.

The fields follow the schemas of official clients: one that may be null is `None` here, one that has to be left out is
`UNSET`.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from msgspec import UNSET, UnsetType

from vivavoce.realtime.wire.items import WireItem
from vivavoce.realtime.wire.session_config import AudioFormat, Modalities, Part, Tagged, TokenLimit


class OutgoingEvent(Tagged):
    """Any server event. The session sets `event_id` when it sends the event."""

    event_id: str = ""


# --- objects -------------------------------------------------------------------------------------------------------


class TokenDetails(Part):
    text_tokens: int
    audio_tokens: int
    image_tokens: int


class InputDetails(Part):
    text_tokens: int
    audio_tokens: int
    image_tokens: int
    cached_tokens: int
    cached_tokens_details: TokenDetails


class OutputDetails(Part):
    text_tokens: int
    audio_tokens: int


class ResponseUsage(Part):
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputDetails
    output_token_details: OutputDetails


class StatusError(Part):
    type: str
    code: str
    message: str


class StatusDetails(Part):
    type: Literal["cancelled", "incomplete", "failed"]
    reason: Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | UnsetType = UNSET
    error: StatusError | UnsetType = UNSET


class SpokenOutput(Part):
    format: AudioFormat
    voice: str


class SpokenAudio(Part):
    output: SpokenOutput


class Response(Part):
    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]
    status_details: StatusDetails | None
    output: list[WireItem]
    conversation_id: str | None
    output_modalities: Modalities
    max_output_tokens: TokenLimit
    audio: SpokenAudio
    metadata: dict[str, str] | None
    usage: ResponseUsage | None


class TextPart(Tagged, tag="text"):
    text: str


class AudioPart(Tagged, tag="audio"):
    transcript: str


# --- a response ----------------------------------------------------------------------------------------------------


class ResponseCreated(OutgoingEvent, tag="response.created"):
    response: Response


class ResponseDone(OutgoingEvent, tag="response.done"):
    response: Response


class _OfOutput(OutgoingEvent):
    """Any event about the output item `output_index` of a response."""

    response_id: str
    output_index: int


class OutputPlace(TypedDict):
    """The fields that identify an output item."""

    response_id: str
    output_index: int
    item_id: str


class OutputItemAdded(_OfOutput, tag="response.output_item.added"):
    item: WireItem


class OutputItemDone(_OfOutput, tag="response.output_item.done"):
    item: WireItem


class _OfPart(_OfOutput):
    """Any event about one part of a message."""

    item_id: str
    content_index: int


class ContentPartAdded(_OfPart, tag="response.content_part.added"):
    part: TextPart | AudioPart


class ContentPartDone(_OfPart, tag="response.content_part.done"):
    part: TextPart | AudioPart


class TextDelta(_OfPart, tag="response.output_text.delta"):
    delta: str


class TextDone(_OfPart, tag="response.output_text.done"):
    text: str


class TranscriptDelta(_OfPart, tag="response.output_audio_transcript.delta"):
    delta: str


class TranscriptDone(_OfPart, tag="response.output_audio_transcript.done"):
    transcript: str


class AudioDelta(_OfPart, tag="response.output_audio.delta"):
    """`delta` is sent as base64."""

    delta: bytes


class AudioDone(_OfPart, tag="response.output_audio.done"):
    pass


class CallDelta(_OfOutput, tag="response.function_call_arguments.delta"):
    item_id: str
    call_id: str
    delta: str


class CallDone(_OfOutput, tag="response.function_call_arguments.done"):
    item_id: str
    call_id: str
    name: str
    arguments: str


# --- tools of MCP servers ------------------------------------------------------------------------------------------


class McpArgumentsDelta(_OfOutput, tag="response.mcp_call_arguments.delta"):
    item_id: str
    delta: str
    obfuscation: str


class McpArgumentsDone(_OfOutput, tag="response.mcp_call_arguments.done"):
    item_id: str
    arguments: str


class McpCallStarted(OutgoingEvent, tag="response.mcp_call.in_progress"):
    item_id: str
    output_index: int


class McpCallCompleted(OutgoingEvent, tag="response.mcp_call.completed"):
    item_id: str
    output_index: int


class McpCallFailed(OutgoingEvent, tag="response.mcp_call.failed"):
    item_id: str
    output_index: int


class McpListStarted(OutgoingEvent, tag="mcp_list_tools.in_progress"):
    item_id: str


class McpListCompleted(OutgoingEvent, tag="mcp_list_tools.completed"):
    item_id: str


class McpListFailed(OutgoingEvent, tag="mcp_list_tools.failed"):
    item_id: str


ResponseEvent = (
    ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | TranscriptDelta
    | TranscriptDone
    | AudioDelta
    | AudioDone
    | CallDelta
    | CallDone
    | McpArgumentsDelta
    | McpArgumentsDone
    | McpCallStarted
    | McpCallCompleted
    | McpCallFailed
    | McpListStarted
    | McpListCompleted
    | McpListFailed
)
