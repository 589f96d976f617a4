"""The one queue of a call: everything that happens, in the order in which it happened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BOUND: Final = 256
"""What comes from the peer waits outside once so much is in the queue: five seconds of 20 ms frames."""


class Inbox(Generic[T]):
    """Many writers, one reader. The peer is held back by the bound; the call's own parts, which are bounded by what
    they work on, are not: a reply's token must not wait behind a flood from the peer."""

    def __init__(self) -> None:
        self._queue: deque[T] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    def post(self, fact: T) -> None:
        """Puts a fact of the call's own parts into the queue."""
        self._queue.append(fact)
        self._filled.set()

    async def deliver(self, received: T) -> None:
        """Puts something from the peer into the queue, when there is room."""
        while len(self._queue) >= BOUND:
            self._room.clear()
            await self._room.wait()
        self.post(received)

    async def facts(self) -> AsyncIterator[T]:
        """All that comes, for ever."""
        while True:
            await self._filled.wait()
            while self._queue:
                fact = self._queue.popleft()
                self._room.set()
                yield fact
            self._filled.clear()
