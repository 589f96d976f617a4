"""The session object on the wire: as clients set it, and as the server shows it.

Each field that a client may leave out is `UNSET` when it did, because leaving out ("keep it") and null ("turn it
off") mean different things in `session.update`. Defaults, and how updates merge, are in session/settings.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, dataclass_transform

from msgspec import UNSET, Meta, Struct, StructMeta, UnsetType

MAX_TEXT = 65_536
MAX_TOOLS = 128
MAX_STRENGTH = 4  # of noise reduction: 0 is the least, 1 the usual, 3 already the most

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Modalities = Annotated[list[Literal["text", "audio"]], Meta(min_length=1, max_length=1)]
TokenLimit = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]
ToolName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Includes = list[Literal["item.input_audio_transcription.logprobs"]]


class _Strict(StructMeta):
    """Makes every object frozen, built by keywords, and closed to unknown fields."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **flags: Any) -> _Strict:
        flags = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True, **flags}
        return super().__new__(cls, name, bases, namespace, **flags)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Part(Struct, metaclass=_Strict, frozen=True):
    """Any object inside a message; unknown fields are refused."""


class Tagged(Part, tag_field="type"):
    """An object whose `type` names its class."""


# --- audio ---------------------------------------------------------------------------------------------------------


class Pcm(Tagged, tag="audio/pcm"):
    """Signed 16-bit little-endian mono."""

    rate: Literal[24_000] = 24_000


class Pcmu(Tagged, tag="audio/pcmu"):
    """G.711 mu-law, 8 kHz."""


class Pcma(Tagged, tag="audio/pcma"):
    """G.711 A-law, 8 kHz."""


AudioFormat = Pcm | Pcmu | Pcma


class NoiseReduction(Part):
    type: Literal["near_field", "far_field"]
    strength: Annotated[float, Meta(ge=0, le=MAX_STRENGTH)] | UnsetType | None = UNSET


class Transcription(Part):
    """Any model name is accepted; the model's own ASR transcribes."""

    model: Name | UnsetType | None = UNSET
    language: Annotated[str, Meta(max_length=32)] | UnsetType | None = UNSET
    prompt: Text | UnsetType | None = UNSET
    delay: Effort | UnsetType | None = UNSET
    keywords: list[Text] | UnsetType | None = UNSET
    languages: list[Name] | UnsetType | None = UNSET


class ServerVad(Tagged, tag="server_vad"):
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    silence_duration_ms: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    idle_timeout_ms: Annotated[int, Meta(ge=5_000, le=30_000)] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(Tagged, tag="semantic_vad"):
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


Detection = ServerVad | SemanticVad


class AudioInput(Part):
    format: AudioFormat | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    turn_detection: Detection | UnsetType | None = UNSET


class VoiceId(Part):
    id: Name


class AudioOutput(Part):
    format: AudioFormat | UnsetType | None = UNSET
    voice: Name | VoiceId | UnsetType | None = UNSET
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] | UnsetType | None = UNSET


class Audio(Part):
    input: AudioInput | UnsetType | None = UNSET
    output: AudioOutput | UnsetType | None = UNSET


# --- tools ---------------------------------------------------------------------------------------------------------


class FunctionTool(Tagged, tag="function"):
    name: ToolName
    description: Text | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET


class McpTools(Part):
    tool_names: list[Name] | UnsetType | None = UNSET
    read_only: bool | UnsetType | None = UNSET


class McpApproval(Part):
    always: McpTools | UnsetType | None = UNSET
    never: McpTools | UnsetType | None = UNSET


class McpTool(Tagged, tag="mcp"):
    server_label: Name
    server_url: Text | UnsetType | None = UNSET
    connector_id: Name | UnsetType | None = UNSET
    tunnel_id: Name | UnsetType | None = UNSET
    authorization: Text | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    allowed_tools: list[Name] | McpTools | UnsetType | None = UNSET
    require_approval: Literal["always", "never"] | McpApproval | UnsetType | None = UNSET
    server_description: Text | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET
    allowed_callers: list[Literal["direct", "programmatic"]] | UnsetType | None = UNSET


Tool = FunctionTool | McpTool
Tools = Annotated[list[Tool], Meta(max_length=MAX_TOOLS)]


class ChosenFunction(Tagged, tag="function"):
    name: ToolName


class ChosenMcp(Tagged, tag="mcp"):
    server_label: Name
    name: Name | UnsetType | None = UNSET


ToolChoice = Literal["none", "auto", "required"] | ChosenFunction | ChosenMcp


# --- the rest ------------------------------------------------------------------------------------------------------


class TokenLimits(Part):
    post_instructions: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET


class RetentionRatio(Part):
    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: TokenLimits | UnsetType | None = UNSET


Truncation = Literal["auto", "disabled"] | RetentionRatio


class TracingConfig(Part):
    workflow_name: Text | UnsetType | None = UNSET
    group_id: Text | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


Tracing = Literal["auto"] | TracingConfig


class Prompt(Part):
    """A stored prompt; this server stores none, and refuses it."""

    id: Name
    version: Name | UnsetType | None = UNSET
    variables: dict[str, Any] | UnsetType | None = UNSET


class Reasoning(Part):
    effort: Effort | UnsetType | None = UNSET


class RealtimeSession(Tagged, tag="realtime"):
    """The settings of a conversation; `model` is accepted and has no effect."""

    model: Name | UnsetType | None = UNSET
    output_modalities: Modalities | UnsetType | None = UNSET
    instructions: Text | UnsetType | None = UNSET
    audio: Audio | UnsetType | None = UNSET
    tools: Tools | UnsetType | None = UNSET
    tool_choice: ToolChoice | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType | None = UNSET
    truncation: Truncation | UnsetType | None = UNSET
    tracing: Tracing | UnsetType | None = UNSET
    prompt: Prompt | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    include: Includes | UnsetType | None = UNSET


class TranscriptionAudio(Part):
    input: AudioInput | UnsetType | None = UNSET


class TranscriptionSession(Tagged, tag="transcription"):
    """The settings of a session that only transcribes."""

    audio: TranscriptionAudio | UnsetType | None = UNSET
    include: Includes | UnsetType | None = UNSET


SessionConfig = RealtimeSession | TranscriptionSession


class RealtimeSessionView(RealtimeSession, tag="realtime"):
    """The whole effective session, as the server shows it."""

    id: str
    object: Literal["realtime.session"] = "realtime.session"
    expires_at: int


class TranscriptionSessionView(TranscriptionSession, tag="transcription"):
    """The same of a session that only transcribes."""

    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    expires_at: int


SessionView = RealtimeSessionView | TranscriptionSessionView
