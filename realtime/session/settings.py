"""The settings in force: how updates merge into them, and the view that clients get.

    Defaults ──begin──► Settings ──merge(config)──► Settings ──view──► session.created / session.updated

`Settings` is a value: a refused update leaves the old one in place, untouched. Left out means keep, null means off or
back to the default; `audio`, `audio.input` and `audio.output` merge field by field, everything else is
replaced as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from msgspec import UNSET, UnsetType, structs

from vivavoce.realtime.config.addresses import shown
from vivavoce.realtime.events import Clean, Noise, Retune, TurnDetection
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import (
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    Detection,
    Includes,
    McpTool,
    NoiseReduction,
    Pcm,
    RealtimeSession,
    RealtimeSessionView,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionView,
    Tool,
    ToolChoice,
    Tracing,
    Transcription,
    TranscriptionAudio,
    TranscriptionSession,
    TranscriptionSessionView,
    VoiceId,
)

T = TypeVar("T")

PCM = Pcm()

Modality = Literal["audio", "text"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings of a session whose client has sent none."""

    model: str
    instructions: str
    voice: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force. A transcription session keeps the defaults of the fields that it does not have."""

    kind: Literal["realtime", "transcription"]
    defaults: Defaults
    instructions: str
    voice: str | VoiceId
    detection: Detection | None
    input_format: AudioFormat = PCM
    output_format: AudioFormat = PCM
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    speed: float = 1.0
    modality: Modality = "audio"
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | Literal["inf"] = "inf"
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    tracing: Tracing | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None
    include: Includes | None = None

    @property
    def voice_name(self) -> str:
        """The voice's name, which the client may send as an id."""
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice

    @property
    def creates_response(self) -> bool:
        """Whether a response follows the end of a turn by itself."""
        return self.kind == "realtime" and self.detection is not None and self.detection.create_response is True

    @property
    def interrupts(self) -> bool:
        """Whether the user's speech cuts the assistant's."""
        return self.kind == "realtime" and self.detection is not None and self.detection.interrupt_response is True


def begin(defaults: Defaults, config: SessionConfig) -> Settings:
    """The settings of a new session, whose client sent `config` (`RealtimeSession()` for none). Raises `Refused`."""
    kind: Literal["realtime", "transcription"] = "realtime" if isinstance(config, RealtimeSession) else "transcription"
    plain = Settings(kind, defaults, defaults.instructions, defaults.voice, _complete(ServerVad()))
    return merge(plain, config)


def merge(now: Settings, config: SessionConfig) -> Settings:
    """The settings `now` with an update merged in. Raises `Refused`."""
    if isinstance(config, TranscriptionSession):
        if now.kind != "transcription":
            raise _other_kind(now.kind)
        listening = config.audio.input if config.audio else None
        return replace(_merge_input(now, listening or AudioInput()), include=pick(config.include, now.include, None))
    if now.kind != "realtime":
        raise _other_kind(now.kind)
    if config.prompt:
        raise refuse_prompt("session.prompt")
    audio = config.audio or Audio()
    now = _merge_output(_merge_input(now, audio.input or AudioInput()), audio.output or AudioOutput())
    current: list[Modality] = [now.modality]
    modalities: list[Modality] = pick(config.output_modalities, current, ["audio"])
    return replace(
        now,
        modality=modalities[0],
        instructions=pick(config.instructions, now.instructions, ""),
        tools=tuple(pick(config.tools, now.tools, ())),
        tool_choice=pick(config.tool_choice, now.tool_choice, "auto"),
        max_output_tokens=pick(config.max_output_tokens, now.max_output_tokens, "inf"),
        truncation=pick(config.truncation, now.truncation, "auto"),
        tracing=now.tracing or pick(config.tracing, None, None),  # once on, it cannot be changed
        reasoning=pick(config.reasoning, now.reasoning, None),
        parallel_tool_calls=pick(config.parallel_tool_calls, now.parallel_tool_calls, None),
        include=pick(config.include, now.include, None),
    )


def view(now: Settings, session_id: str, expires_at: int) -> SessionView:
    """The whole session, as clients see it. `expires_at`: unix seconds."""
    listening = AudioInput(
        format=now.input_format,
        transcription=now.transcription,
        noise_reduction=now.noise_reduction,
        turn_detection=now.detection,
    )
    if now.kind == "transcription":
        return TranscriptionSessionView(
            id=session_id, expires_at=expires_at, audio=TranscriptionAudio(input=listening), include=now.include
        )
    speaking = AudioOutput(format=now.output_format, voice=now.voice, speed=now.speed)
    return RealtimeSessionView(
        id=session_id,
        expires_at=expires_at,
        model=now.defaults.model,
        output_modalities=[now.modality],
        instructions=now.instructions,
        audio=Audio(input=listening, output=speaking),
        tools=[without_secrets(tool) for tool in now.tools],
        tool_choice=now.tool_choice,
        max_output_tokens=now.max_output_tokens,
        truncation=now.truncation,
        tracing=now.tracing,
        prompt=None,
        reasoning=now.reasoning or UNSET,
        parallel_tool_calls=UNSET if now.parallel_tool_calls is None else now.parallel_tool_calls,
        include=now.include,
    )


