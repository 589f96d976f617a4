"""One SIP call, from our side: who may say what when (RFC 3261 sections 12 to 15).

    incoming  RINGING ──answer──► TALKING ──hang_up, BYE──► ENDED        RINGING ──refuse, CANCEL──► ENDED
    outgoing  CALLING ──200─────► TALKING                                CALLING ──cancel, 4xx─────► ENDED

    request, response ──► list of `LegEvent`: facts for whoever runs the call

A core: requests leave through the `Outbox`, sound is agreed upon by offers.py. That the far end wants us to call
somebody (REFER) is declined: who calls us shall not make us call.

What can happen to a SIP call, as its leg tells it to whoever runs the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.headers import parse_address, stringify_uri

from vivavoce.realtime.telephony import KEYS
from vivavoce.realtime.telephony.sip.messages import ALLOW, Remote, key_of, kind_of, news_of
from vivavoce.realtime.telephony.sip.sdp import SDP, Agreement, LocalSdp, Media, NotAcceptable
from vivavoce.realtime.telephony.sip.session_timer import SessionTimer
from vivavoce.realtime.telephony.sip.transactions import Outbox

KEYS_BY_INFO: Final = ("application/dtmf-relay", "application/dtmf")
GONE: Final = (408, 481)
"""What is answered for a call that the far end no longer knows."""


class State(Enum):
    """Of one call."""

    CALLING = auto()
    RINGING = auto()
    TALKING = auto()
    ENDED = auto()


class InviteDialog:
    """One call. `invite`: what opened it, theirs or ours."""

    def __init__(
        self, outbox: Outbox, dialog: Dialog, invite: SipRequest, to: Remote, own: LocalSdp, state: State
    ) -> None:
        self.dialog = dialog
        self.invite = invite
        self.to = to
        self.state = state
        self.sound = Agreement(own)
        self.timer = SessionTimer()
        self._outbox = outbox
        self._ours: SipRequest | None = None  # our INVITE within the call that is not answered yet

    @property
    def media(self) -> Media | None:
        """What was agreed upon last."""
        return self.sound.media

    # --- what we do --------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Says that it rings."""
        self._reply(self.invite, 180, {"Contact": self._outbox.contact(self.to)})

    def answer(self, own: LocalSdp) -> Media | None:
        """Takes the call, our sound at `own`. None: the far end will describe its sound when it acknowledges. Raises
        `NotAcceptable`."""
        if self.state is not State.RINGING:
            raise NotAcceptable("nobody waits for an answer any more")
        self.sound.own = own
        sdp = self.sound.describe(self.invite)
        self._accept(self.invite, sdp)
        self.state = State.TALKING
        self.dialog.confirm()
        return self.media

    def refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Does not take the call."""
        if self.state is State.RINGING:
            self._reply(self.invite, status, headers)
            self.state = State.ENDED

    def hang_up(self) -> None:
        """Ends the call."""
        self.refuse(480)
        if self.state is State.TALKING:
            self._outbox.send(self._draft("BYE"), self.to)
        self.state = State.ENDED

    def refer(self, target: str) -> None:
        """Asks the far end to call `target`, a URI, instead of us."""
        request = self._draft("REFER")
        request.headers.set_single("Refer-To", f"<{target}>")
        request.headers.set_single("Referred-By", f"<{self.dialog.local_uri}>")
        self._outbox.send(request, self.to)

    def inform(self, key: str) -> None:
        """Sends a key by SIP INFO, for peers without telephone events."""
        self._outbox.send(self._draft("INFO", f"Signal={key}\r\nDuration=160\r\n", "application/dtmf-relay"), self.to)

    def tick(self) -> list[LegEvent]:
        """Keeps the session alive, or ends one that nobody keeps alive."""
        now = self._outbox.now
        if self.state is not State.TALKING:
            return []
        if self.timer.expired(now):
            self.hang_up()
            return [HungUp("the session was not refreshed")]
        if self.timer.due(now):
            self._refresh()
        return []

    # --- what the far end does ---------------------------------------------------------------------------------------

    def request(self, request: SipRequest) -> list[LegEvent]:
        """A request within the call."""
        number = request.cseq.seq if request.cseq else 0
        if request.method == "ACK":
            return self._confirmed(request)
        if number <= self.dialog.remote_cseq:
            self._reply(request, 500)
            return []
        self.dialog.remote_cseq = number
        if self.state is State.ENDED:
            self._reply(request, 481)
            return []
        match request.method:
            case "BYE":
                self._reply(request, 200)
                self.state = State.ENDED
                return [HungUp("the far end hung up")]
            case "INVITE" | "UPDATE":
                return self._reoffered(request)
            case "INFO" | "NOTIFY":
                status, headers, events = informed(request) if request.method == "INFO" else notified(request)
                self._reply(request, status, headers)
                return events
            case "OPTIONS":
                self._reply(request, 200, {"Allow": ALLOW})
            case "REFER":
                self._reply(request, 603)
            case _:
                self._reply(request, 405, {"Allow": ALLOW})
        return []

    def cancelled(self) -> list[LegEvent]:
        """The far end does not want to wait any longer."""
        ringing = self.state is State.RINGING
        self.refuse(487)
        return [HungUp("the far end gave up ringing")] if ringing else []

    def response(self, response: SipResponse, request: SipRequest | None = None) -> list[LegEvent]:
        """A response to a request of ours within the call."""
        status, method = response.status_code, response.cseq.method if response.cseq else ""
        if self.state is not State.TALKING or status < 200:
            return []
        if method == "INVITE":
            return self._refreshed(response)
        if method == "REFER":
            return [Referred(status)]
        if status in GONE and method in ("UPDATE", "INFO"):
            return self._lost()
        return []

    def unanswered(self, request: SipRequest) -> list[LegEvent]:
        """A request of ours within the call got no answer at all."""
        if self.state is State.TALKING and request.method in ("INVITE", "UPDATE"):
            return self._lost()
        return [Referred(408)] if request.method == "REFER" else []

    def unconfirmed(self) -> list[LegEvent]:
        """Our 200 was never acknowledged."""
        return self._lost() if self.state is State.TALKING else []

    def _lost(self) -> list[LegEvent]:
        self.hang_up()
        return [HungUp("the far end is gone")]

    def _reoffered(self, request: SipRequest) -> list[LegEvent]:
        if self.state is State.RINGING or (request.method == "INVITE" and self._ours is not None):
            self._reply(request, 491)
            return []
        bare = request.method == "UPDATE" and not request.body
        self.sound.own = self.sound.own.next()
        try:
            sdp = "" if bare else self.sound.describe(request)
        except NotAcceptable:
            self._reply(request, 488)
            return []
        self._retarget(request)
        self._accept(request, sdp)
        return [] if bare or self.sound.owed or self.media is None else [MediaChanged(self.media)]

    def _confirmed(self, ack: SipRequest) -> list[LegEvent]:
        """ACK; it brings the answer, where the offer was ours."""
        if not self.sound.owed:
            return []
        try:
            return [MediaChanged(self.sound.settle(ack.text))]
        except NotAcceptable as error:
            self.hang_up()
            return [HungUp(str(error))]

    def _refresh(self) -> None:
        self.timer.refreshed(self._outbox.now)
        if self.timer.by_update:
            request = self._draft("UPDATE")
        else:
            request = self._ours = self._draft("INVITE", self.sound.renew(), SDP)
        request.headers.set_single("Session-Expires", self.timer.header(refresher_is_us=True, asking=True))
        self._outbox.send(request, self.to)

    def _refreshed(self, response: SipResponse) -> list[LegEvent]:
        invite, self._ours = self._ours, None
        if invite is None:
            return []
        if response.status_code >= 300:
            return self._lost() if response.status_code in GONE else []
        self._outbox.acknowledge(self.dialog, response, invite, self.to)
        try:
            return [MediaChanged(self.sound.settle(response.text))]
        except NotAcceptable:
            return []  # what was agreed before goes on

    def _retarget(self, message: SipRequest | SipResponse) -> None:
        contacts = message.headers.get("contact")
        if contacts:
            self.dialog.remote_target = stringify_uri(parse_address(contacts[0]).uri)

    def _accept(self, request: SipRequest, sdp: str) -> None:
        headers = {"Contact": self._outbox.contact(self.to), "Allow": ALLOW, "Supported": "timer"}
        self._reply(request, 200, headers | self.timer.accept(request, self._outbox.now), sdp)

    def _draft(self, method: str, body: str = "", kind: str = "") -> SipRequest:
        return self._outbox.draft(self.dialog, method, self.to, body, kind)

    def _reply(self, request: SipRequest, status: int, headers: dict[str, str] | None = None, sdp: str = "") -> None:
        self._outbox.reply(request, status, self.dialog.local_tag, headers, sdp)


def informed(request: SipRequest) -> tuple[int, dict[str, str], list[LegEvent]]:
    """What is answered to an INFO, and what it tells."""
    if kind_of(request) not in KEYS_BY_INFO:
        return 415 if request.body else 200, {"Accept": ", ".join(KEYS_BY_INFO)}, []
    key = key_of(request)
    return 200, {}, [Pressed(key)] if key in KEYS else []


def notified(request: SipRequest) -> tuple[int, dict[str, str], list[LegEvent]]:
    """What is answered to a NOTIFY, and what it tells."""
    if (request.get_header("event") or "").partition(";")[0].strip().lower() != "refer":
        return 489, {}, []
    status = news_of(request)
    return 200, {}, [Referred(status)] if status else []


@dataclass(frozen=True, slots=True)
class Rang:
    """The far end has been reached and rings."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call that we made stands."""

    media: Media


@dataclass(frozen=True, slots=True)
class Refused:
    """The call did not come about; `status` as in SIP."""

    status: int


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """Hold, and the end of it; another address or codec."""

    media: Media


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key, by SIP INFO."""

    key: str


@dataclass(frozen=True, slots=True)
class Referred:
    """How our transfer goes: 202 it is tried, 2xx else it succeeded, 3xx and above it failed."""

    status: int


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over, and not by our wish."""

    why: str


LegEvent = Rang | Answered | Refused | MediaChanged | Pressed | Referred | HungUp
