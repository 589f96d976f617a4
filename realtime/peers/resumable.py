"""The own peer's line: one connection after another under one call that goes on.

    call ◄──receive, speak──┐                         ┌── first connection      lost, or left for another one
         ──send──► [ log ] ─┴── PeerLine ─────────────┼── second connection     presented the token
                                  │                   └── ...
                                  └─ nobody there: nothing is pulled, events wait in the log, at most `window` seconds

To the call it is a `Transport` like any other; that it has others below it, one at a time, is known here alone. Who
comes back names the last event it has, and is sent all that came after it, in the same order; what was spoken and did
not arrive is spoken again, from the beginning of a word.

A client that says goodbye has left, and its call is over. One that vanishes is waited for.

The events that a client was sent last, so that one who comes back can be told what it missed.

send ──add──► [ ... bounded by bytes, oldest go first ... ] ──after(event id)──► all that came later, in their order
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final, Never

import msgspec

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.transports import CloseReason, Ending, Intake, PeerGone, PeerLost, Pull, Recalls, Transport
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.server_events import CallResumable, CallResumed

log = logging.getLogger(__name__)

PLACES: Final = 1500
"""Frames (30 s) whose place in the replies is remembered."""

REPLACED: Final = Ending(CloseReason.RESUMED, "The call goes on over another connection.")
NOT_TAKEN: Final = Ending(CloseReason.REFUSED, "The call is over, or goes on over another connection.")


@dataclass(frozen=True, slots=True)
class Since:
    """Where the client that comes back stands: the id of the last event it has (None: it wants none of those it
    missed), and the RTP timestamp of what it `played` last, if it knows."""

    received: str | None = None
    played: int | None = None


class _Connection:
    """One connection's time on the line."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.over = asyncio.Event()  # lost, or no longer wanted
        self.replaced = asyncio.Event()  # another one has taken its place
        self.closed = asyncio.Event()
        self.pulled = 0
        self._places: deque[tuple[int, int]] = deque(maxlen=PLACES)  # after each of the last frames

    def note(self, place: tuple[int, int]) -> None:
        """A frame was pulled, and the loudspeaker stands at `place`."""
        self.pulled += 1
        self._places.append(place)

    def place(self, frames: int) -> tuple[int, int] | None:
        """Where the loudspeaker stood after so many frames, as far back as is remembered."""
        if frames >= self.pulled or not self._places:
            return None
        return self._places[max(0, frames - 1 - (self.pulled - len(self._places)))] if frames else self._places[0]

    async def during(self, work: Coroutine[object, object, None]) -> None:
        """Does `work` until it is done or the connection is over. Raises `PeerGone` as it does."""
        gone: PeerGone | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                doing = tasks.create_task(work)
                ending = tasks.create_task(self.over.wait())
                await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
                doing.cancel()
                ending.cancel()
        except* PeerGone as left:
            gone = _first(left)
        if gone is not None:
            raise gone

    async def close(self, ending: Ending) -> None:
        self.over.set()
        try:
            await self.transport.close(ending)
        finally:
            self.closed.set()