def retunings(before: Settings | None, after: Settings) -> list[Retune | Clean]:
    """The actions that bring floor and front end in line with new settings. `before`: None for a new session, whose
    front end cleans nothing yet."""
    changes: list[Retune | Clean] = []
    if before is None or floor(after) != floor(before):
        changes.append(Retune(floor(after)))
    if noise(after) != (noise(before) if before else None):
        changes.append(Clean(noise(after)))
    return changes


def floor(settings: Settings) -> TurnDetection | None:
    """The settings of the floor."""
    match settings.detection:
        case None:
            return None
        case SemanticVad(eagerness=eagerness):
            return TurnDetection(kind="semantic_vad", eagerness=eagerness or "auto")
        case vad:
            plain = TurnDetection()
            return TurnDetection(
                threshold=plain.threshold if vad.threshold is None else vad.threshold,
                prefix_padding_ms=vad.prefix_padding_ms or 0,
                silence_duration_ms=vad.silence_duration_ms or 0,
                idle_timeout_ms=vad.idle_timeout_ms,
            )


def noise(settings: Settings) -> Noise | None:
    """The noise reduction of the front end."""
    reduction = settings.noise_reduction
    if reduction is None:
        return None
    return Noise(reduction.type, reduction.strength if isinstance(reduction.strength, float | int) else 1.0)


def refuse_prompt(path: str) -> Refused:
    """The error for a stored prompt: this server stores none."""
    return Refused("unsupported_parameter", "Stored prompts are not supported; send 'instructions'.", path)


def without_secrets(tool: Tool) -> Tool:
    """A tool as clients see it: without the credentials for an MCP server."""
    if not isinstance(tool, McpTool):
        return tool
    url = shown(tool.server_url) if tool.server_url else UNSET
    return structs.replace(tool, server_url=url, authorization=UNSET, headers=UNSET)


def pick(update: T | UnsetType | None, now: T, default: T) -> T:
    """Merges one field: left out keeps, null resets."""
    if isinstance(update, UnsetType):
        return now
    return default if update is None else update


def _merge_input(now: Settings, listening: AudioInput) -> Settings:
    detection = pick(listening.turn_detection, now.detection, None)
    return replace(
        now,
        input_format=pick(listening.format, now.input_format, PCM),
        transcription=_without_nulls(pick(listening.transcription, now.transcription, None)),
        noise_reduction=_keep_strength(pick(listening.noise_reduction, now.noise_reduction, None), now.noise_reduction),
        detection=_complete(detection) if detection else None,
    )


def _merge_output(now: Settings, speaking: AudioOutput) -> Settings:
    return replace(
        now,
        output_format=pick(speaking.format, now.output_format, PCM),
        voice=pick(speaking.voice, now.voice, now.defaults.voice),
        speed=pick(speaking.speed, now.speed, 1.0),
    )


def _complete(detection: Detection) -> Detection:
    """Fills in every default: clients read `interrupt_response` from the session."""
    create, interrupt = detection.create_response is not False, detection.interrupt_response is not False
    if isinstance(detection, SemanticVad):
        return SemanticVad(
            eagerness=detection.eagerness or "auto", create_response=create, interrupt_response=interrupt
        )
    return ServerVad(
        threshold=0.5 if detection.threshold is None else detection.threshold,
        prefix_padding_ms=300 if detection.prefix_padding_ms is None else detection.prefix_padding_ms,
        silence_duration_ms=500 if detection.silence_duration_ms is None else detection.silence_duration_ms,
        idle_timeout_ms=detection.idle_timeout_ms,
        create_response=create,
        interrupt_response=interrupt,
    )


def _without_nulls(given: Transcription | None) -> Transcription | None:
    """Keeps the given fields only: one client's parser fails on any other key, even if null."""
    if given is None:
        return None
    return structs.replace(given, **{k: UNSET for k, v in structs.asdict(given).items() if v is None})


def _keep_strength(given: NoiseReduction | None, before: NoiseReduction | None) -> NoiseReduction | None:
    if given is None or given.strength is not UNSET:
        return given
    return structs.replace(given, strength=before.strength if before else UNSET)


def _other_kind(kind: str) -> Refused:
    return Refused("invalid_value", f"The type of a session cannot change: it is '{kind}'.", "session.type")
