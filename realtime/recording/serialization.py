"""Values of a call <-> JSON values, for every fact, action, message and setting.

    TurnEnded(end=48000, silence=12000)  <->  {"is": "TurnEnded", "end": 48000, "silence": 12000}

A dataclass or a message is an object whose `is` holds the tag of its class; tuples have a tag too, since JSON has none.
A tag is the class's name when it was first recorded. It never changes: not when the class moves to another module, and
not when it is renamed (`TAGS`). Sound and other bytes are stored by the caller, which returns their place. Only the
classes listed by `known_classes` are read back: a recording may come from a stranger.
"""

from __future__ import annotations

import typing
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.events import Fact, PlayoutAction, TurnDetection, TurnSound
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.session.settings import Settings
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire.errors import WireError

TAGS: Final = {
    "AskEndpoint": "Ask",
    "AskOverlap": "Catch",
    "TimerFired": "Rang",
    "McpApprovalRequestItem": "McpAskItem",
    "McpApprovalResponseItem": "McpAnswerItem",
    "McpToolInfo": "McpListed",
}
"""Tags of classes that have been renamed since they were first recorded: name today -> tag."""

SECRETS: Final = frozenset({"authorization", "headers"})
"""Fields, of any class, whose values are never written."""

FULL: Final = 32768.0
"""Of 16-bit sound; a power of two, so that the way there and back is exact."""

Place = Callable[[bytes], dict[str, Any]]
Hide = Callable[[str], str]


class Unrecordable(Exception):
    """A value of a kind that has no JSON form; the message names it."""


def to_bytes(samples: Samples) -> bytes:
    """Sound as 16-bit little-endian PCM."""
    scaled = samples * np.float32(FULL)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, FULL - 1, out=scaled)
    np.maximum(scaled, -FULL, out=scaled)
    return scaled.astype("<i2").tobytes()


def to_samples(pcm: bytes) -> Samples:
    """The sound of 16-bit little-endian PCM."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(FULL)


def digest(content: bytes) -> dict[str, Any]:
    """A checksum in place of bytes that are only compared."""
    return {"size": len(content), "crc": zlib.crc32(content)}


def plain(value: object, place: Place = digest, hide: Hide = str) -> Any:
    """`value` as a JSON value. `place` stores bytes and returns their place; `hide` replaces secrets. Raises
    `Unrecordable`."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"is": "bytes", **place(value)}
        case np.ndarray() if value.dtype == np.uint8:
            return {"is": "pixels", "shape": list(value.shape), **place(value.tobytes())}
        case np.ndarray():
            return {"is": "sound", **place(to_bytes(value))}
        case list():
            return [plain(one, place, hide) for one in value]
        case tuple():
            return {"is": "tuple", "of": [plain(one, place, hide) for one in value]}
        case dict():
            held = {str(key): plain(one, place, hide) for key, one in value.items()}
            return {"is": "dict", "of": held} if "is" in held else held
        case msgspec.Struct() as struct:
            return _named(struct, struct.__struct_fields__, place, hide)
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value, tuple(field.name for field in fields(value)), place, hide)
    raise Unrecordable(f"a value of type {type(value).__qualname__} cannot be recorded")


def restored(value: Any, fetch: Callable[[dict[str, Any]], bytes]) -> Any:
    """Inverts `plain`. `fetch` returns the bytes at a place. Raises `Unrecordable`."""
    match value:
        case list():
            return [restored(one, fetch) for one in value]
        case {"is": "bytes"}:
            return fetch(value)
        case {"is": "sound"}:
            return to_samples(fetch(value))
        case {"is": "pixels", "shape": shape}:
            return np.frombuffer(fetch(value), np.uint8).reshape(shape)
        case {"is": "tuple", "of": of}:
            return tuple(restored(one, fetch) for one in of)
        case {"is": "dict", "of": of}:
            return {key: restored(one, fetch) for key, one in of.items()}
        case {"is": name}:
            known = known_classes().get(name)
            if known is None:
                raise Unrecordable(f"a value of type {name} cannot be read back")
            return known(**{key: restored(one, fetch) for key, one in value.items() if key != "is"})
        case dict():
            return {key: restored(one, fetch) for key, one in value.items()}
    return value


def coarse(value: Any) -> Any:
    """`value` with its sound rounded to 16 bits, as a replay reads it."""
    if isinstance(value, np.ndarray):
        return to_samples(to_bytes(value)) if value.dtype == np.float32 else value
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(coarse(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        new = {name: coarse(one) if _may_sound(one) else one for name, one in old.items()}
        if any(new[name] is not one for name, one in old.items()):
            return type(value)(**new)
    return value


def tag_of(kind: type) -> str:
    """The stable name of a class in recordings."""
    return TAGS.get(kind.__qualname__, kind.__qualname__)


def upgraded(value: Any) -> Any:
    """Converts a JSON value of format 1, whose tags held the module too (`events.TurnEnded`), to format 2."""
    match value:
        case list():
            return [upgraded(one) for one in value]
        case {"is": "dict", "of": of}:
            return {"is": "dict", "of": {key: upgraded(one) for key, one in of.items()}}
        case {"is": "events.CloseTurn" | "CloseTurn"} if "rest" not in value:
            return upgraded({**value, "rest": None})
        case {"is": str(tag)}:
            return {key: tag.partition(".")[2] or tag if key == "is" else upgraded(one) for key, one in value.items()}
        case dict():
            return {key: upgraded(one) for key, one in value.items()}
    return value


@cache
def known_classes() -> dict[str, Callable[..., Any]]:
    """The classes of all arguments of the cores, by tag: those in facts and settings."""
    found: dict[str, Callable[..., Any]] = {}
    given = Fact | TurnSound | PlayoutAction | TurnDetection | Settings | ToolOptions | WireError | ServerEvent
    for kind in _classes(given, set()):
        assert tag_of(kind) not in found, f"two classes have the tag {tag_of(kind)}"
        found[tag_of(kind)] = kind
    return found


def _named(value: object, names: tuple[str, ...], place: Place, hide: Hide) -> dict[str, Any]:
    held: dict[str, Any] = {"is": tag_of(type(value))}
    for name in names:
        one = getattr(value, name)
        if one is not UNSET:
            held[name] = plain(_hidden(one, hide) if name in SECRETS else one, place, hide)
    return held


def _hidden(value: Any, hide: Hide) -> Any:
    """The same shape with other texts."""
    match value:
        case str():
            return hide(value) if value else value
        case dict():
            return {key: _hidden(one, hide) for key, one in value.items()}
        case tuple():  # (name, value) of a header, or all of them
            return (
                (value[0], _hidden(value[1], hide))
                if len(value) == 2 and isinstance(value[0], str)
                else tuple(_hidden(one, hide) for one in value)
            )
    return value


def _may_sound(value: object) -> bool:
    return isinstance(value, np.ndarray | list | tuple) or is_dataclass(value)


def _classes(hint: Any, seen: set[Any]) -> Iterator[type]:
    """All dataclasses and messages that a type is made of."""
    inside: Iterable[Any] = typing.get_args(hint)
    if typing.get_origin(hint) is None and (is_dataclass(hint) or _is_message(hint)):
        if hint in seen:
            return
        seen.add(hint)
        yield hint
        inside = typing.get_type_hints(hint).values()
    for one in inside:
        yield from _classes(one, seen)


def _is_message(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)
