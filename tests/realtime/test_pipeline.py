"""Whole calls on the virtual clock: realtime/pipeline.py with everything it drives, but the models and the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from itertools import count

import numpy as np
import pytest

from harness import virtual_time
from harness.fakes import LOUD, Line, LinePeer, ScriptedDialogue, complete, energy
from harness.tools import runner
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import DetectedThing, Observation, Picture, ReplySpec, ReplyToken
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.opening import SessionRequest, new_session
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

pytestmark = pytest.mark.integration

Test = Callable[[LinePeer, ScriptedDialogue], Awaitable[None]]
Judge = Callable[[Samples], Awaitable[float]]


def call(test: Test, dialogue: ScriptedDialogue, plays: bool = True, judge: Judge = complete) -> LinePeer:
    """Runs `test` as the peer of a call; returns the peer with everything it got."""

    async def main() -> LinePeer:
        peer = LinePeer(plays)
        playout, numbers = Playout(), count(1)
        session = new_session(
            plays, SessionRequest(extras=True), Ids(lambda: str(next(numbers))), expires_at=1_000
        ).begin(playout)
        listener = MicrophoneWindows(energy, Floor(None))
        parts = Parts(
            Peers(peer),
            dialogue,
            session,
            playout,
            listener,
            Classifiers(judge, listener),
            TurnLatency(),
            runner(),
            Watchdog(playout),
        )

        async def scenario() -> None:
            await peer.until("session.created")
            await test(peer, dialogue)
            peer.leave()

        try:
            async with asyncio.TaskGroup() as tasks:
                peer.pipeline = Pipeline(parts)
                tasks.create_task(peer.pipeline.run())
                tasks.create_task(scenario())
        except* PeerGone:
            pass
        assert len(asyncio.all_tasks()) == 1, "the call left tasks behind"
        return peer

    return virtual_time.run(main())


async def ask(peer: LinePeer, seconds: float = 1.0) -> None:
    """One spoken question, and the silence after it."""
    await peer.say(seconds)
    await peer.pause(0.8)


def order(peer: LinePeer, *kinds: str) -> list[str]:
    """Those events of the peer's that are of these kinds, without repetitions in a row."""
    found = [kind for kind in peer.kinds() if kind in kinds]
    return [kind for place, kind in enumerate(found) if place == 0 or kind != found[place - 1]]


def test_a_spoken_question_gets_a_spoken_answer() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    dialogue = ScriptedDialogue(["two plus three"], [Line("That is five.", seconds=1.5)])
    peer = call(test, dialogue)
    assert order(
        peer,
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
        "response.output_audio_transcript.delta",
        "output_audio_buffer.started",
        "response.done",
        "output_audio_buffer.stopped",
    ) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
        "response.output_audio_transcript.delta",
        "output_audio_buffer.started",
        "response.done",
        "output_audio_buffer.stopped",
    ]
    assert sum(int(frame.astype(bool).sum()) for frame in peer.played) == int(1.5 * SAMPLE_RATE)
    (done,) = peer.of("response.output_audio_transcript.done")
    assert done["transcript"] == "That is five."
    assert dialogue.closed is False  # the call's affair, not the pipeline's


def test_the_whole_question_is_heard_from_before_its_first_word() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.pause(1.0)
        await ask(peer)
        await peer.until("response.done")

    dialogue = ScriptedDialogue()
    peer = call(test, dialogue)
    (started,), (stopped,) = peer.of("input_audio_buffer.speech_started"), peer.of("input_audio_buffer.speech_stopped")
    assert 650 <= started["audio_start_ms"] <= 720  # 300 ms of padding before the first word at 1 s
    assert dialogue.heard_samples / 24 == pytest.approx(stopped["audio_end_ms"] - started["audio_start_ms"], abs=1)


@pytest.mark.parametrize(
    ("when", "heard_words"),
    [
        pytest.param("thinking", "", id="while the model thinks"),
        pytest.param("first word", "", id="at the first word"),
        pytest.param("middle", "One two three", id="in the middle"),
    ],
)
def test_barge_in_stops_the_voice_and_history_ends_at_what_was_heard(when: str, heard_words: str) -> None:
    silent_after: list[float] = []

    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        now = asyncio.get_running_loop().time
        await peer.say(1.0)
        await peer.pause(0.56)
        if when == "thinking":
            await peer.until("response.created")
        else:
            await peer.until("output_audio_buffer.started")
            await peer.pause({"first word": 0.0, "middle": 1.3}[when])
        cut_in = now()
        speaking = asyncio.ensure_future(peer.say(1.0))  # noqa: TID251  # the test is the peer's own task
        await peer.until("input_audio_buffer.speech_started", 2)
        await asyncio.sleep(0.021)
        assert not peer.audible
        silent_after.append(now() - cut_in)
        await speaking
        await peer.pause(0.8)
        await peer.until("response.done", 2)

    words = "One two three four five six seven eight nine ten"
    dialogue = ScriptedDialogue(["count", "stop"], [Line(words, seconds=5.0, thinking=0.5), Line("Fine.")])
    peer = call(test, dialogue)
    first = peer.of("response.done")[0]["response"]
    if when == "thinking":
        assert first["status"] == "cancelled"
        assert first["status_details"]["reason"] == "turn_detected"
    else:
        assert len(dialogue.cuts) == 1
        assert words[: dialogue.cuts[0].chars] == heard_words
        (told,) = peer.of("vivavoce.heard")
        assert told["text"][: told["heard_chars"]].strip() == heard_words
        assert len(peer.of("output_audio_buffer.cleared")) == 1
        assert len(peer.of("conversation.item.truncated")) == 1
    assert silent_after[0] <= 0.32
    assert len(peer.of("response.created")) == 2


