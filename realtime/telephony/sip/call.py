"""Between one leg, its sound, and the task that runs the call.

LegEvent ──take──► the line (agreed, keys, over), or the task (the caller gave up), or who waits for an answer
hang_up, refer, inform ──► the leg, and what it says is sent
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar, assert_never

from aiosipua.headers import parse_uri

from vivavoce.realtime.telephony import CannotDo
from vivavoce.realtime.telephony.sip.dialog import (
    Answered,
    HungUp,
    InviteDialog,
    LegEvent,
    MediaChanged,
    Pressed,
    Rang,
    Referred,
    Refused,
    State,
)
from vivavoce.realtime.telephony.sip.line import SipLine
from vivavoce.realtime.telephony.sip.sdp import Media
from vivavoce.realtime.telephony.sip.sockets import Address

log = logging.getLogger(__name__)

T = TypeVar("T")

UNAVAILABLE: Final = 480


class SipCall:
    """One call of an endpoint; the `Control` of its line."""

    leg: InviteDialog
    call_id = ""

    def __init__(
        self, acting: Callable[[], AbstractContextManager[None]], over: Callable[[InviteDialog], None], domain: str
    ) -> None:
        """`acting`: a context in which legs may be used; what they say is sent at its end. `over`: called when the leg
        is not needed any more. `domain`: of plain numbers."""
        self.line: SipLine | None = None
        self.task: asyncio.Task[None] | None = None
        self.answered: asyncio.Future[Media | int] = asyncio.get_running_loop().create_future()
        """Of a call that we make: what was agreed, or the status with which it was refused."""
        self._referred: asyncio.Future[int] | None = None
        self._acting = acting
        self._over = over
        self._domain = domain

    def packet(self, data: bytes, source: Address) -> None:
        """A datagram came at the ports for sound."""
        if self.line is not None:
            self.line.packet(data, source)

    def take(self, event: LegEvent) -> None:
        """Something happened to the leg."""
        match event:
            case Rang():
                log.info("SIP call rings")
            case Answered(media=media):
                _settle(self.answered, media)
            case Refused(status=status):
                _settle(self.answered, status)
            case MediaChanged(media=media):
                if self.line is not None:
                    self.line.agree(media)
            case Pressed(key=key):
                if self.line is not None:
                    self.line.pressed(key)
            case Referred(status=status):
                if status >= 200 and status != 202 and self._referred is not None:
                    _settle(self._referred, status)
            case HungUp(why=why):
                self._ended(why)
            case _:
                assert_never(event)

    def hang_up(self) -> None:
        """Ends the call, if it has not ended; nothing is left of it."""
        with self._acting():
            self.leg.hang_up()
        self._over(self.leg)

    async def refer(self, target: str) -> int:
        """Asks the far end to call `target`; returns the final status of that. Raises `CannotDo`."""
        if self.leg.state is not State.TALKING:
            raise CannotDo("the call is over")
        self._referred = asyncio.get_running_loop().create_future()
        with self._acting():
            self.leg.refer(self._uri(target))
        return await self._referred

    def inform(self, key: str) -> None:
        """Sends a key without sound."""
        if self.leg.state is State.TALKING:
            with self._acting():
                self.leg.inform(key)

    def _ended(self, why: str) -> None:
        _settle(self.answered, UNAVAILABLE)
        if self._referred is not None:
            _settle(self._referred, 200)  # who has been asked to call somebody else, and hangs up, has done so
        if self.line is not None:
            self.line.ended(why)
        elif self.task is not None:
            self.task.cancel()

    def _uri(self, target: str) -> str:
        """The URI of a number, as the far end will dial it."""
        if target.lower().startswith(("sip:", "sips:")):
            return target
        number = target.removeprefix("tel:")
        return f"sip:{number}@{self._domain or parse_uri(self.leg.dialog.remote_uri).host}"


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
