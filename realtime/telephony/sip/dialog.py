"""INVITE dialogs: the state of one SIP call on our side, and who may say what when (RFC 3261 sections 12 to 15).

    incoming  RINGING ──answer──► CONFIRMED ──hang_up, BYE──► TERMINATED      RINGING ──reject, CANCEL──► TERMINATED
    outgoing  CALLING ──200─────► CONFIRMED                                   CALLING ──CANCEL, 3xx-6xx─► TERMINATED

    requests, responses, timers ──► list of `DialogEvent`, for the call's task

A core: messages leave by the `SipSender`, audio is negotiated by `OfferAnswer`. REFER from the far end is declined: a
caller must not make us call others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.utils import generate_call_id

from vivavoce.realtime.telephony import DTMF_KEYS, DtmfReceived
from vivavoce.realtime.telephony.errors import CallCancelled, SdpNotAcceptable
from vivavoce.realtime.telephony.sip.body import ACCEPT, SDP, BodyNotSupported, session_description
from vivavoce.realtime.telephony.sip.messages import (
    ALLOW,
    Remote,
    contacts,
    content_type,
    info_key,
    new_tag,
    notify_status,
    target,
    warning,
)
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, NegotiatedMedia, OfferAnswer, create_offer
from vivavoce.realtime.telephony.sip.session_timer import INTERVAL, MIN_INTERVAL, SessionTimer
from vivavoce.realtime.telephony.sip.transactions import USER_AGENT, SipSender

DTMF_TYPES: Final = ("application/dtmf-relay", "application/dtmf")
GONE: Final = (408, 481)
"""Statuses that say that the far end does not know the call any more."""

MAX_INVITES: Final = 3
"""INVITEs of one outgoing call: the first, one with credentials, one with a longer session interval."""


class State(Enum):
    """State of a dialog."""

    CALLING = auto()
    RINGING = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


@dataclass(frozen=True, slots=True)
class Rang:
    """The far end of an outgoing call rings."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end has answered our call."""

    media: NegotiatedMedia


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Our call was not answered; `status`: the final SIP status."""

    status: int


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """The far end holds or resumes the call, or changes address or codec."""

    media: NegotiatedMedia


@dataclass(frozen=True, slots=True)
class Referred:
    """Progress of our transfer: 202 it is tried, other 2xx it succeeded, 3xx and above it failed."""

    status: int


@dataclass(frozen=True, slots=True)
class Terminated:
    """The call is over, and we did not hang up."""

    reason: str


DialogEvent = Rang | Answered | CallFailed | MediaChanged | DtmfReceived | Referred | Terminated


class InviteDialog:
    """One call. `invite`: the request that opened it, theirs or ours. `ids`: Call-ID, tags, CSeq numbers, URIs and
    route set (RFC 3261 section 12)."""

    def __init__(
        self, sender: SipSender, ids: Dialog, invite: SipRequest, remote: Remote, local: LocalSdp, state: State
    ) -> None:
        self.ids = ids
        self.invite = invite
        self.remote = remote
        self.state = state
        self.negotiation = OfferAnswer(local)
        self.timer = SessionTimer()
        self._sender = sender
        self._reinvite: SipRequest | None = None  # of ours, without a response yet

    @property
    def local_tag(self) -> str:
        """Our tag: a random name for the call."""
        return self.ids.local_tag

    @property
    def media(self) -> NegotiatedMedia | None:
        """What was negotiated last."""
        return self.negotiation.media

    # --- our side ----------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Tells the caller that it rings."""
        self._respond(self.invite, 180, {"Contact": self._sender.contact(self.remote)})

    def answer(self, local: LocalSdp) -> NegotiatedMedia | None:
        """Answers the call, with our audio at `local`. None: the far end describes its audio in the ACK. Raises
        `SdpNotAcceptable`, `CallCancelled`."""
        if self.state is not State.RINGING:
            raise CallCancelled("the caller gave up")
        self.negotiation.local = local
        sdp = self.negotiation.describe(self.invite)
        self._accept(self.invite, sdp)
        self.state = State.CONFIRMED
        self.ids.confirm()
        return self.media

    def reject(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Rejects the call, if it rings."""
        if self.state is State.RINGING:
            self._respond(self.invite, status, headers)
            self.state = State.TERMINATED

    def hang_up(self) -> None:
        """Ends the call."""
        self.reject(480)
        if self.state is State.CONFIRMED:
            self._sender.send(self._request("BYE"), self.remote)
        self.state = State.TERMINATED

    def refer(self, target: str) -> None:
        """Asks the far end to call `target`, a URI, instead of us (RFC 3515)."""
        request = self._request("REFER")
        request.headers.set_single("Refer-To", f"<{target}>")
        request.headers.set_single("Referred-By", f"<{self.ids.local_uri}>")
        self._sender.send(request, self.remote)

    def send_info(self, key: str) -> None:
        """Sends a key by SIP INFO, for peers without telephone-events."""
        request = self._request("INFO", f"Signal={key}\r\nDuration=160\r\n", "application/dtmf-relay")
        self._sender.send(request, self.remote)

    def tick(self) -> list[DialogEvent]:
        """Refreshes the session when due; ends one that the far end does not refresh."""
        now = self._sender.now
        if self.state is not State.CONFIRMED:
            return []
        if self.timer.expired(now):
            self.hang_up()
            return [Terminated("the session was not refreshed")]
        if self.timer.due(now):
            self._refresh()
        return []

    # --- the far end's side ------------------------------------------------------------------------------------------

    def receive_request(self, request: SipRequest) -> list[DialogEvent]:
        """Takes a request within the dialog."""
        number = request.cseq.seq if request.cseq else 0
        if request.method == "ACK":
            return self._receive_ack(request)
        if number <= self.ids.remote_cseq:
            self._respond(request, 500)
            return []
        self.ids.remote_cseq = number
        if self.state is State.TERMINATED:
            self._respond(request, 481)
            return []
        match request.method:
            case "BYE":
                self._respond(request, 200)
                self.state = State.TERMINATED
                return [Terminated("the far end hung up")]
            case "INVITE" | "UPDATE":
                return self._receive_offer(request)
            case "INFO" | "NOTIFY":
                status, headers, events = _read_info(request) if request.method == "INFO" else _read_notify(request)
                self._respond(request, status, headers)
                return events
            case "OPTIONS":
                self._respond(request, 200, {"Allow": ALLOW})
            case "REFER":
                self._respond(request, 603)
            case _:
                self._respond(request, 405, {"Allow": ALLOW})
        return []

    def receive_cancel(self) -> list[DialogEvent]:
        """The caller gives up."""
        ringing = self.state is State.RINGING
        self.reject(487)
        return [Terminated("the far end gave up ringing")] if ringing else []

    def receive_response(self, response: SipResponse) -> list[DialogEvent]:
        """Takes a response to a request of ours within the dialog."""
        status, method = response.status_code, response.cseq.method if response.cseq else ""
        if self.state is not State.CONFIRMED or status < 200:
            return []
        if method == "INVITE":
            return self._receive_reinvite_response(response)
        if method == "REFER":
            return [Referred(status)]
        if status in GONE and method in ("UPDATE", "INFO"):
            return self._give_up()
        return []

    def request_timed_out(self, request: SipRequest) -> list[DialogEvent]:
        """A request of ours within the dialog got no response."""
        if self.state is State.CONFIRMED and request.method in ("INVITE", "UPDATE"):
            return self._give_up()
        return [Referred(408)] if request.method == "REFER" else []

    def ack_timed_out(self) -> list[DialogEvent]:
        """Our 200 was never acknowledged."""
        return self._give_up() if self.state is State.CONFIRMED else []

    def _give_up(self) -> list[DialogEvent]:
        self.hang_up()
        return [Terminated("the far end is gone")]

    def _receive_offer(self, request: SipRequest) -> list[DialogEvent]:
        if self.state is State.RINGING or (request.method == "INVITE" and self._reinvite is not None):
            self._respond(request, 491)
            return []
        self.negotiation.local = self.negotiation.local.next()
        try:
            refresh = request.method == "UPDATE" and session_description(request) is None
            sdp = "" if refresh else self.negotiation.describe(request)
        except SdpNotAcceptable as error:
            headers = {"Warning": warning(self.negotiation.local.host, str(error))}
            if isinstance(error, BodyNotSupported):
                self._respond(request, 415, headers | {"Accept": ACCEPT})
            else:
                self._respond(request, 488, headers)
            return []
        self._take_contact(request)
        self._accept(request, sdp)
        if refresh or self.negotiation.answer_pending or self.media is None:
            return []
        return [MediaChanged(self.media)]

    def _receive_ack(self, ack: SipRequest) -> list[DialogEvent]:
        """The ACK holds their answer if the offer in our 200 waits for it."""
        if not self.negotiation.answer_pending:
            return []
        try:
            return [MediaChanged(self.negotiation.accept_answer(ack))]
        except SdpNotAcceptable as error:
            self.hang_up()
            return [Terminated(str(error))]

    def _refresh(self) -> None:
        self.timer.refreshed(self._sender.now)
        if self.timer.by_update:
            request = self._request("UPDATE")
        else:
            request = self._reinvite = self._request("INVITE", self.negotiation.reoffer(), SDP)
        request.headers.set_single("Session-Expires", self.timer.header(refresher_is_us=True, in_request=True))
        self._sender.send(request, self.remote)

    def _receive_reinvite_response(self, response: SipResponse) -> list[DialogEvent]:
        reinvite, self._reinvite = self._reinvite, None
        if reinvite is None:
            return []
        if response.status_code >= 300:
            return self._give_up() if response.status_code in GONE else []
        self._sender.acknowledge(self.ids, response, reinvite, self.remote)
        try:
            return [MediaChanged(self.negotiation.accept_answer(response))]
        except SdpNotAcceptable:
            return []  # the previous agreement stays

    def _take_contact(self, message: SipRequest | SipResponse) -> None:
        if given := contacts(message):
            self.ids.remote_target = given[0].uri

    def _accept(self, request: SipRequest, sdp: str) -> None:
        headers = {"Contact": self._sender.contact(self.remote), "Allow": ALLOW, "Supported": "timer"}
        self._respond(request, 200, headers | self.timer.accept(request, self._sender.now), sdp)

    def _request(self, method: str, body: str = "", content_type: str = "") -> SipRequest:
        return self._sender.create_request(self.ids, method, self.remote, body, content_type)

    def _respond(self, request: SipRequest, status: int, headers: dict[str, str] | None = None, sdp: str = "") -> None:
        self._sender.respond(request, status, self.ids.local_tag, headers, sdp)


class OutgoingDialog(InviteDialog):
    """One call of ours, before and after it is answered.

    start ──► INVITE ──100, 180──► Rang ──200──► Answered, and from here an `InviteDialog` like any other
                 │ 401, 407: once more, with credentials    │ 3xx and above ──► CallFailed
                 └ cancel ──► CANCEL, once a provisional response has come
    """

    def __init__(self, sender: SipSender, caller: str, called: str, remote: Remote, local: LocalSdp) -> None:
        """`caller`, `called`: URIs; `remote`: where the INVITE goes."""
        ids = Dialog(generate_call_id(sender.host_for(remote)), new_tag(), "", caller, called, called)
        super().__init__(sender, ids, SipRequest(), remote, local, State.CALLING)
        self._interval = INTERVAL
        self._invites = 0
        self._authorized: set[str] = set()  # headers with credentials that were sent
        self._provisional = False  # a provisional response has come: only now may CANCEL be sent
        self._cancelled = False

    def start(self) -> None:
        """Sends the INVITE."""
        self._send_invite()

    def cancel(self) -> None:
        """Gives up; `CallFailed` follows."""
        if self.state is State.CALLING and not self._cancelled:
            self._cancelled = True
            if self._provisional:
                self._send_cancel()

    def hang_up(self) -> None:
        """Ends the call, answered or not."""
        if self.state is State.CALLING:
            self.cancel()
        else:
            super().hang_up()

    def receive_response(self, response: SipResponse) -> list[DialogEvent]:
        """Takes a response to a request of ours."""
        method = response.cseq.method if response.cseq else ""
        if self.state is not State.CALLING or method != "INVITE":
            return super().receive_response(response)
        status = response.status_code
        if status < 200:
            return self._receive_provisional(status)
        if status < 300:
            return self._receive_answer(response)
        if not self._cancelled and self._invites < MAX_INVITES and self._try_again(response):
            return []
        self.state = State.TERMINATED
        return [CallFailed(status)]

    def request_timed_out(self, request: SipRequest) -> list[DialogEvent]:
        """A request of ours got no response."""
        if self.state is State.CALLING and request.method == "INVITE":
            self.state = State.TERMINATED
            return [CallFailed(408)]
        return super().request_timed_out(request)

    def _receive_provisional(self, status: int) -> list[DialogEvent]:
        first, self._provisional = not self._provisional, True
        if first and self._cancelled:
            self._send_cancel()
        return [Rang()] if status > 100 else []

    def _receive_answer(self, response: SipResponse) -> list[DialogEvent]:
        """Takes a 2xx. aiosipua's client takes neither route set nor Contact of it; both are needed behind a proxy."""
        self.ids.remote_tag = target(response).tag
        self._take_contact(response)
        self.ids.route_set = list(reversed(response.headers.get("record-route")))
        self.ids.confirm()
        self.state = State.CONFIRMED
        self._sender.acknowledge(self.ids, response, self.invite, self.remote)
        self.timer.accept_response(response, self._sender.now)
        if self._cancelled:  # it was answered before our CANCEL arrived
            self.hang_up()
            return [CallFailed(487)]
        try:
            return [Answered(self.negotiation.accept_answer(response))]
        except SdpNotAcceptable:
            self.hang_up()
            return [CallFailed(488)]

    def _try_again(self, response: SipResponse) -> bool:
        """Sends the INVITE again with what was missing; False when we cannot provide it."""
        authorization = self._sender.authorization(response, "INVITE", self.invite.uri)
        if authorization is not None and authorization[0] not in self._authorized:
            self._authorized.add(authorization[0])
            self._send_invite(authorization)
            return True
        least = response.get_header("min-se") or ""
        if response.status_code == 422 and least.isascii() and least.isdigit() and int(least) > self._interval:
            self._interval = int(least)
            self._send_invite()
            return True
        return False

    def _send_invite(self, authorization: tuple[str, str] | None = None) -> None:
        self._invites += 1
        self.ids.remote_tag = ""
        invite = self._request("INVITE", create_offer(self.negotiation.local), SDP)
        invite.headers.set_single("Session-Expires", str(self._interval))
        invite.headers.set_single("Min-SE", str(max(MIN_INTERVAL, self._interval if self._interval != INTERVAL else 0)))
        if authorization is not None:
            invite.headers.set_single(*authorization)
        self.invite = invite
        self._sender.send(invite, self.remote)

    def _send_cancel(self) -> None:
        """Section 9.1: the headers of the INVITE, with another method."""
        cancel = SipRequest(method="CANCEL", uri=self.invite.uri)
        for name in ("Via", "Max-Forwards", "From", "To", "Call-ID", "Route"):
            for value in self.invite.headers.get(name):
                cancel.headers.append(name, value)
        number = self.invite.cseq.seq if self.invite.cseq else 1
        cancel.headers.set_single("CSeq", f"{number} CANCEL")
        cancel.headers.set_single("User-Agent", USER_AGENT)
        self._sender.send(cancel, self.remote)


def _read_info(request: SipRequest) -> tuple[int, dict[str, str], list[DialogEvent]]:
    """Status, headers and events of an INFO."""
    if content_type(request) not in DTMF_TYPES:
        return 415 if request.body else 200, {"Accept": ", ".join(DTMF_TYPES)}, []
    key = info_key(request)
    return 200, {}, [DtmfReceived(key)] if key in DTMF_KEYS else []


def _read_notify(request: SipRequest) -> tuple[int, dict[str, str], list[DialogEvent]]:
    """Status, headers and events of a NOTIFY."""
    if (request.get_header("event") or "").partition(";")[0].strip().lower() != "refer":
        return 489, {}, []
    status = notify_status(request)
    return 200, {}, [Referred(status)] if status else []
