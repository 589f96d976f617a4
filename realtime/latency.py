"""Where the time of a turn went: marks from the end of the user's speech to the first sound of the answer. Pure.

    speech_end ──► endpoint ──► transcript ──► first_text ──► first_audio ──► sent

All in milliseconds after `speech_end`, the last moment at which the VAD heard speech; `sent` is when the first sample left. A reply that nobody's speech
asked for (typed text, a tool's answer) counts from the moment it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vivavoce.model.dialogue import SAMPLE_RATE, AudioToken, TextToken, Transcript
from vivavoce.realtime.events import Action, Fact, PlayoutStarted, Replied, Send, StartReply, TurnEnded
from vivavoce.realtime.protocol.response_events import ResponseCreated

KEPT: Final = 8
"""Replies under way that are followed at once; out-of-band ones may run beside the conversation's own."""


@dataclass(slots=True)
class _Trace:
    began: float
    response_id: str
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str, now: float) -> None:
        self.marks.setdefault(name, round((now - self.began) * 1000, 1))


@dataclass(frozen=True, slots=True)
class Report:
    """The marks of the turn that `response_id` answered."""

    response_id: str
    marks: dict[str, float]


class TurnLatency:
    """Follows the facts of one call, and what the session made of them."""

    def __init__(self) -> None:
        self._turn: dict[str, float] = {}  # moments of the turn that has just ended
        self._traces: dict[int, _Trace] = {}

    def receive(self, fact: Fact, actions: Iterable[Action], now: float) -> Report | None:
        """Takes a fact and the actions it led to, at `now` seconds; reports when the first sound of a reply leaves."""
        match fact:
            case TurnEnded(silence=silence):
                self._turn = {"speech_end": now - silence / SAMPLE_RATE, "endpoint": now}
            case Transcript(final=True):
                self._turn.setdefault("transcript", now)
                for trace in self._traces.values():
                    trace.mark("transcript", now)
            case Replied(number=number, token=TextToken()):
                self._mark(number, "first_text", now)
            case Replied(number=number, token=AudioToken()):
                self._mark(number, "first_audio", now)
            case PlayoutStarted(number=number) if number in self._traces:
                self._mark(number, "sent", now)
                trace = self._traces.pop(number)
                return Report(trace.response_id, {"speech_end": 0.0, **trace.marks})
        self._begin(actions, now)
        return None

    def _begin(self, actions: Iterable[Action], now: float) -> None:
        response_id = ""
        for action in actions:
            match action:
                case Send(event=ResponseCreated() as event):
                    response_id = str(event.response.id)
                case StartReply(number=number):
                    trace = self._traces[number] = _Trace(self._turn.pop("speech_end", now), response_id)
                    for name, at in self._turn.items():
                        trace.mark(name, at)
                    self._turn = {}
        while len(self._traces) > KEPT:
            del self._traces[min(self._traces)]

    def _mark(self, number: int, name: str, now: float) -> None:
        if number in self._traces:
            self._traces[number].mark(name, now)