@pytest.mark.parametrize("fades_out", [False, True])
def test_a_cough_makes_the_voice_give_way_and_come_back_at_the_very_next_sample(fades_out: bool) -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.started")
        await peer.say(0.06)
        for _ in range(2 if fades_out else 0):
            await peer.pause(0.1)
            await peer.say(0.06)
        await peer.pause(1.0)
        await peer.until("output_audio_buffer.stopped")

    dialogue = ScriptedDialogue(["two plus three"], [Line("That is five.", seconds=2.0)])
    peer = call(test, dialogue)
    played = np.concatenate(peer.played)
    played = played[np.argmax(played > 0) : len(played) - np.argmax(played[::-1] > 0)]
    assert int((played > 0).sum()) == 2 * SAMPLE_RATE
    assert ((played > 0) & (played < 0.013)).sum() > 0.1 * SAMPLE_RATE
    assert played[-1] == np.float32(0.1)
    held = int((played == 0).sum()) / SAMPLE_RATE
    assert 0.0 < held <= 0.3 if fades_out else held == 0.0
    assert dialogue.cuts == []
    assert len(peer.of("input_audio_buffer.speech_started")) == 1


def test_a_cough_while_the_assistant_speaks_does_not_stop_it() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.started")
        await peer.say(0.12)
        await peer.pause(3.0)
        await peer.until("output_audio_buffer.stopped")

    peer = call(test, ScriptedDialogue(["hi"], [Line("A long and winding answer.", seconds=2.0)]))
    assert len(peer.of("input_audio_buffer.speech_started")) == 1
    assert not peer.of("output_audio_buffer.cleared")


@pytest.mark.parametrize("thinking", [0.6, 0.4, 0.36, 0.34, 0.32])
def test_who_goes_on_after_a_pause_has_heard_nothing_of_the_answer_to_the_first_half(thinking: float) -> None:
    """The answer would begin some time after they go on, or just then."""

    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.say(1.0)
        await peer.pause(0.85)  # 0.5 s to the end of the turn
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    dialogue = ScriptedDialogue(
        ["I left my glasses,", "on the train."], [Line("Really?", 1.0, thinking=thinking), Line("Oh dear.", 1.0)]
    )
    peer = call(test, dialogue)
    sounding = [place for place, frame in enumerate(peer.played) if frame.any()]
    heard = sum(int(peer.played[place].astype(bool).sum()) for place in sounding)
    assert heard <= 1.07 * SAMPLE_RATE, "the second answer, and at most 70 ms of the first"
    assert len(dialogue.turns) == 2
    assert [cut.chars for cut in dialogue.cuts] == [0]
    assert [spec.id for spec in dialogue.specs][-1] != dialogue.cuts[0].id


def test_a_reply_that_was_cut_says_nothing_more() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.started")
        await peer.tell(type="response.cancel")
        await peer.tell(type="output_audio_buffer.clear")
        await peer.until("output_audio_buffer.cleared")
        before = len(peer.events)
        await peer.pause(3.0)
        assert [e["type"] for e in peer.events[before:] if e["type"].startswith(("response.", "output_"))] == []
        assert not peer.audible

    dialogue = ScriptedDialogue(["hi"], [Line(" ".join(["word"] * 100), seconds=40)])
    call(test, dialogue)
    assert dialogue.cancelled == 1


