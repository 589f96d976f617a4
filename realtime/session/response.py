"""One reply that runs or speaks, as replies.py and server_calls.py see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from vivavoce.model.dialogue import Heard, Item, Usage
from vivavoce.realtime.session.response_output import ResponseEmitter
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.state import State
from vivavoce.realtime.wire.response_events import StatusDetails

Reason = Literal["turn_detected", "client_cancelled"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that the server carries out. `hidden`: clients do not know of it."""

    name: str
    arguments: str
    hidden: bool


@dataclass(slots=True)
class ActiveResponse:
    """`running`: the response is not done; `making`: the model is at it. `short`: it was cancelled, and what it has
    said so far is all there will be. `heard`: samples, as told by a client that truncated while the reply was running.
    `by_itself`: the server began it, and no client has asked for it so far. `again`: the model was asked twice.

    Calls: `waiting` for their outcome, by id; `pieces` of hidden ones under way; `answered` since the model last spoke,
    `shown` to clients; `handed`: the client has to act on one before the model can go on. What the model has to know of
    calls for this reply alone is in `extra`, and under the names `shadows` in its context."""

    number: int
    plan: Plan
    ladder: ResponseEmitter
    running: bool = True
    making: bool = True
    pushed: bool = False
    started: bool = False
    short: bool = False
    by_itself: bool = False
    again: bool = False
    heard: int | None = None
    usage: Usage = field(default_factory=Usage)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    pieces: dict[str, list[str]] = field(default_factory=dict)
    answered: int = 0
    shown: bool = False
    handed: bool = False
    extra: list[Item] = field(default_factory=list)
    shadows: list[str] = field(default_factory=list)

    @property
    def item_id(self) -> str:
        return self.plan.spec.id


ANSWERABLE: Final = 40
"""Characters (two to three seconds) after a question mark within which "yes" still answers."""


def asks(said: str) -> bool:
    """Whether the last words of `said` invite an answer."""
    return bool({"?", "？"} & set(said[-ANSWERABLE:]))


def cut_at(reply: ActiveResponse, state: State) -> Heard | None:
    """Where a reply ends that is cut now; None when that is the client's to tell."""
    if not reply.ladder.opened:
        return Heard(reply.item_id, 0, 0)
    if reply.plan.modality == "text":
        return Heard(reply.item_id, 0, len(reply.ladder.text))
    if state.plays:
        return Heard(reply.item_id, *state.playout.heard(reply.number))
    return as_told(reply, state)


def as_told(reply: ActiveResponse, state: State) -> Heard | None:
    """What the client said was heard, while the reply was still running."""
    if reply.heard is None:
        return None
    return Heard(reply.item_id, reply.heard, state.playout.chars_at(reply.number, reply.heard))


def cancelled(reason: Reason) -> StatusDetails:
    """Why a reply was cancelled."""
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
