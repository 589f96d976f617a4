"""Everybody on one call: its own peer, and sidebands, who read along and may send events of their own.

    own peer ──sound, pictures, events──► inbox          event ──tell──► own peer    all of it
    sideband ──events───────────────────► inbox                    └───► sidebands   all but sound

A sideband that leaves, or reads too slowly, is dropped, and the call goes on; when the own peer leaves, the call is
over for everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, structs

from vivavoce.realtime.transports import CloseReason, Ending, Intake, PeerGone, Pull, Recalls, Transport
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.items import InputAudio, MessageItem, OutputAudio
from vivavoce.realtime.wire.response_events import AudioDelta
from vivavoce.realtime.wire.server_events import ItemRetrieved, SessionCreated

MAX_SIDEBANDS: Final = 4

MAX_BEHIND: Final = 16 << 20
"""Bytes of events that may wait for a sideband: one item with all the sound that is kept."""

TOO_SLOW: Final = Ending(CloseReason.REFUSED, "The client reads too slowly.")


class Crowded(Exception):
    """The call has as many sidebands as it can; the message may be shown."""


@dataclass(slots=True, eq=False)
class _Sideband:
    """`over` is set once it has to leave. `extras`: it understands our own events."""

    transport: Transport
    extras: bool
    over: asyncio.Future[Ending]

    def tell(self, text: bytes) -> None:
        if self.over.done():
            return
        try:
            self.transport.send(text)
        except PeerGone:
            self.leave(TOO_SLOW)

    def leave(self, ending: Ending) -> None:
        if not self.over.done():  # the first ending counts
            self.over.set_result(ending)


class Peers:
    """One call's peers. The pipeline hears and speaks through it; `join` is run by whoever connected a sideband."""

    def __init__(self, peer: Transport) -> None:
        self._peer = peer
        self._intake: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self._seats = MAX_SIDEBANDS
        self._sidebands: list[_Sideband] = []
        self._ended: Ending | None = None

    # --- the call's side ---

    @property
    def plays(self) -> bool:
        """The server paces the sound that the own peer hears."""
        return self._peer.plays

    async def receive(self, intake: Intake) -> None:
        """Hands all that comes to `intake`, until the own peer leaves: then raises `PeerGone`."""
        self._intake.set_result(intake)
        await self._peer.receive(intake)

    async def speak(self, pull: Pull) -> None:
        """Pulls the loudspeaker's frames, for ever. Only the own peer hears them."""
        await self._peer.speak(pull)

    def recall(self) -> None:
        """Somebody cuts in: the own peer is to hear nothing more of what was sent ahead."""
        if isinstance(self._peer, Recalls):
            self._peer.recall()

    def tell(self, event: ServerEvent) -> None:
        """Queues one event for everybody. Raises `PeerGone` when the own peer cannot be told any more."""
        text = wire.encode(event)
        if not isinstance(event, SessionCreated | AudioDelta):  # sidebands have had theirs, and do not play
            for sideband in list(self._sidebands):
                if sideband.extras or not wire.is_extra(event):
                    sideband.tell(text)
        if isinstance(event, ItemRetrieved) and self._peer.plays:
            text = wire.encode(_without_sound(event))
        self._peer.send(text)

    async def close(self, ending: Ending) -> None:
        """Closes all connections; those of sidebands in their own tasks."""
        self._ended = ending
        for sideband in self._sidebands:
            sideband.leave(ending)
        await self._peer.close(ending)

    # --- the sidebands' side ---

    @contextmanager
    def seat(self) -> Iterator[None]:
        """A place for one sideband, taken before its connection is accepted. Raises `Crowded`."""
        if not self._seats:
            raise Crowded(f"The call has {MAX_SIDEBANDS} sidebands already.")
        self._seats -= 1
        try:
            yield
        finally:
            self._seats += 1

    async def join(self, transport: Transport, greeting: ServerEvent, extras: bool) -> None:
        """Serves somebody who has a seat, from `greeting` on, until they leave or the call ends; closes `transport`."""
        over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        sideband = _Sideband(transport, extras, over)
        sideband.tell(wire.encode(greeting))
        self._sidebands.append(sideband)
        if self._ended:
            sideband.leave(self._ended)
        ending = Ending()
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(transport))
                ending = await over
                reading.cancel()
        except* PeerGone:
            pass
        finally:
            self._sidebands.remove(sideband)
            await transport.close(ending)

    async def _read(self, transport: Transport) -> None:
        await transport.receive(await asyncio.shield(self._intake))


def _without_sound(event: ItemRetrieved) -> ItemRetrieved:
    """As a data channel can carry it: sound would be longer than its messages may be."""
    if not isinstance(event.item, MessageItem):
        return event
    parts = [
        structs.replace(part, audio=UNSET) if isinstance(part, InputAudio | OutputAudio) else part
        for part in event.item.content
    ]
    return structs.replace(event, item=structs.replace(event.item, content=parts))
