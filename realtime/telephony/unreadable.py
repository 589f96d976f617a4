"""Frames of one call that cannot be read: counted, logged once for each kind, and passed over.

    a frame ──┬─ read ───────► UnreadableFrames.read          the row is over
              └─ unreadable ─► UnreadableFrames.skip          the call goes on; `PeerGone` at the 50th in a row

Providers and Asterisk's versions add frames over time. One that is not understood must not cost a caller the call.
"""

from __future__ import annotations

import logging
from typing import Final

from vivavoce.realtime.transports import PeerGone

log = logging.getLogger(__name__)

MAX_IN_A_ROW: Final = 50
"""Unreadable frames without a readable one between them at which the call ends: a second of 20 ms frames."""

MAX_KINDS: Final = 20
"""Kinds of one call that are logged."""


class UnreadableFrames:
    """Counts one call's unreadable frames. `count`: all of them."""

    def __init__(self, wire: str) -> None:
        """`wire`: the dialect or protocol, for the log."""
        self.count = 0
        self._wire = wire
        self._in_a_row = 0
        self._kinds: set[str] = set()

    def skip(self, kind: str) -> None:
        """Passes over a frame. `kind` says what is wrong with it, and holds nothing of its content. Raises `PeerGone`
        when there were too many in a row."""
        self.count += 1
        self._in_a_row += 1
        if kind not in self._kinds and len(self._kinds) < MAX_KINDS:
            self._kinds.add(kind)
            log.warning("frame passed over", extra={"wire": self._wire, "reason": kind})
        if self._in_a_row >= MAX_IN_A_ROW:
            raise PeerGone(f"{self._in_a_row} frames in a row cannot be read; the last one: {kind}")

    def read(self) -> None:
        """A frame was read."""
        self._in_a_row = 0
