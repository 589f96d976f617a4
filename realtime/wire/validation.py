"""Check what types cannot express: parts that fit their role, images in data URIs, schemas of a sane depth.

parsing.py calls `check` on each message that parsed; it raises `Refused` with the path of the field at fault. Images
are decoded elsewhere (session/images.py): it takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from vivavoce.realtime.wire.client_events import ClientEvent, ItemCreate, ResponseCreate, SessionUpdate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
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
from vivavoce.realtime.wire.session_config import FunctionTool, RealtimeSession, Tool, TracingConfig

MAX_DEPTH: Final = 64  # levels of objects and arrays
MAX_BYTES: Final = 8 * 2**20
MAX_HEAD: Final = 100  # characters of a data URI before its data

_IMAGE: Final = re.compile(r"data:image/[a-z0-9.+-]+(?:;[^;,]+)*;base64", re.IGNORECASE)

_ALLOWED: Final = {
    "system": (InputText, PlainText),
    "user": (InputText, PlainText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio, InputText, PlainText),
}


def check(event: ClientEvent) -> None:
    """Raises `Refused` for a message that is well formed and makes no sense."""
    match event:
        case ItemCreate(item=item):
            _check_item(item, "item")
        case ResponseCreate(response=params) if params is not None:
            _check_tools(params.tools or (), "response.tools")
            for i, entry in enumerate(params.input or ()):
                _check_item(entry, f"response.input[{i}]")
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
            check_image(part.image_url, f"{path}.content[{i}].image_url")


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
    """Raises `Refused` for deep nesting: it would be echoed, and encoders recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise Refused("invalid_value", f"Invalid '{path}': nested more than {MAX_DEPTH} levels deep.", path)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_image(uri: str, param: str) -> None:
    """Raises `Refused`, with the field's path `param`, for what is no data URI of an image, or is over 8 MiB."""
    head, comma, _ = uri[:MAX_HEAD].partition(",")
    if not comma or not _IMAGE.fullmatch(head):
        raise _invalid(param, "expected a data URI with an image (PNG, JPEG, WebP or GIF) in base64")
    if len(uri) - len(head) > MAX_BYTES * 4 // 3 + 5:
        raise _invalid(param, f"the image is larger than {MAX_BYTES // 2**20} MiB")


def _invalid(param: str, why: str) -> Refused:
    return Refused("invalid_value", f"Invalid '{param}': {why}.", param)
