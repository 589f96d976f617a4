"""Every error of the protocol: its code, its field, its form; and that the session goes on as if nothing was asked."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from harness.session_line import MS, SessionLine, kinds, sound
from vivavoce.model.dialogue import Done
from vivavoce.realtime.events import DropTurn, Replied, TurnEnded, TurnIdle, TurnStarted
from vivavoce.realtime.session.conversation import MAX_ITEMS
from vivavoce.realtime.session.responses import MAX_OUT_OF_BAND
from vivavoce.realtime.wire.session_config import McpTool


def message(role: str = "user", **item: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": "Hello"}], **item}


def refusals(error: dict[str, Any]) -> tuple[Any, Any, Any]:
    return error["code"], error["param"], error["message"]


def test_commit_needs_a_tenth_of_a_second() -> None:
    line = SessionLine()
    assert refusals(line.refused("input_audio_buffer.commit")) == (
        "input_audio_buffer_commit_empty",
        None,
        "Error committing input audio buffer: buffer too small. "
        "Expected at least 100ms of audio, but buffer only has 0.00ms of audio.",
    )
    line.fact(TurnStarted(0))
    line.keep(sound(99))
    assert "only has 99.00ms" in line.refused("input_audio_buffer.commit")["message"]


def append(line: SessionLine, *pieces: bytes) -> list[int]:
    """Appends pieces as a client that cuts anywhere; the samples of each that go to the floor."""
    before = len(line.appended)
    for piece in pieces:
        assert line.tell("input_audio_buffer.append", audio=base64.b64encode(piece).decode()) == []
    return [len(samples) for samples in line.appended[before:]]


def test_half_a_sample_waits_for_its_other_half() -> None:
    line = SessionLine()
    ramp = np.arange(4800, dtype="<i2").tobytes()
    assert append(line, ramp[:4801], b"", ramp[4801:4802], ramp[4802:]) == [2400, 0, 1, 2399]
    assert np.array_equal(np.concatenate(line.appended), np.arange(4800, dtype=np.float32) / 32768)


def test_half_a_sample_outlives_a_turn_that_the_floor_ends() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    append(line, bytes(4801))
    line.fact(TurnEnded(500))
    assert append(line, b"\x40") == [1]


@pytest.mark.parametrize("end", ["input_audio_buffer.clear", "input_audio_buffer.commit"])
def test_half_a_sample_is_dropped_where_the_client_ends_its_sound(end: str) -> None:
    line = SessionLine()
    line.update(audio={"input": {"turn_detection": None}})
    append(line, bytes(9601))
    line.keep(line.appended[-1])
    line.tell(end)
    assert append(line, b"\x01\x00") == [1]
    assert line.appended[-1][0] == pytest.approx(1 / 32768)


def test_an_item_of_sound_that_ends_within_a_sample_is_refused() -> None:
    line = SessionLine()
    part = {"type": "input_audio", "audio": base64.b64encode(bytes(4801)).decode()}
    error = line.refused("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    assert (error["code"], error["param"]) == ("invalid_value", "item.content")
    assert "odd number of bytes" in error["message"]


def test_cancel_needs_a_running_response() -> None:
    line = SessionLine()
    expected = ("response_cancel_not_active", None, "Cancellation failed: no active response found")
    assert refusals(line.refused("response.cancel")) == expected
    line.tell("response.create")
    assert refusals(line.refused("response.cancel", response_id="resp_no")) == expected


def test_one_response_at_a_time() -> None:
    line = SessionLine()
    response_id = line.tell("response.create")[0]["response"]["id"]
    assert refusals(line.refused("response.create")) == (
        "conversation_already_has_active_response",
        None,
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one.",
    )


def test_responses_out_of_band_are_counted() -> None:
    line = SessionLine()
    for _ in range(MAX_OUT_OF_BAND):
        line.tell("response.create", response={"conversation": "none"})
    assert line.refused("response.create", response={"conversation": "none"})["code"] == "too_many_responses"
    line.fact(Replied(1, Done("stop")))
    assert kinds(line.tell("response.create", response={"conversation": "none"})) == ["response.created"]


def test_items_of_mcp_tools_are_made_by_the_server_alone() -> None:
    call = {"type": "mcp_call", "server_label": "s", "name": "go", "arguments": "{}"}
    error = SessionLine().refused("conversation.item.create", item=call)
    assert (error["code"], error["param"]) == ("unsupported_item", "item.type")


def test_an_item_id_is_used_once() -> None:
    line = SessionLine()
    line.tell("conversation.item.create", item=message(id="a"))
    assert refusals(line.refused("conversation.item.create", item=message(id="a"))) == (
        "item_create_duplicate_item_id",
        None,
        "Error adding item: an item with id 'a' already exists.",
    )


@pytest.mark.parametrize(
    ("kind", "fields", "code", "text"),
    [
        (
            "conversation.item.create",
            {"item": message(), "previous_item_id": "x"},
            "item_create_invalid_previous_item_id",
            "adding",
        ),
        ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id", "deleting"),
        ("conversation.item.retrieve", {"item_id": "x"}, "item_retrieve_invalid_item_id", "retrieving"),
        (
            "conversation.item.truncate",
            {"item_id": "x", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
            "truncating",
        ),
    ],
)
def test_unknown_items_are_named(kind: str, fields: dict[str, Any], code: str, text: str) -> None:
    error = SessionLine().refused(kind, **fields)
    assert (error["code"], error["param"]) == (code, None)
    assert error["message"].startswith(f"Error {text} item: ")
    assert "'x' does not exist." in error["message"]


def truncate(item_id: str, ms: int, index: int = 0) -> dict[str, Any]:
    return {"item_id": item_id, "content_index": index, "audio_end_ms": ms}


def test_only_what_was_said_can_be_truncated() -> None:
    line = SessionLine()
    for role in ("user", "assistant"):
        line.tell("conversation.item.create", item=message(role, id=role))
        assert refusals(line.refused("conversation.item.truncate", **truncate(role, 0))) == (
            "unsupported_content_type",
            None,
            "Only model output audio messages can be truncated",
        )


def test_truncation_ends_within_the_sound() -> None:
    line = SessionLine()
    line.tell("response.create")
    line.words(1, "Hi")
    line.voice(1, 1000)
    item_id = line.of("conversation.item.added")[0]["item"]["id"]
    assert refusals(line.refused("conversation.item.truncate", **truncate(item_id, 5000))) == (
        "invalid_value",
        "audio_end_ms",
        "Audio content of 1000ms is already shorter than 5000ms",
    )
    assert line.refused("conversation.item.truncate", **truncate(item_id, 1001))["code"] == "invalid_value"
    assert line.refused("conversation.item.truncate", **truncate(item_id, 10, 1))["param"] == "content_index"
    line.finish(1)
    assert (
        kinds(line.tell("conversation.item.truncate", **truncate(item_id, 1000)))[-1] == "conversation.item.truncated"
    )
    assert kinds(line.tell("conversation.item.truncate", **truncate(item_id, 400)))[-1] == "conversation.item.truncated"
    assert line.refused("conversation.item.truncate", **truncate(item_id, 900))["message"].startswith(
        "Audio content of 400ms"
    )


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    line = SessionLine()
    line.update(audio={"output": {"voice": "amy"}})
    line.tell("response.create")
    line.voice(1, 10)
    before = line.session.settings
    update = {"type": "realtime", "instructions": "Sing.", "audio": {"output": {"voice": "bob"}}}
    assert refusals(line.refused("session.update", session=update)) == (
        "cannot_update_voice",
        None,
        "Cannot update a conversation's voice if assistant audio is present.",
    )
    assert line.session.settings is before
    assert kinds(line.update(audio={"output": {"voice": "amy"}})) == ["session.updated"]


def test_the_kind_of_a_session_is_fixed() -> None:
    line = SessionLine()
    error = line.refused("session.update", session={"type": "transcription"})
    assert (error["code"], error["param"]) == ("invalid_value", "session.type")


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"prompt": {"id": "p"}}, "unsupported_parameter", "response.prompt"),
        (
            {"tools": [{"type": "mcp", "server_label": "x"}]},
            "missing_required_parameter",
            "response.tools[0].server_url",
        ),
        ({"tool_choice": {"type": "function", "name": "go"}}, "invalid_value", "response.tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "invalid_value", "response.tool_choice"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "invalid_value", "response.input[0].id"),
        (
            {"input": [{"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}]},
            "unsupported_item",
            "response.input[0].type",
        ),
        (
            {"input": [{"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}]},
            "invalid_value",
            "response.input[0]",
        ),
    ],
)
def test_a_response_that_cannot_be_is_not_begun(response: dict[str, Any], code: str, param: str) -> None:
    line = SessionLine()
    error = line.refused("response.create", response=response)
    assert (error["code"], error["param"]) == (code, param)
    assert kinds(line.tell("response.create")) == ["response.created"]


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"prompt": {"id": "p"}}, "unsupported_parameter", "session.prompt"),
        (
            {"tools": [{"type": "mcp", "server_label": "x"}]},
            "missing_required_parameter",
            "session.tools[0].server_url",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_politely(session: dict[str, Any], code: str, param: str) -> None:
    line = SessionLine()
    before = line.session.settings
    error = line.refused("session.update", session={"type": "realtime", "instructions": "x", **session})
    assert (error["code"], error["param"]) == (code, param)
    assert line.session.settings is before
    assert McpTool(server_label="x").server_label == "x"


def test_the_output_buffer_of_a_websocket_belongs_to_the_client() -> None:
    assert SessionLine().refused("output_audio_buffer.clear")["param"] == "type"


def test_an_item_of_sound_waits_for_the_buffer() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    part = {"type": "input_audio", "audio": "AAAA"}
    error = line.refused("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    assert (error["code"], error["param"]) == ("invalid_value", "item")
    line.tell("input_audio_buffer.clear")
    mixed = [part, {"type": "input_text", "text": "x"}]
    error = line.refused("conversation.item.create", item={"type": "message", "role": "user", "content": mixed})
    assert error["param"] == "item.content"


def full() -> SessionLine:
    line = SessionLine()
    line.update(
        truncation="disabled", audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}
    )
    for i in range(MAX_ITEMS):
        line.tell("conversation.item.create", item=message(id=f"i{i}"))
    return line


def test_a_full_conversation_refuses_more_when_nothing_may_be_dropped() -> None:
    line = full()
    assert line.refused("conversation.item.create", item=message())["code"] == "context_length_exceeded"
    assert line.refused("response.create")["code"] == "context_length_exceeded"
    assert kinds(line.tell("response.create", response={"conversation": "none"})) == ["response.created"]
    assert line.fact(TurnIdle(0, 5000 * MS))[0]["error"]["code"] == "context_length_exceeded"


def test_a_turn_that_finds_no_room_is_dropped() -> None:
    line = full()
    told = line.turn()
    assert kinds(told)[-1] == "error"
    assert told[-1]["error"]["code"] == "context_length_exceeded"
    assert line.done[-1] == DropTurn()
    assert line.fact(TurnEnded(0)) == []


def test_messages_that_cannot_be_read_are_answered() -> None:
    line = SessionLine()
    told = line.tell_raw('{"type": "dance", "event_id": "e9"}')
    assert kinds(told) == ["error"]
    assert (told[0]["error"]["param"], told[0]["error"]["event_id"]) == ("type", "e9")
    assert kinds(line.tell("response.create")) == ["response.created"]


def test_the_session_s_choice_of_a_tool_that_a_response_lacks_means_any() -> None:
    line = SessionLine()
    line.update(tools=[{"type": "function", "name": "go"}], tool_choice={"type": "function", "name": "go"})
    line.tell("response.create", response={"conversation": "none"})
    assert line.done[-1].spec.tool_choice == "go"
    line.tell("response.create", response={"tools": []})
    assert line.done[-1].spec.tool_choice == "auto"
