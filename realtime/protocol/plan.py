"""What one response will be: the session's settings, with what `response.create` asks for laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET

from vivavoce.model import dialogue
from vivavoce.realtime.conversation import Conversation, ConversationItem, entry
from vivavoce.realtime.protocol.client_events import ResponseParams
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.ids import Ids
from vivavoce.realtime.protocol.items import (
    FunctionCallItem,
    FunctionOutputItem,
    InputAudio,
    ItemReference,
    MessageItem,
    WireItem,
)
from vivavoce.realtime.protocol.pictures import Look
from vivavoce.realtime.protocol.response_events import Response, SpokenAudio, SpokenOutput
from vivavoce.realtime.protocol.session_config import (
    AudioFormat,
    ChosenFunction,
    ChosenMcp,
    FunctionTool,
    Tool,
    ToolChoice,
    VoiceId,
)
from vivavoce.realtime.protocol.settings import PCM, Modality, Settings, pick, refuse_mcp, refuse_prompt


@dataclass(frozen=True, slots=True)
class Plan:
    """One response, with every value in force. `joins`: its items become part of the conversation."""

    joins: bool
    modality: Modality
    format: AudioFormat
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None
    spec: dialogue.ReplySpec

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


def plan(settings: Settings, params: ResponseParams, conversation: Conversation, ids: Ids, look: Look) -> Plan:
    """Works out one response. Raises `Refused`."""
    if params.prompt:
        raise refuse_prompt("response.prompt")
    refuse_mcp(params.tools, "response.tools")
    spoken = params.audio.output if params.audio else None
    voice = (pick(spoken.voice, settings.voice, settings.voice)) if spoken else settings.voice
    modality: Modality = params.output_modalities[0] if params.output_modalities else settings.modality
    tools = params.tools if isinstance(params.tools, list) else settings.tools
    longest = pick(params.max_output_tokens, settings.max_output_tokens, "inf")
    joins = params.conversation != "none"
    spec = dialogue.ReplySpec(
        id=ids.new("item"),
        instructions=pick(params.instructions, settings.instructions, settings.instructions),
        voice=voice.id if isinstance(voice, VoiceId) else voice,
        speed=settings.speed,
        audio=modality == "audio",
        tools=tuple(_tool(tool) for tool in tools if isinstance(tool, FunctionTool)),
        tool_choice=_choice(params, settings.tool_choice, tools),
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
    )


def sound_of(item: MessageItem) -> list[bytes]:
    """The sound that comes with a user's message and has no transcript: the model has to hear it."""
    return [p.audio for p in item.content if isinstance(p, InputAudio) and p.audio and p.transcript is None]


def supported(item: WireItem, path: str) -> ConversationItem:
    """Items of MCP servers are part of the protocol, yet not of this server. Raises `Refused`."""
    if isinstance(item, MessageItem | FunctionCallItem | FunctionOutputItem):
        return item
    raise Refused("unsupported_item", "Items of MCP tools are not supported yet.", f"{path}.type")


def _tool(tool: FunctionTool) -> dialogue.Tool:
    return dialogue.Tool(tool.name, tool.description or "", tool.parameters or {"type": "object", "properties": {}})


def _choice(params: ResponseParams, session: ToolChoice, tools: Sequence[Tool]) -> str:
    """The session's choice may name a tool that is gone by now, and then means "auto"; a response's own may not."""
    asked = params.tool_choice or None
    choice = session if asked is None else asked
    match choice:
        case ChosenFunction(name=name):
            if any(isinstance(tool, FunctionTool) and tool.name == name for tool in tools):
                return name
        case str():
            return choice
    if asked is None:
        return "auto"
    kind = "an MCP tool" if isinstance(choice, ChosenMcp) else f"'{choice.name}', which is not among the tools"
    raise Refused("invalid_value", f"Invalid 'response.tool_choice': it names {kind}.", "response.tool_choice")


def _context(
    params: ResponseParams, joins: bool, conversation: Conversation, ids: Ids, look: Look
) -> tuple[dialogue.Item | str, ...] | None:
    """What the model is to know. The conversation as it stands is None, unless the reply must not join it."""
    if not isinstance(params.input, list):
        return None if joins else conversation.ids
    context: list[dialogue.Item | str] = []
    for i, item in enumerate(params.input):
        path = f"response.input[{i}]"
        if isinstance(item, ItemReference):
            if item.id not in conversation:
                message = f"Error reading input: the item with id '{item.id}' does not exist."
                raise Refused("invalid_value", message, f"{path}.id")
            context.append(item.id)
            continue
        given = supported(item, path)
        if isinstance(given, MessageItem) and sound_of(given):
            raise Refused("invalid_value", f"Invalid '{path}': sound needs a transcript here.", path)
        context.append(entry(given, given.id or ids.new("item"), look(given, path)).known())
    return tuple(context)
