"""Cores as recordings of format 1 call them, so that old recordings still replay.

Until format 2 the session core changed the playout by itself, and the sound of a turn passed through it:

    format 1    session.receive(TurnSound) ─► Hear            format 2    session.keep(TurnSound)
                session.receive(AudioAppend) ─► Listen                    session.decode(AudioAppend)
                session.receive(…) changes the playout                    actions, carried out by playout.receive

Each class wraps a core of today and returns the results of then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.audio.playout import Playout, PlayoutFull
from vivavoce.realtime.events import (
    Action,
    CloseTurn,
    CutPlayout,
    DropPlayout,
    Fact,
    FinishPlayout,
    Play,
    ReplyFailed,
    SetLoudness,
    TurnSound,
)
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.wire.client_events import AudioAppend
from vivavoce.realtime.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Hear:
    """The model hears more of the open turn."""

    samples: Samples
    voiced: bool


@dataclass(frozen=True, slots=True)
class Listen:
    """Sound that the client appended, on its way to the floor."""

    samples: Samples


OldAction = Action | Hear | Listen


class OldSession:
    """A session that changes its playout while it receives a fact."""

    def __init__(self, session: Session, playout: Playout) -> None:
        self._session = session
        self._playout = playout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def receive(self, fact: Fact | TurnSound, now: float) -> list[OldAction]:
        """Receives a fact; returns the actions of then."""
        match fact:
            case TurnSound():
                return [Hear(fact.samples, fact.voiced)] if self._session.keep(fact) else []
            case AudioAppend():
                appended = self._session.decode(fact)
                if isinstance(appended, WireError):
                    return [*self._session.reject(appended)]
                return [Listen(appended)] if len(appended) else []
        return list(self._carried_out(self._session.receive(fact, now), now))

    def _carried_out(self, actions: Iterable[Action], now: float) -> Iterator[OldAction]:
        for action in actions:
            match action:
                case Play() | FinishPlayout() | CutPlayout() | DropPlayout() | SetLoudness():
                    try:
                        answer: Fact | None = self._playout.receive(action)
                    except PlayoutFull as full:
                        assert isinstance(action, Play)
                        answer = ReplyFailed(action.number, str(full), "hung")
                    if answer is not None:
                        yield from self._carried_out(self._session.receive(answer, now), now)
                case CloseTurn(rest=TurnSound(samples=samples, voiced=voiced)):
                    yield Hear(samples, voiced)
                    yield replace(action, rest=None)
                case _:
                    yield action


class OldWatchdog:
    """A watchdog that receives sound as a fact."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watchdog, name)

    def receive(self, fact: Fact | TurnSound, actions: list[Action], now: float) -> None:
        """As `Watchdog.receive`."""
        if isinstance(fact, TurnSound):
            self._watchdog.sound(now)
            self._watchdog.follow(actions, now)
        else:
            self._watchdog.receive(fact, actions, now)
