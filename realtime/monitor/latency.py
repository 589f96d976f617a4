"""Measures the latency of a turn: marks from the end of the user's speech to the first sound of the answer. Pure.

    speech_end ──► endpoint ──► transcript ──► first_text ──► first_audio ──► sent

All in milliseconds after `speech_end`, the last moment at which the VAD detected speech; `sent` is when the first
sample left. A reply that follows no speech (typed text, a tool's answer) counts from its request.

The age of a picture that a reply uses is counted at the same moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Observation, TextToken, Transcript
from vivavoce.realtime.events import Action, Fact, PlayoutStarted, Replied, Send, StartReply, TurnEnded
from vivavoce.realtime.wire.response_events import ResponseCreated

KEPT: Final = 8
"""Replies that are followed at the same time; those out of band run beside the conversation's own."""


@dataclass(frozen=True, slots=True)
class Report:
    """The marks of the turn that the response `response_id` answered."""

    response_id: str
    marks: dict[str, float]


@dataclass(frozen=True, slots=True)
class ObservationReport:
    """What the response `response_id` uses. `age_ms`: of the picture when the question ended, in milliseconds; negative
    where it was taken later."""

    response_id: str
    age_ms: float
    seen: Observation


@dataclass(slots=True)
class _Trace:
    began: float
    response_id: str
    spoken: bool  # it answers a turn, not a message
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str, now: float) -> None:
        self.marks.setdefault(name, round((now - self.began) * 1000, 1))


class TurnLatency:
    """Follows the facts of one call, and the actions that the session answered with."""

    def __init__(self) -> None:
        self._turn: dict[str, float] = {}  # times of the turn that has just ended, until a reply to it begins
        self._traces: dict[int, _Trace] = {}

    def receive(self, fact: Fact, actions: Iterable[Action], now: float) -> Report | ObservationReport | None:
        """Takes a fact and the actions that followed, at `now` seconds; reports when the first sound of a reply
        leaves, and what a reply uses of what was seen."""
        report: Report | ObservationReport | None = None
        match fact:
            case TurnEnded(silence=silence):
                self._turn = {"speech_end": now - silence / SAMPLE_RATE, "endpoint": now}
            case Transcript(final=True):
                self._transcribed(now)
            case Replied(number=number, token=TextToken()):
                self._mark(number, "first_text", now)
            case Replied(number=number, token=AudioToken()):
                self._mark(number, "first_audio", now)
            case Replied(number=number, token=Observation() as seen) if number in self._traces:
                trace = self._traces[number]
                report = ObservationReport(trace.response_id, round((trace.began - seen.at) * 1000, 1), seen)
            case PlayoutStarted(number=number) if number in self._traces:
                trace = self._traces.pop(number)
                trace.mark("sent", now)
                report = Report(trace.response_id, {"speech_end": 0.0, **trace.marks})
        self._begin(actions, now)
        return report

    def _transcribed(self, now: float) -> None:
        """Marks the transcript, which comes before the reply begins, or after."""
        if self._turn:
            self._turn.setdefault("transcript", now)
            return
        for trace in self._traces.values():
            if trace.spoken:
                trace.mark("transcript", now)

    def _begin(self, actions: Iterable[Action], now: float) -> None:
        response_id, unnamed = "", None  # a response is told of before its reply starts, or after
        for action in actions:
            match action:
                case Send(event=ResponseCreated() as event) if unnamed is not None:
                    unnamed.response_id, unnamed = str(event.response.id), None
                case Send(event=ResponseCreated() as event):
                    response_id = str(event.response.id)
                case StartReply(number=number) if number not in self._traces:  # else it goes on after a tool's answer
                    began = self._turn.pop("speech_end", now)
                    trace = self._traces[number] = _Trace(began, response_id, spoken=bool(self._turn))
                    response_id, unnamed = "", None if response_id else trace
                    for name, at in self._turn.items():
                        trace.mark(name, at)
                    self._turn = {}
        while len(self._traces) > KEPT:
            del self._traces[min(self._traces)]

    def _mark(self, number: int, name: str, now: float) -> None:
        if number in self._traces:
            self._traces[number].mark(name, now)
