"""realtime/session/response.py: the life of a response, and the two facts of a cut."""

from __future__ import annotations

from dataclasses import fields

import pytest

from harness.session_line import MS, SessionLine, answered, kinds
from vivavoce.model.dialogue import AudioToken
from vivavoce.realtime.events import (
    Cut,
    CutPlayout,
    Overlapped,
    Play,
    PlayoutCut,
    Position,
    Replied,
    Send,
    SetLoudness,
    StartReply,
    StopReply,
    TurnStarted,
)
from vivavoce.realtime.session.response import TRANSITIONS, ActiveResponse, Phase, Step


def response(phase: Phase) -> ActiveResponse:
    made = answered(plays=True).session._responses._active[1]
    made.phase = phase
    return made


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("step", Step)
def test_a_response_takes_the_steps_of_the_table_and_no_other(phase: Phase, step: Step) -> None:
    one = response(phase)
    following = TRANSITIONS[phase].get(step)
    if following is None:
        with pytest.raises(AssertionError, match=f"cannot {step.name} while it is {phase.name}"):
            one.move(step)
        assert one.phase is phase
    else:
        one.move(step)
        assert one.phase is following


def test_every_phase_can_end_and_every_step_leads_somewhere() -> None:
    assert {step for steps in TRANSITIONS.values() for step in steps} == set(Step)
    for phase in Phase:
        reached, grown = {phase}, True
        while grown:
            more = {after for known in reached for after in TRANSITIONS[known].values()} - reached
            reached, grown = reached | more, bool(more)
        assert Phase.OVER in reached


def test_the_state_of_a_response_is_no_heap_of_flags() -> None:
    assert [field.name for field in fields(ActiveResponse) if field.type in (bool, "bool")] == []


def test_a_barge_in_asks_for_silence_first_and_does_the_rest_when_it_is_known_what_was_heard() -> None:
    line = answered(plays=True)
    asked = line.session.receive(TurnStarted(0), 0.0)
    assert asked == [CutPlayout((1,))]
    done = line.session.receive(PlayoutCut((Position(1, 700 * MS, 3),)), 0.0)
    first = [type(action) for action in done if not isinstance(action, Send)]
    assert first[:2] == [StopReply, Cut]
    told = [action.event for action in done if isinstance(action, Send)]
    before = next(i for i, action in enumerate(done) if isinstance(action, Send))
    assert all(not isinstance(action, Send) for action in done[:before])
    assert type(told[0]).__name__ == "SpeechStarted"


def test_nothing_begins_between_a_cut_and_what_was_heard() -> None:
    line = answered(plays=True)
    line.session._state.pending.answer = True
    asked = line.session.receive(TurnStarted(0), 0.0)
    assert not any(isinstance(action, StartReply) for action in asked)


def test_the_session_changes_the_playout_by_actions_only() -> None:
    line = SessionLine(plays=True)
    line.turn()
    before = line.playout.waiting
    actions = line.session.receive(Replied(1, AudioToken(line.heard[0], ())), 0.0)
    assert line.playout.waiting == before == 0
    (play,) = [action for action in actions if isinstance(action, Play)]
    line.playout.receive(play)
    assert line.playout.waiting == len(line.heard[0])


def test_a_response_that_was_heard_to_its_end_is_not_cut() -> None:
    line = answered(plays=True)
    line.finish(1)
    line.playout.take(2_000 * MS)  # nobody has told the session yet
    told = line.fact(TurnStarted(0))
    assert kinds(told) == ["input_audio_buffer.speech_started"]
    assert line.did(Cut) == []


def test_the_voice_is_ducked_by_an_action() -> None:
    line = answered(plays=True)
    assert line.session.receive(Overlapped("ducked"), 0.0) == [SetLoudness("ducked")]
