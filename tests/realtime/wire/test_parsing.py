"""JSON to messages and back: exact errors, bounds, and no input that breaks the parser."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.client_events import AudioAppend, ItemCreate, ResponseCreate, SessionUpdate
from vivavoce.realtime.wire.errors import WireError
from vivavoce.realtime.wire.server_events import PartialTranscript
from vivavoce.realtime.wire.session_config import RealtimeSession
from vivavoce.realtime.wire.validation import MAX_BYTES


def parsed(**message: Any) -> Any:
    return wire.parse(json.dumps(message))


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def response(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": fields}


def item(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    message = {"type": "message", "role": role, "content": list(content)}
    return {"type": "conversation.item.create", "item": message}


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


ERRORS: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, "missing_required_parameter", "type"),
    ({"type": "dance"}, "invalid_value", "type"),
    ({"type": 3}, "invalid_type", "type"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": "session.update", "session": {"type": "other"}}, "invalid_value", "session.type"),
    (session(modalities=["text"]), "unknown_parameter", "session.modalities"),
    (session(temperature=0.8), "unknown_parameter", "session.temperature"),
    (session(audio={"input": {"x": 1}}), "unknown_parameter", "session.audio.input.x"),
    (session(tool_choice="maybe"), "invalid_value", "session.tool_choice"),
    (session(output_modalities=["text", "audio"]), "array_above_max_length", "session.output_modalities"),
    (session(output_modalities=[]), "array_below_min_length", "session.output_modalities"),
    (session(max_output_tokens=5000), "integer_above_max_value", "session.max_output_tokens"),
    (session(max_output_tokens=0), "integer_below_min_value", "session.max_output_tokens"),
    (session(instructions=3), "invalid_type", "session.instructions"),
    (session(instructions="x" * 70_000), "string_above_max_length", "session.instructions"),
    (session(audio={"output": {"speed": 2.0}}), "decimal_above_max_value", "session.audio.output.speed"),
    (
        session(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": -1}}}),
        "decimal_below_min_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (session(tools=[{"type": "function", "name": "a b"}]), "invalid_value", "session.tools[0].name"),
    (
        session(tools=[{"type": "function", "name": "a"}, {"type": "function", "name": "a"}]),
        "invalid_value",
        "session.tools[1].name",
    ),
    (
        session(tools=[{"type": "function", "name": "a", "parameters": deep(40)}]),
        "invalid_value",
        "session.tools[0].parameters",
    ),
    (session(tracing={"metadata": deep(40)}), "invalid_value", "session.tracing.metadata"),
    ({"type": "input_audio_buffer.append", "audio": "%%%"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 3}, "invalid_type", "audio"),
    (response(metadata={str(i): "" for i in range(17)}), "object_above_max_properties", "response.metadata"),
    (response(metadata={"a": "x" * 513}), "string_above_max_length", "response.metadata[...]"),
    (
        response(tools=[{"type": "function", "name": "b", "parameters": deep(40)}]),
        "invalid_value",
        "response.tools[0].parameters",
    ),
    (item("user", {"type": "output_text", "text": "x"}), "invalid_value", "item.content[0].type"),
    (item("system", {"type": "input_audio", "audio": "AA=="}), "invalid_value", "item.content[0].type"),
    (item("user", {"type": "input_audio", "audio": "?"}), "invalid_value", "item.content[0].audio"),
    (
        {
            "type": "conversation.item.create",
            "item": {
                "type": "mcp_list_tools",
                "server_label": "x",
                "tools": [{"name": "a", "description": "", "input_schema": deep(40)}],
            },
        },
        "invalid_value",
        "item.tools[0]",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": -1},
        "integer_below_min_value",
        "audio_end_ms",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_type",
        "audio_end_ms",
    ),
    ({"type": "conversation.item.delete", "item_id": ""}, "string_below_min_length", "item_id"),
]


@pytest.mark.parametrize(("message", "code", "param"), ERRORS, ids=[f"{c}-{p}" for _, c, p in ERRORS])
def test_a_fault_is_reported_with_its_code_and_path(message: dict[str, Any], code: str, param: str) -> None:
    error = parsed(**message, event_id="e1")
    assert isinstance(error, WireError)
    assert (error.code, error.param, error.event_id) == (code, param, "e1")
    assert error.message
    assert "`" not in error.message


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "session.update", "session": {}}, "Missing required parameter: 'session.type'."),
        (session(x=1), "Unknown parameter: 'session.x'."),
        (session(tool_choice="maybe"), "Invalid value: 'maybe'."),
    ],
)
def test_error_messages_have_the_official_form(message: dict[str, Any], text: str) -> None:
    assert parsed(**message).message == text


def test_an_unknown_event_is_answered_with_the_known_ones() -> None:
    error = parsed(type="dance")
    assert error.message.startswith("Invalid value: 'dance'. Supported values are: 'session.update', ")
    assert "'response.cancel'" in error.message


@pytest.mark.parametrize(
    "text", ["", "x", "{", b"\xff", "\ud800", '{"type":"\\ud800"}', "[" * 10_000, '{"a":' * 100_000]
)
def test_text_that_is_not_json_is_reported(text: str | bytes) -> None:
    error = wire.parse(text)
    assert isinstance(error, WireError)
    assert error.event_id is None


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_a_message_is_an_object(text: str) -> None:
    error = wire.parse(text)
    assert isinstance(error, WireError)
    assert (error.code, error.param) == ("invalid_type", None)


def test_deep_nesting_is_refused() -> None:
    text = json.dumps(session(tools=[{"type": "function", "name": "a", "parameters": {}}]))
    error = wire.parse(text.replace('"parameters": {}', '"parameters": ' + '{"a":' * 50_000 + "1" + "}" * 50_000))
    assert isinstance(error, WireError)
    assert error.message == "The message is nested too deeply."


@pytest.mark.slow
def test_audio_up_to_fifteen_mebibytes_is_accepted_and_more_is_refused() -> None:
    most = base64.b64encode(bytes(15 * 2**20)).decode()
    taken = wire.parse(f'{{"type":"input_audio_buffer.append","audio":"{most}"}}')
    assert isinstance(taken, AudioAppend)
    more = base64.b64encode(bytes(16 * 2**20)).decode()
    error = wire.parse(f'{{"type":"input_audio_buffer.append","event_id":"e","audio":"{more}"}}')
    assert isinstance(error, WireError)
    assert (error.code, error.param, error.event_id) == ("string_above_max_length", "audio", "e")
    error = wire.parse(" " * (wire.MAX_MESSAGE + 1))
    assert isinstance(error, WireError)
    assert error.code == "string_above_max_length"


SPOKEN = bytes(range(251, 256)) * 40  # its base64 has both characters in which the alphabets differ
STRICT = base64.b64encode(SPOKEN).decode()
WRITTEN = {
    "strict": STRICT,
    "without padding": STRICT.rstrip("="),
    "URL-safe": base64.urlsafe_b64encode(SPOKEN).decode(),
    "URL-safe, without padding": base64.urlsafe_b64encode(SPOKEN).decode().rstrip("="),
    "lines of MIME": base64.encodebytes(SPOKEN).decode(),
    "lines of Windows": base64.encodebytes(SPOKEN).decode().replace("\n", "\r\n"),
    "spaces around it": f" {STRICT}\t",
    "padding twice": STRICT + "=",
}


def messages(audio: str) -> list[tuple[dict[str, Any], str]]:
    """Every message that carries audio, with the path of the field."""
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    return [
        ({"type": "input_audio_buffer.append", "audio": audio}, "audio"),
        ({"type": "conversation.item.create", "item": spoken}, "item.content[0].audio"),
        (response(input=[spoken, spoken]), "response.input[0].content[0].audio"),
    ]


@pytest.mark.parametrize("audio", WRITTEN.values(), ids=WRITTEN)
def test_base64_is_read_in_all_the_ways_in_which_it_is_written(audio: str) -> None:
    assert SPOKEN[:1] == b"\xfb"
    assert {"+", "/", "="} <= set(STRICT)
    for (message, path), (strict, _) in zip(messages(audio), messages(STRICT), strict=True):
        assert parsed(**message) == parsed(**strict), path
        assert not isinstance(parsed(**message), WireError)


@pytest.mark.parametrize(
    ("audio", "fault"),
    [
        ("!", "'!' is no character of base64"),
        ("AAE=AAE=", "piece by piece"),
        ("AAAAA", "its last character is missing"),
        ("A", "its last character is missing"),
        ("data:audio/wav;base64,AAE=", "data URI"),
        ("Ä" * 4, "outside ASCII"),
        ("AA\u00a0AA", "outside ASCII"),
        ("AA%2BAA", "'%' is no character of base64"),
    ],
)
def test_what_is_no_base64_is_refused_with_its_path_and_its_fault(audio: str, fault: str) -> None:
    for message, path in messages(audio):
        error = parsed(event_id="mine", **message)
        assert (error.code, error.param, error.event_id) == ("invalid_value", path, "mine")
        assert fault in error.message
        assert path in error.message


def test_another_fault_beside_lenient_base64_is_found_too() -> None:
    error = parsed(type="input_audio_buffer.append", audio="-_8", volume=3)
    assert (error.code, error.param) == ("unknown_parameter", "volume")
    error = parsed(**item("user", {"type": "input_audio", "audio": "-_8", "transcript": 3}))
    assert (error.code, error.param) == ("invalid_type", "item.content[0].transcript")
    error = parsed(**response(input=[3, {"content": {"audio": "-_8"}}], audio="-_8"))
    assert (error.code, error.param) == ("invalid_type", "response.input[0]")


def test_an_event_id_that_is_too_long_is_not_repeated() -> None:
    error = parsed(type="response.cancel", event_id="x" * 513)
    assert (error.code, error.param, error.event_id) == ("string_above_max_length", "event_id", None)
    assert parsed(type="dance", event_id=3).event_id is None


def test_leaving_out_and_null_are_different() -> None:
    update = parsed(**session(tools=None))
    assert isinstance(update, SessionUpdate)
    assert isinstance(update.session, RealtimeSession)
    assert (update.session.tools, update.session.audio) == (None, UNSET)


@pytest.mark.parametrize(
    "message",
    [
        session(model="gpt-realtime", tracing=None, audio={"input": {"noise_reduction": None}}),
        session(
            tools=[{"type": "function", "name": "a", "strict": True}], tool_choice={"type": "function", "name": "a"}
        ),
        session(
            tracing={"workflow_name": "w", "metadata": {"a": [1, {"b": None}]}},
            truncation={"type": "retention_ratio", "retention_ratio": 0.8},
        ),
        {"type": "session.update", "session": {"type": "transcription"}},
        {
            "type": "conversation.item.create",
            "item": {
                "type": "mcp_list_tools",
                "server_label": "x",
                "tools": [{"name": "a", "description": "", "input_schema": deep(3)}],
            },
        },
        item("assistant", {"type": "text", "text": "x"}),
        item("assistant", {"type": "input_text", "text": "x"}),
        {"type": "response.create", "response": None},
        {"type": "response.create"},
        response(input=[{"type": "item_reference", "id": "x"}], max_output_tokens="inf"),
    ],
)
def test_messages_of_real_clients_are_accepted(message: dict[str, Any]) -> None:
    assert not isinstance(parsed(**message), WireError)


# --- images ------------------------------------------------------------------------------------------------------


def with_image(url: str) -> Any:
    return parsed(**item("user", {"type": "input_image", "image_url": url, "detail": "auto"}))


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,AAAA",
        "data:image/jpeg;base64,AAAA",
        "data:image/jpg;base64,AAAA",
        "data:image/webp;base64,AAAA",
        "data:image/gif;base64,AAAA",
        "DATA:IMAGE/PNG;BASE64,AAAA",
        "data:image/png;name=a.png;base64,AAAA",
        "data:image/x-ms-bmp;base64,AAAA",
        "data:image/png;base64,",
        "data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3),
    ],
    ids=lambda url: url[:40],
)
def test_images_come_in_data_uris_and_are_decoded_later(url: str) -> None:
    assert isinstance(with_image(url), ItemCreate)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/a.png", "data URI"),
        ("data:image/png,AAAA", "data URI"),
        ("data:text/plain;base64,AAAA", "data URI"),
        ("data:;base64,AAAA", "data URI"),
        ("data:image/png;base64", "data URI"),
        ("", "data URI"),
        ("data:image/png" + ";x=y" * 1000 + ";base64,AAAA", "data URI"),
        ("data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3 + 8), "larger than 8 MiB"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_images_that_should_not_be_decoded_are_refused(url: str, why: str) -> None:
    error = with_image(url)
    assert (error.code, error.param) == ("invalid_value", "item.content[0].image_url")
    assert why in error.message


def test_events_leave_as_json() -> None:
    event = PartialTranscript(event_id="e", item_id=None, stable="a", tail="é")
    assert json.loads(wire.encode(event)) == {
        "type": "vivavoce.transcript.partial",
        "event_id": "e",
        "item_id": None,
        "stable": "a",
        "tail": "é",
    }


# --- any input -----------------------------------------------------------------------------------------------------

SEEDS = [json.dumps(message) for message, _, _ in ERRORS] + [
    json.dumps(item("user", {"type": "input_image", "image_url": "data:image/jpeg;base64,AAAA"})),
    json.dumps(response(input=[{"type": "item_reference", "id": "x"}], metadata={"a": "b"})),
]

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3), max_leaves=8
)


@pytest.mark.slow
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_bytes_break_the_parser(text: str | bytes) -> None:
    assert isinstance(wire.parse(text), WireError)


@pytest.mark.slow
@given(st.sampled_from(SEEDS), st.integers(0, 400), st.integers(0, 12), st.text(max_size=6))
def test_no_edit_of_a_message_breaks_the_parser(seed: str, at: int, length: int, new: str) -> None:
    result = wire.parse(seed[:at] + new + seed[at + length :])
    assert result is not None
    if isinstance(result, WireError):
        assert result.code
        assert result.message


@pytest.mark.slow
@given(
    st.sampled_from(["session", "response", "item", "audio", "item_id", "event_id"]),
    values,
    st.sampled_from([m["type"] for m, _, _ in ERRORS if isinstance(m.get("type"), str)]),
)
def test_no_value_of_a_field_breaks_the_parser(field: str, value: Any, kind: str) -> None:
    result = parsed(type=kind, **{field: value})
    assert result is not None


def test_a_response_needs_no_options() -> None:
    assert parsed(type="response.create") == ResponseCreate()
