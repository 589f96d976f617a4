"""The eleven messages of a client. parsing.py refuses unknown events and unknown fields."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from vivavoce.realtime.wire.items import ItemId, ItemReference, Sound, WireItem
from vivavoce.realtime.wire.session_config import (
    AudioFormat,
    Modalities,
    Name,
    Part,
    Prompt,
    Reasoning,
    SessionConfig,
    Text,
    TokenLimit,
    ToolChoice,
    Tools,
    VoiceId,
)

MAX_EVENT_ID = 512
MAX_INPUT_ITEMS = 256

EventId = Annotated[str, Meta(max_length=MAX_EVENT_ID)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class ResponseAudioOutput(Part):
    format: AudioFormat | UnsetType | None = UNSET
    voice: Name | VoiceId | UnsetType | None = UNSET


class ResponseAudio(Part):
    output: ResponseAudioOutput | UnsetType | None = UNSET


class ResponseParams(Part):
    """Overrides of the session for one response. `input` replaces the conversation, even if empty."""

    conversation: Literal["auto", "none"] | UnsetType | None = UNSET
    input: Annotated[list[WireItem | ItemReference], Meta(max_length=MAX_INPUT_ITEMS)] | UnsetType | None = UNSET
    instructions: Text | UnsetType | None = UNSET
    output_modalities: Modalities | UnsetType | None = UNSET
    audio: ResponseAudio | UnsetType | None = UNSET
    tools: Tools | UnsetType | None = UNSET
    tool_choice: ToolChoice | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    prompt: Prompt | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET


class _ClientEvent(Part):
    event_id: EventId | None = None


class SessionUpdate(_ClientEvent, tag="session.update"):
    session: SessionConfig


class AudioAppend(_ClientEvent, tag="input_audio_buffer.append"):
    audio: Sound


class AudioCommit(_ClientEvent, tag="input_audio_buffer.commit"):
    pass


class AudioClear(_ClientEvent, tag="input_audio_buffer.clear"):
    pass


class OutputClear(_ClientEvent, tag="output_audio_buffer.clear"):
    pass


class ItemCreate(_ClientEvent, tag="conversation.item.create"):
    item: WireItem
    previous_item_id: ItemId | None = None


class ItemRetrieve(_ClientEvent, tag="conversation.item.retrieve"):
    item_id: ItemId


class ItemTruncate(_ClientEvent, tag="conversation.item.truncate"):
    item_id: ItemId
    content_index: Annotated[int, Meta(ge=0)]
    audio_end_ms: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ItemDelete(_ClientEvent, tag="conversation.item.delete"):
    item_id: ItemId


class ResponseCreate(_ClientEvent, tag="response.create"):
    response: ResponseParams | None = None


class ResponseCancel(_ClientEvent, tag="response.cancel"):
    response_id: ItemId | None = None


ClientEvent = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputClear
    | ItemCreate
    | ItemRetrieve
    | ItemTruncate
    | ItemDelete
    | ResponseCreate
    | ResponseCancel
)
