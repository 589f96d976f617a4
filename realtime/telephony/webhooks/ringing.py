"""Incoming calls that wait for a decision.

    a telephone rings ──decide──► no webhook: accepted at once
                           └────► webhook ──► the application decides │ the caller gives up │ time is up

`decide` is awaited by whoever signals to the caller (and cancelled when the caller gives up); the REST side calls
`accept` and `reject`. A call is decided once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.telephony import PhoneCall, PhoneLine
from vivavoce.realtime.telephony.webhooks.post import Undelivered
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.transports.queues import Discard

log = logging.getLogger(__name__)

DECLINE: Final = 603
"""The SIP status of a call that somebody does not want (RFC 3261 section 21.6.2)."""

UNAVAILABLE: Final = 480
"""The SIP status of a call that nobody decided about in time (section 21.4.18)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Answer it. `config`: the session object an application sent along; None: as the settings say."""

    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Decline it with this SIP status."""

    status: int = DECLINE


Decision = Accepted | Rejected


class Ringing:
    """The undecided calls of one process. `tell` brings the news of one to an application (raises `Undelivered`); None:
    there is none to ask."""

    def __init__(self, settings: PhoneConfig, tell: Callable[[PhoneCall], Awaitable[None]] | None = None) -> None:
        self._deadline = settings.ring_timeout
        self._otherwise: Decision = Accepted() if settings.unanswered == "accept" else Rejected(UNAVAILABLE)
        self._tell = tell
        self._waiting: dict[str, asyncio.Future[Decision]] = {}
        self._closed = False

    async def decide(self, call: PhoneCall) -> Decision:
        """What becomes of a ringing call; after `ring_timeout` seconds at the latest, `unanswered`."""
        if self._closed:
            return Rejected(UNAVAILABLE)
        if self._tell is None:
            return Accepted()
        decision = self._waiting[call.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._deadline), asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(self._news(self._tell, call, decision))
                await asyncio.wait([decision])
                telling.cancel()
        except TimeoutError:
            log.info("nobody decided about a call")
        finally:
            del self._waiting[call.id]
        return decision.result() if decision.done() and not decision.cancelled() else self._otherwise

    async def decide_on(self, line: PhoneLine, call: PhoneCall) -> Decision:
        """The same for a call whose line is open before it is decided: what comes is dropped, until then or until the
        caller hangs up."""
        decision: Decision = Rejected()
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(line.receive(Discard()))
                decision = await self.decide(call)
                listening.cancel()
        except* PeerGone:
            log.info("a caller gave up")
        return decision

    async def _news(
        self, tell: Callable[[PhoneCall], Awaitable[None]], call: PhoneCall, decision: asyncio.Future[Decision]
    ) -> None:
        try:
            await tell(call)
        except Undelivered as error:
            log.warning("nobody was told of a call", extra={"reason": str(error)})
            if not decision.done():
                decision.set_result(self._otherwise)

    def waits(self, call_id: str) -> bool:
        """Whether a call rings that is undecided."""
        waiting = self._waiting.get(call_id)
        return waiting is not None and not waiting.done()

    def accept(self, call_id: str, config: Mapping[str, Any] | None) -> bool:
        """Answers a ringing call; False when there is none of this id that is undecided."""
        return self._settle(call_id, Accepted(config))

    def reject(self, call_id: str, status: int = DECLINE) -> bool:
        """Declines a ringing call; False when there is none of this id that is undecided."""
        return self._settle(call_id, Rejected(status))

    def close(self) -> None:
        """Declines all calls that ring, and all to come: the server is being stopped."""
        self._closed = True
        for call_id in self._waiting:
            self._settle(call_id, Rejected(UNAVAILABLE))

    def _settle(self, call_id: str, decision: Decision) -> bool:
        waits = self.waits(call_id)
        if waits:
            self._waiting[call_id].set_result(decision)
        return waits
