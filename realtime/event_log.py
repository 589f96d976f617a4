"""The events that a client was sent last, so that one who comes back can be told what it missed.

send ──add──► [ ... bounded by bytes, oldest go first ... ] ──after(event id)──► all that came later, in their order
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

PLAIN: Final = 3 << 20
"""Bytes kept where events hold no sound: about an hour of talk, and no more than the transport may queue."""

WITH_SOUND: Final = 24 << 20
"""Bytes kept where sound travels in events: six minutes of speech as base64."""


class _Named(msgspec.Struct):
    event_id: str | None = None


_NAMED: Final = msgspec.json.Decoder(_Named)


class EventLog:
    """Of one call."""

    def __init__(self, plays: bool) -> None:
        """`plays`: the server plays, so that events hold no sound."""
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._bound = PLAIN if plays else WITH_SOUND

    def add(self, text: bytes) -> None:
        """An event as it leaves, in JSON."""
        self._events.append(text)
        self._bytes += len(text)
        while self._bytes > self._bound:
            self._bytes -= len(self._events.popleft())

    def after(self, event_id: str | None) -> list[bytes] | None:
        """The events after the one of this id; none for None. None when it is not here, or no longer."""
        later: list[bytes] = []
        if event_id is None:
            return later
        for text in reversed(self._events):
            if _NAMED.decode(text).event_id == event_id:
                return later[::-1]
            later.append(text)
        return None
