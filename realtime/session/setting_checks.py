"""Checks the client's requests against the abilities of the models.

    session.update  ─┐
    response.create ─┼─► check(event, settings, abilities) ──► nothing, or `Refused` with the path
    item.create     ─┘
    a new session   ───► check_session

A request that can never be met is refused when it comes, as a whole: it would fail at the first response, or do
nothing. `Abilities` come from the models and are not recorded: the pipeline calls `Session.check` before the core
receives an event, and a recording holds the refusal.
"""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.model.abilities import Abilities
from vivavoce.realtime.session.response_plan import model_tool
from vivavoce.realtime.session.settings import Settings, merge
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire.client_events import ItemCreate, ResponseCreate, ResponseParams, SessionUpdate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionOutputItem,
    InputText,
    ItemReference,
    MessageItem,
    OutputText,
    PlainText,
    WireItem,
)
from vivavoce.realtime.wire.session_config import FunctionTool, RealtimeSession, SessionConfig, Tool, VoiceId


def check(event: ClientEvent, settings: Settings, abilities: Abilities) -> None:
    """Raises `Refused` for an event that the models cannot serve. `settings`: those in force."""
    match event:
        case SessionUpdate(session=config):
            check_session(config, merge(settings, config), abilities)
        case ResponseCreate(response=ResponseParams() as params):
            _check_response(params, settings, abilities)
        case ItemCreate(item=item):
            _check_length(item, "item", abilities)


def check_session(config: SessionConfig, after: Settings, abilities: Abilities) -> None:
    """Raises `Refused` for a session object that the models cannot serve. `after`: the settings that it leads to."""
    listening = config.audio.input if config.audio else None
    if listening and listening.transcription:
        path = "session.audio.input.transcription"
        _check_language(listening.transcription.language or "", f"{path}.language", abilities)
        for i, language in enumerate(listening.transcription.languages or ()):
            _check_language(language, f"{path}.languages[{i}]", abilities)
    if not isinstance(config, RealtimeSession):
        return
    speaking = config.audio.output if config.audio else None
    if speaking and speaking.voice:
        _check_voice(speaking.voice, "session.audio.output.voice", abilities)
    _check_schemas(config.tools or (), "session.tools", abilities)
    if config.instructions or config.tools:
        _check_room("session", config.instructions or "", after.instructions, after.tools, abilities)


def _check_response(params: ResponseParams, settings: Settings, abilities: Abilities) -> None:
    speaking = params.audio.output if params.audio else None
    if speaking and speaking.voice:
        _check_voice(speaking.voice, "response.audio.output.voice", abilities)
    _check_schemas(params.tools or (), "response.tools", abilities)
    if params.instructions or params.tools:
        tools = params.tools if isinstance(params.tools, list) else settings.tools
        given = params.instructions or ""
        _check_room("response", given, given or settings.instructions, tools, abilities)
    for i, item in enumerate(params.input or ()):
        _check_length(item, f"response.input[{i}]", abilities)


def _check_voice(voice: str | VoiceId, path: str, abilities: Abilities) -> None:
    name, path = (voice.id, f"{path}.id") if isinstance(voice, VoiceId) else (voice, path)
    if abilities.voices is not None and name not in abilities.voices:
        message = f"Invalid value: '{name}'. Supported voices are: {_listed(abilities.voices)}."
        raise Refused("invalid_value", message, path)


def _check_language(language: str, path: str, abilities: Abilities) -> None:
    """A variant, such as `en-GB`, is recognized as its language."""
    if abilities.languages is None or not language:
        return
    if language.replace("_", "-").partition("-")[0].lower() not in abilities.languages:
        message = f"Invalid value: '{language}'. This server recognizes: {_listed(abilities.languages)}."
        raise Refused("invalid_value", message, path)


def _check_schemas(tools: Sequence[Tool], path: str, abilities: Abilities) -> None:
    for i, tool in enumerate(tools):
        if isinstance(tool, FunctionTool) and tool.parameters and (fault := abilities.check_tool(tool.parameters)):
            where = f"{path}[{i}].parameters{fault.path}"
            raise Refused("invalid_value", f"Invalid '{where}': {fault.message}", where)


def _check_room(root: str, given: str, instructions: str, tools: Sequence[Tool], abilities: Abilities) -> None:
    """Instructions and tools have to fit together. `given`: the instructions that came now, "" for none."""
    functions = tuple(model_tool(tool) for tool in tools if isinstance(tool, FunctionTool))
    if abilities.fits(instructions, functions):
        return
    if not functions or (given and not abilities.fits(given, ())):
        path, subject = f"{root}.instructions", "the instructions are"
    else:
        path, subject = f"{root}.tools", "instructions and tools together are"
    message = f"Invalid '{path}': {subject} longer than the language model can read."
    raise Refused("context_length_exceeded", message, path)


def _check_length(item: WireItem | ItemReference, path: str, abilities: Abilities) -> None:
    """No single text may be longer than the LLM can read: the newest item is never dropped."""
    texts: list[tuple[str, str]] = []
    match item:
        case MessageItem(content=content):
            texts = [
                (part.text, f"{path}.content[{i}].text")
                for i, part in enumerate(content)
                if isinstance(part, InputText | OutputText | PlainText)
            ]
        case FunctionOutputItem(output=output):
            texts = [(output, f"{path}.output")]
    for text, where in texts:
        if not abilities.fits(text, ()):
            message = f"Invalid '{where}': the text is longer than the language model can read."
            raise Refused("context_length_exceeded", message, where)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
