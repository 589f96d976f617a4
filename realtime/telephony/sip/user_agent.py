"""The SIP user agent as a core: bytes and times in, bytes and facts out.

    receive(data, source, now) ─┐                     ┌──► to_send(): datagrams, or messages of a TCP connection
    tick(now) ──────────────────┼──► transactions ──► legs, registration
    call(target, ...) ──────────┘                     └──► facts: Invited, and what happens to each leg

Who may call is decided by `welcome`; what is refused there gets no answer at all, since whoever scans the net for
telephones is not to learn that there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosipua import SipRequest, SipResponse
from aiosipua.dialog import create_dialog_from_request

from vivavoce.realtime.config.sip import CodecName
from vivavoce.realtime.telephony.sip import sdp as offers
from vivavoce.realtime.telephony.sip.dialog import InviteDialog, LegEvent, State
from vivavoce.realtime.telephony.sip.messages import ALLOW, BadMessage, Remote, kind_of, read
from vivavoce.realtime.telephony.sip.outgoing import Outgoing
from vivavoce.realtime.telephony.sip.registration import Registration
from vivavoce.realtime.telephony.sip.sdp import SDP, LocalSdp, NotAcceptable
from vivavoce.realtime.telephony.sip.session_timer import MIN_INTERVAL, too_short
from vivavoce.realtime.telephony.sip.transactions import Outbox, Unanswered, Unconfirmed

MAX_LEGS: Final = 1000
"""Calls at the same time, ringing ones included; more are told that we are busy."""


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody calls: `ring`, `answer`, `refuse` the leg."""

    leg: InviteDialog


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to a leg."""

    leg: InviteDialog
    event: LegEvent


Fact = Invited | Happened


class UserAgent:
    """One user agent: its calls, and its registration if it has one."""

    def __init__(self, outbox: Outbox, codecs: tuple[CodecName, ...], welcome: Callable[[Remote], bool]) -> None:
        """`welcome`: whether requests from there are listened to."""
        self.outbox = outbox
        self.registration: Registration | None = None
        self._transactions = outbox.transactions
        self._codecs = codecs
        self._welcome = welcome
        self._legs: dict[str, InviteDialog] = {}  # by our tag, which nobody can guess

    def __len__(self) -> int:
        return len(self._legs)

    def to_send(self) -> list[tuple[bytes, Remote]]:
        """What has to leave now."""
        return self._transactions.to_send()

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [self._transactions.deadline, self.registration.deadline if self.registration else None]
        times += [leg.timer.deadline for leg in self._legs.values() if leg.state is State.TALKING]
        return min((time for time in times if time is not None), default=None)

    def receive(self, data: bytes, source: Remote, now: float) -> list[Fact]:
        """Takes one message. What is none, or comes from where nothing is expected, is passed over."""
        self.outbox.now = now
        if not data.strip(b"\r\n\0 "):
            return []  # keeps a router's address table warm (RFC 5626)
        try:
            message = read(data, source)
        except BadMessage as bad:
            self._complain(bad.request, source)
            return []
        if isinstance(message, SipRequest) and not self._welcome(source):
            return []
        new = self._transactions.receive(message, source, now)
        if new is None:
            return []
        return self._response(new) if isinstance(new, SipResponse) else self._request(new, source)

    def tick(self, now: float) -> list[Fact]:
        """Does what is due."""
        self.outbox.now = now
        facts: list[Fact] = []
        for lost in self._transactions.tick(now):
            facts += self._lost(lost)
        if self.registration is not None:
            self.registration.tick(now)
        for leg in list(self._legs.values()):
            facts += self._told(leg, leg.tick())
        return facts

    def call(self, caller: str, called: str, to: Remote, own: LocalSdp) -> Outgoing:
        """Calls `called`, a URI, by way of `to`."""
        leg = Outgoing(self.outbox, caller, called, to, own)
        self._legs[leg.dialog.local_tag] = leg
        leg.start()
        return leg

    def forget(self, leg: InviteDialog) -> None:
        """A leg that has ended by our own wish is not needed any more, but for what it still has to be answered."""
        if leg.state is State.ENDED:
            self._legs.pop(leg.dialog.local_tag, None)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _complain(self, request: SipRequest | None, source: Remote) -> None:
        if request is None or request.method == "ACK" or not self._welcome(source):
            return
        if self._transactions.receive(request, source, self.outbox.now) is not None:
            self.outbox.reply(request, 400)

    def _response(self, response: SipResponse) -> list[Fact]:
        tag = response.from_addr.tag if response.from_addr else None
        if self.registration is not None and tag == self.registration.tag:
            self.registration.response(response)
            return []
        leg = self._legs.get(tag or "")
        return self._told(leg, leg.response(response)) if leg else []

    def _request(self, request: SipRequest, source: Remote) -> list[Fact]:
        leg = self._leg_of(request)
        if leg is not None:
            return self._told(leg, leg.request(request))
        if request.method == "ACK":
            return []
        if request.method == "CANCEL":
            return self._cancel(request)
        if request.to_addr is not None and request.to_addr.tag:
            self.outbox.reply(request, 481)
        elif request.method == "INVITE":
            return self._invited(request, source)
        elif request.method == "OPTIONS":
            self.outbox.reply(request, 200, headers={"Allow": ALLOW, "Accept": SDP})
        else:
            self.outbox.reply(request, 405, headers={"Allow": ALLOW})
        return []

    def _leg_of(self, request: SipRequest) -> InviteDialog | None:
        tag = request.to_addr.tag if request.to_addr else None
        leg = self._legs.get(tag or "")
        theirs = request.from_addr.tag if request.from_addr else None
        if leg is None or leg.dialog.call_id != request.call_id or leg.dialog.remote_tag != theirs:
            return None
        return leg

    def _cancel(self, cancel: SipRequest) -> list[Fact]:
        invite = self._transactions.invite_of(cancel)
        leg = next((leg for leg in self._legs.values() if leg.invite is invite), None) if invite else None
        if leg is None:
            self.outbox.reply(cancel, 481)
            return []
        self.outbox.reply(cancel, 200, leg.dialog.local_tag)
        return self._told(leg, leg.cancelled())

    def _invited(self, invite: SipRequest, source: Remote) -> list[Fact]:
        problem = self._problem(invite)
        if problem is not None:
            status, headers = problem
            self.outbox.reply(invite, status, headers=headers)
            return []
        self.outbox.reply(invite, 100)
        own = LocalSdp(self.outbox.host_for(source), 9, self._codecs)
        leg = InviteDialog(self.outbox, create_dialog_from_request(invite), invite, source, own, State.RINGING)
        self._legs[leg.dialog.local_tag] = leg
        return [Invited(leg)]

    def _problem(self, invite: SipRequest) -> tuple[int, dict[str, str]] | None:
        """Why a call cannot be taken, whoever wants to: status and headers."""
        if any(leg.dialog.call_id == invite.call_id for leg in self._legs.values()):
            return 482, {}  # it has come in a circle, or twice by different ways
        unknown = [name for name in invite.headers.get("require") if name.strip().lower() != "timer"]
        if unknown:
            return 420, {"Unsupported": ", ".join(unknown)}
        if not invite.headers.get("contact"):
            return 400, {}
        if too_short(invite):
            return 422, {"Min-SE": str(MIN_INTERVAL)}
        if invite.body:
            if kind_of(invite) != SDP:
                return 415, {"Accept": SDP}
            try:
                offers.answer(invite.text, LocalSdp("0.0.0.0", 9, self._codecs))
            except NotAcceptable:
                return 488, {}
        return (503, {"Retry-After": "30"}) if len(self._legs) >= MAX_LEGS else None

    def _lost(self, lost: Unanswered | Unconfirmed) -> list[Fact]:
        request = lost.request
        ours = request.from_addr if isinstance(lost, Unanswered) else None
        if isinstance(lost, Unanswered):
            tag = ours.tag if ours else None
            if self.registration is not None and tag == self.registration.tag:
                self.registration.unanswered()
                return []
            leg = self._legs.get(tag or "")
            return self._told(leg, leg.unanswered(request)) if leg else []
        leg = next((leg for leg in self._legs.values() if leg.invite is request), None)
        return self._told(leg, leg.unconfirmed()) if leg else []

    def _told(self, leg: InviteDialog, events: list[LegEvent]) -> list[Fact]:
        self.forget(leg)
        return [Happened(leg, event) for event in events]
