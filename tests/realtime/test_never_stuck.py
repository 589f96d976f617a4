"""Nobody waits for ever: each way to fall silent that was found, and thousands of random ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count

import numpy as np
import pytest

from harness import virtual_time
from harness.endless_call import HOUR, Call
from harness.fakes import Line, LinePeer, ScriptedDialogue, complete, energy
from harness.session_line import SessionLine
from harness.tools import runner
from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import ReplySpec, ReplyToken, Working
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.events import (
    CallTool,
    PlayoutEnded,
    ReplyFailed,
    StartReply,
    StopReply,
    StopTools,
    TurnDetection,
    TurnEnded,
    TurnStarted,
)
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import LINE, PATIENCE, Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

pytestmark = pytest.mark.integration

SORRY = "Sorry, once more please."
VAD = {"type": "server_vad"}


def line(**detection: object) -> SessionLine:
    """A session whose client hears what the server plays."""
    session = SessionLine(plays=True, apology=SORRY)
    session.update(audio={"input": {"turn_detection": {**VAD, **detection}}})
    return session


def started(session: SessionLine) -> list[int]:
    return [action.number for action in session.did(StartReply)]


# --- random calls ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_an_hour_of_anything_nobody_is_left_without_an_answer(seed: int) -> None:
    call = Call(seed)
    call.run(HOUR)
    call.settle()
    assert len(call.watch.waits) > 10


# --- answers that are owed -------------------------------------------------------------------------------------------


def test_a_turn_that_ends_while_a_reply_runs_is_answered_after_it() -> None:
    session = line(interrupt_response=False)
    session.turn()
    session.turn(600, 900)
    assert started(session) == [1]
    session.words(1, "One.")
    session.finish(1)
    assert started(session) == [1, 2]


def test_a_noise_right_after_a_question_does_not_lose_the_answer() -> None:
    session = line()
    session.turn()
    session.turn(600, 900)  # cuts reply 1 before any of it was heard
    session.finish(2)  # there were no words in it
    assert started(session) == [1, 2, 3]
    session.finish(3)  # a model that says nothing means it
    assert started(session) == [1, 2, 3]


@pytest.mark.parametrize("plays", [True, False])
def test_nor_one_that_was_all_made_and_not_begun_to_be_heard(plays: bool) -> None:
    session = SessionLine(plays=plays)
    session.update(audio={"input": {"turn_detection": VAD}})
    session.turn()
    session.words(1, "One two")
    session.voice(1, 1000, (7, 1000))
    session.finish(1)
    session.turn(600, 900)
    session.finish(2)
    assert started(session) == [1, 2, 3]


def test_a_noise_does_not_use_up_an_answer_that_is_owed() -> None:
    session = line(interrupt_response=False)
    session.turn()
    session.turn(600, 900)
    session.fact(TurnStarted(40_000))
    session.words(1, "One.")
    session.finish(1)
    session.fact(TurnEnded(48_000))
    session.finish(2)  # the last turn had no words, the one before had
    assert started(session) == [1, 2, 3]


def test_each_noise_leaves_the_answer_owed() -> None:
    session = line(interrupt_response=False)
    session.turn()
    session.turn(600, 900)
    session.fact(TurnStarted(40_000))
    session.finish(1)  # tried again after the noise, it found no words
    session.fact(TurnEnded(48_000))
    session.finish(2)  # nor were there any in this turn
    assert started(session) == [1, 2, 3]


def test_a_reply_that_ran_on_into_the_next_turn_says_nothing_of_it() -> None:
    session = line(interrupt_response=False)
    session.turn()
    session.turn(600, 900)
    session.turn(1000, 1100)
    session.finish(1)  # no words in the first turn
    session.finish(2)  # none in the last
    assert started(session) == [1, 2, 3]  # some in the second


def test_a_noise_after_an_answer_was_heard_asks_for_nothing() -> None:
    session = line()
    session.turn()
    session.words(1, "One two")
    session.voice(1, 1000, (7, 1000))
    session.play(500)
    session.turn(600, 900)
    session.finish(2)
    assert started(session) == [1, 2]


# --- replies that fail -----------------------------------------------------------------------------------------------


def test_a_reply_that_fails_in_passing_is_tried_once_more_unseen() -> None:
    session = line()
    session.turn()
    assert session.fact(ReplyFailed(1, "no", "passing")) == []
    assert started(session) == [1, 1]
    session.fact(ReplyFailed(1, "no", "passing"))
    assert session.of("response.done")[0]["response"]["status"] == "failed"
    assert session.did(StartReply)[-1].spec.words == SORRY


def test_a_reply_that_has_begun_to_speak_is_not_tried_again() -> None:
    session = line()
    session.turn()
    session.words(1, "One")
    session.fact(ReplyFailed(1, "no", "passing"))
    assert started(session) == [1, 2]
    assert session.did(StartReply)[-1].spec.words == SORRY


def test_a_reply_that_hangs_is_stopped_and_apologised_for() -> None:
    session = line()
    session.turn()
    session.fact(ReplyFailed(1, "no", "hung"))
    assert session.did(StopReply) == [StopReply(1)]
    assert session.did(StartReply)[-1].spec.words == SORRY


def test_an_apology_that_fails_is_the_last() -> None:
    session = line()
    session.turn()
    session.fact(ReplyFailed(1, "no"))
    session.fact(ReplyFailed(2, "no"))
    assert started(session) == [1, 2]


@pytest.mark.parametrize("detection", [None, {**VAD, "create_response": False}])
def test_who_asks_for_replies_is_not_apologised_to(detection: dict[str, object] | None) -> None:
    session = line()
    session.update(audio={"input": {"turn_detection": detection}})
    session.tell("response.create")
    session.fact(ReplyFailed(1, "no"))
    assert started(session) == [1]


# --- facts that are lost, or come twice ------------------------------------------------------------------------------


def test_the_end_of_a_reply_that_still_runs_is_not_believed() -> None:
    session = line()
    session.turn()
    session.words(1, "One")
    session.fact(PlayoutEnded(1))
    session.finish(1)
    assert session.of("response.done")[0]["response"]["status"] == "completed"


def test_a_turn_that_changes_of_the_settings_left_open_does_not_hide_the_next() -> None:
    session = line()
    session.fact(TurnStarted(0))
    session.update(audio={"input": {"turn_detection": None}})
    session.update(audio={"input": {"turn_detection": VAD}})
    told = session.fact(TurnStarted(24_000))
    assert [event["type"] for event in told] == ["input_audio_buffer.speech_started"]


# --- whole calls -----------------------------------------------------------------------------------------------------


class Mute(ScriptedDialogue):
    """A model that never says anything but given words."""

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        if not spec.words:
            await asyncio.Event().wait()
        async for token in super().reply(spec):
            yield token


class Slow(ScriptedDialogue):
    """A model that reads a long prompt for a minute and a half before it answers."""

    async def reply(self, spec):  # type: ignore[no-untyped-def]
        for _ in range(18):
            await asyncio.sleep(5)
            yield Working()
        async for token in super().reply(spec):
            yield token


async def never(sound: Samples) -> float:
    await asyncio.Event().wait()
    return 0.0


def call(
    test: Callable[[LinePeer], Awaitable[None]],
    dialogue: ScriptedDialogue,
    judge: Callable[[Samples], Awaitable[float]] = complete,
) -> LinePeer:
    """Runs `test` as the peer of a call; returns the peer with everything it got."""

    async def main() -> LinePeer:
        peer, playout, numbers = LinePeer(plays=True), Playout(), count(1)
        defaults, ids = SessionDefaults(apology=SORRY), Ids(lambda: str(next(numbers)))
        session = new_session(True, SessionRequest(extras=True), ids, 1_000, defaults=defaults).begin(playout)
        listener = MicrophoneWindows(energy, Floor(None))
        judging, watchdog = Classifiers(judge, listener), Watchdog(playout)
        parts = Parts(Peers(peer), dialogue, session, playout, listener, judging, TurnLatency(), runner(), watchdog)

        async def scenario() -> None:
            await peer.until("session.created")
            await test(peer)
            peer.leave()

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(Pipeline(parts).run())
                tasks.create_task(scenario())
        except* PeerGone:
            pass
        return peer

    return virtual_time.run(main())


def test_a_model_that_hangs_is_given_up_and_the_user_is_told() -> None:
    async def test(peer: LinePeer) -> None:
        now = asyncio.get_running_loop().time
        await peer.say(1.0)
        await peer.pause(1.0)
        began = now()
        await peer.until("output_audio_buffer.started")
        assert now() - began <= PATIENCE + 1

    peer = call(test, Mute())
    assert peer.of("response.done")[0]["response"]["status"] == "failed"
    said = "".join(event["delta"] for event in peer.of("response.output_audio_transcript.delta"))
    assert SORRY.startswith(said.strip())


def test_a_model_that_works_is_waited_for() -> None:
    async def test(peer: LinePeer) -> None:
        await peer.say(1.0)
        await peer.pause(100.0)
        await peer.until("output_audio_buffer.stopped")

    dialogue = Slow(lines=[Line("Yes.", 0.5)])
    peer = call(test, dialogue)
    assert [event["response"]["status"] for event in peer.of("response.done")] == ["completed"]
    assert len(dialogue.specs) == 1


def test_a_microphone_that_falls_silent_ends_the_turn() -> None:
    async def test(peer: LinePeer) -> None:
        now = asyncio.get_running_loop().time
        await peer.say(1.0)
        began = now()
        await peer.until("input_audio_buffer.committed")
        assert now() - began <= LINE + 1
        await peer.until("output_audio_buffer.started")

    call(test, ScriptedDialogue(lines=[Line("Yes.", 0.5)]))


def test_a_judge_that_never_answers_holds_up_nobody() -> None:
    async def test(peer: LinePeer) -> None:
        semantic = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        await peer.tell(type="session.update", session=semantic)
        await peer.say(1.0)
        await peer.pause(4.0)
        await peer.until("output_audio_buffer.started")

    call(test, ScriptedDialogue(lines=[Line("Yes.", 0.5)]), judge=never)


def test_a_tool_that_is_stopped_before_it_began_keeps_nobody_busy() -> None:
    async def main() -> None:
        tools = runner()
        async with asyncio.TaskGroup() as tasks:
            tools.attach(tasks, lambda fact: None)
            tools.perform(CallTool(1, "call", None, "time", "{}"))
            tools.perform(StopTools(1))
            assert tools.calls
            await asyncio.sleep(0.01)
            assert not tools.calls
            tools.detach()

    virtual_time.run(main())


def test_noise_that_had_to_be_ended_opens_no_other_turn_before_it_pauses() -> None:
    floor = Floor(None)
    floor.retune(TurnDetection())
    window = np.zeros(768, np.float32)

    def hear(voiced: bool, windows: int) -> list[str]:
        heard = [floor.receive(window, 0.99 if voiced else 0.01, False, False) for _ in range(windows)]
        return [type(fact).__name__ for facts in heard for fact in facts if type(fact).__name__ != "TurnSound"]

    assert hear(True, 10) == ["TurnStarted"]
    assert [type(fact) for fact in floor.end_stuck_turn()] == [TurnEnded]
    assert hear(True, 100) == []
    assert hear(False, 20) == []
    assert hear(True, 10) == ["TurnStarted"]
