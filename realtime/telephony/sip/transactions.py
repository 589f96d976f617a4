"""What makes SIP dependable over UDP: retransmissions, and requests that are worked on once (RFC 3261 section 17).

    network ──receive──► new to us?  ──► the message, for the layer above
                         seen before ──► the answer it got, once more        request(...), reply(...) ──► to_send()
    tick(now) ─────────► overdue     ──► sent again, or given up: `Unanswered`, `Unconfirmed`

aiosipua has no such layer: it sends each request once, takes a repeated INVITE for another call and acknowledges no
refusal. The responses to INVITE that say 2xx are kept here too (section 13.3.1.4), until they are acknowledged.

Over TCP nothing is repeated, but deadlines hold. The class keeps no clock; all times are seconds of one clock.

What the legs of one endpoint share: how they send, who they are, and what the time is.

A leg (one call) writes requests and responses through its `Outbox`; the transactions below repeat what has to be
repeated. `now` is set by the agent whenever something happens, so that legs need no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.auth import SipDigestAuth, build_credentials
from aiosipua.headers import parse_auth, stringify_auth

from vivavoce.realtime.telephony.sip.messages import ALLOW, Remote, respond, return_address

T1: Final = 0.5
T2: Final = 4.0
LIFE: Final = 64 * T1
"""Seconds for which an answer is waited for, and one that was given is remembered (RFC 3261 section 17.1.1.1)."""

RINGING: Final = 600.0
"""Seconds for which an INVITE may stay without a final answer; whoever decides about it is quicker."""

MAX_OPEN: Final = 4096
"""Transactions remembered, in each direction; beyond, new requests are not heard."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request of ours got no final response in time."""

    request: SipRequest


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """An INVITE that we accepted was never acknowledged."""

    request: SipRequest


@dataclass(slots=True)
class _Repeated:
    """Something sent again and again, with growing pauses."""

    data: bytes
    to: Remote
    at: float | None  # None: not any more
    longest: float = T2
    pause: float = T1

    def again(self) -> None:
        assert self.at is not None
        self.pause = min(2 * self.pause, self.longest)
        self.at += self.pause

    def stop(self) -> None:
        self.at = None


@dataclass(slots=True)
class _Served:
    """A request to us."""

    request: SipRequest
    to: Remote
    ends: float
    answer: _Repeated | None = None
    final: int = 0


@dataclass(slots=True)
class _Asked:
    """A request of ours."""

    request: SipRequest
    sent: _Repeated
    ends: float
    final: bool = False
    ack: bytes = b""


