"""Check what types cannot express: parts that fit their role, images of a sane size, schemas of a sane depth.

parsing.py calls `check` on each message that parsed; it raises `Refused` with the path of the field at fault.

Images are data URIs with PNG or JPEG. A small file can hold an enormous image, so the size is read from the header, and
an image that is too large never reaches a decoder. Decoding is not done here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vivavoce.realtime.wire.base64_text import read_base64
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
MAX_PIXELS: Final = 16_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG markers that carry the size (ITU T.81, B.1.1.3)
_BARE = frozenset([0x01, *range(0xD0, 0xD8)])  # JPEG markers without a length

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
            read_image(part.image_url, f"{path}.content[{i}].image_url")


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


def read_image(uri: str, param: str) -> bytes:
    """The image in a data URI, as the bytes of its file.

    Raises `Refused` with the field's path `param` when it is not PNG or JPEG, over 8 MiB, or over 16 million pixels."""
    head, comma, body = uri.partition(",")
    if not comma or head.lower() not in ("data:image/png;base64", "data:image/jpeg;base64", "data:image/jpg;base64"):
        raise _invalid(param, "expected a data URI with a PNG or JPEG image in base64")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise _invalid(param, f"the image is larger than {MAX_BYTES // 2**20} MiB")
    try:
        content = read_base64(body)
    except ValueError as fault:
        raise _invalid(param, f"the image is not valid base64: {fault}") from None
    size = _png_size(content) if content.startswith(_PNG) else _jpeg_size(content)
    if size is None or 0 in size:
        raise _invalid(param, "the image is neither PNG nor JPEG, or is damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise _invalid(param, f"the image has {size[0]} x {size[1]} pixels, more than {MAX_PIXELS}")
    return content


def _invalid(param: str, why: str) -> Refused:
    return Refused("invalid_value", f"Invalid '{param}': {why}.", param)


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the first chunk (PNG specification, section 11.2.2)."""
    if len(content) < 24 or content[12:16] != b"IHDR":
        return None
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header (ITU T.81, section B.2.2)."""
    if not content.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return None
