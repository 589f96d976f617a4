"""A session core with both its ends in hand: the test is the client, the floor, the model and the loudspeaker.

Every event the session sends is encoded, decoded, and held against the types of the `openai` package.
"""

from __future__ import annotations

import itertools
import json
import typing
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from vivavoce.codecs.audio import Samples
from vivavoce.model.abilities import Abilities
from vivavoce.model.dialogue import AudioToken, Done, TextToken, ToolCall, WordEnd
from vivavoce.realtime.audio.playout import Playout, PlayoutFull
from vivavoce.realtime.events import (
    Action,
    CloseTurn,
    Fact,
    Play,
    PlayoutAction,
    PlayoutEnded,
    PlayoutStarted,
    Replied,
    ReplyFailed,
    Send,
    TurnEnded,
    TurnSound,
    TurnStarted,
)
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import Pixels
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.session.rate_limit import Bucket
from vivavoce.realtime.session.session import Options, Session
from vivavoce.realtime.session.settings import Defaults, begin
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.client_events import AudioAppend
from vivavoce.realtime.wire.errors import WireError
from vivavoce.realtime.wire.items import InputImage
from vivavoce.realtime.wire.session_config import RealtimeSession, SessionConfig

MS = 24  # samples a millisecond


@cache
def official() -> dict[str, Any]:
    """The official client's classes of server events, by `type`. (They take a second to import.)"""
    from openai.types import realtime

    union = typing.get_args(typing.get_args(realtime.RealtimeServerEvent)[0])
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in union}


@cache
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(official()[kind])


def accepted(text: bytes) -> dict[str, Any]:
    """An event as the official client reads it: right types, and no field at the top which it does not know."""
    event: dict[str, Any] = json.loads(text)
    if not event["type"].startswith("vivavoce."):
        read = _adapter(event["type"]).validate_json(text, strict=True)
        assert not read.model_extra, read.model_extra
    return event


def sound(ms: int) -> Samples:
    return np.full(ms * MS, 0.25, np.float32)


def pixel(image: InputImage, path: str) -> Pixels:
    """Implements `Decode`: sees one black pixel."""
    return np.zeros((1, 1, 3), np.uint8)


def carried_out(session: Session, playout: Playout, actions: Iterable[Action], now: float) -> list[Action]:
    """Carries out the actions on the playout, as the pipeline does; the others, with those that follow from a cut."""
    others: list[Action] = []
    for action in actions:
        if not isinstance(action, PlayoutAction):
            others.append(action)
            continue
        try:
            answer: Fact | None = playout.receive(action)
        except PlayoutFull as full:
            assert isinstance(action, Play)
            answer = ReplyFailed(action.number, str(full), "hung")
        if answer is not None:
            others += carried_out(session, playout, session.receive(answer, now), now)
    return others