class ResumableTransport:
    """Implements `Transport` for one call, over the connections that its peer makes one after the other."""

    def __init__(self, transport: Transport, session: Session, playout: Playout, window: float) -> None:
        """`window`: seconds that a lost peer is waited for; 0: it is not, and gets no token."""
        self.plays = transport.plays
        self._session = session
        self._playout = playout
        self._window = window if session.extras else 0.0
        self._stint = _Connection(transport)
        self._next: _Connection | None = None
        self._log = EventLog(self.plays)
        self._token = ""
        self._over = False

    # --- the call's side -------------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """The first connection is."""
        await self._stint.transport.connected()

    def reached(self, played: int | None = None) -> None:
        """Each connection has its own account."""

    async def receive(self, intake: Intake) -> Never:
        """Hands all that comes to `intake`, until the peer says goodbye or has been away for too long: then raises
        `PeerGone`."""
        if self._window:
            self._offer_return()
        while True:
            stint = self._stint
            try:
                await stint.during(stint.transport.receive(intake))
            except PeerGone as gone:
                lost = isinstance(gone, PeerLost) and self._window
                if not lost and not stint.replaced.is_set():
                    raise
                log.info("connection over", extra={"how": str(gone)})
            stint.over.set()
            if not stint.replaced.is_set():
                self._playout.leave(away=True)
            try:
                async with asyncio.timeout(self._window):
                    await stint.replaced.wait()
            except TimeoutError:
                raise PeerGone(f"the peer did not come back within {self._window:g} s") from None

    async def speak(self, pull: Pull) -> Never:
        """Pulls frames as long as a connection takes them, for ever."""
        while True:
            stint = self._stint
            await stint.during(stint.transport.speak(lambda stint=stint: self._pull(stint, pull)))  # type: ignore[misc]
            await stint.replaced.wait()

    def send(self, text: bytes) -> None:
        """Queues one event, for the connection there is or the next one. Raises `PeerGone` as the transport does."""
        if self._window:
            self._log.add(text)
        if not self._stint.over.is_set():
            self._tell(text)

    def recall(self) -> None:
        """Somebody cuts in: what was sent and not heard yet is taken back, where the far end can drop it."""
        transport = self._stint.transport
        speaking = self._playout.audible is not None
        heard = transport.recall() if speaking and isinstance(transport, Recalls) else None
        if heard is not None and (place := self._stint.place(heard)) is not None:
            self._playout.rewind(*place)

    async def close(self, ending: Ending) -> None:
        """Ends whatever connection there is."""
        self._over = True
        if self._next is not None:
            self._next.over.set()
        await self._stint.close(ending)

    # --- coming back -----------------------------------------------------------------------------------------------

    def knows(self, token: str) -> bool:
        """Whether it is this call's token: whoever shows it may take the line."""
        return bool(self._token) and secrets.compare_digest(self._token.encode(), token.encode())

    def can_tell(self, received: str | None) -> bool:
        """Whether all that came after the event `received` is still there."""
        return received is None or self._log.after(received) is not None

    async def resume(self, transport: Transport, since: Since) -> None:
        """Lets the peer go on over `transport`, once that is connected, and stays until it is closed again. A later
        attempt takes the place of one that is still connecting."""
        stint = _Connection(transport)
        if self._next is not None:
            self._next.over.set()
        self._next = stint
        try:
            await stint.during(transport.connected())
            wanted = not self._over and not stint.over.is_set() and self.can_tell(since.received)
        except PeerGone as gone:
            log.info("peer did not come back", extra={"how": str(gone)})
            wanted = False
        finally:
            if self._next is stint:
                self._next = None
        if not wanted:
            await stint.close(NOT_TAKEN)
            return
        old = self._swap(stint, since)
        await old.close(REPLACED)
        await stint.closed.wait()

    def _swap(self, stint: _Connection, since: Since) -> _Connection:
        """Without a pause in between, so that no event can come between the old ones and the new."""
        old = self._stint
        old.over.set()
        reached = old.transport.reached(since.played)
        if reached is not None and (place := old.place(reached)) is not None:
            self._playout.rewind(*place)
        self._stint = stint
        self._playout.leave(away=False)
        for text in self._log.after(since.received) or ():
            self._tell(text)
        number, samples = self._playout.place
        item_id = self._session.item_id(number)
        chars = self._playout.heard(number)[1] if item_id else 0
        ms = samples * 1000 // SAMPLE_RATE if item_id else 0
        view = self._session.view
        self._announce(CallResumed(session=view, item_id=item_id, heard_chars=chars, audio_end_ms=ms))
        self._offer_return()
        old.replaced.set()
        log.info("peer came back")
        return old

    def _offer_return(self) -> None:
        self._token = secrets.token_urlsafe(24)
        self._announce(CallResumable(token=self._token, seconds=self._window))

    def _announce(self, event: ServerEvent) -> None:
        for told in self._session.announce(event):
            self.send(wire.encode(told.event))

    def _tell(self, text: bytes) -> None:
        try:
            self._stint.transport.send(text)
        except PeerLost:
            if not self._window:
                raise
            self._stint.over.set()

    def _pull(self, stint: _Connection, pull: Pull) -> Samples:
        samples = pull()
        stint.note(self._playout.place)
        return samples


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
