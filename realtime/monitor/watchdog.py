"""Gives every state a deadline: the facts that follow when the call waits in vain.

    waits for                     put off by                late: the fact that follows
    ───────────────────────────────────────────────────────────────────────────────────────────
    the end of the user's turn    its sound, its words      TurnStuck: the floor ends it
    the words of a turn           nothing                   Transcript, with an error
    the model's reply             each token                ReplyFailed: stopped, with an apology
    tools that a reply needs      each answer               ReplyFailed
    a list of tools               nothing                   ToolsListed, with an error
    the class of an overlap       nothing                   Overlapped: full loudness
    the loudspeaker               sound that leaves         PlayoutEnded

The fact is like any other, so session and floor need no second way. All other states wait for the user or the client,
without a deadline. Every part has deadlines of its own; these are the net below them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vivavoce.model.dialogue import AudioToken, Done, Transcript
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.events import (
    Action,
    CallTool,
    CloseTurn,
    DropTurn,
    Fact,
    Failure,
    ListTools,
    Overlapped,
    PlayoutEnded,
    Replied,
    ReplyFailed,
    Retune,
    StartReply,
    StopReply,
    StopTools,
    ToolAnswered,
    ToolsListed,
    TurnEnded,
    TurnStarted,
)

LINE: Final = 3.0
"""Seconds without any sound in an open turn: the client has stopped sending, and silence cannot be counted."""

WORDLESS: Final = 10.0
"""Seconds of an open turn in which the ASR recognizes nothing new: a fan or music that the VAD takes for speech."""

LONGEST_TURN: Final = 240.0
"""Seconds; the ASR keeps no more than five minutes of sound that it has not recognized."""

WORDS: Final = 20.0
"""Seconds from the end of a turn to its words. Replies wait less long for them, and have a better message."""

STILL: Final = 10.0
"""Seconds in which no sound leaves though some waits."""

OVERLAP: Final = 5.0
"""Seconds for which playback may be ducked or held while speech over it is classified."""

LOOK: Final = 0.5
"""Seconds after which the shell compares the time with `deadline` again."""

PATIENCE: Final = 20.0
"""Seconds without a token; the first one of a long question takes up to ten on two busy cores."""

TOOLS: Final = 65.0
"""Seconds without a tool's answer: each has 30, and may wait in the queue as long."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline has passed. The shell posts it, so that `expire` is called in the order of the inbox."""


