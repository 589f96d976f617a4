"""What can happen inside a call: facts that reach the session core, and the actions it answers with.

Facts come from six sides and meet in one inbox, in one order:

    client        messages of the protocol                     (protocol/messages.py: ClientEvent)
    turns/        TurnStarted/Sound/Ended/Idle  Overlapped     what the user does with the floor
    model         Transcript  Replied  ReplyFailed             what the model heard and says
    playout       PlayoutStarted  PlayoutEnded                 what reached the user's ear
    phones        Keys (transports)                            what the caller types
    tools/        ToolsListed  ToolAnswered  ToolsLate  Rang   what became of the server's own tools

Sample positions count the session's input clock: `SAMPLE_RATE` samples per second since the call's first sound.

How the floor and the front end are set, as the protocol's session settings say it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import Heard, Item, ReplySpec, ReplyToken, Transcript
from vivavoce.realtime.transports import Keys
from vivavoce.realtime.wire import ClientEvent, ServerEvent

Loudness = Literal["full", "ducked", "held"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an MCP server is reached. What it is told in secret appears in no `repr`, so in no log."""

    url: str
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server describes it; `schema` is the JSON schema of its arguments, `cue` that of a model's tool."""

    name: str
    description: str
    schema: dict[str, Any]
    annotations: dict[str, Any] | None = None
    cue: str = ""

    @property
    def read_only(self) -> bool:
        """It says of itself that it changes nothing."""
        return bool(self.annotations and self.annotations.get("readOnlyHint"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool said, as text for the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A tool did not work. `code` is the number of an HTTP or JSON-RPC error; `message` may be shown."""

    kind: Literal["protocol_error", "tool_execution_error", "http_error"]
    message: str
    code: int = 0


Outcome = Answer | Failure


# --- facts: from the floor ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user took the floor; `start` is the first sample of the turn, prefix padding included."""

    start: int


@dataclass(frozen=True, slots=True)
class TurnSound:
    """Sound of the open turn, in order and without gaps. `voiced`: the VAD takes it for speech."""

    samples: Samples
    voiced: bool


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The user gave the floor back; `end` is the sample at which the turn ends, after `silence` samples of silence."""

    end: int
    silence: int = 0


@dataclass(frozen=True, slots=True)
class TurnIdle:
    """Nobody has spoken for as long as `idle_timeout_ms` allows; the silence spans `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Something is heard over the assistant, whose voice had better be `loudness` from now on: "ducked" or "held" while
    it is judged, "full" when it was no interruption. (`TurnStarted` says that it was one.)"""

    loudness: Loudness


# --- facts: from the model ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replied:
    """The next token of reply `number`."""

    number: int
    token: ReplyToken


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """Reply `number` ended with an error, fit to be shown. "passing": worth another try; "hung": to be stopped."""

    number: int
    message: str
    cause: Literal["error", "passing", "hung"] = "error"


# --- facts: from the playout -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first sample of reply `number` left for the user's ear."""

    number: int


@dataclass(frozen=True, slots=True)
class PlayoutEnded:
    """The last sample of reply `number` has been played."""

    number: int


# --- facts: from the server's tools ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """A server was asked which tools it has (`ListTools` of the same item)."""

    item_id: str
    tools: tuple[ListedTool, ...] | Failure


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """The call `call_id` of reply `number` has come to its end."""

    number: int
    call_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ToolsLate:
    """Reply `number` has waited for its calls so long that the user may take the line for dead."""

    number: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Something that the assistant has to say by itself; `notice` tells the model what has happened."""

    notice: str


ToolFact = ToolsListed | ToolAnswered | ToolsLate | TimerFired

Fact = (
    ClientEvent
    | TurnStarted
    | TurnSound
    | TurnEnded
    | TurnIdle
    | Overlapped
    | Transcript
    | Replied
    | ReplyFailed
    | PlayoutStarted
    | PlayoutEnded
    | Keys
    | ToolFact
)


# --- actions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the client."""

    event: ServerEvent


@dataclass(frozen=True, slots=True)
class Listen:
    """Sound that the client appended by message: it goes the way of the microphone."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Hear:
    """The model hears more of the open turn."""

    samples: Samples
    voiced: bool


@dataclass(frozen=True, slots=True)
class CloseTurn:
    """The open turn becomes the conversation's item `item_id`; `by_client`: the floor has to let go of it too."""

    item_id: str
    by_client: bool


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
    """A reply like this will follow the open turn by itself, unless something comes between."""

    spec: ReplySpec


@dataclass(frozen=True, slots=True)
class StopReply:
    """Generation of reply `number` is cancelled. (Its playout has been cut already, where it has to be.)"""

    number: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The model's context ends, for this reply, where the user stopped hearing it."""

    heard: Heard


@dataclass(frozen=True, slots=True)
class Retune:
    """The session's settings of the floor changed: None stands for manual turns."""

    detection: TurnDetection | None


@dataclass(frozen=True, slots=True)
class Clean:
    """What the session wants done about noise changed: None for nothing."""

    noise: Noise | None


@dataclass(frozen=True, slots=True)
class ListTools:
    """The tools of a server are to be listed, for the item `item_id`."""

    item_id: str
    address: Address


@dataclass(frozen=True, slots=True)
class CallTool:
    """Reply `number` waits for this call; without an `address` the tool is built in. `arguments` is JSON text."""

    number: int
    call_id: str
    address: Address | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class StopTools:
    """The calls of reply `number` are cancelled."""

    number: int


ToolAction = ListTools | CallTool | StopTools
Action = (
    Send
    | Listen
    | Hear
    | CloseTurn
    | DropTurn
    | Read
    | Forget
    | Anticipate
    | StartReply
    | StopReply
    | Cut
    | Retune
    | Clean
    | ToolAction
)


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
    """The protocol's `noise_reduction`: where the microphone is, and how much is to be done (1 is the usual)."""

    kind: Literal["near_field", "far_field"]
    strength: float = 1.0