class Transactions:
    """Those of one endpoint."""

    def __init__(self) -> None:
        self._served: dict[Key, _Served] = {}
        self._asked: dict[Key, _Asked] = {}
        self._out: deque[tuple[bytes, Remote]] = deque()

    def to_send(self) -> list[tuple[bytes, Remote]]:
        """What has to leave now, in order."""
        out = list(self._out)
        self._out.clear()
        return out

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [entry.sent.at for entry in self._asked.values() if entry.sent.at is not None]
        times += [entry.answer.at for entry in self._served.values() if entry.answer and entry.answer.at is not None]
        times += [entry.ends for entry in self._asked.values()]
        times += [entry.ends for entry in self._served.values()]
        return min(times, default=None)

    def receive(self, message: SipRequest | SipResponse, source: Remote, now: float) -> SipRequest | SipResponse | None:
        """The message, if the layer above has to see it; a request is to be answered by `reply`."""
        if isinstance(message, SipResponse):
            return self._take_response(message, now)
        if message.method == "ACK":
            return self._take_ack(message)
        key = _key(message)
        known = self._served.get(key)
        if known is not None:
            if known.answer is not None:
                self._out.append((known.answer.data, known.to))
            return None
        if len(self._served) >= MAX_OPEN:
            return None
        # An INVITE may ring for long: it is kept until it is answered.
        ends = now + (RINGING if message.method == "INVITE" else LIFE)
        self._served[key] = _Served(message, return_address(message, source), ends)
        return message

    def invite_of(self, cancel: SipRequest) -> SipRequest | None:
        """The INVITE that a CANCEL is about (section 9.2)."""
        branch, sent_by, _ = _key(cancel)
        served = self._served.get((branch, sent_by, "INVITE"))
        return served.request if served else None

    def reply(self, request: SipRequest, response: SipResponse, now: float) -> None:
        """Answers a request that `receive` gave out. Of several final responses only the first counts."""
        served = self._served.get(_key(request))
        if served is None or served.final:
            return
        answer = _Repeated(bytes(response), served.to, None)
        if response.status_code >= 200:
            served.final, served.ends = response.status_code, now + LIFE
            if request.method == "INVITE" and (served.to.wire == "UDP" or served.final < 300):
                answer.at = now + T1 if served.to.wire == "UDP" else None
        served.answer = answer
        self._out.append((answer.data, served.to))

    def request(self, request: SipRequest, to: Remote, now: float) -> None:
        """Sends a request of ours; ACK does not belong here."""
        data = bytes(request)
        longest = LIFE if request.method == "INVITE" else T2  # Timer A has no bound, Timer E has
        sent = _Repeated(data, to, now + T1 if to.wire == "UDP" else None, longest)
        self._asked[_key(request)] = _Asked(request, sent, now + LIFE)
        self._out.append((data, to))

    def acknowledge(self, invite: SipRequest, ack: SipRequest, to: Remote) -> None:
        """Sends the ACK of a 2xx, and once more whenever that 2xx is repeated."""
        asked = self._asked.get(_key(invite))
        if asked is not None:
            asked.ack = bytes(ack)
        self._out.append((bytes(ack), to))

    def tick(self, now: float) -> list[Unanswered | Unconfirmed]:
        """Sends what is due again, and gives up what was waited for in vain."""
        given_up: list[Unanswered | Unconfirmed] = []
        for asked in self._asked.values():
            if asked.sent.at is not None and asked.sent.at <= now < asked.ends:
                self._out.append((asked.sent.data, asked.sent.to))
                asked.sent.again()
        for served in self._served.values():
            answer = served.answer
            if answer is not None and answer.at is not None and answer.at <= now < served.ends:
                self._out.append((answer.data, served.to))
                answer.again()
        for key in [key for key, asked in self._asked.items() if asked.ends <= now]:
            old = self._asked.pop(key)
            if not old.final:
                given_up.append(Unanswered(old.request))
        for key in [key for key, served in self._served.items() if served.ends <= now]:
            gone = self._served.pop(key)
            unconfirmed = gone.answer is not None and gone.answer.at is not None and gone.final < 300
            if unconfirmed:
                given_up.append(Unconfirmed(gone.request))
        return given_up

    def _take_response(self, response: SipResponse, now: float) -> SipResponse | None:
        asked = self._asked.get(_key(response))
        if asked is None:
            return None
        status, invite = response.status_code, asked.request.method == "INVITE"
        if asked.final:
            if asked.ack:
                self._out.append((asked.ack, asked.sent.to))
            return None
        if status < 200:
            if invite:
                asked.sent.stop()  # who rings has heard us; for how long is for the caller to decide
                asked.ends = now + RINGING
            return response
        asked.final, asked.ends = True, now + LIFE
        asked.sent.stop()
        if invite and status >= 300:
            asked.ack = bytes(_ack_of_refusal(asked.request, response))
            self._out.append((asked.ack, asked.sent.to))
        return response

    def _take_ack(self, ack: SipRequest) -> SipRequest | None:
        """The ACK of a refusal has the INVITE's branch and is of no interest; that of a 2xx goes on."""
        number = ack.cseq.seq if ack.cseq else -1
        for served in self._served.values():
            invite = served.request
            if invite.method == "INVITE" and invite.call_id == ack.call_id and invite.cseq and served.answer:
                if invite.cseq.seq != number:
                    continue
                first = served.answer.at is not None or served.to.wire == "TCP"
                served.answer.stop()
                return ack if served.final < 300 and first else None
        return None


def _key(message: SipRequest | SipResponse) -> Key:
    via = message.via[0]
    method = message.method if isinstance(message, SipRequest) else (message.cseq.method if message.cseq else "")
    return via.branch or "", f"{via.host}:{via.port or 5060}".lower(), method


