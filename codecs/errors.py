"""Errors of the codecs. Each message says what was expected and what came.

CodecError
├── BadPacket      a peer's packet cannot be decoded
├── Unreadable     a file of the user's holds no sound or no picture
├── CodesError     a file of codes cannot be used with this codec
└── OpusMissing    libopus is not installed

Misuse of an interface (another shape, a slot beyond the last) raises ValueError or IndexError instead.
"""

from __future__ import annotations


class CodecError(Exception):
    """Root of the tree."""


class BadPacket(CodecError, ValueError):
    """The payload cannot be decoded."""


class Unreadable(CodecError):
    """The file is not a readable sound or picture; the message names it."""


class CodesError(CodecError):
    """The file of codes cannot be used; the message names it."""


class OpusMissing(CodecError):
    """libopus was not found."""
