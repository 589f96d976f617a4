"""What a peer sent and the call has not taken yet, in the order of arrival; bounded.

put(Sound | Seen | Message) ──► [ ... ] ──get()──► the call
end(reason) ──────────────────────► get() raises PeerGone (or PeerLost) after the last item
"""

from __future__ import annotations

import asyncio
from collections import deque

from vivavoce.model.dialogue import SAMPLE_RATE
from vivavoce.realtime.transports import Message, PeerGone, PeerLost, Received, Seen, Sound

MAX_SOUND = 10 * SAMPLE_RATE
"""Samples that may wait; a call that is 10 s behind is lost."""

MAX_MESSAGES = 8 << 20
"""Bytes of messages that may wait."""


class Inbox:
    """Filled from callbacks on the event loop, emptied by one reader."""

    def __init__(self) -> None:
        self._items: deque[Received] = deque()
        self._samples = self._bytes = 0
        self._arrived = asyncio.Event()
        self.ended: str | None = None
        """Why nothing more will come."""
        self._lost = False

    def put(self, item: Received) -> None:
        """Adds one item. A picture takes the place of one that nobody looked at."""
        if self.ended is not None:
            return
        match item:
            case Sound(samples):
                self._samples += len(samples)
            case Message(text):
                self._bytes += len(text)
            case Seen():
                self._items = deque(old for old in self._items if not isinstance(old, Seen))
        self._items.append(item)
        self._arrived.set()
        if self._samples > MAX_SOUND or self._bytes > MAX_MESSAGES:
            self.end("the peer sends more than the call can take")

    def end(self, reason: str, lost: bool = False) -> None:
        """Nothing more will come; `lost`: and nobody said goodbye. The first reason counts."""
        if self.ended is None:
            self.ended, self._lost = reason, lost
            self._arrived.set()

    def check(self) -> None:
        """Raises `PeerGone` or `PeerLost` once it has ended."""
        if self.ended is not None:
            raise (PeerLost if self._lost else PeerGone)(self.ended)

    async def get(self) -> Received:
        """The oldest item. Raises `PeerGone` or `PeerLost` when there will be no more."""
        while not self._items:
            self.check()
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        match item:
            case Sound(samples):
                self._samples -= len(samples)
            case Message(text):
                self._bytes -= len(text)
        return item
