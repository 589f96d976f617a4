"""What waits to be sent over an accepted WebSocket: one queue, one writer.

    put ──► queue ──write──► text frames of str, binary frames of bytes

How much may wait is for the owner to say: events count by bytes, sound by frames.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Never

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vivavoce.realtime.transports import PeerGone


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
