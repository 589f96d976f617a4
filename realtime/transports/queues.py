"""Queues between a peer and its call: the call's inbox, and what waits to be sent over a WebSocket.

peer, by callbacks ────put──────► ┌───────┐   10 s of sound, 8 MiB of messages, one unread picture
peer, by a socket ─────deliver──► │ Inbox │   waits while 256 facts wait               ──facts──► the call
the call's own parts ──post─────► └───────┘   no bound of its own

callbacks ──put──► Arrivals ──put──► Inbox    kept, within the same bounds, until the call receives
events ────put──► Outbox ──write──► WebSocket
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, Generic, Never, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.transports import Intake, Message, PeerGone, PeerLost, Received, Seen, Sound

MAX_SOUND: Final = 10 * SAMPLE_RATE
"""Samples that may wait; a call that is 10 s behind is lost."""

MAX_MESSAGES: Final = 8 << 20
"""Bytes of messages that may wait."""

BOUND: Final = 256
"""Facts in the queue at which a socket is read no further: five seconds of 20 ms frames."""

TOO_MUCH: Final = "the peer sends more than the call can take"

T = TypeVar("T")


class _Load:
    """Samples and bytes that wait."""

    def __init__(self) -> None:
        self._samples = self._bytes = 0

    def add(self, received: Received) -> None:
        self._count(received, 1)

    def remove(self, received: Received) -> None:
        self._count(received, -1)

    @property
    def too_much(self) -> bool:
        return self._samples > MAX_SOUND or self._bytes > MAX_MESSAGES

    def _count(self, received: Received, sign: int) -> None:
        match received:
            case Sound(samples):
                self._samples += sign * len(samples)
            case Message(text):
                self._bytes += sign * len(text)


class Inbox(Generic[T]):
    """The one queue of a call: all that happens, in the order in which it happened. Many writers, one reader;
    implements `Intake`.

    What comes from the peer is bounded. The call's own parts, which are bounded by what they work on, are not: a
    reply's token must not wait behind a flood from the peer."""

    def __init__(self) -> None:
        self._queue: deque[tuple[T | Received, _Load | None]] = deque()
        self._put, self._delivered = _Load(), _Load()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        """Facts that wait."""
        return len(self._queue)

    def post(self, fact: T) -> None:
        """Adds a fact of the call's own parts."""
        self._add(fact, None)

    def put(self, received: Received) -> None:
        """Adds what a peer has sent, at once. Raises `PeerGone` beyond the bounds."""
        self._receive(received, self._put)
        if self._put.too_much:
            raise PeerGone(TOO_MUCH)

    async def deliver(self, received: Received) -> None:
        """Adds what a peer has sent, when there is room."""
        while len(self._queue) >= BOUND or self._delivered.too_much:
            self._room.clear()
            await self._room.wait()
        self._receive(received, self._delivered)

    async def facts(self) -> AsyncGenerator[T | Received]:
        """Yields all that comes, for ever. Lets other tasks run every `BOUND` facts of a backlog."""
        while True:
            await self._filled.wait()
            for _ in range(BOUND):
                if not self._queue:
                    self._filled.clear()
                    break
                yield self.take()
            else:
                await asyncio.sleep(0)

    def take(self) -> T | Received:
        """Removes and returns the oldest fact. Raises `IndexError` when there is none."""
        fact, load = self._queue.popleft()
        if load is not None:
            load.remove(fact)  # type: ignore[arg-type]  # only what was received has one
        self._room.set()
        return fact

    def _receive(self, received: Received, load: _Load) -> None:
        if isinstance(received, Seen):  # in the place of a picture that was not looked at
            self._queue = deque(waiting for waiting in self._queue if not isinstance(waiting[0], Seen))
        load.add(received)
        self._add(received, load)

    def _add(self, fact: T | Received, load: _Load | None) -> None:
        self._queue.append((fact, load))
        self._filled.set()


class Discard:
    """An `Intake` that drops everything."""

    def put(self, received: Received) -> None:
        """Drops it."""

    async def deliver(self, received: Received) -> None:
        """Drops it."""


class Arrivals:
    """What comes from one peer by callbacks, and how it ends. A peer may send before the call receives."""

    def __init__(self) -> None:
        self._early: Inbox[Never] = Inbox()
        self._intake: Intake | None = self._early
        self._over = asyncio.Event()
        self._lost = False
        self.ended: str | None = None
        """Why nothing more will come."""

    def put(self, received: Received) -> None:
        """Passes on what came; beyond the intake's bounds, the peer is gone."""
        if self.ended is not None or self._intake is None:
            return
        try:
            self._intake.put(received)
        except PeerGone as gone:
            self.end(str(gone))

    def end(self, why: str, lost: bool = False) -> None:
        """Nothing more will come; `lost`: the connection broke without a goodbye. The first reason counts."""
        if self.ended is None:
            self.ended, self._lost = why, lost
            self._over.set()

    def check(self) -> None:
        """Raises `PeerGone` or `PeerLost` once it has ended."""
        if self.ended is not None:
            raise (PeerLost if self._lost else PeerGone)(self.ended)

    async def feed(self, intake: Intake) -> None:
        """Hands over what has come already, in its order, and from then on what comes, until the end: then raises
        `PeerGone` or `PeerLost`. Cancelled, it drops what still comes: another connection has taken over."""
        try:
            while len(self._early):
                intake.put(self._early.take())
            self._intake = intake
            await self._over.wait()
            self.check()
        finally:
            self._intake = None


class Outbox:
    """Messages that wait to be sent over an accepted WebSocket: one queue, one writer. Its owner bounds it: events
    count by bytes, sound by frames.

    put ──► [ ... ] ──write──► text frames of str, binary frames of bytes"""

    def __init__(self, socket: WebSocket, lost: Callable[[], PeerGone]) -> None:
        """`lost` makes the error that is raised when the socket is found closed while a message is sent."""
        self._socket = socket
        self._lost = lost
        self._queue: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self.size = 0
        """Characters and bytes that wait, those of the message being sent included."""

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def put(self, message: str | bytes) -> None:
        """Queues a message."""
        self._queue.append(message)
        self.size += len(message)
        self._wake.set()

    def keep(self, wanted: Callable[[str | bytes], bool]) -> None:
        """Drops the messages that wait, but those for which `wanted` is true."""
        self.size -= sum(len(message) for message in self._queue if not wanted(message))
        self._queue = deque(message for message in self._queue if wanted(message))

    async def write(self) -> Never:
        """Sends all messages that are put, for ever. Raises the error that `lost` makes."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Sends the messages that wait, as long as the socket is open. Raises the error that `lost` makes."""
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
    """Runs the coroutines of one peer side by side until one raises `PeerGone`, or all are done. Raises the first
    `PeerGone` by itself, not in a group."""
    gone: PeerGone | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for side in sides:
                tasks.create_task(side)
    except* PeerGone as left:
        gone = next(error for error in left.exceptions if isinstance(error, PeerGone))
    if gone is not None:
        raise gone
