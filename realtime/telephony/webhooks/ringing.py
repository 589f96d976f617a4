"""Incoming calls that wait for a decision.

    call rings ──decide──► no webhook: accepted at once
                     └───► webhook ──► the application decides │ the caller gives up │ the deadline passes

The adapter that signals to the caller awaits `decide`, and cancels it when the caller gives up; the REST routes call
`accept` and `reject`. A call is decided once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.telephony import PhoneCall, PhoneConnection
from vivavoce.realtime.telephony.errors import WebhookUndelivered
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.transports.queues import Discard

log = logging.getLogger(__name__)

DECLINE: Final = 603
"""The SIP status of a declined call (RFC 3261 section 21.6.2)."""

UNAVAILABLE: Final = 480
"""The SIP status of a call without a decision in time (section 21.4.18)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Answer the call. `config`: the session object that the application sent; None: as in the settings."""

    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Decline the call with this SIP status."""

    status: int = DECLINE


Decision = Accepted | Rejected


class Ringing:
    """The undecided calls of one process. `notify` delivers the webhook about one to the application (raises
    `WebhookUndelivered`); None: there is no application, and every call is accepted."""

    def __init__(self, settings: PhoneConfig, notify: Callable[[PhoneCall], Awaitable[None]] | None = None) -> None:
        self._deadline = settings.ring_timeout
        self._default: Decision = Accepted() if settings.unanswered == "accept" else Rejected(UNAVAILABLE)
        self._notify = notify
        self._undecided: dict[str, asyncio.Future[Decision]] = {}
        self._closed = False

    async def decide(self, call: PhoneCall) -> Decision:
        """The decision about a ringing call; after `ring_timeout` seconds the one that `unanswered` sets."""
        if self._closed:
            return Rejected(UNAVAILABLE)
        if self._notify is None:
            return Accepted()
        decision = self._undecided[call.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._deadline), asyncio.TaskGroup() as tasks:
                notifying = tasks.create_task(self._deliver(self._notify, call, decision))
                await asyncio.wait([decision])
                notifying.cancel()
        except TimeoutError:
            log.info("no decision about a call in time")
        finally:
            del self._undecided[call.id]
        return decision.result() if decision.done() and not decision.cancelled() else self._default

    async def decide_while_open(self, connection: PhoneConnection, call: PhoneCall) -> Decision:
        """As `decide`, for a call whose connection is open before the decision: drops what arrives until then, and
        notices a caller who hangs up."""
        decision: Decision = Rejected()
        try:
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(connection.receive(Discard()))
                decision = await self.decide(call)
                receiving.cancel()
        except* PeerGone:
            log.info("the caller gave up")
        return decision

    async def _deliver(
        self, notify: Callable[[PhoneCall], Awaitable[None]], call: PhoneCall, decision: asyncio.Future[Decision]
    ) -> None:
        try:
            await notify(call)
        except WebhookUndelivered as error:
            log.warning("webhook about a call was not delivered", extra={"reason": str(error)})
            if not decision.done():
                decision.set_result(self._default)

    def is_ringing(self, call_id: str) -> bool:
        """Whether there is an undecided call of this id."""
        decision = self._undecided.get(call_id)
        return decision is not None and not decision.done()

    def accept(self, call_id: str, config: Mapping[str, Any] | None) -> bool:
        """Answers a ringing call; False when no undecided call has this id."""
        return self._decide(call_id, Accepted(config))

    def reject(self, call_id: str, status: int = DECLINE) -> bool:
        """Declines a ringing call; False when no undecided call has this id."""
        return self._decide(call_id, Rejected(status))

    def close(self) -> None:
        """Declines all ringing calls, and all to come: the server stops."""
        self._closed = True
        for call_id in self._undecided:
            self._decide(call_id, Rejected(UNAVAILABLE))

    def _decide(self, call_id: str, decision: Decision) -> bool:
        ringing = self.is_ringing(call_id)
        if ringing:
            self._undecided[call_id].set_result(decision)
        return ringing
