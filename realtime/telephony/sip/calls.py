"""The calls of our telephone, each a task: from the first ring to the switchboard, and to the end.

Invited ──► admit ──► ring ──► decide ──► answer ──► Switchboard.connect        no place: busy line, 486 or 503
dial    ──► admit ──► INVITE ──► answered ─────────► Switchboard.connect        not answered: `NotReached`
Happened ─► the call's `SipCall`, and so its line
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.config.sip import SipConfig, split
from vivavoce.realtime.monitor.call_log import CALL, call_context
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.call_limits import sip_status
from vivavoce.realtime.telephony.sip.call import SipCall
from vivavoce.realtime.telephony.sip.dialog import InviteDialog
from vivavoce.realtime.telephony.sip.line import SipLine
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, Media, NotAcceptable
from vivavoce.realtime.telephony.sip.sockets import Sound
from vivavoce.realtime.telephony.sip.user_agent import Fact, Invited, UserAgent
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Decision, Rejected
from vivavoce.realtime.transports import CloseReason, Ending

log = logging.getLogger(__name__)

RING: Final = 60.0
"""Seconds that a call of ours rings."""

LET_GO: Final = 5.0
"""Seconds that the far end gets to confirm that it does not ring any more."""

MAX_DECLINED: Final = 20
"""Callers who hear the busy line at the same time; more get the busy tone of their own telephone."""

RETRY: Final = 30
"""Seconds after which somebody may try again who was told that we are full."""


class NotReached(Exception):
    """A call of ours was not answered; the message says why. `status` as in SIP."""

    def __init__(self, status: int) -> None:
        words = {
            403: "it is not allowed",
            404: "there is no such number",
            408: "nobody answered",
            480: "nobody answered",
        }
        words |= {486: "the line is busy", 487: "nobody answered", 488: "no codec in common", 603: "it was declined"}
        super().__init__(f"The call was not taken: {words.get(status, 'the other side refused')} (SIP {status}).")
        self.status = status


class SipCalls:
    """All calls of one endpoint. `tasks` is set before the first."""

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        agent: UserAgent,
        switchboard: Switchboard,
        decide: Callable[[PhoneCall], Awaitable[Decision]],
        clock: Callable[[], float],
        settings: SipConfig,
        flush: Callable[[], None],
    ) -> None:
        """`flush` sends what the agent has to send."""
        self._agent = agent
        self._switchboard = switchboard
        self._decide = decide
        self._clock = clock
        self._settings = settings
        self._flush = flush
        self._connections: dict[str, SipCall] = {}
        self._declined = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._connections)

    def happened(self, fact: Fact) -> None:
        """Something happened to a call, or one comes in."""
        connection = self._connections.get(fact.leg.dialog.local_tag)
        if isinstance(fact, Invited):
            connection = SipCall(self._acting, self._forget, self._settings.domain)
            connection.leg = fact.leg
            self._keep(connection)
            connection.task = self.tasks.create_task(self._supervise(connection))
        elif connection is not None:
            with call_context(connection.call_id):
                connection.take(fact.event)

    def stop(self) -> None:
        """Turns away whoever still rings. Calls that stand are ended by the switchboard."""
        for connection in list(self._connections.values()):
            if connection.line is None and connection.task is not None:
                with self._acting():
                    connection.leg.refuse(503, {"Retry-After": str(RETRY)})
                connection.task.cancel()

    async def over(self) -> None:
        """Returns when the last call is over."""
        await self._idle.wait()

    async def dial(self, target: str, to: Remote) -> None:
        """Calls `target`, a URI, by way of `to`, and runs the call to its end. Raises `NotReached`, `Denied`,
        `OSError`."""
        caller = self._settings.account or f"sip:vivavoce@{self._agent.outbox.sent_by(to)}"
        call = PhoneCall(new_call_id(), "sip", "outgoing", caller, target)
        with call_context(call.id):
            await self._dial(call, caller, target, to)

    async def _dial(self, call: PhoneCall, caller: str, target: str, to: Remote) -> None:
        self._switchboard.admit(call)
        connection = SipCall(self._acting, self._forget, self._settings.domain)
        connection.call_id = call.id
        standing = False
        try:
            line = connection.line = await self._open(connection)
            with self._acting():
                connection.leg = self._agent.call(caller, target, to, self._own(to, line))
            self._keep(connection)
            line.agree(await self._answered(connection))
            standing = True
            await self._switchboard.connect(call, line)
        finally:
            if not standing:
                with suppress(Denied):
                    self._switchboard.dismiss(call)
                if connection.line is not None:
                    await connection.line.close(Ending())

    # --- incoming ----------------------------------------------------------------------------------------------------

    async def _supervise(self, connection: SipCall) -> None:
        try:
            await self._incoming(connection)
        except Exception:  # the border: one call's bug must not end the others
            log.exception("SIP call failed")
        finally:
            connection.hang_up()

    async def _incoming(self, connection: SipCall) -> None:
        leg, call = connection.leg, _phone_call(connection.leg)
        connection.call_id = call.id
        CALL.set(call.id)
        try:
            self._switchboard.admit(call)
        except Denied as denied:
            log.info("SIP call declined", extra={"reason": denied.code})
            await self._turn_away(connection, denied)
            return
        standing = False
        try:
            with self._acting():
                leg.ring()
            decision = await self._decide(call)
            if isinstance(decision, Rejected):
                with self._acting():
                    leg.refuse(decision.status)
            elif line := await self._answer(connection):
                standing = True
                await self._switchboard.connect(call, line, decision.config)
        finally:
            if not standing:
                with suppress(Denied):  # the server is stopping, and with it all places
                    self._switchboard.dismiss(call)

    async def _turn_away(self, connection: SipCall, denied: Denied) -> None:
        """There is no place: says so, in words if there are some."""
        spoken = denied.code == "server_full" and self._switchboard.settings.busy and self._declined < MAX_DECLINED
        if not spoken:
            with self._acting():
                connection.leg.refuse(sip_status(denied), {"Retry-After": str(round(denied.retry_after or RETRY))})
            return
        self._declined += 1
        try:
            if line := await self._answer(connection):
                await self._switchboard.decline(line)
        finally:
            self._declined -= 1

    async def _answer(self, connection: SipCall) -> SipLine | None:
        """Takes the call; None when nothing came of it."""
        leg = connection.leg
        try:
            line = await self._open(connection)
        except OSError as error:
            log.warning("no ports for sound", extra={"reason": str(error)})
            with self._acting():
                leg.refuse(503, {"Retry-After": str(RETRY)})
            return None
        connection.line = line
        try:
            with self._acting():
                media = leg.answer(self._own(leg.to, line))
        except NotAcceptable:
            with self._acting():
                leg.refuse(488)
            await line.close(Ending(CloseReason.ERROR))
            return None
        if media is not None:
            line.agree(media)
        return line

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _answered(self, connection: SipCall) -> Media:
        """Raises `NotReached`."""
        try:
            async with asyncio.timeout(RING):
                result = await asyncio.shield(connection.answered)
        except TimeoutError:
            raise NotReached(408) from None
        finally:
            if not connection.answered.done():  # time is up, or nobody wants to wait: the far end is told
                with self._acting():
                    connection.leg.hang_up()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LET_GO):
                        await connection.answered
        if isinstance(result, int):
            raise NotReached(result)
        return result

    async def _open(self, connection: SipCall) -> SipLine:
        """Raises `OSError`."""
        host, _ = split(self._settings.listen, 0)
        ports = await Sound.open(host, self._settings.port_range, connection.packet)
        return SipLine(ports, connection, self._clock)

    def _own(self, to: Remote, line: SipLine) -> LocalSdp:
        host = self._agent.outbox.host_for(to)
        return LocalSdp(host, line.port, self._settings.codecs, secrets.randbits(31), 1)

    def _keep(self, connection: SipCall) -> None:
        self._connections[connection.leg.dialog.local_tag] = connection
        self._idle.clear()

    def _forget(self, leg: InviteDialog) -> None:
        self._agent.forget(leg)
        self._connections.pop(leg.dialog.local_tag, None)
        if not self._connections:
            self._idle.set()

    @contextmanager
    def _acting(self) -> Iterator[None]:
        self._agent.outbox.now = asyncio.get_running_loop().time()
        yield
        self._flush()


def _phone_call(leg: InviteDialog) -> PhoneCall:
    headers = tuple((name, value) for name, values in leg.invite.headers.items() for value in values)
    return PhoneCall(new_call_id(), "sip", caller=leg.dialog.remote_uri, called=leg.dialog.local_uri, headers=headers)
