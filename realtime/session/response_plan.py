"""Plans one response: the session's settings, overridden by the parameters of `response.create`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from msgspec import UNSET

from vivavoce.model import dialogue
from vivavoce.realtime.session.conversation import Conversation, entry
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import Look
from vivavoce.realtime.session.mcp_servers import Served, Servers
from vivavoce.realtime.session.settings import PCM, Modality, Settings, pick, refuse_prompt
from vivavoce.realtime.wire.client_events import ResponseParams
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    FunctionOutputItem,
    InputAudio,
    ItemReference,
    MessageItem,
    WireItem,
)
from vivavoce.realtime.wire.response_events import Response, SpokenAudio, SpokenOutput
from vivavoce.realtime.wire.session_config import (
    AudioFormat,
    ChosenFunction,
    ChosenMcp,
    FunctionTool,
    Tool,
    ToolChoice,
    VoiceId,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One response, with every value in force. `joins`: its items become part of the conversation. `served`: tools that
    the server runs, by the names that the model uses. `round`: the number of tool results that led to it."""

    joins: bool
    modality: Modality
    format: AudioFormat
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None
    spec: dialogue.ReplySpec
    served: dict[str, Served] = field(default_factory=dict)
    round: int = 0

    def opening(self, response_id: str, conversation_id: str) -> Response:
        """The response as it begins."""
        return Response(
            id=response_id,
            status="in_progress",
            status_details=None,
            output=[],
            conversation_id=conversation_id if self.joins else None,
            output_modalities=[self.modality],
            max_output_tokens=self.max_output_tokens,
            audio=SpokenAudio(output=SpokenOutput(format=self.format, voice=self.spec.voice)),
            metadata=self.metadata,
            usage=None,
        )


def plan(
    settings: Settings, params: ResponseParams, conversation: Conversation, servers: Servers, ids: Ids, look: Look
) -> Plan:
    """Plans one response. Raises `Refused`."""
    if params.prompt:
        raise refuse_prompt("response.prompt")
    if params.tools:
        servers.check(params.tools, "response.tools", fixed=True)
    spoken = params.audio.output if params.audio else None
    voice = (pick(spoken.voice, settings.voice, settings.voice)) if spoken else settings.voice
    modality: Modality = params.output_modalities[0] if params.output_modalities else settings.modality
    tools: Sequence[Tool] = params.tools if isinstance(params.tools, list) else settings.tools
    longest = pick(params.max_output_tokens, settings.max_output_tokens, "inf")
    joins = params.conversation != "none"
    choice = _choice(params, settings.tool_choice, tools, servers)
    served = servers.serve(tools, hidden=choice == "auto")
    if isinstance(choice, ChosenMcp):
        tools, served, choice = _of_server(choice, served)
    spec = dialogue.ReplySpec(
        id=ids.new("item"),
        instructions=pick(params.instructions, settings.instructions, settings.instructions),
        voice=voice.id if isinstance(voice, VoiceId) else voice,
        speed=settings.speed,
        audio=modality == "audio",
        tools=(*(model_tool(t) for t in tools if isinstance(t, FunctionTool)), *(one.tool for one in served.values())),
        tool_choice=choice,
        max_tokens=None if longest == "inf" else longest,
        context=_context(params, joins, conversation, ids, look),
    )
    return Plan(
        joins=joins,
        modality=modality,
        format=pick(spoken.format, settings.output_format, PCM) if spoken else settings.output_format,
        max_output_tokens=longest,
        metadata=params.metadata or None if params.metadata is not UNSET else None,
        spec=spec,
        served=served,
    )


def recital(plan: Plan, words: str) -> Plan:
    """The same response, which speaks `words` without the model."""
    return replace(plan, spec=replace(plan.spec, words=words, tools=(), tool_choice="none"), served={})


def likely(settings: Settings, servers: Servers) -> dialogue.ReplySpec:
    """The request to the model for a response that follows a turn by itself; without an id."""
    return plan(settings, ResponseParams(), Conversation(), servers, Ids(lambda: ""), _no_pictures).spec


def _no_pictures(item: MessageItem, path: str) -> tuple[dialogue.Picture, ...]:
    raise AssertionError("a response without input has no pictures")


def sound_of(item: MessageItem) -> list[bytes]:
    """The sound in a user's message that has no transcript: the ASR has to recognize it."""
    return [p.audio for p in item.content if isinstance(p, InputAudio) and p.audio and p.transcript is None]


def supported(item: WireItem, path: str) -> MessageItem | FunctionCallItem | FunctionOutputItem:
    """Returns an item that clients may put into a context. Raises `Refused` for items of MCP tools, which the server
    makes."""
    if isinstance(item, MessageItem | FunctionCallItem | FunctionOutputItem):
        return item
    raise Refused("unsupported_item", "Items of MCP tools are made by the server.", f"{path}.type")


def model_tool(tool: FunctionTool) -> dialogue.Tool:
    """A function tool, as the model gets it."""
    return dialogue.Tool(tool.name, tool.description or "", tool.parameters or {"type": "object", "properties": {}})


def _choice(params: ResponseParams, session: ToolChoice, tools: Sequence[Tool], servers: Servers) -> str | ChosenMcp:
    """The choice in force. The session's choice means "auto" where it names a tool that this response does not have;
    for a choice of the response itself that raises `Refused`."""
    choice = params.tool_choice or session
    try:
        servers.check_choice(choice, tools, "response.tool_choice")
    except Refused:
        if params.tool_choice:
            raise
        return "auto"
    return choice.name if isinstance(choice, ChosenFunction) else choice


def _of_server(choice: ChosenMcp, served: dict[str, Served]) -> tuple[Sequence[Tool], dict[str, Served], str]:
    """Restricts the tools to those of one server, one of which must be called; none while they are not listed."""
    chosen = {
        name: one
        for name, one in served.items()
        if one.label == choice.server_label and choice.name in (UNSET, None, one.name)
    }
    return (), chosen, "required" if chosen else "auto"


def _context(
    params: ResponseParams, joins: bool, conversation: Conversation, ids: Ids, look: Look
) -> tuple[dialogue.Item | str, ...] | None:
    """The model's context. None: the conversation as it is, unless the reply must not join it."""
    if not isinstance(params.input, list):
        return None if joins else conversation.names
    context: list[dialogue.Item | str] = []
    for i, item in enumerate(params.input):
        path = f"response.input[{i}]"
        if isinstance(item, ItemReference):
            if item.id not in conversation:
                message = f"Error reading input: the item with id '{item.id}' does not exist."
                raise Refused("invalid_value", message, f"{path}.id")
            context.extend(conversation[item.id].names)
            continue
        given = supported(item, path)
        if isinstance(given, MessageItem) and sound_of(given):
            raise Refused("invalid_value", f"Invalid '{path}': sound needs a transcript here.", path)
        context.extend(entry(given, given.id or ids.new("item"), look(given, path)).known())
    return tuple(context)