def test_a_client_with_messages_gets_the_sound_ahead_of_time_and_truncates_itself() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        done = await peer.until("response.done")
        item = done["response"]["output"][0]["id"]
        await peer.tell(type="conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=600)
        await peer.until("conversation.item.truncated")

    dialogue = ScriptedDialogue(["hi"], [Line("One two three four", seconds=2.0)])
    peer = call(test, dialogue, plays=False)
    assert peer.of("response.output_audio.delta")
    assert not peer.of("output_audio_buffer.started")
    assert dialogue.cuts[0].chars == len("One")


def test_typed_text_is_answered() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        await peer.tell(type="conversation.item.create", item=item)
        await peer.tell(type="response.create", response={"output_modalities": ["text"]})
        await peer.until("response.done")

    dialogue = ScriptedDialogue(lines=[Line("Hello you.")])
    peer = call(test, dialogue)
    assert peer.of("response.output_text.done")[0]["text"] == "Hello you."
    assert dialogue.specs[0].audio is False


def test_a_model_that_fails_ends_its_response_and_the_call_goes_on() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await ask(peer)
        await peer.until("response.done")
        await peer.pause(1.0)
        await ask(peer)
        await peer.until("response.done", 2)

    peer = call(
        test, ScriptedDialogue(lines=[*2 * [Line("", fails="The model is gone.")], Line("Back again.", seconds=0.5)])
    )
    failed, fine = (event["response"] for event in peer.of("response.done"))
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["message"] == "The model is gone."
    assert fine["status"] == "completed"


@pytest.mark.parametrize("text", ["{", '{"type": "no.such"}', "[]", '{"type": "session.update", "session": {}}'])
def test_nonsense_is_answered_with_an_error_and_the_call_goes_on(text: str) -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.tell_raw(text)
        await peer.until("error")
        await ask(peer)
        await peer.until("response.done")

    peer = call(test, ScriptedDialogue())
    assert peer.of("response.done")[0]["response"]["status"] == "completed"


def test_the_freshest_picture_reaches_the_model() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.show(Picture(np.zeros((2, 2, 3), np.uint8), at=1.0))
        await ask(peer)
        assert dialogue.camera
        await peer.show(None)
        await ask(peer)
        assert not dialogue.camera

    dialogue = ScriptedDialogue()
    call(test, dialogue)
    assert [picture.at for picture in dialogue.seen] == [1.0]


class Observant(ScriptedDialogue):
    """Uses the newest camera picture for each reply."""

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        yield Observation(self.seen[-1].at, True, "photo; a cup", (DetectedThing("cup", (0.25, 0.5, 0.75, 1.0)),))
        async with aclosing(super().reply(spec)) as tokens:
            async for token in tokens:
                yield token


def test_a_reply_that_uses_what_was_seen_tells_how_old_the_picture_was() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        began = asyncio.get_running_loop().time()
        await peer.say(1.0)
        await peer.show(Picture(np.zeros((2, 2, 3), np.uint8), began + 0.9))
        await peer.pause(0.8)
        await peer.until("output_audio_buffer.stopped")

    peer = call(test, Observant(["what is this"], [Line("A cup.")]))
    (seen,) = peer.of("vivavoce.seen")
    assert seen["things"] == [{"name": "cup", "box": [0.25, 0.5, 0.75, 1.0]}]
    assert (seen["source"], seen["report"]) == ("camera", "photo; a cup")
    assert seen["age_ms"] == pytest.approx(100, abs=30), "it was shown 0.1 s before the end of speech"
    assert seen["at_ms"] == pytest.approx(900, abs=30)
    assert seen["response_id"] == peer.of("response.created")[0]["response"]["id"]
    order_told = order(peer, "response.created", "vivavoce.seen", "response.output_audio_transcript.delta")
    assert order_told == ["response.created", "vivavoce.seen", "response.output_audio_transcript.delta"]


def test_the_waterfall_of_a_turn_adds_up() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.tell(
            type="session.update",
            session={"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
        )
        await ask(peer)
        await peer.until("vivavoce.turn.latency")

    (report,) = call(test, ScriptedDialogue(["hi"], [Line("Hello.", thinking=0.2)])).of("vivavoce.turn.latency")
    marks = report["marks"]
    stages = ["speech_end", "endpoint", "transcript", "first_text", "first_audio", "sent"]
    assert sorted(marks, key=lambda stage: (marks[stage], stages.index(stage))) == stages
    assert 190 <= marks["endpoint"] <= 330  # a candidate at 190 ms of silence, and the judge's 60 ms
    assert marks["first_text"] - marks["endpoint"] == pytest.approx(200, abs=1)
    assert marks["sent"] - marks["first_audio"] <= 20


def test_sound_that_comes_faster_than_real_time_waits_for_the_judge() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        await peer.tell(
            type="session.update",
            session={
                "type": "realtime",
                "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}},
            },
        )
        import base64

        second = np.tile(LOUD, SAMPLE_RATE // len(LOUD)) * 32767
        speech = np.concatenate([second.astype("<i2"), np.zeros(4 * SAMPLE_RATE, "<i2")])
        await peer.tell(type="input_audio_buffer.append", audio=base64.b64encode(speech.tobytes()).decode())
        await peer.until("input_audio_buffer.committed")

    peer = call(test, ScriptedDialogue(), plays=False)
    assert peer.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] < 2500


def test_an_open_microphone_in_an_empty_room_is_no_activity() -> None:
    active: list[float] = []

    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        for _ in range(2):
            await peer.pause(5)
            active.append(peer.pipeline.active_at)
        await peer.say(0.5)
        active.append(peer.pipeline.active_at)

    call(test, ScriptedDialogue())
    assert active[0] == active[1] < active[2]


def test_two_turns_in_a_row_keep_their_order() -> None:
    async def test(peer: LinePeer, dialogue: ScriptedDialogue) -> None:
        for number in (1, 2):
            await ask(peer)
            await peer.until("output_audio_buffer.stopped", number)

    peer = call(test, ScriptedDialogue(lines=[Line("First.", 0.5), Line("Second.", 0.5)]))
    added = peer.of("conversation.item.added")
    assert [event["item"]["role"] for event in added] == ["user", "assistant", "user", "assistant"]
    assert [event["previous_item_id"] for event in added] == [None, *[event["item"]["id"] for event in added[:-1]]]
