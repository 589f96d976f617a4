"""How settings merge: left out keeps, null resets, everything is echoed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from vivavoce.realtime.events import TurnDetection
from vivavoce.realtime.session.settings import Defaults, Settings, begin, floor, merge, view
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.client_events import SessionUpdate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import RealtimeSession, TranscriptionSession

DEFAULTS = Defaults("viva", "Be kind.", "joe")


def updated(*sessions: dict[str, Any], kind: str = "realtime") -> Settings:
    settings = begin(DEFAULTS, RealtimeSession() if kind == "realtime" else TranscriptionSession())
    for session in sessions:
        message = wire.parse(json.dumps({"type": "session.update", "session": {"type": kind, **session}}))
        assert isinstance(message, SessionUpdate), message
        settings = merge(settings, message.session)
    return settings


def echoed(*sessions: dict[str, Any], kind: str = "realtime") -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(view(updated(*sessions, kind=kind), "sess_1", 99))
    return told


FIELDS: list[tuple[str, Any, Any]] = [
    ("instructions", "Sing.", ""),
    ("output_modalities", ["text"], ["audio"]),
    ("tools", [{"type": "function", "name": "go", "parameters": {"type": "object"}}], []),
    ("tool_choice", "required", "auto"),
    ("tool_choice", {"type": "function", "name": "go"}, "auto"),
    ("max_output_tokens", 100, "inf"),
    ("truncation", {"type": "retention_ratio", "retention_ratio": 0.5}, "auto"),
    ("include", ["item.input_audio_transcription.logprobs"], None),
]


@pytest.mark.parametrize(("field", "value", "reset"), FIELDS, ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(FIELDS)])
def test_a_field_is_set_kept_and_reset(field: str, value: Any, reset: Any) -> None:
    assert echoed({field: value})[field] == value
    assert echoed({field: value}, {})[field] == value
    assert echoed({field: value}, {field: None})[field] == reset


@pytest.mark.parametrize(
    ("half", "field", "value", "reset"),
    [
        ("input", "format", {"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24000}),
        ("input", "transcription", {"model": "whisper-1", "language": "de"}, None),
        ("input", "noise_reduction", {"type": "far_field"}, None),
        ("output", "format", {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 24000}),
        ("output", "voice", "amy", "joe"),
        ("output", "voice", {"id": "amy"}, "joe"),
        ("output", "speed", 1.25, 1.0),
    ],
)
def test_sound_merges_field_by_field(half: str, field: str, value: Any, reset: Any) -> None:
    other: dict[str, Any] = (
        {"audio": {"output": {"speed": 1.5}}} if half == "input" else {"audio": {"input": {"transcription": {}}}}
    )
    assert echoed({"audio": {half: {field: value}}}, other)["audio"][half][field] == value
    assert echoed({"audio": {half: {field: value}}}, {"audio": {half: {field: None}}})["audio"][half][field] == reset
    assert echoed({"audio": {half: {field: value}}}, {"audio": None})["audio"][half][field] == value


def test_turn_detection_is_replaced_as_a_whole_with_its_defaults_filled_in() -> None:
    first = {
        "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.0, "silence_duration_ms": 200}}}
    }
    second = {"audio": {"input": {"turn_detection": {"type": "server_vad", "prefix_padding_ms": 0, "threshold": None}}}}
    assert echoed(first)["audio"]["input"]["turn_detection"]["threshold"] == 0.0
    assert echoed(first, second)["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 0,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    semantic = {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "interrupt_response": False}}}}
    assert echoed(semantic)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": False,
    }


def test_a_transcription_is_echoed_with_the_given_keys_only() -> None:
    given = {"model": "whisper-1", "language": None, "prompt": None, "keywords": None}
    assert echoed({"audio": {"input": {"transcription": given}}})["audio"]["input"]["transcription"] == {
        "model": "whisper-1"
    }


def test_the_strength_of_noise_reduction_is_kept() -> None:
    strong = {"audio": {"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}}}
    plain = {"audio": {"input": {"noise_reduction": {"type": "far_field"}}}}
    assert echoed(strong, plain)["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.5}


def test_tracing_cannot_be_changed_once_it_is_on() -> None:
    assert echoed({"tracing": None})["tracing"] is None
    assert echoed({"tracing": "auto"}, {"tracing": {"workflow_name": "w"}}, {"tracing": None})["tracing"] == "auto"


def test_fields_of_reasoning_are_echoed_only_when_they_were_set() -> None:
    assert not {"reasoning", "parallel_tool_calls"} & set(echoed())
    told = echoed({"reasoning": {"effort": "low"}, "parallel_tool_calls": False})
    assert (told["reasoning"], told["parallel_tool_calls"]) == ({"effort": "low"}, False)


def test_the_model_of_an_update_is_taken_and_changes_nothing() -> None:
    assert echoed({"model": "other"})["model"] == "viva"


@pytest.mark.parametrize(
    ("settings", "update", "param"),
    [
        (updated(), TranscriptionSession(), "session.type"),
        (updated(kind="transcription"), RealtimeSession(), "session.type"),
    ],
)
def test_the_kind_cannot_change(settings: Settings, update: Any, param: str) -> None:
    with pytest.raises(Refused) as refused:
        merge(settings, update)
    assert refused.value.param == param


def test_a_session_that_listens_has_half_of_it() -> None:
    told = echoed({"audio": {"input": {"transcription": {"model": "x"}}}, "include": None}, {}, kind="transcription")
    assert told["audio"]["input"]["transcription"] == {"model": "x"}
    assert not updated(kind="transcription").creates_response
    assert not updated(kind="transcription").interrupts


@pytest.mark.parametrize(
    ("detection", "tuned"),
    [
        (None, None),
        ({"type": "semantic_vad", "eagerness": "low"}, TurnDetection(kind="semantic_vad", eagerness="low")),
        (
            {
                "type": "server_vad",
                "threshold": 0.0,
                "prefix_padding_ms": 0,
                "silence_duration_ms": 0,
                "idle_timeout_ms": 9000,
            },
            TurnDetection(threshold=0.0, prefix_padding_ms=0, silence_duration_ms=0, idle_timeout_ms=9000),
        ),
    ],
)
def test_the_floor_gets_its_settings(detection: Any, tuned: TurnDetection | None) -> None:
    assert floor(updated({"audio": {"input": {"turn_detection": detection}}})) == tuned
