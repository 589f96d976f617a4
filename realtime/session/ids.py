"""Ids on the wire: `sess_…`, `conv_…`, `item_…`, `resp_…`, `event_…`.

They come from a source that the caller injects (random in a server, a counter in tests), so the session core draws no
randomness of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Kind = Literal["sess", "conv", "item", "resp"]


class Ids:
    """Ids of one session. `token` returns a new string each time, unique among all sessions, at most 26 characters
    long (clients send some of these ids back, and 32 is their limit). The same `seed`, if there is one, gives the same
    tokens."""

    def __init__(self, token: Callable[[], str], seed: str = "") -> None:
        self._token = token
        self.seed = seed
        self._events_of = token()
        self._events = 0

    def new(self, kind: Kind) -> str:
        return f"{kind}_{self._token()}"

    def event(self) -> str:
        """Ids of events count up, which is cheap: there are hundreds a second."""
        self._events += 1
        return f"event_{self._events_of}_{self._events}"
