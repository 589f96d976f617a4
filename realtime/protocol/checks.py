"""What the types of a message cannot say: parts that fit their role, pictures of a sane size, schemas of a sane depth.

Called by wire.py on each message that parsed; raises `Refused` with the path of the field at fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vivavoce.realtime.protocol import images
from vivavoce.realtime.protocol.client_events import ClientEvent, ItemCreate, ResponseCreate, SessionUpdate
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.items import (
    InputAudio,
    InputImage,
    InputText,
    ItemReference,
    McpListItem,
    MessageItem,
    OutputAudio,
    OutputText,
    PlainText,
    WireItem,
)
from vivavoce.realtime.protocol.session_config import FunctionTool, RealtimeSession, Tool, TracingConfig

MAX_DEPTH: Final = 64

_ALLOWED: Final = {
    "system": (InputText, PlainText),
    "user": (InputText, PlainText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio, InputText, PlainText),
}


def check(event: ClientEvent) -> None:
    """Raises `Refused` for a message that is well formed and still cannot be meant."""
    match event:
        case ItemCreate(item=item):
            _check_item(item, "item")
        case ResponseCreate(response=params) if params is not None:
            _check_tools(params.tools or (), "response.tools")
            for i, given in enumerate(params.input or ()):
                _check_item(given, f"response.input[{i}]")
        case SessionUpdate(session=RealtimeSession() as session):
            _check_tools(session.tools or (), "session.tools")
            if isinstance(session.tracing, TracingConfig):
                _check_depth(session.tracing.metadata, "session.tracing.metadata")


def _check_item(item: WireItem | ItemReference, path: str) -> None:
    if isinstance(item, McpListItem):
        for i, tool in enumerate(item.tools):
            _check_depth([tool.input_schema, tool.annotations], f"{path}.tools[{i}]")
    if not isinstance(item, MessageItem):
        return
    for i, part in enumerate(item.content):
        if not isinstance(part, _ALLOWED[item.role]):
            raise Refused(
                "invalid_value",
                f"Invalid content for a message of the {item.role}: '{part.__struct_config__.tag}'.",
                f"{path}.content[{i}].type",
            )
        if isinstance(part, InputImage):
            images.read(part.image_url, f"{path}.content[{i}].image_url")


def _check_tools(tools: Iterable[Tool], path: str) -> None:
    names: set[str] = set()
    for i, tool in enumerate(tools):
        if not isinstance(tool, FunctionTool):
            continue
        _check_depth(tool.parameters, f"{path}[{i}].parameters")
        if tool.name in names:
            raise Refused(
                "invalid_value", f"Invalid '{path}': two tools are called '{tool.name}'.", f"{path}[{i}].name"
            )
        names.add(tool.name)


def _check_depth(value: object, path: str) -> None:
    """Deep nesting would be echoed, and encoders recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise Refused("invalid_value", f"Invalid '{path}': nested more than {MAX_DEPTH} levels deep.", path)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
