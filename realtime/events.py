"""Facts that reach the session core of a call, and the actions it answers with.

Facts come from six sides and meet in one inbox, in one order:

    client        messages of the protocol                             wire: ClientEvent
    turns/        TurnStarted  TurnEnded  TurnIdle  Overlapped         the user takes and gives back the floor
    model         Transcript  Replied  ReplyFailed                     recognized words; tokens of a reply
    playout       PlayoutStarted  PlayoutEnded  PlayoutCut             sound that reached the user
    phones        Keys (transports)                                    keys of the telephone
    tools/        ToolsListed  ToolAnswered  ToolsLate  TimerFired     tools that the server runs

Actions go to five sides: the client (Send), the model (CloseTurn ... Cut), the playout (Play ... SetLoudness), the
floor and the front end (Retune, Clean), the tools (ListTools, CallTool, StopTools). They are carried out in their
order, before the next fact is received.

The sound of a turn (`TurnSound`) is no fact: the pipeline hands it to the model, past the session.

Sample positions count the session's input clock: `SAMPLE_RATE` samples per second since the call's first sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import AudioToken, Heard, Item, ReplySpec, ReplyToken, Transcript
from vivavoce.realtime.transports import Keys
from vivavoce.realtime.wire import ClientEvent, ServerEvent

Loudness = Literal["full", "ducked", "held"]
"""Of the assistant's speech while the user seems to speak over it: -18 dB when ducked, paused when held."""


# --- settings of the floor and the front end, as the protocol has them ---------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Settings of the floor, from the protocol's `turn_detection`. Milliseconds of audio time."""

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


@dataclass(frozen=True, slots=True)
class Noise:
    """The protocol's `noise_reduction`: where the microphone is, and its strength (usually 1)."""

    kind: Literal["near_field", "far_field"]
    strength: float = 1.0


# --- values of the server's tools ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an MCP server. Its credentials appear in no `repr`, so in no log."""

    url: str
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server describes it. `schema`: the JSON schema of its arguments. `cue`: see `dialogue.Tool`."""

    name: str
    description: str
    schema: dict[str, Any]
    annotations: dict[str, Any] | None = None
    cue: str = ""

    @property
    def read_only(self) -> bool:
        """Whether its annotations say that it changes nothing."""
        return bool(self.annotations and self.annotations.get("readOnlyHint"))


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a tool, as text for the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A tool failed. `code`: of an HTTP or JSON-RPC error. `message`: may be shown."""

    kind: Literal["protocol_error", "tool_execution_error", "http_error"]
    message: str
    code: int = 0


Outcome = Answer | Failure


# --- facts: from the floor ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user took the floor. `start`: the first sample of the turn, prefix padding included."""

    start: int


