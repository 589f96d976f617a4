"""What can never work is refused when it comes: with its path, as a whole, at every door."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from harness.fakes import ScriptedEngine
from harness.session_line import SessionLine, kinds
from vivavoce.model.abilities import Abilities, SchemaFault
from vivavoce.model.dialogue import Tool
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session, random_ids
from vivavoce.realtime.wire.errors import Refused

ROOM = 1000
"""Characters that the LLM of these tests can read."""


@dataclass(frozen=True)
class Fault:
    path: str
    message: str


def pattern_fault(schema: dict[str, Any]) -> SchemaFault | None:
    """Finds patterns that do not compile."""
    for name, field in schema.get("properties", {}).items():
        try:
            re.compile(field.get("pattern", ""))
        except re.error:
            return Fault(f".properties.{name}.pattern", "it is no regular expression.")
    return None


def fits(instructions: str, tools: tuple[Tool, ...]) -> bool:
    return len(instructions) + sum(len(tool.description) for tool in tools) <= ROOM


ABILITIES = Abilities(("joe", "af_heart", "alloy"), ("en", "de"), pattern_fault, fits)


def tool(name: str = "look", description: str = "Looks.", **field: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": {"type": "string", **field}}}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def spoken(voice: Any) -> dict[str, Any]:
    return {"audio": {"output": {"voice": voice}}}


def transcribed(**transcription: Any) -> dict[str, Any]:
    return {"audio": {"input": {"transcription": transcription}}}


def denoised(strength: Any) -> dict[str, Any]:
    return {"audio": {"input": {"noise_reduction": {"type": "near_field", "strength": strength}}}}


SERVER = {"type": "mcp", "server_label": "web", "server_url": "https://mcp.example/mcp"}
VIVAVOCE = {"type": "mcp", "server_label": "vivavoce"}
LONG = "word " * ROOM
LANGUAGE = "audio.input.transcription.language"

NEVER: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown voice": (spoken("nobody-has-this-voice"), "invalid_value", "audio.output.voice"),
    "unknown voice id": (spoken({"id": "voice_1"}), "invalid_value", "audio.output.voice.id"),
    "a voice in other letters": (spoken("Joe"), "invalid_value", "audio.output.voice"),
    "long instructions": ({"instructions": LONG}, "context_length_exceeded", "instructions"),
    "long instructions with a tool": (
        {"instructions": LONG, "tools": [tool()]},
        "context_length_exceeded",
        "instructions",
    ),
    "long tools": ({"tools": [tool(description=LONG)]}, "context_length_exceeded", "tools"),
    "together too long": (
        {"instructions": "x" * 600, "tools": [tool(description="x" * 600)]},
        "context_length_exceeded",
        "tools",
    ),
    "a pattern that does not compile": (
        {"tools": [tool(), tool("b", pattern="((")]},
        "invalid_value",
        "tools[1].parameters.properties.a.pattern",
    ),
    "a choice that names no tool": (
        {"tool_choice": {"type": "function", "name": "nobody"}},
        "invalid_value",
        "tool_choice",
    ),
    "a choice that names another tool": (
        {"tools": [tool()], "tool_choice": {"type": "function", "name": "nobody"}},
        "invalid_value",
        "tool_choice",
    ),
    "a choice that names no server": (
        {"tools": [tool("web")], "tool_choice": {"type": "mcp", "server_label": "web"}},
        "invalid_value",
        "tool_choice",
    ),
    "a choice of no tool of ours": (
        {"tools": [VIVAVOCE], "tool_choice": {"type": "mcp", "server_label": "vivavoce", "name": "erase"}},
        "invalid_value",
        "tool_choice",
    ),
    "required without tools": ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    "required with no tools": ({"tool_choice": "required", "tools": []}, "invalid_value", "tool_choice"),
}
SESSIONS_ONLY: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown language": (transcribed(language="xx-nonsense"), "invalid_value", LANGUAGE),
    "another language": (transcribed(model="whisper-1", language="fr"), "invalid_value", LANGUAGE),
    "a language by its name": (transcribed(language="english"), "invalid_value", LANGUAGE),
    "another language among several": (transcribed(languages=["en", "fr"]), "invalid_value", f"{LANGUAGE}s[1]"),
    "too strong": (denoised(1e9), "decimal_above_max_value", "audio.input.noise_reduction.strength"),
    "less than none": (denoised(-5), "decimal_below_min_value", "audio.input.noise_reduction.strength"),
}
ALL = NEVER | SESSIONS_ONLY


@pytest.mark.parametrize(("config", "code", "path"), ALL.values(), ids=ALL)
def test_an_update_that_can_never_work_is_refused_and_nothing_of_it_is_taken(
    config: dict[str, Any], code: str, path: str
) -> None:
    line = SessionLine(abilities=ABILITIES)
    before = line.session.settings
    session = {"type": "realtime", "truncation": "disabled", "include": None, **config}
    error = line.refused("session.update", session=session)
    assert (error["code"], error["param"]) == (code, f"session.{path}")
    assert error["message"]
    assert line.session.settings is before
    assert kinds(line.tell("response.create")) == ["response.created"]


@pytest.mark.parametrize(("config", "code", "path"), ALL.values(), ids=ALL)
def test_a_session_that_can_never_work_is_not_opened(config: dict[str, Any], code: str, path: str) -> None:
    defaults = SessionDefaults(abilities=ABILITIES)
    with pytest.raises(Refused) as refused:
        new_session(True, SessionRequest(config=config), random_ids(), 1_000, defaults=defaults)
    assert (refused.value.code, refused.value.param) == (code, f"session.{path}")


@pytest.mark.parametrize(("config", "code", "path"), NEVER.values(), ids=NEVER)
def test_a_response_that_can_never_work_is_not_begun(config: dict[str, Any], code: str, path: str) -> None:
    line = SessionLine(abilities=ABILITIES)
    line.update(tools=[VIVAVOCE] if config.get("tools") == [VIVAVOCE] else [])
    error = line.refused("response.create", response=config)
    assert (error["code"], error["param"]) == (code, f"response.{path}")
    assert not line.session.response_id(1)


def test_no_secret_is_issued_for_a_session_that_can_never_work() -> None:
    engine = ScriptedEngine()
    engine.abilities = ABILITIES
    admission = Admission(ServerConfig(), lambda: 1000.0)
    body = b'{"session": {"audio": {"output": {"voice": "nobody"}}}}'
    assert admission.issue(body), "what the models can do is not known yet"
    admission.calls = Calls(engine, ServerConfig())  # type: ignore[arg-type]  # all that is used of it
    with pytest.raises(Denied) as denied:
        admission.issue(body)
    assert (denied.value.status, denied.value.code, denied.value.param) == (
        400,
        "invalid_value",
        "session.audio.output.voice",
    )


EVER: dict[str, dict[str, Any]] = {
    "a voice": spoken("alloy"),
    "a voice by its id": spoken({"id": "af_heart"}),
    "the default voice": spoken(None),
    "instructions that just fit": {"instructions": "x" * ROOM},
    "no instructions": {"instructions": None},
    "a tool": {"tools": [tool(pattern="[a-z]+")]},
    "a tool that is required": {"tools": [tool()], "tool_choice": "required"},
    "a tool that is chosen": {"tools": [tool()], "tool_choice": {"type": "function", "name": "look"}},
    "a server that is chosen": {"tools": [SERVER], "tool_choice": {"type": "mcp", "server_label": "web"}},
    "a server's tool that may be there": {
        "tools": [SERVER],
        "tool_choice": {"type": "mcp", "server_label": "web", "name": "look_up"},
    },
    "no choice": {"tool_choice": None},
    "none without tools": {"tool_choice": "none"},
    "a language": transcribed(model="whisper-1", language="de"),
    "a variant of a language": transcribed(language="en-GB"),
    "a language in capitals": transcribed(language="EN_us"),
    "any language": transcribed(language=None),
    "an empty language": transcribed(language=""),
    "several languages": transcribed(languages=["de", "en"]),
    "no transcription": {"audio": {"input": {"transcription": None}}},
    "the strongest": denoised(4),
    "the weakest": denoised(0),
}


@pytest.mark.parametrize("config", EVER.values(), ids=EVER)
def test_all_that_works_is_taken(config: dict[str, Any]) -> None:
    assert kinds(SessionLine(abilities=ABILITIES).update(**config))[0] == "session.updated"
    defaults = SessionDefaults(abilities=ABILITIES)
    assert new_session(True, SessionRequest(config=config), random_ids(), 1_000, defaults=defaults)


def test_a_model_whose_abilities_are_not_known_is_asked_for_anything() -> None:
    refused = {name for name, (config, *_) in ALL.items() if kinds(SessionLine().update(**config)) == ["error"]}
    contradictions = {name for name in NEVER if name.startswith(("a choice", "required"))}
    assert refused == contradictions | {"too strong", "less than none"}


def test_settings_in_force_count_for_an_update_of_the_others() -> None:
    line = SessionLine(abilities=ABILITIES)
    line.update(instructions="x" * 600)
    session = {"type": "realtime", "tools": [tool(description="x" * 600)]}
    assert line.refused("session.update", session=session)["param"] == "session.tools"
    line.update(tools=[tool()], tool_choice="required")
    error = line.refused("session.update", session={"type": "realtime", "tools": []})
    assert error["param"] == "session.tool_choice"
    assert kinds(line.update(tools=[], tool_choice="auto")) == ["session.updated"]


def test_a_chosen_server_that_has_not_listed_its_tools_forces_none() -> None:
    line = SessionLine(abilities=ABILITIES)
    line.update(tools=[SERVER], tool_choice={"type": "mcp", "server_label": "web", "name": "look_up"})
    line.tell("response.create")
    assert (line.done[-1].spec.tools, line.done[-1].spec.tool_choice) == ((), "auto")


def test_a_text_that_the_model_cannot_read_is_no_item() -> None:
    line = SessionLine(abilities=ABILITIES)
    for item, path in (
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": LONG}]}, ".content[0].text"),
        ({"type": "message", "role": "assistant", "content": [{"type": "text", "text": LONG}]}, ".content[0].text"),
        ({"type": "function_call_output", "call_id": "c", "output": LONG}, ".output"),
    ):
        error = line.refused("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == ("context_length_exceeded", f"item{path}")
        error = line.refused("response.create", response={"input": [item]})
        assert (error["code"], error["param"]) == ("context_length_exceeded", f"response.input[0]{path}")


# --- the voice, once it was heard ---


@pytest.mark.parametrize("voice", ["af_heart", {"id": "af_heart"}])
def test_after_the_first_sound_no_response_has_another_voice(voice: Any) -> None:
    line = SessionLine(abilities=ABILITIES)
    line.tell("response.create", response=spoken(voice))
    assert line.done[-1].spec.voice == "af_heart"
    line.finish(1)
    line.tell("response.create")
    line.voice(2, 10)
    line.finish(2)
    error = line.refused("response.create", response=spoken(voice))
    assert (error["code"], error["param"]) == ("cannot_update_voice", "response.audio.output.voice")
    assert kinds(line.tell("response.create", response=spoken({"id": "joe"}))) == ["response.created"]
    aside = {"conversation": "none", **spoken(voice)}
    assert kinds(line.tell("response.create", response=aside)) == ["response.created"]


def test_the_same_voice_by_its_id_is_no_change() -> None:
    line = SessionLine(abilities=ABILITIES)
    line.tell("response.create")
    line.voice(1, 10)
    assert kinds(line.update(**spoken({"id": "joe"}))) == ["session.updated"]
    error = line.refused("session.update", session={"type": "realtime", **spoken({"id": "alloy"})})
    assert error["code"] == "cannot_update_voice"
