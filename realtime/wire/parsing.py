"""Parse and encode: JSON text <-> messages.

    text frame ──parse──────► ClientEvent | WireError       ServerEvent ──encode──► bytes
    body, form ──read_json──► object, or raises Refused

Strict: unknown events, unknown fields, wrong types and values out of range become a `WireError` with the path of the
field and a code that client programs know. `parse` never raises, whatever the input.

Both read RFC 8259 and nothing else: no NaN, no Infinity, no half of a surrogate pair, no text that is not UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar, get_args

import msgspec

from vivavoce.realtime.wire import ClientEvent, ServerEvent
from vivavoce.realtime.wire.base64_text import read_base64
from vivavoce.realtime.wire.client_events import MAX_EVENT_ID
from vivavoce.realtime.wire.errors import Refused, WireError
from vivavoce.realtime.wire.validation import check

MAX_MESSAGE: Final = 22 * 2**20
"""Bytes of one message: 15 MiB of audio in base64, with room to answer one that is somewhat too long."""

MAX_QUOTED: Final = 256  # characters of the client's text that an error repeats

T = TypeVar("T")

_DECODER: Final = msgspec.json.Decoder(ClientEvent)
_ENCODER: Final = msgspec.json.Encoder()
_EVENTS: Final = tuple(str(event.__struct_config__.tag) for event in get_args(ClientEvent))

_WHERE = re.compile(r"(?P<fault>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_VALUE = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_RANGE = re.compile(r"Expected `(int|float)` (<=|>=|<|>) (\S+)")
_LENGTH = re.compile(r"Expected `(\w+)` of length (<=|>=) (\d+)")
_KINDS = {"int": "integer", "float": "decimal", "str": "string", "bytes": "string"}


class _Head(msgspec.Struct):
    """The fields that an error repeats, read leniently."""

    type: Any = None
    event_id: Any = None


_HEAD: Final = msgspec.json.Decoder(_Head)

_NO_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What the decoder raises for text that is not JSON, or is nested too deeply to be read."""


def parse(text: str | bytes) -> ClientEvent | WireError:
    """Parses one client message of at most `MAX_MESSAGE` bytes."""
    if len(text) > MAX_MESSAGE:
        message = f"The message is too long: expected at most {MAX_MESSAGE} bytes, got {len(text)}."
        return WireError("string_above_max_length", message, None, None)
    try:
        event = _decode(text)
        check(event)
    except msgspec.ValidationError as error:
        return _wire_error(str(error), _head(text))
    except _NO_JSON as error:
        return WireError("invalid_json", _no_json("The message", error), None, None)
    except Refused as error:
        return WireError(error.code, error.message, error.param, _head(text).event_id)
    return event


def _decode(text: str | bytes) -> ClientEvent:
    """Decodes a message; a second time, more leniently, where base64 of audio is not in the strict form. Raises
    `Refused`, and the errors of msgspec."""
    try:
        event: ClientEvent = _DECODER.decode(text)
    except msgspec.ValidationError as error:
        if "base64" not in str(error):
            raise
        fields = msgspec.json.decode(text)
        for part, path in _audio_parts(fields):
            try:
                part["audio"] = read_base64(part["audio"])
            except ValueError as fault:
                message = f"Invalid '{path}'. Expected base64-encoded audio bytes, but {fault}."
                raise Refused("invalid_value", message, path) from None
        event = msgspec.convert(fields, ClientEvent, builtin_types=(bytes,))
    return event


def _audio_parts(message: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of an undecoded message that hold audio, each with the path of the field."""
    items = [(_get(message, "item"), "item")]
    given = _items(_get(_get(message, "response"), "input"))
    items += [(item, f"response.input[{i}]") for i, item in enumerate(given)]
    holders = [(message, "")]
    for item, path in items:
        parts = _items(_get(item, "content"))
        holders += [(part, f"{path}.content[{i}].") for i, part in enumerate(parts)]
    for holder, path in holders:
        if isinstance(_get(holder, "audio"), str):
            yield holder, f"{path}audio"


def _get(value: Any, field: str) -> Any:
    return value.get(field) if isinstance(value, dict) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def encode(event: ServerEvent) -> bytes:
    """Encodes an event as one JSON object, UTF-8."""
    return _ENCODER.encode(event)


def is_extra(event: ServerEvent) -> bool:
    """Whether an event is one of our own, which strict clients of the protocol do not accept."""
    return str(event.__struct_config__.tag).startswith("vivavoce.")


def _head(text: str | bytes) -> _Head:
    try:
        head = _HEAD.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Head()
    if not isinstance(head.event_id, str) or len(head.event_id) > MAX_EVENT_ID:
        head.event_id = None
    return head


def read_json(text: str | bytes, kind: type[T], field: str | None = None) -> T:
    """Reads JSON that is no message as a value of `kind`: the body of a request, or a `field` of its form. Raises
    `Refused`, in the terms of `parse`, with the path of the fault; `field` is its beginning."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(*_parse_error(str(error), field or "")) from error
    except _NO_JSON as error:
        message = _no_json(f"The field '{field}'" if field else "The body", error)
        raise Refused("invalid_json", message, field) from error


def _no_json(subject: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{subject} is nested too deeply."
    return f"{subject} is not JSON: {error}"[:MAX_QUOTED]


def _parse_error(error: str, root: str = "") -> tuple[str, str, str | None]:
    """Code, message and param of an error of the decoder; `root`: path of the object that was decoded."""
    found = _WHERE.fullmatch(error)
    assert found is not None  # the pattern matches every string
    path = root + (found["path"] or "").removeprefix("$")
    return _explain(found["fault"], path.removeprefix("."))


def _wire_error(error: str, head: _Head) -> WireError:
    """An error of the decoder in the protocol's terms."""
    code, message, param = _parse_error(error)
    if param == "type" and code == "invalid_value":
        known = ", ".join(f"'{name}'" for name in _EVENTS)
        message = f"Invalid value: '{str(head.type)[:MAX_QUOTED]}'. Supported values are: {known}."
    return WireError(code, message, param, head.event_id)


def _explain(fault: str, path: str) -> tuple[str, str, str | None]:
    """Code, message and param of a fault at `path`."""
    if found := _FIELD.fullmatch(fault):
        param = f"{path}.{found[2]}".removeprefix(".")[:MAX_QUOTED]
        if found[1] == "missing required":
            return "missing_required_parameter", f"Missing required parameter: '{param}'.", param
        return "unknown_parameter", f"Unknown parameter: '{param}'.", param
    if found := _VALUE.fullmatch(fault):
        return "invalid_value", f"Invalid value: {found[1][:MAX_QUOTED]}.", path
    if found := _RANGE.fullmatch(fault):
        bound = "above_max" if found[2].startswith("<") else "below_min"
        return f"{_KINDS[found[1]]}_{bound}_value", _wrong(path, fault), path
    if found := _LENGTH.fullmatch(fault):
        bound = "above_max" if found[2] == "<=" else "below_min"
        kind = _KINDS.get(found[1], found[1])
        return f"{kind}_{bound}_{'properties' if kind == 'object' else 'length'}", _wrong(path, fault), path
    if "matching regex" in fault:
        return "invalid_value", _wrong(path, fault), path
    return "invalid_type", _wrong(path, fault), path or None


def _wrong(path: str, fault: str) -> str:
    text = fault[:MAX_QUOTED].replace("`", "")
    return f"Invalid '{path}': {text[:1].lower()}{text[1:]}." if path else f"Invalid message: {text}."
