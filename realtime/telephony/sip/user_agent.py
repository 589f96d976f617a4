"""The SIP user agent as a core: bytes and times in, bytes and events out (RFC 3261).

    receive(data, source, now) ─┐                     ┌──► to_send(): datagrams, or messages of a TCP connection
    tick(now) ──────────────────┼──► transactions ──► dialogs, registration
    call(target, ...) ──────────┘                     └──► events: Invited, DialogChanged

Requests from addresses that `is_allowed` refuses get no response, so that a scan of the net finds no telephone here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse

from vivavoce.realtime.config.sip import CodecName
from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip.body import ACCEPT, BodyNotSupported, session_description
from vivavoce.realtime.telephony.sip.dialog import DialogEvent, InviteDialog, OutgoingDialog, State
from vivavoce.realtime.telephony.sip.messages import (
    ALLOW,
    BadSipMessage,
    Remote,
    contacts,
    new_tag,
    parse,
    sender,
    target,
    warning,
)
from vivavoce.realtime.telephony.sip.registration import Registration
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, create_answer
from vivavoce.realtime.telephony.sip.session_timer import MIN_INTERVAL, too_short
from vivavoce.realtime.telephony.sip.transactions import AckTimedOut, RequestTimedOut, SipSender

MAX_DIALOGS: Final = 1000
"""Calls at the same time, ringing ones included; further ones get 503."""


@dataclass(frozen=True, slots=True)
class Invited:
    """A call comes in: `ring`, `answer` or `reject` its dialog."""

    dialog: InviteDialog


@dataclass(frozen=True, slots=True)
class DialogChanged:
    """An event of a dialog."""

    dialog: InviteDialog
    event: DialogEvent


UserAgentEvent = Invited | DialogChanged


class UserAgent:
    """One user agent: its dialogs, and its registration if it has one."""

    def __init__(self, sender: SipSender, codecs: tuple[CodecName, ...], is_allowed: Callable[[Remote], bool]) -> None:
        """`is_allowed`: whether requests from an address are served."""
        self.sender = sender
        self.registration: Registration | None = None
        self._transactions = sender.transactions
        self._codecs = codecs
        self._is_allowed = is_allowed
        self._dialogs: dict[str, InviteDialog] = {}  # by our tag, which cannot be guessed

    def __len__(self) -> int:
        return len(self._dialogs)

    def to_send(self) -> list[tuple[bytes, Remote]]:
        """Messages to send now."""
        return self._transactions.to_send()

    @property
    def deadline(self) -> float | None:
        """When to call `tick`."""
        times = [self._transactions.deadline, self.registration.deadline if self.registration else None]
        times += [dialog.timer.deadline for dialog in self._dialogs.values() if dialog.state is State.CONFIRMED]
        return min((time for time in times if time is not None), default=None)

    def receive(self, data: bytes, source: Remote, now: float) -> list[UserAgentEvent]:
        """Takes one message. Ignores what is malformed, not allowed, or matches nothing."""
        self.sender.now = now
        if not data.strip(b"\r\n\0 "):
            return []  # keeps a router's address table warm (RFC 5626)
        try:
            message = parse(data, source)
        except BadSipMessage as bad:
            self._respond_to_malformed(bad, source)
            return []
        if isinstance(message, SipRequest) and not self._is_allowed(source):
            return []
        new = self._transactions.receive(message, source, now)
        if new is None:
            return []
        return self._receive_response(new) if isinstance(new, SipResponse) else self._receive_request(new, source)

    def tick(self, now: float) -> list[UserAgentEvent]:
        """Does what is due."""
        self.sender.now = now
        events: list[UserAgentEvent] = []
        for timed_out in self._transactions.tick(now):
            events += self._timed_out(timed_out)
        if self.registration is not None:
            self.registration.tick(now)
        for dialog in list(self._dialogs.values()):
            events += self._changed(dialog, dialog.tick())
        return events

    def call(self, caller: str, called: str, remote: Remote, local: LocalSdp) -> OutgoingDialog:
        """Calls `called`, a URI, by way of `remote`."""
        dialog = OutgoingDialog(self.sender, caller, called, remote, local)
        self._dialogs[dialog.local_tag] = dialog
        dialog.start()
        return dialog

    def forget(self, dialog: InviteDialog) -> None:
        """Drops a dialog that is terminated; its transactions remain until they time out."""
        if dialog.state is State.TERMINATED:
            self._dialogs.pop(dialog.local_tag, None)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _respond_to_malformed(self, bad: BadSipMessage, source: Remote) -> None:
        request = bad.request
        if request is None or request.method == "ACK" or not self._is_allowed(source):
            return
        if self._transactions.receive(request, source, self.sender.now) is not None:
            # Not in the reason phrase: SIPp takes a "CSeq" there for the header.
            self.sender.respond(request, 400, headers={"Warning": warning(self.sender.host_for(source), str(bad))})

    def _receive_response(self, response: SipResponse) -> list[UserAgentEvent]:
        tag = sender(response).tag
        if self.registration is not None and tag == self.registration.tag:
            self.registration.receive_response(response)
            return []
        dialog = self._dialogs.get(tag)
        return self._changed(dialog, dialog.receive_response(response)) if dialog else []

    def _receive_request(self, request: SipRequest, source: Remote) -> list[UserAgentEvent]:
        dialog = self._dialog_of(request)
        if dialog is not None:
            return self._changed(dialog, dialog.receive_request(request))
        if request.method == "ACK":
            return []
        if request.method == "CANCEL":
            return self._receive_cancel(request)
        if target(request).tag:
            self.sender.respond(request, 481)
        elif request.method == "INVITE":
            return self._receive_invite(request, source)
        elif request.method == "OPTIONS":
            self.sender.respond(request, 200, headers={"Allow": ALLOW, "Accept": ACCEPT})
        else:
            self.sender.respond(request, 405, headers={"Allow": ALLOW})
        return []

    def _dialog_of(self, request: SipRequest) -> InviteDialog | None:
        dialog = self._dialogs.get(target(request).tag)
        if dialog is None or dialog.ids.call_id != request.call_id or dialog.ids.remote_tag != sender(request).tag:
            return None
        return dialog

    def _receive_cancel(self, cancel: SipRequest) -> list[UserAgentEvent]:
        invite = self._transactions.cancelled_invite(cancel)
        dialog = self._dialog_opened_by(invite) if invite else None
        if dialog is None:
            self.sender.respond(cancel, 481)
            return []
        self.sender.respond(cancel, 200, dialog.local_tag)
        return self._changed(dialog, dialog.receive_cancel())

    def _receive_invite(self, invite: SipRequest, source: Remote) -> list[UserAgentEvent]:
        rejection = self._rejection(invite, source)
        if rejection is not None:
            status, headers = rejection
            self.sender.respond(invite, status, headers=headers)
            return []
        self.sender.respond(invite, 100)
        local = LocalSdp(self.sender.host_for(source), 9, self._codecs)
        ids = _dialog_ids(invite)
        dialog = InviteDialog(self.sender, ids, invite, source, local, State.RINGING)
        self._dialogs[dialog.local_tag] = dialog
        return [Invited(dialog)]

    def _rejection(self, invite: SipRequest, source: Remote) -> tuple[int, dict[str, str]] | None:
        """Status and headers for an INVITE that cannot be taken; None for one that can."""
        if any(dialog.ids.call_id == invite.call_id for dialog in self._dialogs.values()):
            return 482, {}  # it went in a loop, or came twice by different ways
        unsupported = [name for name in invite.headers.get("require") if name.strip().lower() != "timer"]
        if unsupported:
            return 420, {"Unsupported": ", ".join(unsupported)}
        if not contacts(invite):
            return 400, {}
        if too_short(invite):
            return 422, {"Min-SE": str(MIN_INTERVAL)}
        host = self.sender.host_for(source)
        try:
            if (offer := session_description(invite)) is not None:
                create_answer(offer, LocalSdp(host, 9, self._codecs))
        except BodyNotSupported as error:
            return 415, {"Accept": ACCEPT, "Warning": warning(host, str(error))}
        except SdpNotAcceptable as error:
            return 488, {"Warning": warning(host, str(error))}
        return (503, {"Retry-After": "30"}) if len(self._dialogs) >= MAX_DIALOGS else None

    def _timed_out(self, timed_out: RequestTimedOut | AckTimedOut) -> list[UserAgentEvent]:
        request = timed_out.request
        if isinstance(timed_out, AckTimedOut):
            dialog = self._dialog_opened_by(request)
            return self._changed(dialog, dialog.ack_timed_out()) if dialog else []
        tag = sender(request).tag
        if self.registration is not None and tag == self.registration.tag:
            self.registration.timed_out()
            return []
        dialog = self._dialogs.get(tag)
        return self._changed(dialog, dialog.request_timed_out(request)) if dialog else []

    def _dialog_opened_by(self, invite: SipRequest) -> InviteDialog | None:
        return next((dialog for dialog in self._dialogs.values() if dialog.invite is invite), None)

    def _changed(self, dialog: InviteDialog, events: list[DialogEvent]) -> list[UserAgentEvent]:
        self.forget(dialog)
        return [DialogChanged(dialog, event) for event in events]


def _dialog_ids(invite: SipRequest) -> Dialog:
    """The dialog that an INVITE opens on our side (RFC 3261 section 12.1.1), with URIs as they were written."""
    caller = sender(invite)
    return Dialog(
        call_id=invite.call_id or "",
        local_tag=new_tag(),
        remote_tag=caller.tag,
        local_uri=target(invite).uri,
        remote_uri=caller.uri,
        remote_target=contacts(invite)[0].uri,
        route_set=list(reversed(invite.headers.get("record-route"))),
        remote_cseq=invite.cseq.seq if invite.cseq else 1,
    )
