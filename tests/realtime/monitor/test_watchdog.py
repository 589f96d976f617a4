"""What is waited for in a call, how long, and what follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Done, ReplySpec, TextToken, Transcript, Working
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.events import (
    Action,
    Address,
    Answer,
    CallTool,
    CloseTurn,
    DropTurn,
    Fact,
    ListTools,
    Overlapped,
    PlayoutEnded,
    PlayoutStarted,
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
from vivavoce.realtime.monitor.watchdog import (
    LINE,
    LONGEST_TURN,
    OVERLAP,
    PATIENCE,
    STILL,
    TOOLS,
    WORDLESS,
    WORDS,
    TurnStuck,
    Watchdog,
)

Step = tuple[float, Fact | str | None, Sequence[Action]]

SOUND = AudioToken(np.zeros(SAMPLE_RATE, np.float32))
START = StartReply(1, ReplySpec("item"))
CALL = CallTool(1, "call", None, "time", "{}")
LISTING = ListTools("list", Address("https://tools.example", ""))
WINDOW = "a window of the open turn"
HUNG = ReplyFailed(1, "The model takes too long to answer.", "hung")


def partial(text: str) -> Transcript:
    return Transcript("", text, "", final=False)


def follow(steps: Sequence[Step], playout: Playout | None = None) -> Watchdog:
    watchdog = Watchdog(playout or Playout())
    for at, fact, actions in steps:
        if isinstance(fact, str):
            watchdog.sound(at)
            watchdog.follow(actions, at)
        elif fact is None:
            watchdog.follow(actions, at)
        else:
            watchdog.receive(fact, actions, at)
    return watchdog


@pytest.mark.parametrize(
    ("steps", "deadline"),
    [
        pytest.param([], None, id="nobody does anything"),
        pytest.param([(1, TurnStarted(0), [])], 1 + LINE, id="a turn without sound"),
        pytest.param([(1, TurnStarted(0), []), (3, WINDOW, [])], 3 + LINE, id="a turn goes on"),
        pytest.param(
            [(0, TurnStarted(0), []), *[(t, WINDOW, []) for t in range(300)]], LONGEST_TURN, id="a turn without end"
        ),
        pytest.param(
            [(0, TurnStarted(0), []), (1, partial("a"), []), (2, partial("a"), []), (20, WINDOW, [])],
            1 + WORDLESS,
            id="the ears hear nothing new",
        ),
        pytest.param([(0, TurnStarted(0), []), (1, TurnEnded(9), [])], None, id="the turn ended"),
        pytest.param([(0, TurnStarted(0), []), (1, TurnEnded(9), [DropTurn()])], None, id="the turn was dropped"),
        pytest.param([(0, TurnStarted(0), []), (1, WINDOW, [Retune(None)])], None, id="turns are the client's affair"),
        pytest.param([(1, TurnEnded(9), [CloseTurn("turn", False)])], 1 + WORDS, id="words are awaited"),
        pytest.param(
            [(1, TurnEnded(9), [CloseTurn("turn", False)]), (2, Transcript("turn", "hi", "", True), [])],
            None,
            id="the words are there",
        ),
        pytest.param([(1, TurnEnded(9), [START])], 1 + PATIENCE, id="the model thinks"),
        pytest.param(
            [(1, TurnEnded(9), [START]), (15, Replied(1, Working()), []), (30, Replied(1, Working()), [])],
            30 + PATIENCE,
            id="the model reads a long prompt",
        ),
        pytest.param(
            [(1, TurnEnded(9), [START]), (5, Replied(1, TextToken("hi")), [])], 5 + PATIENCE, id="the model speaks"
        ),
        pytest.param([(1, TurnEnded(9), [START]), (5, Replied(1, Done("stop")), [])], None, id="the model is done"),
        pytest.param([(1, TurnEnded(9), [START]), (5, ReplyFailed(1, "no"), [])], None, id="the model failed"),
        pytest.param(
            [(1, TurnEnded(9), [START]), (5, ReplyFailed(1, "no"), [START])], 5 + PATIENCE, id="the model tries again"
        ),
        pytest.param([(1, TurnEnded(9), [START]), (2, TurnStarted(9), [StopReply(1)])], 2 + LINE, id="it was cut"),
        pytest.param([(1, Replied(1, Done("stop")), [CALL])], 1 + TOOLS, id="a tool works"),
        pytest.param(
            [(1, Replied(1, Done("stop")), [CALL]), (2, ToolAnswered(1, "call", Answer("42")), [])],
            None,
            id="the tool has answered",
        ),
        pytest.param(
            [(1, Replied(1, Done("stop")), [CALL]), (2, TurnStarted(9), [StopTools(1)]), (2, TurnEnded(9), [])],
            None,
            id="nobody waits for the tool",
        ),
        pytest.param([(1, None, [LISTING])], 1 + TOOLS, id="a server is asked for its tools"),
        pytest.param([(1, None, [LISTING]), (2, ToolsListed("list", ()), [])], None, id="it has named them"),
        pytest.param([(1, Overlapped("ducked"), []), (2, Overlapped("held"), [])], 1 + OVERLAP, id="somebody cuts in"),
        pytest.param([(1, Overlapped("held"), []), (2, Overlapped("full"), [])], None, id="or did not"),
    ],
)
def test_every_state_has_its_deadline(steps: Sequence[Step], deadline: float | None) -> None:
    assert follow(steps).deadline == deadline


@pytest.mark.parametrize(
    ("steps", "follows"),
    [
        pytest.param([(0, TurnStarted(0), [])], TurnStuck(), id="a turn"),
        pytest.param([(0, TurnEnded(9), [START])], HUNG, id="a reply"),
        pytest.param(
            [(0, Replied(1, Done("stop")), [CALL])],
            ReplyFailed(1, "A tool takes too long to answer.", "hung"),
            id="a tool",
        ),
        pytest.param([(0, Overlapped("held"), [])], Overlapped("full"), id="an overlap"),
        pytest.param(
            [(0, TurnEnded(9), [CloseTurn("turn", False)])],
            Transcript("turn", "", "", final=True, error="Recognising what you said took too long."),
            id="words",
        ),
    ],
)
def test_what_is_late_is_given_up_once(steps: Sequence[Step], follows: Fact | TurnStuck) -> None:
    watchdog = follow(steps)
    due = watchdog.deadline
    assert due is not None
    assert watchdog.expire(due - 0.01) == []
    assert [overdue.fact for overdue in watchdog.expire(due)] == [follows]
    assert watchdog.deadline is None
    assert watchdog.waits == 0


def test_a_server_that_never_lists_its_tools_has_failed() -> None:
    (overdue,) = follow([(0, None, [LISTING])]).expire(TOOLS)
    assert isinstance(overdue.fact, ToolsListed)
    assert not isinstance(overdue.fact.tools, tuple)


def speaking(complete: bool = True) -> tuple[Playout, Watchdog]:
    """Reply 1 has been made, a second of it, and is about to be heard."""
    playout = Playout()
    playout.push(1, SOUND)
    if complete:
        playout.finish(1)
    return playout, follow([(0, TurnEnded(9), [START]), (0, Replied(1, SOUND), [])], playout)


def test_a_loudspeaker_that_stands_still_is_given_up() -> None:
    _, watchdog = speaking()
    watchdog.receive(Replied(1, Done("stop")), [], 0)
    assert watchdog.expire(STILL) == []  # the first look
    assert [overdue.fact for overdue in watchdog.expire(2 * STILL)] == [PlayoutEnded(1)]
    assert watchdog.deadline is None


def test_sound_that_gets_on_is_left_alone() -> None:
    playout, watchdog = speaking()
    watchdog.receive(Replied(1, Done("stop")), [], 0)
    for look in range(1, 4):
        playout.take(SAMPLE_RATE // 10)
        assert watchdog.expire(look * STILL) == []
    watchdog.receive(PlayoutEnded(1), [], 40)
    assert watchdog.deadline is None


def test_an_end_that_was_lost_is_told() -> None:
    playout, watchdog = speaking()
    watchdog.receive(Replied(1, Done("stop")), [], 0)
    playout.take(2 * SAMPLE_RATE)
    assert [overdue.fact for overdue in watchdog.expire(STILL)] == [PlayoutEnded(1)]


def test_a_reply_that_was_cut_has_no_end_to_wait_for() -> None:
    playout, watchdog = speaking()
    playout.cut(1)
    watchdog.receive(PlayoutStarted(1), [StopReply(1)], 0)
    assert watchdog.expire(STILL) == []
    assert watchdog.deadline is None


def test_a_voice_that_pauses_for_more_is_the_models_affair() -> None:
    playout, watchdog = speaking(complete=False)
    playout.take(2 * SAMPLE_RATE)
    assert watchdog.expire(STILL) == []
    assert [overdue.fact for overdue in watchdog.expire(PATIENCE)] == [HUNG]
