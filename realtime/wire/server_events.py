"""Everything the server may say: the GA event set, and seven events of our own (`vivavoce.…`) which clients ignore.

Field by field this is what clients' own schemas ask for: a field that may be null is `None` here, one that has
to be left out is `UNSET`. The events of a response are in response_events.py.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from vivavoce.realtime.wire.items import WireItem
from vivavoce.realtime.wire.response_events import ResponseEvent, Told
from vivavoce.realtime.wire.session_config import Part, SessionView, Tagged

# --- objects -------------------------------------------------------------------------------------------------------


class Fault(Part):
    """The inside of an `error`; all five keys are always there."""

    type: Literal["invalid_request_error", "server_error"]
    code: str | None
    message: str
    param: str | None
    event_id: str | None


class DurationUsage(Tagged, tag="duration"):
    seconds: float


class TranscriptionFault(Part):
    type: str
    code: str
    message: str
    param: str | UnsetType = UNSET


class RateLimit(Part):
    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class ConversationRef(Part):
    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


# --- session and errors --------------------------------------------------------------------------------------------


class Error(Told, tag="error"):
    error: Fault


class SessionCreated(Told, tag="session.created"):
    session: SessionView


class SessionUpdated(Told, tag="session.updated"):
    session: SessionView


class ConversationCreated(Told, tag="conversation.created"):
    conversation: ConversationRef


class RateLimitsUpdated(Told, tag="rate_limits.updated"):
    rate_limits: list[RateLimit]


# --- items ---------------------------------------------------------------------------------------------------------


class ItemAdded(Told, tag="conversation.item.added"):
    previous_item_id: str | None
    item: WireItem


class ItemDone(Told, tag="conversation.item.done"):
    previous_item_id: str | None
    item: WireItem


class ItemRetrieved(Told, tag="conversation.item.retrieved"):
    item: WireItem


class ItemDeleted(Told, tag="conversation.item.deleted"):
    item_id: str


class ItemTruncated(Told, tag="conversation.item.truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int


class TranscriptionDelta(Told, tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    content_index: int
    delta: str


class TranscriptionCompleted(Told, tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    content_index: int
    transcript: str
    usage: DurationUsage


class TranscriptionFailed(Told, tag="conversation.item.input_audio_transcription.failed"):
    item_id: str
    content_index: int
    error: TranscriptionFault


class TranscriptionSegment(Told, tag="conversation.item.input_audio_transcription.segment"):
    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    end: float


# --- sound in, sound out -------------------------------------------------------------------------------------------


class SpeechStarted(Told, tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str


class SpeechStopped(Told, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str


class AudioCommitted(Told, tag="input_audio_buffer.committed"):
    previous_item_id: str | None
    item_id: str


class AudioCleared(Told, tag="input_audio_buffer.cleared"):
    pass


class IdleTimeout(Told, tag="input_audio_buffer.timeout_triggered"):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class DtmfReceived(Tagged, tag="input_audio_buffer.dtmf_event_received"):
    """A key of a phone; the one event without `event_id`. `received_at`: unix seconds."""

    event: str
    received_at: int


class OutputStarted(Told, tag="output_audio_buffer.started"):
    response_id: str


class OutputStopped(Told, tag="output_audio_buffer.stopped"):
    response_id: str


class OutputCleared(Told, tag="output_audio_buffer.cleared"):
    response_id: str


# --- our own -------------------------------------------------------------------------------------------------------


class Heard(Told, tag="vivavoce.heard"):
    """Of the answer `text`, the user heard the first `heard_chars` characters."""

    item_id: str
    text: str
    heard_chars: int


class PartialTranscript(Told, tag="vivavoce.transcript.partial"):
    """What the ears make of the user so far: `stable` will not change any more, `tail` may."""

    item_id: str | None
    stable: str
    tail: str


class TurnLatency(Told, tag="vivavoce.turn.latency"):
    """Where the time of a turn went: stage -> milliseconds after the end of the user's speech."""

    response_id: str
    marks: dict[str, float]


class CallResumable(Told, tag="vivavoce.call.resumable"):
    """Should the connection be lost, the call waits for `seconds`, and goes on for whoever shows `token`. Good once;
    a new one follows."""

    token: str
    seconds: float


class CallResumed(Told, tag="vivavoce.call.resumed"):
    """The call goes on over this connection; the events that were missed have been sent. Of the item that is or was
    spoken last the user has heard `heard_chars` characters, `audio_end_ms` of its sound."""

    session: SessionView
    item_id: str | None
    heard_chars: int
    audio_end_ms: int


class RecordingStarted(Told, tag="vivavoce.recording.started"):
    """The call is recorded, from its first sound on."""


class Closing(Told, tag="vivavoce.closing"):
    """The call is about to end; `message` may be shown."""

    reason: str
    message: str


ServerEvent = (
    Error
    | SessionCreated
    | SessionUpdated
    | ConversationCreated
    | RateLimitsUpdated
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemDeleted
    | ItemTruncated
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | TranscriptionSegment
    | SpeechStarted
    | SpeechStopped
    | AudioCommitted
    | AudioCleared
    | IdleTimeout
    | DtmfReceived
    | OutputStarted
    | OutputStopped
    | OutputCleared
    | Heard
    | PartialTranscript
    | TurnLatency
    | CallResumable
    | CallResumed
    | RecordingStarted
    | Closing
    | ResponseEvent
)
