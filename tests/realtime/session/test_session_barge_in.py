"""Barge-in: what is cut, in which order, and what clients are told."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from harness.session_line import MS, SessionLine, answered, kinds
from vivavoce.model.dialogue import (
    Heard,
)
from vivavoce.realtime.audio.fader import DUCKED, RAMP
from vivavoce.realtime.events import (
    Cut,
    Overlapped,
    PlayoutStarted,
    ReplyFailed,
    Send,
    StartReply,
    StopReply,
    TurnStarted,
)

OPENING = ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
CLOSING = ["response.content_part.done", "response.output_item.done", "conversation.item.done"]
VOICE_CLOSING = ["response.output_audio.done", "response.output_audio_transcript.done", *CLOSING]
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def message(text: str, role: str = "user", **item: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **item}


def manual(plays: bool = False) -> SessionLine:
    line = SessionLine(plays)
    line.update(audio={"input": {"turn_detection": None}})
    return line


def test_barge_in_on_a_websocket_cancels_and_leaves_truncation_to_the_client() -> None:
    line = answered(plays=False)
    line.done.clear()
    told = line.fact(TurnStarted(3000 * MS))
    assert kinds(told) == ["input_audio_buffer.speech_started", *VOICE_CLOSING, "response.done"]
    assert told[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert told[4]["item"]["status"] == "incomplete"
    assert line.done[:-1] == [StopReply(1)]
    assert line.playout.audible is None
    item_id = told[4]["item"]["id"]
    told = line.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1001)
    assert kinds(told) == ["vivavoce.heard", "conversation.item.truncated"]
    assert told[0] | {"event_id": ""} == {
        "type": "vivavoce.heard",
        "event_id": "",
        "item_id": item_id,
        "text": "One two three",
        "heard_chars": 7,
    }
    assert line.done[-1] == Cut(Heard(item_id, 1001 * MS, 7))
    (part,) = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"]
    assert part.keys() == {"type", "audio"}
    assert len(base64.b64decode(part["audio"])) == 2 * 1001 * MS


def test_barge_in_after_generation_only_says_that_speech_started_on_a_websocket() -> None:
    line = answered(plays=False)
    line.finish(1)
    assert kinds(line.fact(TurnStarted(0))) == ["input_audio_buffer.speech_started"]
    assert not line.did(Cut)
    assert line.playout.audible is None


def test_barge_in_where_the_server_plays_truncates_at_what_was_heard() -> None:
    line = answered(plays=True)
    line.done.clear()
    told = line.fact(TurnStarted(3000 * MS))
    assert kinds(told) == [
        "input_audio_buffer.speech_started",
        *VOICE_CLOSING,
        "response.done",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
        "vivavoce.heard",
    ]
    assert told[-2]["audio_end_ms"] == 700
    assert told[-1]["heard_chars"] == 3
    item_id = told[-2]["item_id"]
    assert line.done[:-1] == [StopReply(1), Cut(Heard(item_id, 700 * MS, 3))]
    first_send = next(i for i, action in enumerate(line.batch) if isinstance(action, Send))
    assert first_send == 2
    assert line.play(1000) == []


def test_barge_in_after_generation_where_the_server_plays() -> None:
    line = answered(plays=True)
    line.finish(1)
    assert kinds(line.fact(TurnStarted(0))) == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
        "vivavoce.heard",
    ]
    assert not line.did(StopReply)


def test_an_answer_that_was_heard_to_its_end_is_not_cut() -> None:
    line = answered(plays=True)
    line.finish(1)
    frame = line.playout.take(800 * MS)
    assert frame.ended == [1]
    assert kinds(line.fact(TurnStarted(0))) == ["input_audio_buffer.speech_started"]
    assert not line.did(Cut)


def test_barge_in_before_the_first_word_takes_back_what_nobody_has_seen() -> None:
    line = SessionLine(plays=True)
    line.turn()
    told = line.fact(TurnStarted(900 * MS))
    assert kinds(told) == ["input_audio_buffer.speech_started", "response.done"]
    assert told[1]["response"]["output"] == []
    assert line.did(Cut) == [Cut(Heard(line.did(StartReply)[0].spec.id, 0, 0))]


def test_two_replies_that_can_be_heard_are_both_cut() -> None:
    line = answered(plays=True)
    line.finish(1)
    line.tell("response.create")
    line.words(2, "More")
    told = line.fact(TurnStarted(0))
    assert [action.heard.chars for action in line.did(Cut)] == [3, 0]
    assert kinds(told).count("conversation.item.truncated") == 2
    assert kinds(told).count("output_audio_buffer.cleared") == 1


def test_late_tokens_of_a_cut_reply_are_dropped() -> None:
    line = answered(plays=True)
    line.fact(TurnStarted(0))
    assert line.words(1, " four") == line.voice(1, 100) == line.finish(1) == []
    assert line.fact(ReplyFailed(1, "late")) == []


@pytest.mark.parametrize("plays", [True, False])
def test_an_answer_goes_on_when_interruption_is_off(plays: bool) -> None:
    line = answered(plays)
    vad = {"type": "server_vad", "interrupt_response": False}
    line.update(audio={"input": {"turn_detection": vad}})
    told = line.turn(3000, 3500)
    assert "response.done" not in kinds(told)
    assert "response.created" not in kinds(told)
    assert line.playout.audible == 1


def test_sound_that_began_just_before_a_truncation_is_not_announced_after_it() -> None:
    line = SessionLine(plays=True)
    line.turn()
    line.words(1, "One")
    line.voice(1, 500)
    item_id = line.of("response.output_item.added")[0]["item"]["id"]
    assert line.playout.take(480).started == [1]
    line.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=20)
    assert line.fact(PlayoutStarted(1)) == []


def test_on_a_websocket_the_end_of_playing_is_an_estimate_and_not_told() -> None:
    line = answered(plays=False)
    line.finish(1)
    assert line.play(2000) == []
    assert line.session.response_id(1) is None


@pytest.mark.parametrize(
    ("plays", "interrupts", "expected"), [(True, True, DUCKED), (True, False, 1.0), (False, True, 1.0)]
)
def test_the_voice_gives_way_where_the_server_plays_and_may_be_interrupted(
    plays: bool, interrupts: bool, expected: float
) -> None:
    line = answered(plays)
    vad = {"type": "server_vad", "interrupt_response": interrupts}
    line.update(audio={"input": {"turn_detection": vad}})
    before = line.playout.take(10).samples[-1]
    assert line.fact(Overlapped("ducked")) == []
    assert line.playout.take(RAMP + 10).samples[-1] == pytest.approx(before * expected)


def test_a_voice_that_was_held_in_vain_goes_on_at_the_next_sample() -> None:
    line = answered(plays=True)
    line.fact(Overlapped("held"))
    line.playout.take(2 * RAMP)
    heard = line.playout.heard(1)
    line.playout.take(RAMP)
    assert line.playout.heard(1) == heard
    line.fact(Overlapped("full"))
    assert line.playout.take(2 * RAMP).samples[-1] == 0.25
    assert line.playout.heard(1)[0] == heard[0] + 2 * RAMP


def test_an_answer_that_asks_something_can_be_answered_before_its_last_word() -> None:
    line = SessionLine(plays=True)
    line.turn()
    line.words(1, "Shall I?")
    line.voice(1, 1000)
    line.finish(1)
    assert line.playout.interruptible
    line.playout.take(300 * MS)
    assert not line.playout.interruptible
