"""One response: what is known of it, and the life it leads.

                 RESUME                              ┌──────── REPLAY: its end did not arrive
               ┌────────┐                            ▼
    (start) ─► GENERATING ──PAUSE──► PAUSED ──CLOSE──► PLAYING ──END, CUT──► OVER
                   the model           │   response.done is sent;              ▲
                   makes tokens        │   its sound is still played           │
                                       └──END, CUT────────────────────────────┘
                        tools are waited for, or the response is about to close

`TRANSITIONS` is the whole machine, and `ActiveResponse.move` its only setter. responses.py decides which step is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, Literal

from vivavoce.model.dialogue import Heard, Item, Usage
from vivavoce.realtime.session.response_output import ResponseEmitter, Status
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.state import State
from vivavoce.realtime.wire.response_events import StatusDetails

Reason = Literal["turn_detected", "client_cancelled"]


class Phase(Enum):
    """Where a response is in its life."""

    GENERATING = "generating"
    PAUSED = "paused"
    PLAYING = "playing"
    OVER = "over"


class Step(Enum):
    """What happens to a response."""

    PAUSE = "the model has stopped"
    RESUME = "the model is asked to go on"
    CLOSE = "response.done, and sound is left to be played"
    END = "nothing is left to be made or played"
    CUT = "its sound was stopped"
    REPLAY = "the end of its sound did not reach the client, and is played again"


TRANSITIONS: Final[dict[Phase, dict[Step, Phase]]] = {
    Phase.GENERATING: {Step.PAUSE: Phase.PAUSED},
    Phase.PAUSED: {
        Step.RESUME: Phase.GENERATING,
        Step.CLOSE: Phase.PLAYING,
        Step.END: Phase.OVER,
        Step.CUT: Phase.OVER,
    },
    Phase.PLAYING: {Step.END: Phase.OVER, Step.CUT: Phase.OVER},
    Phase.OVER: {Step.REPLAY: Phase.PLAYING},
}
"""Every step that there is; any other is a bug of ours."""


class Sound(Enum):
    """How far a response's sound has come."""

    NONE = "none"
    QUEUED = "queued"
    AUDIBLE = "audible"
    """The client was told that it sounds (`output_audio_buffer.started`)."""


class Origin(Enum):
    """The side that asked for a response."""

    CLIENT = "client"
    SERVER = "server"
    """Begun by the server itself; a client that asks for it now has it already."""


class Handover(IntEnum):
    """What a response's calls mean for its client."""

    HIDDEN = 0
    SHOWN = 1
    """It has seen a call that the server runs: the model goes on in a new response."""
    CLIENT = 2
    """It has to answer a call before the model can go on."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that the server carries out. `hidden`: clients do not know of it."""

    name: str
    arguments: str
    hidden: bool


@dataclass(slots=True)
class Calls:
    """Calls of one response: `waiting` for their outcome, by id; `pieces` of hidden ones under way; `answered` since
    the model last spoke. Items that the model has to know for this response alone are in `extra`, and under the names
    `shadows` in its context."""

    waiting: dict[str, PendingCall] = field(default_factory=dict)
    pieces: dict[str, list[str]] = field(default_factory=dict)
    answered: int = 0
    handover: Handover = Handover.HIDDEN
    extra: list[Item] = field(default_factory=list)
    shadows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ActiveResponse:
    """A response that is being made or played. `attempts`: times that the model was asked from the beginning. `heard`:
    samples, as told by a client that truncated while the response was being made. `status`: how it closed."""

    number: int
    plan: Plan
    emitter: ResponseEmitter
    origin: Origin = Origin.CLIENT
    phase: Phase = Phase.GENERATING
    sound: Sound = Sound.NONE
    attempts: int = 1
    heard: int | None = None
    status: Status | None = None
    usage: Usage = field(default_factory=Usage)
    calls: Calls = field(default_factory=Calls)

    def move(self, step: Step) -> None:
        """The only place where a phase changes."""
        following = TRANSITIONS[self.phase].get(step)
        assert following is not None, f"a response cannot {step.name} while it is {self.phase.name}"
        self.phase = following

    def pause(self) -> bool:
        """The model makes nothing more for now; False where it had stopped already."""
        generating = self.phase is Phase.GENERATING
        if generating:
            self.move(Step.PAUSE)
        return generating

    @property
    def open(self) -> bool:
        """`response.done` has not been sent."""
        return self.phase in (Phase.GENERATING, Phase.PAUSED)

    @property
    def item_id(self) -> str:
        return self.plan.spec.id

    def cut_at(self, state: State) -> Heard | None:
        """Where it ends when it is cut now; None when that is the client's to tell."""
        if not self.emitter.opened:
            return Heard(self.item_id, 0, 0)
        if self.plan.modality == "text":
            return Heard(self.item_id, 0, len(self.emitter.text))
        if state.plays:
            return Heard(self.item_id, *state.ledger.heard(self.number))
        return self.truncated_at(state)

    def truncated_at(self, state: State) -> Heard | None:
        """Where the client truncated it, while it was being made."""
        if self.heard is None:
            return None
        return Heard(self.item_id, self.heard, state.ledger.chars_at(self.number, self.heard))


ANSWERABLE: Final = 40
"""Characters (two to three seconds) after a question mark within which "yes" still answers."""


def asks(said: str) -> bool:
    """Whether the last words of `said` invite an answer."""
    return bool({"?", "？"} & set(said[-ANSWERABLE:]))


def cancelled(reason: Reason) -> StatusDetails:
    """Why a response was cancelled."""
    return StatusDetails(type="cancelled", reason=reason)


def total(first: Usage, second: Usage) -> Usage:
    """The tokens of two runs of the model."""
    return Usage(
        first.input_text + second.input_text,
        first.input_audio + second.input_audio,
        first.input_image + second.input_image,
        first.cached + second.cached,
        first.output_text + second.output_text,
        first.output_audio + second.output_audio,
    )
