"""A client transport that survives reconnects: one connection after another, under one call that goes on.

    call ◄──receive, speak──┐                                   ┌── first connection    lost, or replaced
         ──send──► [ log ] ─┴── ResumableTransport ─────────────┼── second connection   its client has the token
           ▲                       │          │                 └── ...
           └── Resumption ◄────────┘          └── no connection: nothing is pulled, events wait in the log,
               what the call says and plays again                at most `window` seconds

To the call it is a `Transport` like any other; it knows nothing of the call but the five methods of `Resumption`. A
client that comes back names the last event it has, and is sent all that came after it, in the same order; the call
learns how many of the frames that were pulled last did not reach it.

A client that says goodbye has left, and its call is over. One whose connection breaks is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Final, Never, Protocol

import msgspec

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.transports import (
    CloseReason,
    Ending,
    Intake,
    PeerGone,
    PeerLost,
    Pull,
    Recalls,
    ReportsDelivery,
    Transport,
)

log = logging.getLogger(__name__)

REPLACED: Final = Ending(CloseReason.RESUMED, "The call goes on over another connection.")
NOT_TAKEN: Final = Ending(CloseReason.REFUSED, "The call is over, or goes on over another connection.")


@dataclass(frozen=True, slots=True)
class Since:
    """Where a client that comes back stands: the id of the last event it has (None: it wants none of those it missed),
    and the RTP timestamp of the sound it `played` last, if it knows."""

    received: str | None = None
    played: int | None = None


class Resumption(Protocol):
    """The call's part: what the client is sent, and how much of the sound it has heard. Events are JSON."""

    def offer(self, token: str, seconds: float) -> Iterable[bytes]:
        """Returns the events that give the client its `token`, good once, within `seconds` of a lost connection."""

    def pulled(self) -> None:
        """One frame was pulled for the client."""

    def unheard(self, frames: int) -> None:
        """The last `frames` that were pulled, at least one, have not been heard."""

    def lost(self) -> None:
        """There is no connection: nothing is pulled until `resumed`."""

    def resumed(self) -> Iterable[bytes]:
        """The client is back, and was sent the events it had missed. Returns those that follow."""