def _ack_of_refusal(invite: SipRequest, response: SipResponse) -> SipRequest:
    """Section 17.1.1.3: the INVITE's own Via, the To of the response."""
    ack = SipRequest(method="ACK", uri=invite.uri)
    ack.headers.append("Via", invite.headers.get("via")[0])
    for name in ("From", "Call-ID", "Max-Forwards"):
        ack.headers.set_single(name, invite.headers.get_first(name) or "")
    ack.headers.set_single("To", response.headers.get_first("to") or "")
    ack.headers.set_single("CSeq", f"{invite.cseq.seq if invite.cseq else 1} ACK")
    for route in invite.headers.get("route"):
        ack.headers.append("Route", route)
    return ack


AGENT: Final = "Vivavoce"


@dataclass(slots=True)
class Outbox:
    """`host_for`: the address under which somebody reaches us; `port`: ours; `user`: our name in Contact ("" for
    none)."""

    transactions: Transactions
    host_for: Callable[[Remote], str]
    port: int
    user: str = ""
    auth: SipDigestAuth | None = field(default=None, repr=False)
    now: float = 0.0

    def contact(self, to: Remote) -> str:
        """Where we are to be reached by whoever is at `to`."""
        user = f"{self.user}@" if self.user else ""
        wire = ";transport=tcp" if to.wire == "TCP" else ""
        return f"<sip:{user}{self.sent_by(to)}{wire}>"

    def sent_by(self, to: Remote) -> str:
        """Our address and port, as SIP writes them."""
        host = self.host_for(to)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def draft(self, dialog: Dialog, method: str, to: Remote, body: str = "", kind: str = "") -> SipRequest:
        """A request within a dialog, or the one that opens it; not sent yet."""
        request = dialog.create_request(method, via_host=self.host_for(to), via_port=self.port, via_transport=to.wire)
        if method != "BYE":
            request.headers.set_single("Contact", self.contact(to))
        request.headers.set_single("User-Agent", AGENT)
        if method in ("INVITE", "UPDATE"):
            request.headers.set_single("Allow", ALLOW)
            request.headers.set_single("Supported", "timer")
        if body:
            request.text = body
            request.headers.set_single("Content-Type", kind)
        return request

    def send(self, request: SipRequest, to: Remote) -> None:
        """Sends a request, as often as it takes."""
        self.transactions.request(request, to, self.now)

    def acknowledge(self, dialog: Dialog, response: SipResponse, invite: SipRequest, to: Remote) -> None:
        """Confirms a 2xx to `invite`; the ACK has its number."""
        number = response.cseq.seq if response.cseq else 1
        ack = self.draft(dialog, "ACK", to)
        dialog.local_cseq -= 1  # an ACK takes no number
        ack.headers.set_single("CSeq", f"{number} ACK")
        for name in ("Authorization", "Proxy-Authorization"):
            if value := invite.headers.get_first(name):
                ack.headers.set_single(name, value)
        self.transactions.acknowledge(invite, ack, to)

    def reply(
        self, request: SipRequest, status: int, tag: str = "", headers: dict[str, str] | None = None, sdp: str = ""
    ) -> None:
        """Answers a request."""
        response = respond(request, status, tag, {"Server": AGENT, **(headers or {})})
        if sdp:
            response.text = sdp
            response.headers.set_single("Content-Type", "application/sdp")
        self.transactions.reply(request, response, self.now)

    def proof(self, response: SipResponse, method: str, uri: str) -> tuple[str, str] | None:
        """The header that answers a 401 or 407; None where we have no password, or do not know how."""
        if self.auth is None or response.status_code not in (401, 407):
            return None
        asks, proves = "WWW-Authenticate", "Authorization"
        if response.status_code == 407:
            asks, proves = "Proxy-Authenticate", "Proxy-Authorization"
        for challenge in response.headers.get(asks):
            credentials = build_credentials(self.auth, parse_auth(challenge), method, uri)
            if credentials is not None:
                return proves, stringify_auth(credentials)
        return None
