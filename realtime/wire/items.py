"""Conversation items on the wire, from clients and to them.

    message            system, user, assistant: parts of text, audio, image
    function_call      the model calls a tool         function_call_output   the tool's answer
    mcp_*              the same with tools of an MCP server
    item_reference     an item of the conversation, named in `response.create`

One class serves both directions. `UNSET` fields are left out: several clients refuse null where they expect a string.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from vivavoce.realtime.wire.session_config import MAX_TEXT, Name, Part, Tagged, Text

MAX_PARTS = 64
MAX_AUDIO_BYTES = 15 * 2**20
MAX_IMAGE_URI = 4 * (8 * 2**20) // 3 + 64  # characters of base64 for 8 MiB, and the prefix

ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
CallId = Annotated[str, Meta(min_length=1, max_length=512)]
Sound = Annotated[bytes, Meta(max_length=MAX_AUDIO_BYTES)]
Status = Literal["completed", "incomplete", "in_progress"]
ItemObject = Literal["realtime.item"]
Arguments = Annotated[str, Meta(max_length=MAX_TEXT)]


# --- parts of a message --------------------------------------------------------------------------------------------


class InputText(Tagged, tag="input_text"):
    text: Text


class InputAudio(Tagged, tag="input_audio"):
    """`transcript` is always present, null until it is known."""

    transcript: Text | None = None
    audio: Sound | UnsetType | None = UNSET


class InputImage(Tagged, tag="input_image"):
    image_url: Annotated[str, Meta(max_length=MAX_IMAGE_URI)]
    detail: Literal["auto", "low", "high"] | UnsetType | None = UNSET


class OutputText(Tagged, tag="output_text"):
    text: Text


class OutputAudio(Tagged, tag="output_audio"):
    transcript: Text | UnsetType | None = UNSET
    audio: Sound | UnsetType | None = UNSET


class PlainText(Tagged, tag="text"):
    """An assistant's text, as some clients send it."""

    text: Text


Content = InputText | InputAudio | InputImage | OutputText | OutputAudio | PlainText


# --- items ---------------------------------------------------------------------------------------------------------


class MessageItem(Tagged, tag="message"):
    id: ItemId | UnsetType | None = UNSET
    object: ItemObject | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    role: Literal["system", "user", "assistant"]
    content: Annotated[list[Content], Meta(max_length=MAX_PARTS)]


class FunctionCallItem(Tagged, tag="function_call"):
    id: ItemId | UnsetType | None = UNSET
    object: ItemObject | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    call_id: CallId | UnsetType | None = UNSET
    name: Name
    arguments: Arguments


class FunctionOutputItem(Tagged, tag="function_call_output"):
    id: ItemId | UnsetType | None = UNSET
    object: ItemObject | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    call_id: CallId
    output: Annotated[str, Meta(max_length=4 * MAX_TEXT)]


class McpToolInfo(Part):
    """One tool of an MCP server."""

    name: str
    description: str
    input_schema: dict[str, Any]
    annotations: dict[str, Any] | UnsetType | None = UNSET


class McpListItem(Tagged, tag="mcp_list_tools"):
    id: ItemId | UnsetType | None = UNSET
    server_label: Name
    tools: list[McpToolInfo]


class McpProtocolError(Tagged, tag="protocol_error"):
    code: int
    message: str


class McpExecutionError(Tagged, tag="tool_execution_error"):
    message: str


class McpHttpError(Tagged, tag="http_error"):
    code: int
    message: str


class McpCallItem(Tagged, tag="mcp_call"):
    id: ItemId | UnsetType | None = UNSET
    server_label: Name
    name: Name
    arguments: Arguments
    approval_request_id: ItemId | UnsetType | None = UNSET
    output: Text | UnsetType | None = UNSET
    error: McpProtocolError | McpExecutionError | McpHttpError | UnsetType | None = UNSET


class McpApprovalRequestItem(Tagged, tag="mcp_approval_request"):
    id: ItemId | UnsetType | None = UNSET
    server_label: Name
    name: Name
    arguments: Arguments


class McpApprovalResponseItem(Tagged, tag="mcp_approval_response"):
    id: ItemId | UnsetType | None = UNSET
    approval_request_id: ItemId
    approve: bool
    reason: Text | UnsetType | None = UNSET


class ItemReference(Tagged, tag="item_reference"):
    id: ItemId


WireItem = (
    MessageItem
    | FunctionCallItem
    | FunctionOutputItem
    | McpListItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
)
