"""All events of the server: those of the official protocol, and eight of our own (`vivavoce.…`), which clients ignore.

The fields follow the schemas of official clients: one that may be null is `None` here, one that has to be left out is
`UNSET`. The events of a response are in response_events.py. This server never sends `ConversationCreated` and
`TranscriptionSegment`; they complete the official list, which a test compares with the official client.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from vivavoce.realtime.wire.items import WireItem
from vivavoce.realtime.wire.response_events import OutgoingEvent, ResponseEvent
from vivavoce.realtime.wire.session_config import Part, SessionView, Tagged

# --- objects -------------------------------------------------------------------------------------------------------


class Fault(Part):
    """The content of an `error`; all five keys are always present."""

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


class Error(OutgoingEvent, tag="error"):
    error: Fault


class SessionCreated(OutgoingEvent, tag="session.created"):
    session: SessionView


class SessionUpdated(OutgoingEvent, tag="session.updated"):
    session: SessionView


class ConversationCreated(OutgoingEvent, tag="conversation.created"):
    """Of the official list; this server does not send it, since `session.created` says the same."""

    conversation: ConversationRef


class RateLimitsUpdated(OutgoingEvent, tag="rate_limits.updated"):
    rate_limits: list[RateLimit]


# --- items ---------------------------------------------------------------------------------------------------------


class ItemAdded(OutgoingEvent, tag="conversation.item.added"):
    previous_item_id: str | None
    item: WireItem


class ItemDone(OutgoingEvent, tag="conversation.item.done"):
    previous_item_id: str | None
    item: WireItem


class ItemRetrieved(OutgoingEvent, tag="conversation.item.retrieved"):
    item: WireItem


class ItemDeleted(OutgoingEvent, tag="conversation.item.deleted"):
    item_id: str


class ItemTruncated(OutgoingEvent, tag="conversation.item.truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int


class TranscriptionDelta(OutgoingEvent, tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    content_index: int
    delta: str


class TranscriptionCompleted(OutgoingEvent, tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    content_index: int
    transcript: str
    usage: DurationUsage


class TranscriptionFailed(OutgoingEvent, tag="conversation.item.input_audio_transcription.failed"):
    item_id: str
    content_index: int
    error: TranscriptionFault


class TranscriptionSegment(OutgoingEvent, tag="conversation.item.input_audio_transcription.segment"):
    """Of the official list; this server does not send it, which has no speaker diarization. Times in seconds."""

    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    end: float


# --- audio in, audio out -------------------------------------------------------------------------------------------


class SpeechStarted(OutgoingEvent, tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str


class SpeechStopped(OutgoingEvent, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str


class AudioCommitted(OutgoingEvent, tag="input_audio_buffer.committed"):
    previous_item_id: str | None
    item_id: str


class AudioCleared(OutgoingEvent, tag="input_audio_buffer.cleared"):
    pass


class IdleTimeout(OutgoingEvent, tag="input_audio_buffer.timeout_triggered"):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class DtmfReceived(Tagged, tag="input_audio_buffer.dtmf_event_received"):
    """A key of a phone; the one event without `event_id`. `received_at`: unix seconds."""

    event: str
    received_at: int


class OutputStarted(OutgoingEvent, tag="output_audio_buffer.started"):
    response_id: str


class OutputStopped(OutgoingEvent, tag="output_audio_buffer.stopped"):
    response_id: str


class OutputCleared(OutgoingEvent, tag="output_audio_buffer.cleared"):
    response_id: str


# --- our own -------------------------------------------------------------------------------------------------------


class Heard(OutgoingEvent, tag="vivavoce.heard"):
    """The user heard the first `heard_chars` characters of the reply `text`."""

    item_id: str
    text: str
    heard_chars: int


class PartialTranscript(OutgoingEvent, tag="vivavoce.transcript.partial"):
    """The ASR's words of the open turn so far: `stable` is final, `tail` may still change."""

    item_id: str | None
    stable: str
    tail: str


class TurnLatency(OutgoingEvent, tag="vivavoce.turn.latency"):
    """The latency of a turn by stages: stage -> milliseconds after the end of the user's speech."""

    response_id: str
    marks: dict[str, float]


class SeenThing(Part):
    """A thing in a picture. `box`: left, top, right, bottom as shares (0..1) of the picture."""

    name: str
    box: tuple[float, float, float, float]


class PictureSeen(OutgoingEvent, tag="vivavoce.seen"):
    """A response uses what was seen in a picture. `at_ms`: when it was taken, in milliseconds after the call began;
    `age_ms`: before the end of the question, negative where it was taken later."""

    response_id: str
    source: Literal["camera", "message"]
    at_ms: int
    age_ms: float
    report: str
    things: list[SeenThing]


class CallResumable(OutgoingEvent, tag="vivavoce.call.resumable"):
    """After a lost connection the call waits for `seconds`, and goes on over a new one that presents `token`. A token
    works once; the next one follows."""

    token: str
    seconds: float


class CallResumed(OutgoingEvent, tag="vivavoce.call.resumed"):
    """The call goes on over this connection; the missed events have been sent. The user has heard `heard_chars`
    characters of the item spoken last, and `audio_end_ms` of its audio."""

    session: SessionView
    item_id: str | None
    heard_chars: int
    audio_end_ms: int


class RecordingStarted(OutgoingEvent, tag="vivavoce.recording.started"):
    """The call is recorded, from its first sample on."""


class Closing(OutgoingEvent, tag="vivavoce.closing"):
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
    | PictureSeen
    | CallResumable
    | CallResumed
    | RecordingStarted
    | Closing
    | ResponseEvent
)