class SessionLine:
    """One session with its playout. `told` is every event so far, `done` every other action, in order; the playout's
    are carried out. `heard`: sound that the model is given, `appended`: sound on its way to the floor."""

    def __init__(
        self,
        plays: bool = False,
        config: SessionConfig | None = None,
        extras: bool = True,
        responses: Bucket | None = None,
        tools: ToolOptions | None = None,
        apology: str = "",
        abilities: Abilities | None = None,
    ) -> None:
        count = itertools.count(1)
        self.playout = Playout()
        settings = begin(Defaults("viva", "Be kind.", "joe"), config or RealtimeSession())
        options = Options(
            settings,
            1_900_000_000,
            pixel,
            extras,
            responses,
            tools or ToolOptions(),
            apology,
            abilities=abilities or Abilities(),
        )
        self.session = Session(options, self.playout, plays, Ids(lambda: str(next(count))))
        self.told: list[dict[str, Any]] = []
        self.done: list[Any] = []
        self.batch: list[Any] = []
        self.heard: list[Samples] = []
        self.appended: list[Samples] = []
        self.now = 0.0
        self._take(self.session.open())

    # --- the client ---

    def tell(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Sends a client event; returns what the server says to it."""
        return self.tell_raw(json.dumps({"type": kind, **fields}))

    def tell_raw(self, text: str | bytes) -> list[dict[str, Any]]:
        message = wire.parse(text)
        if isinstance(message, WireError):
            return self._take(self.session.reject(message))
        if isinstance(message, AudioAppend):
            appended = self.session.decode(message)
            if isinstance(appended, WireError):
                return self._take(self.session.reject(appended))
            self.appended.append(appended)
            return []
        if error := self.session.check(message):
            return self._take(self.session.reject(error))
        return self.fact(message)

    def keep(self, samples: Samples, voiced: bool = True) -> bool:
        """Sound of the open turn comes from the floor; False when no turn is open."""
        kept = self.session.keep(TurnSound(samples, voiced))
        if kept:
            self.heard.append(samples)
        return kept

    def refused(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Sends a client event that must be refused; returns the inside of the error."""
        told = self.tell(kind, event_id="mine", **fields)
        assert [event["type"] for event in told] == ["error"], told
        error: dict[str, Any] = told[0]["error"]
        assert set(error) == {"type", "code", "message", "param", "event_id"}
        assert error["event_id"] == "mine"
        assert error["type"] == "invalid_request_error"
        return error

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.tell("session.update", session={"type": "realtime", **session})

    # --- the others ---

    def fact(self, fact: Fact) -> list[dict[str, Any]]:
        return self._take(carried_out(self.session, self.playout, self.session.receive(fact, self.now), self.now))

    def turn(self, start_ms: int = 0, end_ms: int = 500) -> list[dict[str, Any]]:
        """The user speaks, from start to end."""
        told = self.fact(TurnStarted(start_ms * MS))
        self.keep(sound(end_ms - start_ms))
        return told + self.fact(TurnEnded(end_ms * MS))

    def words(self, number: int, text: str) -> list[dict[str, Any]]:
        return self.fact(Replied(number, TextToken(text)))

    def voice(self, number: int, ms: int, *words: tuple[int, int]) -> list[dict[str, Any]]:
        """Sound of a reply; `words` are (characters, milliseconds) at which they end."""
        ends = tuple(WordEnd(chars, end * MS) for chars, end in words)
        return self.fact(Replied(number, AudioToken(sound(ms), ends)))

    def call(self, number: int, arguments: str, final: bool = True, call_id: str = "call_1") -> list[dict[str, Any]]:
        return self.fact(Replied(number, ToolCall(call_id, "look", arguments, final)))

    def finish(self, number: int, **done: Any) -> list[dict[str, Any]]:
        return self.fact(Replied(number, Done(**{"reason": "stop", **done})))

    def play(self, ms: int) -> list[dict[str, Any]]:
        """Time passes at the loudspeaker."""
        frame = self.playout.take(ms * MS)
        told = [event for number in frame.started for event in self.fact(PlayoutStarted(number))]
        return told + [event for number in frame.ended for event in self.fact(PlayoutEnded(number))]

    # --- looking back ---

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.told if event["type"] == kind]

    def did(self, kind: type[Action]) -> list[Any]:
        return [action for action in self.done if isinstance(action, kind)]

    def _take(self, actions: list[Action]) -> list[dict[str, Any]]:
        self.batch = actions
        told = [accepted(wire.encode(action.event)) for action in actions if isinstance(action, Send)]
        self.done += [action for action in actions if not isinstance(action, Send)]
        self.heard += [action.rest.samples for action in actions if isinstance(action, CloseTurn) and action.rest]
        self.told += told
        return told


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in told]


def answered(plays: bool) -> SessionLine:
    """A reply is being made and heard: "One two three", half a second a word, 700 ms of it played."""
    line = SessionLine(plays)
    line.turn()
    line.words(1, "One two three")
    line.voice(1, 1500, (3, 500), (7, 1000), (13, 1500))
    line.play(700)
    return line
