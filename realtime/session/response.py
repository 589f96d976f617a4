"""One response: its state, and its life as a table of phases.

                 RESUME                              ┌──────── REPLAY: its end did not arrive
               ┌────────┐                            ▼
    (start) ─► GENERATING ──PAUSE──► PAUSED ──CLOSE──► PLAYING ──END, CUT──► OVER
                   the model           │   response.done is sent;              ▲
                   generates           │   its sound is still played           │
                                       └──END, CUT────────────────────────────┘
                        waits for tools, or is about to close

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
    """An event in the life of a response."""

    PAUSE = "the model has stopped"
    RESUME = "the model goes on"
    CLOSE = "response.done is sent, and sound is left to play"
    END = "nothing is left to generate or play"
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
"""All steps; any other is a bug."""


class Sound(Enum):
    """The progress of a response's sound."""

    NONE = "none"
    QUEUED = "queued"
    AUDIBLE = "audible"
    """`output_audio_buffer.started` was sent."""


class Origin(Enum):
    """The side that requested a response."""

    CLIENT = "client"
    SERVER = "server"
    """Begun by the server itself; a client that requests it now has it already."""


class Handover(IntEnum):
    """What follows a response's calls, for its client."""

    HIDDEN = 0
    SHOWN = 1
    """The client has seen a call that the server runs: the model goes on in a new response."""
    CLIENT = 2
    """The client has to answer a call before the model can go on."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that the server runs. `hidden`: clients do not see it."""

    name: str
    arguments: str
    hidden: bool


@dataclass(slots=True)
class Calls:
    """Calls of one response.

    `waiting`: for their outcome, by id. `pieces`: arguments of hidden calls that are being generated. `answered`:
    outcomes since the model last spoke. `extra`, `shadows`: items that the model gets for this response alone, and
    their ids in its context."""

    waiting: dict[str, PendingCall] = field(default_factory=dict)
    pieces: dict[str, list[str]] = field(default_factory=dict)
    answered: int = 0
    handover: Handover = Handover.HIDDEN
    extra: list[Item] = field(default_factory=list)
    shadows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ActiveResponse:
    """A response that is being generated or played. `attempts`: of the model, from the beginning. `heard`: samples, as
    reported by a client that truncated it while it was generated. `status`: how it closed."""

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
        """Changes the phase; the only place that does."""
        following = TRANSITIONS[self.phase].get(step)
        assert following is not None, f"a response cannot {step.name} while it is {self.phase.name}"
        self.phase = following

    def pause(self) -> bool:
        """The model stops for now. Returns False where it had stopped already."""
        generating = self.phase is Phase.GENERATING
        if generating:
            self.move(Step.PAUSE)
        return generating

    @property
    def open(self) -> bool:
        """Whether `response.done` has not been sent yet."""
        return self.phase in (Phase.GENERATING, Phase.PAUSED)

    @property
    def item_id(self) -> str:
        return self.plan.spec.id

    def cut_at(self, state: State) -> Heard | None:
        """Where it ends when it is cut now; None when the client will report that."""
        if not self.emitter.opened:
            return Heard(self.item_id, 0, 0)
        if self.plan.modality == "text":
            return Heard(self.item_id, 0, len(self.emitter.text))
        if state.plays:
            return Heard(self.item_id, *state.ledger.heard(self.number))
        return self.truncated_at(state)

    def truncated_at(self, state: State) -> Heard | None:
        """Where the client truncated it, while it was generated; None where it did not."""
        if self.heard is None:
            return None
        return Heard(self.item_id, self.heard, state.ledger.chars_at(self.number, self.heard))


ANSWERABLE: Final = 40
"""Characters (two to three seconds) after a question mark within which "yes" still answers."""


def invites_answer(text: str) -> bool:
    """Whether the last words of `text` are a question."""
    return bool({"?", "？"} & set(text[-ANSWERABLE:]))


def cancelled(reason: Reason) -> StatusDetails:
    """The details of a cancelled response."""
    return StatusDetails(type="cancelled", reason=reason)


def total(first: Usage, second: Usage) -> Usage:
    """The sum of the tokens of two runs of the model."""
    return Usage(
        first.input_text + second.input_text,
        first.input_audio + second.input_audio,
        first.input_image + second.input_image,
        first.cached + second.cached,
        first.output_text + second.output_text,
        first.output_audio + second.output_audio,
    )