@dataclass(frozen=True, slots=True)
class TurnStuck:
    """The open turn does not end by itself."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """`what` did not come in time, in constant words for the log; `fact` follows."""

    what: str
    fact: Fact | TurnStuck


@dataclass(frozen=True, slots=True)
class _Making:
    number: int


@dataclass(frozen=True, slots=True)
class _Calling:
    number: int


@dataclass(frozen=True, slots=True)
class _Sounding:
    number: int


@dataclass(frozen=True, slots=True)
class _Words:
    item_id: str


@dataclass(frozen=True, slots=True)
class _Listing:
    item_id: str


@dataclass(frozen=True, slots=True)
class _Overlap:
    """Playback is ducked or held."""


_Wait = _Making | _Calling | _Sounding | _Words | _Listing | _Overlap


@dataclass(slots=True)
class _Turn:
    began: float
    sound_at: float
    text: str | None = None  # recognized so far; None until the ASR has answered
    words_at: float = 0.0

    @property
    def due(self) -> float:
        due = min(self.began + LONGEST_TURN, self.sound_at + LINE)
        return due if self.text is None else min(due, self.words_at + WORDLESS)


class Watchdog:
    """Follows the facts of one call, and the actions that the session answered with."""

    def __init__(self, playout: Playout, patience: float = PATIENCE, tools: float = TOOLS) -> None:
        """`patience`: seconds without a token; `tools`: seconds without an answer of any tool."""
        self._playout = playout
        self.patience = patience
        self.tools = tools
        self._turn: _Turn | None = None
        self._due: dict[_Wait, float] = {}
        self._calls: dict[int, set[str]] = {}  # ids, of replies that wait for tools
        self._left: tuple[int | None, int] | None = None  # position of playback when last compared

    @property
    def deadline(self) -> float | None:
        """The earliest time at which `expire` returns something; None without deadlines."""
        waits = [*self._due.values(), *([self._turn.due] if self._turn else [])]
        return min(waits, default=None)

    @property
    def waits(self) -> int:
        """The number of deadlines."""
        return len(self._due) + (self._turn is not None)

    def receive(self, fact: Fact, actions: Iterable[Action], now: float) -> None:
        """Takes a fact and the actions that followed, at `now` seconds."""
        match fact:
            case TurnStarted() | TurnEnded() | Transcript():
                self._follow_turn(fact, now)
            case Replied(number=number, token=token):
                self._follow_reply(number, token, now)
            case ReplyFailed(number=number):
                self._due.pop(_Making(number), None)
            case ToolAnswered(number=number, call_id=call_id):
                self._answered(number, call_id, now)
            case PlayoutEnded(number=number):
                self._due.pop(_Sounding(number), None)
            case ToolsListed(item_id=item_id):
                self._due.pop(_Listing(item_id), None)
            case Overlapped(loudness="full"):
                self._due.pop(_Overlap(), None)
            case Overlapped():
                self._due.setdefault(_Overlap(), now + OVERLAP)
        self.follow(actions, now)

    def sound(self, now: float) -> None:
        """Sound of the open turn has come."""
        if self._turn is not None:
            self._turn.sound_at = now

    def follow(self, actions: Iterable[Action], now: float) -> None:
        """Takes actions that follow no fact: the first ones of a call."""
        for action in actions:
            self._follow(action, now)

    def expire(self, now: float) -> list[Overdue]:
        """Returns what is overdue at `now`, each once; what still makes progress gets a new deadline."""
        overdue: list[Overdue] = []
        if self._turn is not None and self._turn.due <= now:
            self._turn = None
            overdue.append(Overdue("the end of a turn", TurnStuck()))
        for wait in [wait for wait, due in self._due.items() if due <= now]:
            del self._due[wait]
            overdue += self._look(wait.number, now) if isinstance(wait, _Sounding) else [_overdue(wait)]
        return overdue

    # --- following -----------------------------------------------------------------------------------------------

    def _follow_turn(self, fact: TurnStarted | TurnEnded | Transcript, now: float) -> None:
        turn = self._turn
        match fact:
            case TurnStarted():
                self._turn = turn or _Turn(now, now)
                self._due.pop(_Overlap(), None)
            case TurnEnded():
                self._turn = None
            case Transcript(final=True, turn=item_id):
                self._due.pop(_Words(item_id), None)
            case Transcript(text=text) if turn is not None and text != turn.text:
                turn.text, turn.words_at = text, now

    def _follow_reply(self, number: int, token: object, now: float) -> None:
        if isinstance(token, Done):
            self._due.pop(_Making(number), None)
        elif _Making(number) in self._due:
            self._due[_Making(number)] = now + self.patience
            if isinstance(token, AudioToken):
                self._due.setdefault(_Sounding(number), now + STILL)

    def _answered(self, number: int, call_id: str, now: float) -> None:
        if number in self._calls:
            self._calls[number].discard(call_id)
            self._due[_Calling(number)] = now + self.tools
            if not self._calls[number]:
                self._forget_calls(number)

    def _follow(self, action: Action, now: float) -> None:
        match action:
            case CloseTurn(item_id=item_id):
                self._turn = None
                self._due[_Words(item_id)] = now + WORDS
            case DropTurn() | Retune(detection=None):
                self._turn = None
            case StartReply(number=number):
                self._due[_Making(number)] = now + self.patience
            case StopReply(number=number):
                self._due.pop(_Making(number), None)
            case CallTool(number=number, call_id=call_id):
                self._calls.setdefault(number, set()).add(call_id)
                self._due[_Calling(number)] = now + self.tools
            case StopTools(number=number):
                self._forget_calls(number)
            case ListTools(item_id=item_id):
                self._due[_Listing(item_id)] = now + self.tools

    def _forget_calls(self, number: int) -> None:
        self._calls.pop(number, None)
        self._due.pop(_Calling(number), None)

    def _look(self, number: int, now: float) -> list[Overdue]:
        """Checks whether the sound of reply `number` still makes progress."""
        audible = self._playout.audible
        left = self._playout.left(number)
        before, self._left = self._left, (audible, self._playout.heard(audible)[0] if audible else 0)
        if left is None:
            return []  # it was cut, and the session knows
        if self._playout.away or not self._playout.finished(number) or (left and self._left != before):
            self._due[_Sounding(number)] = now + STILL
            return []
        return [Overdue("the end of what is played", PlayoutEnded(number))]


def _overdue(wait: _Making | _Calling | _Words | _Listing | _Overlap) -> Overdue:
    match wait:
        case _Making(number):
            return Overdue("the model", ReplyFailed(number, "The model takes too long to answer.", "hung"))
        case _Calling(number):
            return Overdue("a tool", ReplyFailed(number, "A tool takes too long to answer.", "hung"))
        case _Words(item_id):
            error = "Recognising what you said took too long."
            return Overdue("the words of a turn", Transcript(item_id, "", "", final=True, error=error))
        case _Listing(item_id):
            failure = Failure("tool_execution_error", "The server takes too long to list its tools.")
            return Overdue("a list of tools", ToolsListed(item_id, failure))
        case _Overlap():
            return Overdue("the end of an overlap", Overlapped("full"))
