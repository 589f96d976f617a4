"""Frames of JSON: read with care, written briefly. A core."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from vivavoce.realtime.telephony import KEYS
from vivavoce.realtime.telephony.streams import BadFrame, Pressed

MAX_FRAME: Final = 128 * 1024
"""Characters or bytes of one frame; the largest are Exotel's, of some 16 KiB."""


def parse(frame: str | bytes) -> dict[str, Any]:
    """A frame of JSON text. Raises `BadFrame`."""
    if isinstance(frame, bytes):
        raise BadFrame("a binary frame where JSON text was expected")
    if len(frame) > MAX_FRAME:
        raise BadFrame(f"a frame of {len(frame)} characters; at most {MAX_FRAME}")
    try:
        said = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise BadFrame("a frame is not JSON") from error
    if not isinstance(said, dict):
        raise BadFrame("a frame is not a JSON object")
    return said


def text(table: Mapping[str, Any], name: str) -> str:
    """A text that has to be there, of at most 512 characters. Raises `BadFrame`."""
    value = table.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512:
        raise BadFrame(f"'{name}' must be a text")
    return value


def pressed(key: object) -> Pressed:
    """A key. Raises `BadFrame`."""
    if not isinstance(key, str | int) or str(key).upper() not in KEYS:
        raise BadFrame("'digit' must be a key of a telephone")
    return Pressed(str(key).upper())


def table(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that has to be there. Raises `BadFrame`."""
    value = said.get(name)
    if not isinstance(value, Mapping):
        raise BadFrame(f"'{name}' must be an object")
    return value


def number(value: object) -> int | None:
    """A whole number, written as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def payload(value: object) -> bytes:
    """Sound in base64. Raises `BadFrame`."""
    if not isinstance(value, str):
        raise BadFrame("'payload' must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadFrame("'payload' is not base64") from error


def parameters(value: object) -> tuple[tuple[str, str], ...]:
    """At most 64 names and values, cut to a bearable length."""
    given = value if isinstance(value, Mapping) else {}
    return tuple((str(key)[:128], str(one)[:512]) for key, one in list(given.items())[:64])


def base64_text(payload: bytes) -> str:
    """Sound as it travels in JSON."""
    return base64.b64encode(payload).decode("ascii")


def write(message: dict[str, Any]) -> str:
    """A frame of ours."""
    return json.dumps(message, separators=(",", ":"))
