"""Answers that are not just spoken: tools, text, cancelled, truncated, out of band."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from harness.session_line import MS, SessionLine, answered, kinds, sound
from vivavoce.model.dialogue import (
    Call,
    CallResult,
    Heard,
    Message,
    ReplySpec,
    Tool,
)
from vivavoce.realtime.events import (
    Cut,
    Forget,
    PlayoutEnded,
    PlayoutStarted,
    Read,
    ReplyFailed,
    StartReply,
    StopReply,
    TurnEnded,
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


def test_a_call_and_its_result() -> None:
    line = SessionLine()
    line.turn()
    told = line.call(1, '{"a":', final=False)
    assert kinds(told) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
    ]
    opened = told[1]["item"]
    assert (opened["call_id"], opened["name"], opened["arguments"], opened["status"]) == (
        "call_1",
        "look",
        "",
        "in_progress",
    )
    told = line.call(1, "1}")
    assert kinds(told) == [
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
    ]
    assert told[1]["arguments"] == told[2]["item"]["arguments"] == '{"a":1}'
    assert line.done[-1] == Read(
        Call(opened["id"], "call_1", "look", '{"a":1}'),
        opened["id"] and line.session._state.conversation.before(opened["id"]),
    )
    assert kinds(line.finish(1)) == ["response.done"]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    told = line.tell("conversation.item.create", item=output)
    assert kinds(told) == ["conversation.item.added", "conversation.item.done"]
    assert line.done[-1] == Read(CallResult(told[0]["item"]["id"], "call_1", "42"), None)
    assert kinds(line.tell("response.create")) == ["response.created"]


def test_a_message_and_several_calls_in_one_response() -> None:
    line = SessionLine()
    line.turn()
    line.words(1, "Let me look.")
    line.call(1, "{}", call_id="call_1")
    line.call(1, "", final=False, call_id="call_2")
    line.call(1, "{}", call_id="call_2")
    line.words(1, " Just a moment.")
    line.finish(1)
    output = line.of("response.done")[0]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert output[0]["content"][0]["transcript"] == "Let me look. Just a moment."
    assert [action.item.call_id for action in line.did(Read)] == ["call_1", "call_2"]


def test_a_call_that_is_cut_is_never_announced_as_done() -> None:
    line = SessionLine()
    line.turn()
    line.call(1, '{"a', final=False, call_id="call_1")
    told = line.call(1, '{"b', final=False, call_id="call_2")
    assert kinds(told)[:2] == ["response.output_item.done", "conversation.item.done"]
    told = line.fact(TurnStarted(0))
    assert kinds(told)[1:] == ["response.output_item.done", "conversation.item.done", "response.done"]
    assert {item["status"] for item in told[-1]["response"]["output"]} == {"incomplete"}
    assert not line.did(Read)


def test_a_text_answer_has_no_sound() -> None:
    line = SessionLine(plays=True)
    line.tell("conversation.item.create", item=message("Hello", id="q"))
    line.tell("response.create", response={"output_modalities": ["text"]})
    assert line.did(StartReply)[0].spec.audio is False
    told = line.words(1, "Hi.") + line.words(1, "") + line.finish(1)
    assert kinds(told) == [
        *OPENING,
        "response.output_text.delta",
        "response.output_text.done",
        *CLOSING,
        "response.done",
    ]
    assert told[2]["part"] == {"type": "text", "text": ""}
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Hi."}]


@pytest.mark.parametrize("plays", [True, False])
def test_a_cancelled_text_answer_keeps_what_was_shown(plays: bool) -> None:
    line = SessionLine(plays)
    line.update(output_modalities=["text"])
    line.tell("response.create")
    line.words(1, "One two")
    told = line.tell("response.cancel")
    assert kinds(told) == ["response.output_text.done", *CLOSING, "response.done"]
    assert told[-1]["response"]["status_details"]["reason"] == "client_cancelled"
    assert line.did(Cut)[0].heard.chars == 7
    assert line.did(StopReply) == [StopReply(1)]


def test_cancel_where_the_server_plays_lets_what_was_made_be_heard() -> None:
    line = answered(plays=True)
    assert kinds(line.tell("response.cancel"))[-1] == "response.done"
    told = line.play(800)
    assert kinds(told) == ["output_audio_buffer.stopped", "vivavoce.heard"]
    assert line.did(Cut)[0].heard.samples == 1500 * MS


def test_cancel_and_clear_are_the_interruption_of_a_client() -> None:
    line = answered(plays=True)
    line.tell("response.cancel")
    told = line.tell("output_audio_buffer.clear")
    assert kinds(told) == ["output_audio_buffer.cleared", "conversation.item.truncated", "vivavoce.heard"]
    assert line.did(Cut)[0].heard.samples == 700 * MS
    assert line.tell("output_audio_buffer.clear") == []


def test_clear_alone_cancels_too() -> None:
    line = answered(plays=True)
    assert kinds(line.tell("output_audio_buffer.clear"))[-4:] == [
        "response.done",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
        "vivavoce.heard",
    ]


def test_cancel_on_a_websocket_leaves_truncation_to_the_client() -> None:
    line = answered(plays=False)
    assert kinds(line.tell("response.cancel")) == [*VOICE_CLOSING, "response.done"]
    assert not line.did(Cut)


def test_a_client_may_truncate_before_it_cancels() -> None:
    line = answered(plays=False)
    item_id = line.of("response.output_item.added")[0]["item"]["id"]
    told = line.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)
    assert kinds(told) == ["conversation.item.truncated"]
    assert not line.did(Cut)
    told = line.tell("response.cancel")
    assert kinds(told)[-1] == "vivavoce.heard"
    assert line.done[-2:] == [StopReply(1), Cut(Heard(item_id, 600 * MS, 3))]


def test_a_client_may_truncate_and_let_the_reply_end() -> None:
    line = answered(plays=False)
    item_id = line.of("response.output_item.added")[0]["item"]["id"]
    line.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)
    line.words(1, " four")
    assert kinds(line.finish(1))[-1] == "vivavoce.heard"
    assert line.did(Cut) == [Cut(Heard(item_id, 600 * MS, 3))]
    (part,) = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"]
    assert part.keys() == {"type", "audio"}
    assert len(base64.b64decode(part["audio"])) == 2 * 600 * MS


def test_a_client_that_truncates_what_the_server_plays_is_obeyed() -> None:
    line = answered(plays=True)
    item_id = line.of("response.output_item.added")[0]["item"]["id"]
    told = line.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=600)
    assert kinds(told) == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    line.finish(1)
    assert line.play(1000) == []


def test_out_of_band_answers_run_beside_and_leave_no_items() -> None:
    line = SessionLine()
    line.tell("conversation.item.create", item=message("Hello", id="q"))
    line.tell("response.create")
    told = line.tell("response.create", response={"conversation": "none", "metadata": {"topic": "x"}, "input": []})
    beside = told[0]["response"]
    assert (beside["conversation_id"], beside["metadata"]) == (None, {"topic": "x"})
    assert line.did(StartReply)[1].spec.context == ()
    told = line.words(2, "Beside") + line.words(1, "Mine") + line.voice(2, 100) + line.call(2, "{}")
    assert line.playout.pushed(2) == 0
    assert kinds(line.fact(TurnStarted(0)))[-1] == "response.done"
    told = line.finish(2)
    assert told[-1]["response"]["status"] == "completed"
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["message", "function_call"]
    known = {event["item"]["id"] for event in line.of("conversation.item.added")}
    assert not known & {item["id"] for item in told[-1]["response"]["output"]}
    assert not line.did(Read)[1:]


def test_an_out_of_band_answer_sees_the_conversation_and_does_not_join_it() -> None:
    line = SessionLine()
    line.tell("conversation.item.create", item=message("Hello", id="q"))
    line.tell("response.create", response={"conversation": "none"})
    assert line.did(StartReply)[0].spec.context == ("q",)


def test_an_out_of_band_answer_is_cancelled_by_name() -> None:
    line = SessionLine(plays=True)
    told = line.tell("response.create", response={"conversation": "none"})
    line.voice(1, 100)
    line.play(50)
    response_id = told[0]["response"]["id"]
    assert line.session.response_id(1) == response_id
    line.fact(TurnStarted(0))
    assert not line.of("response.done")
    told = line.tell("response.cancel", response_id=response_id)
    assert told[-1]["response"]["status"] == "cancelled"
    assert kinds(line.play(100)) == ["output_audio_buffer.stopped"]


def test_an_answer_from_its_own_context_joins_the_conversation() -> None:
    line = SessionLine()
    line.tell("conversation.item.create", item=message("Hello", id="q"))
    given = [{"type": "item_reference", "id": "q"}, message("Be brief", "system", id="s"), message("Go")]
    line.tell("response.create", response={"input": given, "output_modalities": ["text"]})
    spec = line.did(StartReply)[0].spec
    assert spec.context[:2] == ("q", Message("s", "system", "Be brief"))
    assert spec.context[2].text == "Go"
    line.words(1, "Done.")
    line.finish(1)
    assert line.done[-1] == Read(Message(spec.id, "assistant", "Done."), "q")


def test_an_answer_from_its_own_context_is_cut_by_forgetting() -> None:
    line = SessionLine(plays=True)
    line.tell("response.create", response={"input": []})
    line.words(1, "One two")
    line.voice(1, 1000, (3, 500), (7, 1000))
    line.play(600)
    line.fact(TurnStarted(0))
    item_id = line.did(StartReply)[0].spec.id
    assert line.done[-4:-1] == [
        Read(Message(item_id, "assistant", "One two"), "root"),
        Forget(item_id),
        Read(Message(item_id, "assistant", "One"), "root"),
    ]


def test_an_unseen_answer_from_its_own_context_leaves_nothing() -> None:
    line = SessionLine()
    line.tell("response.create", response={"input": [], "output_modalities": ["text"]})
    line.tell("response.cancel")
    line.tell("response.create", response={"input": [], "output_modalities": ["text"]})
    line.words(2, "x")
    line.tell("response.cancel")
    assert [type(a) for a in line.done[1:]] == [StartReply, StopReply, StartReply, StopReply, Read]


def test_metadata_and_overrides_are_repeated() -> None:
    line = SessionLine()
    told = line.tell(
        "response.create",
        response={
            "metadata": {"client_event_id": "e1"},
            "max_output_tokens": 50,
            "instructions": "Sing.",
            "audio": {"output": {"voice": {"id": "amy"}, "format": {"type": "audio/pcma"}}},
            "tools": [{"type": "function", "name": "go", "description": None}],
            "tool_choice": {"type": "function", "name": "go"},
        },
    )
    response = told[0]["response"]
    assert response["metadata"] == {"client_event_id": "e1"}
    assert response["max_output_tokens"] == 50
    assert response["audio"] == {"output": {"format": {"type": "audio/pcma"}, "voice": "amy"}}
    assert line.did(StartReply)[0].spec == ReplySpec(
        id=line.did(StartReply)[0].spec.id,
        instructions="Sing.",
        voice="amy",
        tools=(Tool("go", "", {"type": "object", "properties": {}}),),
        tool_choice="go",
        max_tokens=50,
    )
    line.voice(1, 1000)
    line.finish(1)
    assert sum(len(base64.b64decode(e["delta"])) for e in line.of("response.output_audio.delta")) == 8000


def test_a_limit_makes_an_answer_incomplete() -> None:
    line = SessionLine()
    line.tell("response.create")
    line.words(1, "One")
    response = line.finish(1, reason="length")[-1]["response"]
    assert response["status"] == response["status_details"]["type"] == "incomplete"
    assert response["status_details"]["reason"] == "max_output_tokens"


def test_a_failure_of_the_model_ends_the_response() -> None:
    line = SessionLine()
    line.tell("response.create")
    line.words(1, "One")
    line.voice(1, 200)
    told = line.fact(ReplyFailed(1, "no memory"))
    assert told[-1]["response"]["status_details"] == {
        "type": "failed",
        "error": {"type": "server_error", "code": "server_error", "message": "no memory"},
    }
    assert line.playout.audible == 1
    assert kinds(line.tell("response.create")) == ["response.created"]


@pytest.mark.slow
def test_more_sound_than_can_wait_fails_the_response() -> None:
    line = SessionLine(plays=True)
    line.tell("response.create")
    line.voice(1, 599_000)
    told = line.voice(1, 2_000)
    assert told[-1]["response"]["status"] == "failed"
    assert line.done[-1] == StopReply(1)


def test_sound_of_no_length_opens_nothing() -> None:
    line = SessionLine()
    line.tell("response.create")
    assert line.voice(1, 0) == []


def test_facts_of_replies_that_are_gone_are_passed_over() -> None:
    line = SessionLine(plays=True)
    assert line.fact(PlayoutStarted(9)) == line.fact(PlayoutEnded(9)) == line.words(9, "x") == []
    assert line.fact(ReplyFailed(9, "x")) == []


@pytest.mark.parametrize(("response", "done"), [({}, [Forget]), ({"input": []}, [])])
def test_an_answer_that_is_deleted_while_it_is_said_is_forgotten_again(response: Any, done: list[Any]) -> None:
    line = SessionLine()
    line.tell("response.create", response=response)
    item_id = line.words(1, "One")[0]["item"]["id"]
    assert kinds(line.tell("conversation.item.delete", item_id=item_id)) == ["conversation.item.deleted"]
    line.done.clear()
    told = line.words(1, " two") + line.finish(1)
    assert "conversation.item.done" not in kinds(told)
    assert [type(action) for action in line.done] == done


def test_a_long_turn_is_heard_whole_and_kept_in_part() -> None:
    line = SessionLine()
    item_id = line.fact(TurnStarted(0))[0]["item_id"]
    for _ in range(31):
        line.keep(sound(2000))
    line.fact(TurnEnded(62_000 * MS))
    audio = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]["audio"]
    assert len(base64.b64decode(audio)) == 60_000 * 48
    assert len(line.heard) == 31
