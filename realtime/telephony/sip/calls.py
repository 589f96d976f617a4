"""The calls of one SIP endpoint, each a task: from the first ring to the switchboard, and to the end.

Invited       ──► admit ──► ring ──► decide ──► answer ──► Switchboard.connect     no call slot: busy prompt, 486, 503
dial          ──► admit ──► INVITE ──► answered ─────────► Switchboard.connect     otherwise `CallNotAnswered`
DialogChanged ──► `SipCall.handle`: its connection, or its task
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, TypeVar, assert_never

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.config.sip import SipConfig, split
from vivavoce.realtime.monitor.call_log import CALL, call_context
from vivavoce.realtime.telephony import DtmfReceived, PhoneCall
from vivavoce.realtime.telephony.call_limits import sip_status
from vivavoce.realtime.telephony.errors import ActionFailed, CallCancelled, CallNotAnswered, SdpNotAcceptable
from vivavoce.realtime.telephony.sip.connection import SipConnection
from vivavoce.realtime.telephony.sip.dialog import (
    Answered,
    CallFailed,
    DialogEvent,
    InviteDialog,
    MediaChanged,
    Rang,
    Referred,
    State,
    Terminated,
)
from vivavoce.realtime.telephony.sip.headers import host_of
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, NegotiatedMedia
from vivavoce.realtime.telephony.sip.sockets import Address, RtpSockets
from vivavoce.realtime.telephony.sip.user_agent import Invited, UserAgent, UserAgentEvent
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Decision, Rejected
from vivavoce.realtime.transports import CloseReason, Ending

log = logging.getLogger(__name__)

T = TypeVar("T")

RING: Final = 60.0
"""Seconds that an outgoing call rings."""

CANCEL: Final = 5.0
"""Seconds within which the far end has to confirm a CANCEL."""

MAX_BUSY_PROMPTS: Final = 20
"""Callers who hear the busy prompt at the same time; more get a busy tone from their own telephone."""

RETRY: Final = 30
"""Seconds after which a rejected caller may try again."""

UNAVAILABLE: Final = 480


class SipCall:
    """One call of an endpoint: connects its dialog, its audio and its task; the `Signalling` of its connection."""

    dialog: InviteDialog
    call_id = ""

    def __init__(
        self, sending: Callable[[], AbstractContextManager[None]], ended: Callable[[InviteDialog], None], domain: str
    ) -> None:
        """`sending`: a context in which dialogs may be used, and which sends their messages at its end. `ended`: called
        when the dialog is not needed any more. `domain`: of plain numbers."""
        self.connection: SipConnection | None = None
        self.task: asyncio.Task[None] | None = None
        self.answered: asyncio.Future[NegotiatedMedia | int] = asyncio.get_running_loop().create_future()
        """Result of an outgoing call: what was negotiated, or the status with which it failed."""
        self._transfer: asyncio.Future[int] | None = None
        self._sending = sending
        self._ended = ended
        self._domain = domain

    def receive_datagram(self, data: bytes, source: Address) -> None:
        """Takes a datagram of the RTP sockets."""
        if self.connection is not None:
            self.connection.receive_datagram(data, source)

    def handle(self, event: DialogEvent) -> None:
        """Takes an event of the dialog."""
        match event:
            case Rang():
                log.info("SIP call rings")
            case Answered(media=media):
                _settle(self.answered, media)
            case CallFailed(status=status):
                _settle(self.answered, status)
            case MediaChanged(media=media):
                if self.connection is not None:
                    self.connection.set_media(media)
            case DtmfReceived():
                if self.connection is not None:
                    self.connection.receive_dtmf(event)
            case Referred(status=status):
                if status >= 200 and status != 202 and self._transfer is not None:
                    _settle(self._transfer, status)
            case Terminated(reason=reason):
                self._terminated(reason)
            case _:
                assert_never(event)

    def hang_up(self) -> None:
        """Ends the call, if it has not ended, and forgets the dialog."""
        with self._sending():
            self.dialog.hang_up()
        self._ended(self.dialog)

    async def refer(self, target: str) -> int:
        """Asks the far end to call `target`; returns the final status of that call. Raises `ActionFailed`."""
        if self.dialog.state is not State.CONFIRMED:
            raise ActionFailed("the call is over")
        self._transfer = asyncio.get_running_loop().create_future()
        with self._sending():
            self.dialog.refer(self._uri(target))
        return await self._transfer

    def send_info(self, key: str) -> None:
        """Sends a key by SIP INFO."""
        if self.dialog.state is State.CONFIRMED:
            with self._sending():
                self.dialog.send_info(key)

    def _terminated(self, reason: str) -> None:
        _settle(self.answered, UNAVAILABLE)
        if self._transfer is not None:
            _settle(self._transfer, 200)  # a far end that hangs up after REFER has called the target
        if self.connection is not None:
            self.connection.end(reason)
        elif self.task is not None:
            self.task.cancel()

    def _uri(self, target: str) -> str:
        """The URI of a number, as the far end will call it."""
        if target.lower().startswith(("sip:", "sips:")):
            return target
        number = target.removeprefix("tel:")
        remote = self.dialog.ids.remote_uri
        if not remote.lower().startswith(("sip:", "sips:")):  # a caller by number: tel:+49...
            remote = self.dialog.ids.remote_target
        return f"sip:{number}@{self._domain or host_of(remote)[0]}"


class SipCalls:
    """All calls of one endpoint. `tasks` is set before the first."""

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        user_agent: UserAgent,
        switchboard: Switchboard,
        decide: Callable[[PhoneCall], Awaitable[Decision]],
        clock: Callable[[], float],
        settings: SipConfig,
        flush: Callable[[], None],
    ) -> None:
        """`flush` sends the messages of the user agent."""
        self._user_agent = user_agent
        self._switchboard = switchboard
        self._decide = decide
        self._clock = clock
        self._settings = settings
        self._flush = flush
        self._calls: dict[str, SipCall] = {}  # by the local tag of their dialogs
        self._busy_prompts = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._calls)

    def handle(self, event: UserAgentEvent) -> None:
        """Takes an event of the user agent."""
        call = self._calls.get(event.dialog.local_tag)
        if isinstance(event, Invited):
            call = SipCall(self._sending, self._forget, self._settings.domain)
            call.dialog = event.dialog
            self._keep(call)
            call.task = self.tasks.create_task(self._supervise(call))
        elif call is not None:
            with call_context(call.call_id):
                call.handle(event.event)

    def stop(self) -> None:
        """Rejects the calls that still ring. Those that are connected end with their sessions."""
        for call in list(self._calls.values()):
            if call.connection is None and call.task is not None:
                with self._sending():
                    call.dialog.reject(503, {"Retry-After": str(RETRY)})
                call.task.cancel()

    async def until_idle(self) -> None:
        """Returns when the last call is over."""
        await self._idle.wait()

    async def dial(self, target: str, remote: Remote) -> None:
        """Calls `target`, a URI, by way of `remote`, and runs the call to its end. Raises `CallNotAnswered`, `Denied`,
        `OSError`."""
        caller = self._settings.account or f"sip:vivavoce@{self._user_agent.sender.sent_by(remote)}"
        phone_call = PhoneCall(new_call_id(), "sip", "outgoing", caller, target)
        with call_context(phone_call.id):
            await self._dial(phone_call, remote)

    async def _dial(self, phone_call: PhoneCall, remote: Remote) -> None:
        self._switchboard.admit(phone_call)
        call = SipCall(self._sending, self._forget, self._settings.domain)
        call.call_id = phone_call.id
        caller, target = phone_call.caller, phone_call.called
        connected = False
        try:
            connection = call.connection = await self._open(call)
            with self._sending():
                call.dialog = self._user_agent.call(caller, target, remote, self._local_sdp(remote, connection))
            self._keep(call)
            connection.set_media(await self._until_answered(call))
            connected = True
            await self._switchboard.connect(phone_call, connection)
        finally:
            if not connected:
                with suppress(Denied):
                    self._switchboard.dismiss(phone_call)
                if call.connection is not None:
                    await call.connection.close(Ending())

    # --- incoming ----------------------------------------------------------------------------------------------------

    async def _supervise(self, call: SipCall) -> None:
        try:
            await self._incoming(call)
        except Exception:  # the border: one call's bug must not end the others
            log.exception("SIP call failed")
        finally:
            call.hang_up()

    async def _incoming(self, call: SipCall) -> None:
        dialog, phone_call = call.dialog, _phone_call(call.dialog)
        call.call_id = phone_call.id
        CALL.set(phone_call.id)
        try:
            self._switchboard.admit(phone_call)
        except Denied as denied:
            log.info("SIP call declined", extra={"reason": denied.code})
            await self._decline(call, denied)
            return
        connected = False
        try:
            with self._sending():
                dialog.ring()
            decision = await self._decide(phone_call)
            if isinstance(decision, Rejected):
                with self._sending():
                    dialog.reject(decision.status)
            elif connection := await self._answer(call):
                connected = True
                await self._switchboard.connect(phone_call, connection, decision.config)
        finally:
            if not connected:
                with suppress(Denied):  # the server stops, and frees all slots
                    self._switchboard.dismiss(phone_call)

    async def _decline(self, call: SipCall, denied: Denied) -> None:
        """Rejects a call for which there is no slot, with the busy prompt if there is one."""
        prompt = self._switchboard.settings.busy
        if denied.code != "server_full" or not prompt or self._busy_prompts >= MAX_BUSY_PROMPTS:
            with self._sending():
                call.dialog.reject(sip_status(denied), {"Retry-After": str(round(denied.retry_after or RETRY))})
            return
        self._busy_prompts += 1
        try:
            if connection := await self._answer(call):
                await self._switchboard.decline(connection)
        finally:
            self._busy_prompts -= 1

    async def _answer(self, call: SipCall) -> SipConnection | None:
        """Answers the call; None when that fails."""
        dialog = call.dialog
        try:
            connection = await self._open(call)
        except OSError as error:
            log.warning("no ports for RTP", extra={"reason": str(error)})
            with self._sending():
                dialog.reject(503, {"Retry-After": str(RETRY)})
            return None
        call.connection = connection
        try:
            with self._sending():
                media = dialog.answer(self._local_sdp(dialog.remote, connection))
        except (SdpNotAcceptable, CallCancelled):
            with self._sending():
                dialog.reject(488)
            await connection.close(Ending(CloseReason.ERROR))
            return None
        if media is not None:
            connection.set_media(media)
        return connection

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _until_answered(self, call: SipCall) -> NegotiatedMedia:
        """Raises `CallNotAnswered`."""
        try:
            async with asyncio.timeout(RING):
                result = await asyncio.shield(call.answered)
        except TimeoutError:
            raise CallNotAnswered(408) from None
        finally:
            if not call.answered.done():  # it rang too long, or `dial` was cancelled
                with self._sending():
                    call.dialog.hang_up()
                with suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL):
                        await call.answered
        if isinstance(result, int):
            raise CallNotAnswered(result)
        return result

    async def _open(self, call: SipCall) -> SipConnection:
        """Raises `OSError`."""
        host, _ = split(self._settings.listen, 0)
        sockets = await RtpSockets.open(host, self._settings.port_range, call.receive_datagram)
        return SipConnection(sockets, call, self._clock)

    def _local_sdp(self, remote: Remote, connection: SipConnection) -> LocalSdp:
        host = self._user_agent.sender.host_for(remote)
        return LocalSdp(host, connection.port, self._settings.codecs, secrets.randbits(31), 1)

    def _keep(self, call: SipCall) -> None:
        self._calls[call.dialog.local_tag] = call
        self._idle.clear()

    def _forget(self, dialog: InviteDialog) -> None:
        self._user_agent.forget(dialog)
        self._calls.pop(dialog.local_tag, None)
        if not self._calls:
            self._idle.set()

    @contextmanager
    def _sending(self) -> Iterator[None]:
        self._user_agent.sender.now = asyncio.get_running_loop().time()
        yield
        self._flush()


def _phone_call(dialog: InviteDialog) -> PhoneCall:
    headers = tuple((name, value) for name, values in dialog.invite.headers.items() for value in values)
    ids = dialog.ids
    return PhoneCall(new_call_id(), "sip", caller=ids.remote_uri, called=ids.local_uri, headers=headers)


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
