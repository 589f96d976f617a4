"""What a peer sent and the call has not taken yet, in the order of arrival; bounded.

put(Sound | Seen | Message) ──► [ ... ] ──get()──► the call
end(reason) ──────────────────────► get() raises PeerGone (or PeerLost) after the last item

What waits to be sent over an accepted WebSocket: one queue, one writer.

    put ──► queue ──write──► text frames of str, binary frames of bytes

How much may wait is for the owner to say: events count by bytes, sound by frames.

Several sides of one peer, which leaves once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Never

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vivavoce.codecs.audio import SAMPLE_RATE
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


class Outbox:
    """`lost` makes the error that is raised when the socket turns out to be closed while something is sent."""

    def __init__(self, socket: WebSocket, lost: Callable[[], PeerGone]) -> None:
        self._socket = socket
        self._lost = lost
        self._queue: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self.size = 0
        """Characters and bytes that wait, the message in the writer's hand included."""

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def put(self, message: str | bytes) -> None:
        """Queues it behind the others."""
        self._queue.append(message)
        self.size += len(message)
        self._wake.set()

    def keep(self, wanted: Callable[[str | bytes], bool]) -> None:
        """Drops what waits and is not `wanted`."""
        self.size -= sum(len(message) for message in self._queue if not wanted(message))
        self._queue = deque(message for message in self._queue if wanted(message))

    async def write(self) -> Never:
        """Sends for ever what is put. Raises what `lost` makes."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Sends what waits, as long as the socket is open. Raises what `lost` makes."""
        try:
            while self._queue and self.is_open:
                message = self._queue.popleft()
                await (
                    self._socket.send_text(message) if isinstance(message, str) else self._socket.send_bytes(message)
                )
                self.size -= len(message)
        except WebSocketDisconnect as left:
            raise self._lost() from left

    @property
    def is_open(self) -> bool:
        """Whether both sides can still send."""
        states = self._socket.client_state, self._socket.application_state
        return all(state is WebSocketState.CONNECTED for state in states)


async def until_gone(*sides: Coroutine[Any, Any, None]) -> None:
    """Runs `sides` next to each other until one of them finds that the peer has gone, or all are done. Raises that
    `PeerGone`, alone: whoever serves a peer wants its words, not a group of errors."""
    gone: PeerGone | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for side in sides:
                tasks.create_task(side)
    except* PeerGone as left:
        gone = next(error for error in left.exceptions if isinstance(error, PeerGone))
    if gone is not None:
        raise gone
