"""When to hang up: after the goodbye that the assistant is about to say, and not in the middle of it.

    hang_up ──► waiting ──sound──► speaking ──0.7 s of quiet──► said
                   └──────6 s without any sound──────────────────┘

A core; it counts frames of 20 ms as they leave."""

from __future__ import annotations

from typing import Final

QUIET: Final = 35
"""Frames (0.7 s) of silence that end a goodbye: pauses between its sentences are shorter."""

SILENT: Final = 300
"""Frames (6 s) for which nothing may be said at all."""

LONGEST: Final = 1500
"""Frames (30 s) after which it is over anyway."""


class Leaving:
    """One goodbye."""

    def __init__(self) -> None:
        self._frames = 0
        self._quiet = 0
        self._spoke = False

    def said(self, sound: bool) -> bool:
        """A frame left, with `sound` or silent: whether that was all."""
        self._frames += 1
        self._spoke |= sound
        self._quiet = 0 if sound else self._quiet + 1
        return self._frames >= LONGEST or self._quiet >= (QUIET if self._spoke else SILENT)
