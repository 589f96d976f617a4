"""The peers of one call: its client, and sidebands, which read along and may send events of their own.

    client ────sound, pictures, events──► inbox          event ──tell──► client      all events
    sideband ──events───────────────────► inbox                    └───► sidebands   all but sound

A sideband that leaves, or reads too slowly, is dropped, and the call goes on; when the client leaves, the call is over
for all.
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
"""Bytes of events that may wait for a sideband: enough for one item with all its sound."""

TOO_SLOW: Final = Ending(CloseReason.REFUSED, "The client reads too slowly.")


class TooManySidebands(Exception):
    """The call has `MAX_SIDEBANDS` already; the message may be shown."""


@dataclass(slots=True, eq=False)
class _Sideband:
    """`over` is set once it has to leave. `extras`: its client knows our own events."""

    transport: Transport
    extras: bool
    over: asyncio.Future[Ending]

    def send(self, text: bytes) -> None:
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
    """The peers of one call. The pipeline receives and speaks through it; `join` runs in the task of a sideband's own
    connection."""

    def __init__(self, client: Transport) -> None:
        self._client = client
        self._intake: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self._free = MAX_SIDEBANDS
        self._sidebands: list[_Sideband] = []
        self._ended: Ending | None = None

    # --- the call's side ---

    @property
    def plays(self) -> bool:
        """The server paces the sound that the client hears."""
        return self._client.plays

    async def receive(self, intake: Intake) -> None:
        """Hands all that comes to `intake`, until the client leaves: then raises `PeerGone`."""
        self._intake.set_result(intake)
        await self._client.receive(intake)

    async def speak(self, pull: Pull) -> None:
        """Pulls the loudspeaker's frames for the client, for ever."""
        await self._client.speak(pull)

    def recall(self) -> None:
        """Barge-in: recalls the sound that the client was sent ahead, where it can be."""
        if isinstance(self._client, Recalls):
            self._client.recall()

    def tell(self, event: ServerEvent) -> None:
        """Queues one event for all peers. Raises `PeerGone` when the client can no longer be reached."""
        text = wire.encode(event)
        if not isinstance(event, SessionCreated | AudioDelta):  # sidebands have had their own greeting, and do not play
            for sideband in list(self._sidebands):
                if sideband.extras or not wire.is_extra(event):
                    sideband.send(text)
        if isinstance(event, ItemRetrieved) and self._client.plays:
            text = wire.encode(_without_sound(event))
        self._client.send(text)

    async def close(self, ending: Ending) -> None:
        """Closes all connections; those of sidebands in their own tasks."""
        self._ended = ending
        for sideband in self._sidebands:
            sideband.leave(ending)
        await self._client.close(ending)

    # --- the sidebands' side ---

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserves room for one sideband, before its connection is accepted. Raises `TooManySidebands`."""
        if not self._free:
            raise TooManySidebands(f"The call has {MAX_SIDEBANDS} sidebands already.")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def join(self, transport: Transport, greeting: ServerEvent, extras: bool) -> None:
        """Serves a sideband that has room reserved, from `greeting` on, until it leaves or the call ends; closes
        `transport`."""
        over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        sideband = _Sideband(transport, extras, over)
        sideband.send(wire.encode(greeting))
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
    """The event without sound, which is longer than a data channel's messages may be."""
    if not isinstance(event.item, MessageItem):
        return event
    parts = [
        structs.replace(part, audio=UNSET) if isinstance(part, InputAudio | OutputAudio) else part
        for part in event.item.content
    ]
    return structs.replace(event, item=structs.replace(event.item, content=parts))