@dataclass(frozen=True, slots=True)
class TurnSound:
    """Sound of the open turn, in order and without gaps. `voiced`: the VAD detects speech.

    It goes from the floor to the model; the session core only keeps it (`Session.keep`)."""

    samples: Samples
    voiced: bool


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The user released the floor. `end`: the sample at which the turn ends, after `silence` samples of silence."""

    end: int
    silence: int = 0


@dataclass(frozen=True, slots=True)
class TurnIdle:
    """Neither side has spoken for `idle_timeout_ms`; the silence spans `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Sound over the assistant's speech: sets playback to `loudness`, "ducked" or "held" while the sound is classified,
    "full" when it was no interruption. (`TurnStarted` reports an interruption.)"""

    loudness: Loudness


# --- facts: from the model ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replied:
    """The next token of reply `number`."""

    number: int
    token: ReplyToken


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """Reply `number` ended with an error, which may be shown. "passing": is tried again; "hung": has to be stopped."""

    number: int
    message: str
    cause: Literal["error", "passing", "hung"] = "error"


# --- facts: from the playout -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first sample of reply `number` left for the user."""

    number: int


@dataclass(frozen=True, slots=True)
class PlayoutEnded:
    """The last sample of reply `number` has been played."""

    number: int


@dataclass(frozen=True, slots=True)
class Position:
    """The part of reply `number` that was played: `samples` of its sound, `chars` of its text."""

    number: int
    samples: int
    chars: int


@dataclass(frozen=True, slots=True)
class PlayoutCut:
    """Answers `CutPlayout`: where each of the replies ends for the user."""

    positions: tuple[Position, ...]


# --- facts: from the server's tools ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """A server has listed its tools, or failed to (`ListTools` of the same item)."""

    item_id: str
    tools: tuple[ListedTool, ...] | Failure


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """The call `call_id` of reply `number` has its outcome."""

    number: int
    call_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ToolsLate:
    """Reply `number` has waited long for its calls, in silence."""

    number: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer fired. `notice`: is added to the model's context, and the assistant says it."""

    notice: str


ToolFact = ToolsListed | ToolAnswered | ToolsLate | TimerFired

PlayoutFact = PlayoutStarted | PlayoutEnded | PlayoutCut

Fact = (
    ClientEvent
    | TurnStarted
    | TurnEnded
    | TurnIdle
    | Overlapped
    | Transcript
    | Replied
    | ReplyFailed
    | PlayoutFact
    | Keys
    | ToolFact
)


# --- actions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """The client gets an event."""

    event: ServerEvent


@dataclass(frozen=True, slots=True)
class CloseTurn:
    """The open turn becomes the item `item_id` of the conversation, after `rest`, sound that the model does not have
    yet. `by_client`: the floor releases it, too."""

    item_id: str
    by_client: bool
    rest: TurnSound | None = None


@dataclass(frozen=True, slots=True)
class DropTurn:
    """The open turn is forgotten, by the floor and by the model."""


@dataclass(frozen=True, slots=True)
class Read:
    """An item enters the model's context, behind the item `after` (None: at the end, "root": at the front)."""

    item: Item
    after: str | None


@dataclass(frozen=True, slots=True)
class Forget:
    """An item leaves the model's context."""

    item_id: str


@dataclass(frozen=True, slots=True)
class StartReply:
    """The model begins reply `number`."""

    number: int
    spec: ReplySpec


@dataclass(frozen=True, slots=True)
class Anticipate:
    """A reply like this will probably follow the open turn by itself."""

    spec: ReplySpec


@dataclass(frozen=True, slots=True)
class StopReply:
    """Generation of reply `number` is cancelled. (`CutPlayout` comes first, where its sound has to stop.)"""

    number: int


@dataclass(frozen=True, slots=True)
class Play:
    """More sound of reply `number` is queued for the loudspeaker."""

    number: int
    token: AudioToken


@dataclass(frozen=True, slots=True)
class FinishPlayout:
    """The sound of reply `number` is complete. `asks`: it ends in a question."""

    number: int
    asks: bool


@dataclass(frozen=True, slots=True)
class CutPlayout:
    """The sound of these replies stops at once, and sound that the far end has not played yet is recalled. `PlayoutCut`
    answers, before anything else is received."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DropPlayout:
    """The rest of reply `number` is not played: the client has stopped it, and reported how much was heard."""

    number: int


@dataclass(frozen=True, slots=True)
class SetLoudness:
    """The assistant's speech is ducked, held, or full again."""

    loudness: Loudness


@dataclass(frozen=True, slots=True)
class Cut:
    """The model's context ends, for this reply, where the user stopped hearing it."""

    heard: Heard


@dataclass(frozen=True, slots=True)
class Retune:
    """The floor gets new settings; None for manual turns."""

    detection: TurnDetection | None


@dataclass(frozen=True, slots=True)
class Clean:
    """The front end gets a new noise reduction; None for none."""

    noise: Noise | None


@dataclass(frozen=True, slots=True)
class ListTools:
    """A server lists its tools, for the item `item_id`."""

    item_id: str
    address: Address


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool is called, for reply `number`; without an `address` it is built in. `arguments`: JSON text."""

    number: int
    call_id: str
    address: Address | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class StopTools:
    """The calls of reply `number` are cancelled."""

    number: int


PlayoutAction = Play | FinishPlayout | CutPlayout | DropPlayout | SetLoudness
ToolAction = ListTools | CallTool | StopTools
Action = (
    Send
    | CloseTurn
    | DropTurn
    | Read
    | Forget
    | Anticipate
    | StartReply
    | StopReply
    | Cut
    | PlayoutAction
    | Retune
    | Clean
    | ToolAction
)