class _Connection:
    """One of the connections of a client."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.over = asyncio.Event()  # lost, or no longer wanted
        self.replaced = asyncio.Event()  # another one has taken its place
        self.closed = asyncio.Event()
        self.pulled = 0  # frames

    async def run(self, work: Coroutine[object, object, None]) -> None:
        """Runs `work` until it is done or the connection is over. Raises `PeerGone` as it does."""
        gone: PeerGone | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(work)
                ending = tasks.create_task(self.over.wait())
                await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
                working.cancel()
                ending.cancel()
        except* PeerGone as errors:
            gone = _first(errors)
        if gone is not None:
            raise gone

    async def close(self, ending: Ending) -> None:
        self.over.set()
        try:
            await self.transport.close(ending)
        finally:
            self.closed.set()


class ResumableTransport:
    """Implements `Transport` and `Recalls` for one call, over the connections that its client makes in turn."""

    def __init__(self, transport: Transport, window: float, resumption: Resumption) -> None:
        """`window`: seconds that a lost client is waited for; 0: it is not, and gets no token."""
        self.plays = transport.plays
        self._window = window
        self._resumption = resumption
        self._connection = _Connection(transport)
        self._next: _Connection | None = None  # that is connecting
        self._log = EventLog(self.plays)
        self._token = ""
        self._over = False

    # --- the call's side -------------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Waits for the first connection."""
        await self._connection.transport.connected()

    async def receive(self, intake: Intake) -> Never:
        """Hands all that comes to `intake`, until the client says goodbye or has been away for too long: then raises
        `PeerGone`."""
        if self._window:
            self._offer_token()
        while True:
            connection = self._connection
            try:
                await connection.run(connection.transport.receive(intake))
            except PeerGone as gone:
                lost = isinstance(gone, PeerLost) and self._window
                if not lost and not connection.replaced.is_set():
                    raise
                log.info("connection over", extra={"how": str(gone)})
            connection.over.set()
            if not connection.replaced.is_set():
                self._resumption.lost()
            try:
                async with asyncio.timeout(self._window):
                    await connection.replaced.wait()
            except TimeoutError:
                raise PeerGone(f"the peer did not come back within {self._window:g} s") from None

    async def speak(self, pull: Pull) -> Never:
        """Pulls frames as long as a connection takes them, for ever."""
        while True:
            connection = self._connection

            def counted(connection: _Connection = connection) -> Samples:
                samples = pull()
                connection.pulled += 1
                self._resumption.pulled()
                return samples

            await connection.run(connection.transport.speak(counted))
            await connection.replaced.wait()

    def send(self, text: bytes) -> None:
        """Queues one event, for this connection or the next. Raises `PeerGone` as the transport does."""
        if self._window:
            self._log.add(text)
        if not self._connection.over.is_set():
            self._forward(text)

    def recall(self) -> int | None:
        """Recalls the sound that was sent and is not heard yet, where the far end can drop it: see `Recalls`."""
        transport = self._connection.transport
        heard = transport.recall() if isinstance(transport, Recalls) else None
        self._count_unheard(self._connection, heard)
        return heard

    async def close(self, ending: Ending) -> None:
        """Closes the connection there is, and gives up one that is connecting."""
        self._over = True
        if self._next is not None:
            self._next.over.set()
        await self._connection.close(ending)

    # --- coming back -----------------------------------------------------------------------------------------------

    def knows(self, token: str) -> bool:
        """Whether `token` is this call's: it lets a client take over."""
        return bool(self._token) and secrets.compare_digest(self._token.encode(), token.encode())

    def can_replay(self, received: str | None) -> bool:
        """Whether all events after `received` are still in the log."""
        return received is None or self._log.after(received) is not None

    async def resume(self, transport: Transport, since: Since) -> None:
        """Lets the client go on over `transport`, once that is connected, and returns when it is closed again. A later
        attempt takes the place of one that is still connecting."""
        connection = _Connection(transport)
        if self._next is not None:
            self._next.over.set()
        self._next = connection
        try:
            await connection.run(transport.connected())
            taken = not self._over and not connection.over.is_set() and self.can_replay(since.received)
        except PeerGone as gone:
            log.info("peer did not come back", extra={"how": str(gone)})
            taken = False
        finally:
            if self._next is connection:
                self._next = None
        if not taken:
            await connection.close(NOT_TAKEN)
            return
        old = self._swap(connection, since)
        await old.close(REPLACED)
        await connection.closed.wait()

    def _swap(self, connection: _Connection, since: Since) -> _Connection:
        """Does not wait in between, so that no event comes between the old ones and the new."""
        old = self._connection
        old.over.set()
        if isinstance(old.transport, ReportsDelivery):
            self._count_unheard(old, old.transport.reached(since.played))
        self._connection = connection
        for text in self._log.after(since.received) or ():
            self._forward(text)
        for text in self._resumption.resumed():
            self.send(text)
        self._offer_token()
        old.replaced.set()
        log.info("peer came back")
        return old

    def _offer_token(self) -> None:
        self._token = secrets.token_urlsafe(24)
        for text in self._resumption.offer(self._token, self._window):
            self.send(text)

    def _count_unheard(self, connection: _Connection, heard: int | None) -> None:
        if heard is not None and heard < connection.pulled:
            self._resumption.unheard(connection.pulled - heard)

    def _forward(self, text: bytes) -> None:
        try:
            self._connection.transport.send(text)
        except PeerLost:
            if not self._window:
                raise
            self._connection.over.set()


def _first(group: BaseExceptionGroup[PeerGone]) -> PeerGone:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PeerGone)
    return error


PLAIN: Final = 3 << 20
"""Bytes kept where events hold no sound: about an hour of talk, and no more than the transport may queue."""

WITH_SOUND: Final = 24 << 20
"""Bytes kept where sound travels in events: six minutes of speech as base64."""


class _Named(msgspec.Struct):
    event_id: str | None = None


_NAMED: Final = msgspec.json.Decoder(_Named)


class EventLog:
    """The events that a client was sent last, so that it can be sent those it missed.

    send ──add──► [ ... bounded by bytes, oldest go first ... ] ──after(event id)──► all later ones, in their order"""

    def __init__(self, plays: bool) -> None:
        """`plays`: the server plays, so that events hold no sound."""
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._bound = PLAIN if plays else WITH_SOUND

    def add(self, text: bytes) -> None:
        """Adds an event, in JSON, as it leaves."""
        self._events.append(text)
        self._bytes += len(text)
        while self._bytes > self._bound:
            self._bytes -= len(self._events.popleft())

    def after(self, event_id: str | None) -> list[bytes] | None:
        """The events after the one of this id; none for None. None when that one is not in the log."""
        later: list[bytes] = []
        if event_id is None:
            return later
        for text in reversed(self._events):
            if _NAMED.decode(text).event_id == event_id:
                return later[::-1]
            later.append(text)
        return None
