"""A call that we make: an INVITE, with our password if it is asked for, until somebody answers or nobody does.

start ──► INVITE ──100, 180──► Rang ──200──► Answered, and from here a `InviteDialog` like any other
             │ 401, 407: once more, with proof      │ 3xx and above ──► Refused
             └ cancel ──► CANCEL as soon as the far end has given a sign of life
"""

from __future__ import annotations

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.headers import parse_address, stringify_uri
from aiosipua.utils import generate_call_id

from vivavoce.realtime.telephony.sip import sdp as offers
from vivavoce.realtime.telephony.sip.dialog import Answered, InviteDialog, LegEvent, Rang, Refused, State
from vivavoce.realtime.telephony.sip.messages import Remote, new_tag
from vivavoce.realtime.telephony.sip.sdp import SDP, LocalSdp, NotAcceptable
from vivavoce.realtime.telephony.sip.session_timer import INTERVAL, MIN_INTERVAL
from vivavoce.realtime.telephony.sip.transactions import AGENT, Outbox

MAX_TRIES = 3
"""INVITEs of one call: the first, one with our password, one with a longer session interval."""


class Outgoing(InviteDialog):
    """One call of ours, before and after it is answered."""

    def __init__(self, outbox: Outbox, caller: str, called: str, to: Remote, own: LocalSdp) -> None:
        """`caller`, `called`: URIs; `to`: where the INVITE goes."""
        dialog = Dialog(generate_call_id(outbox.host_for(to)), new_tag(), "", caller, called, called)
        super().__init__(outbox, dialog, SipRequest(), to, own, State.CALLING)
        self._interval = INTERVAL
        self._tries = 0
        self._proven: set[str] = set()  # headers with which we have shown our password
        self._alive = False  # a provisional response has come: only now may CANCEL be sent
        self._giving_up = False

    def start(self) -> None:
        """Sends the INVITE."""
        self._invite()

    def cancel(self) -> None:
        """Does not want to be answered any more; `Refused` tells when it is so."""
        if self.state is State.CALLING and not self._giving_up:
            self._giving_up = True
            if self._alive:
                self._send_cancel()

    def hang_up(self) -> None:
        """Ends the call, answered or not."""
        if self.state is State.CALLING:
            self.cancel()
        else:
            super().hang_up()

    def response(self, response: SipResponse, request: SipRequest | None = None) -> list[LegEvent]:
        """A response to a request of ours."""
        method = response.cseq.method if response.cseq else ""
        if self.state is not State.CALLING or method != "INVITE":
            return super().response(response, request)
        status = response.status_code
        if status < 200:
            return self._ringing(status)
        if status < 300:
            return self._answered(response)
        if not self._giving_up and self._tries < MAX_TRIES and self._once_more(response):
            return []
        self.state = State.ENDED
        return [Refused(status)]

    def unanswered(self, request: SipRequest) -> list[LegEvent]:
        """A request of ours got no answer at all."""
        if self.state is State.CALLING and request.method == "INVITE":
            self.state = State.ENDED
            return [Refused(408)]
        return super().unanswered(request)

    def _ringing(self, status: int) -> list[LegEvent]:
        first, self._alive = not self._alive, True
        if first and self._giving_up:
            self._send_cancel()
        return [Rang()] if status > 100 else []

    def _answered(self, response: SipResponse) -> list[LegEvent]:
        """aiosipua's client takes neither the route nor the contact of a 2xx; both are needed behind a proxy."""
        if target := response.to_addr:
            self.dialog.remote_tag = target.tag or ""
        contacts = response.headers.get("contact")
        if contacts:
            self.dialog.remote_target = stringify_uri(parse_address(contacts[0]).uri)
        self.dialog.route_set = list(reversed(response.headers.get("record-route")))
        self.dialog.confirm()
        self.state = State.TALKING
        self._outbox.acknowledge(self.dialog, response, self.invite, self.to)
        self.timer.settle(response, self._outbox.now)
        if self._giving_up:  # it was answered before our CANCEL came
            self.hang_up()
            return [Refused(487)]
        try:
            return [Answered(self.sound.settle(response.text))]
        except NotAcceptable:
            self.hang_up()
            return [Refused(488)]

    def _once_more(self, response: SipResponse) -> bool:
        """Tries again with what was missing; False when that is nothing we have."""
        proof = self._outbox.proof(response, "INVITE", self.invite.uri)
        if proof is not None and proof[0] not in self._proven:
            self._proven.add(proof[0])
            self._invite(proof)
            return True
        least = response.get_header("min-se") or ""
        if response.status_code == 422 and least.isascii() and least.isdigit() and int(least) > self._interval:
            self._interval = int(least)
            self._invite()
            return True
        return False

    def _invite(self, proof: tuple[str, str] | None = None) -> None:
        self._tries += 1
        self.dialog.remote_tag = ""
        invite = self._draft("INVITE", offers.offer(self.sound.own), SDP)
        invite.headers.set_single("Session-Expires", str(self._interval))
        invite.headers.set_single("Min-SE", str(max(MIN_INTERVAL, self._interval if self._interval != INTERVAL else 0)))
        if proof is not None:
            invite.headers.set_single(*proof)
        self.invite = invite
        self._outbox.send(invite, self.to)

    def _send_cancel(self) -> None:
        """Section 9.1: all as in the INVITE, but for the method."""
        cancel = SipRequest(method="CANCEL", uri=self.invite.uri)
        for name in ("Via", "Max-Forwards", "From", "To", "Call-ID", "Route"):
            for value in self.invite.headers.get(name):
                cancel.headers.append(name, value)
        number = self.invite.cseq.seq if self.invite.cseq else 1
        cancel.headers.set_single("CSeq", f"{number} CANCEL")
        cancel.headers.set_single("User-Agent", AGENT)
        self._outbox.send(cancel, self.to)
