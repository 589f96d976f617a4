"""The transaction layer: retransmissions, and duplicates (RFC 3261 section 17); and how dialogs send through it.

    network ──receive──► new          ──► the message, for the layer above
                         a duplicate  ──► the response is sent again          request(...), respond(...) ──► to_send()
    tick(now) ─────────► timers       ──► sent again, or given up: `RequestTimedOut`, `AckTimedOut`

aiosipua has no such layer: it sends each request once, takes a repeated INVITE for another call and does not
acknowledge rejections. 2xx responses to INVITE are retransmitted here, too (section 13.3.1.4), until they are
acknowledged.

Over TCP nothing is retransmitted, but timeouts hold. Times are seconds of one clock, and passed in.

`SipSender` is what all dialogs of one endpoint share: address, credentials, and the current time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.auth import SipDigestAuth, build_credentials
from aiosipua.headers import parse_auth, stringify_auth

from vivavoce.realtime.telephony.sip.messages import (
    ALLOW,
    Remote,
    create_response,
    cseq_number,
    response_destination,
)

T1: Final = 0.5
T2: Final = 4.0
TIMEOUT: Final = 64 * T1
"""Seconds that a response may take, and for which one of ours is kept to be sent again (RFC 3261 section 17.1.1.1)."""

RINGING: Final = 600.0
"""Seconds for which an INVITE may stay without a final response; the layer above decides sooner."""

MAX_OPEN: Final = 4096
"""Transactions kept, in each direction; further requests are dropped."""

TransactionId = tuple[str, str, str]
"""Branch, sent-by and method (RFC 3261 sections 17.1.3 and 17.2.3)."""


@dataclass(frozen=True, slots=True)
class RequestTimedOut:
    """A request of ours got no final response in time."""

    request: SipRequest


@dataclass(frozen=True, slots=True)
class AckTimedOut:
    """An INVITE that we accepted was never acknowledged."""

    request: SipRequest


@dataclass(slots=True)
class _Retransmission:
    """A message that is sent repeatedly, at growing intervals."""

    data: bytes
    to: Remote
    at: float | None  # when to send it next; None: not any more
    longest: float = T2
    interval: float = T1

    def next(self) -> None:
        assert self.at is not None
        self.interval = min(2 * self.interval, self.longest)
        self.at += self.interval

    def stop(self) -> None:
        self.at = None


@dataclass(slots=True)
class _ServerTransaction:
    """A request to us."""

    request: SipRequest
    to: Remote
    ends: float
    response: _Retransmission | None = None
    final: int = 0  # status of our final response


@dataclass(slots=True)
class _ClientTransaction:
    """A request of ours."""

    request: SipRequest
    sent: _Retransmission
    ends: float
    final: bool = False
    ack: bytes = b""


class Transactions:
    """The transactions of one endpoint."""

    def __init__(self) -> None:
        self._server: dict[TransactionId, _ServerTransaction] = {}
        self._client: dict[TransactionId, _ClientTransaction] = {}
        self._out: deque[tuple[bytes, Remote]] = deque()

    def to_send(self) -> list[tuple[bytes, Remote]]:
        """Messages to send now, in order."""
        out = list(self._out)
        self._out.clear()
        return out

    @property
    def deadline(self) -> float | None:
        """When to call `tick`."""
        times = [entry.sent.at for entry in self._client.values() if entry.sent.at is not None]
        times += [
            entry.response.at for entry in self._server.values() if entry.response and entry.response.at is not None
        ]
        times += [entry.ends for entry in self._client.values()]
        times += [entry.ends for entry in self._server.values()]
        return min(times, default=None)

    def receive(self, message: SipRequest | SipResponse, source: Remote, now: float) -> SipRequest | SipResponse | None:
        """The message, unless it is a duplicate or matches nothing; requests are then answered by `respond`."""
        if isinstance(message, SipResponse):
            return self._receive_response(message, now)
        if message.method == "ACK":
            return self._receive_ack(message)
        key = _transaction_id(message)
        known = self._server.get(key)
        if known is not None:
            if known.response is not None:
                self._out.append((known.response.data, known.to))
            return None
        if len(self._server) >= MAX_OPEN:
            return None
        # An INVITE may ring for long: it is kept until its final response.
        ends = now + (RINGING if message.method == "INVITE" else TIMEOUT)
        self._server[key] = _ServerTransaction(message, response_destination(message, source), ends)
        return message

    def cancelled_invite(self, cancel: SipRequest) -> SipRequest | None:
        """The INVITE that a CANCEL matches (section 9.2)."""
        branch, sent_by, _ = _transaction_id(cancel)
        transaction = self._server.get((branch, sent_by, "INVITE"))
        return transaction.request if transaction else None

    def respond(self, request: SipRequest, response: SipResponse, now: float) -> None:
        """Responds to a request that `receive` returned. Of several final responses only the first is sent."""
        transaction = self._server.get(_transaction_id(request))
        if transaction is None or transaction.final:
            return
        sent = _Retransmission(bytes(response), transaction.to, None)
        if response.status_code >= 200:
            transaction.final, transaction.ends = response.status_code, now + TIMEOUT
            over_udp = transaction.to.protocol == "UDP"
            if request.method == "INVITE" and (over_udp or transaction.final < 300):
                sent.at = now + T1 if over_udp else None
        transaction.response = sent
        self._out.append((sent.data, transaction.to))

    def request(self, request: SipRequest, to: Remote, now: float) -> None:
        """Sends a request of ours, other than ACK."""
        data = bytes(request)
        longest = TIMEOUT if request.method == "INVITE" else T2  # Timer A has no bound, Timer E has
        sent = _Retransmission(data, to, now + T1 if to.protocol == "UDP" else None, longest)
        self._client[_transaction_id(request)] = _ClientTransaction(request, sent, now + TIMEOUT)
        self._out.append((data, to))

    def acknowledge(self, invite: SipRequest, ack: SipRequest, to: Remote) -> None:
        """Sends the ACK of a 2xx, and sends it again for each duplicate of that 2xx."""
        transaction = self._client.get(_transaction_id(invite))
        if transaction is not None:
            transaction.ack = bytes(ack)
        self._out.append((bytes(ack), to))

    def tick(self, now: float) -> list[RequestTimedOut | AckTimedOut]:
        """Retransmits what is due, and gives up what has timed out."""
        for client in self._client.values():
            if client.sent.at is not None and client.sent.at <= now < client.ends:
                self._out.append((client.sent.data, client.sent.to))
                client.sent.next()
        for server in self._server.values():
            response = server.response
            if response is not None and response.at is not None and response.at <= now < server.ends:
                self._out.append((response.data, server.to))
                response.next()
        timed_out: list[RequestTimedOut | AckTimedOut] = []
        for key in [key for key, client in self._client.items() if client.ends <= now]:
            ended = self._client.pop(key)
            if not ended.final:
                timed_out.append(RequestTimedOut(ended.request))
        for key in [key for key, server in self._server.items() if server.ends <= now]:
            old = self._server.pop(key)
            if old.response is not None and old.response.at is not None and old.final < 300:
                timed_out.append(AckTimedOut(old.request))
        return timed_out

    def _receive_response(self, response: SipResponse, now: float) -> SipResponse | None:
        transaction = self._client.get(_transaction_id(response))
        if transaction is None:
            return None
        status, invite = response.status_code, transaction.request.method == "INVITE"
        if transaction.final:
            if transaction.ack:
                self._out.append((transaction.ack, transaction.sent.to))
            return None
        if status < 200:
            if invite:
                transaction.sent.stop()  # it was received; for how long it rings is the caller's decision
                transaction.ends = now + RINGING
            return response
        transaction.final, transaction.ends = True, now + TIMEOUT
        transaction.sent.stop()
        if invite and status >= 300:
            transaction.ack = bytes(_ack_of_rejection(transaction.request, response))
            self._out.append((transaction.ack, transaction.sent.to))
        return response

    def _receive_ack(self, ack: SipRequest) -> SipRequest | None:
        """The ACK of a 2xx, at its first arrival; that of a rejection ends here."""
        number = cseq_number(ack)
        for transaction in self._server.values():
            invite = transaction.request  # malformed, where it was answered with 400
            if invite.method == "INVITE" and invite.call_id == ack.call_id and transaction.response:
                if cseq_number(invite) != number:
                    continue
                first = transaction.response.at is not None or transaction.to.protocol == "TCP"
                transaction.response.stop()
                return ack if transaction.final < 300 and first else None
        return None


def _transaction_id(message: SipRequest | SipResponse) -> TransactionId:
    via = message.via[0]
    method = message.method if isinstance(message, SipRequest) else (message.cseq.method if message.cseq else "")
    return via.branch or "", f"{via.host}:{via.port or 5060}".lower(), method


def _ack_of_rejection(invite: SipRequest, response: SipResponse) -> SipRequest:
    """Section 17.1.1.3: the Via of the INVITE, the To of the response."""
    ack = SipRequest(method="ACK", uri=invite.uri)
    ack.headers.append("Via", invite.headers.get("via")[0])
    for name in ("From", "Call-ID", "Max-Forwards"):
        ack.headers.set_single(name, invite.headers.get_first(name) or "")
    ack.headers.set_single("To", response.headers.get_first("to") or "")
    ack.headers.set_single("CSeq", f"{invite.cseq.seq if invite.cseq else 1} ACK")
    for route in invite.headers.get("route"):
        ack.headers.append("Route", route)
    return ack


USER_AGENT: Final = "Vivavoce"


@dataclass(slots=True)
class SipSender:
    """Writes the requests and responses of dialogs, and sends them by `transactions`. The user agent sets `now` before
    it calls a dialog, so that dialogs need no clock.

    `host_for`: our address as seen from a remote one; `port`: ours; `user`: in Contact ("" for none)."""

    transactions: Transactions
    host_for: Callable[[Remote], str]
    port: int
    user: str = ""
    auth: SipDigestAuth | None = field(default=None, repr=False)
    now: float = 0.0

    def contact(self, to: Remote) -> str:
        """Our Contact for a remote address."""
        user = f"{self.user}@" if self.user else ""
        parameter = ";transport=tcp" if to.protocol == "TCP" else ""
        return f"<sip:{user}{self.sent_by(to)}{parameter}>"

    def sent_by(self, to: Remote) -> str:
        """Our address and port, as in Via."""
        host = self.host_for(to)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def create_request(
        self, dialog: Dialog, method: str, to: Remote, body: str = "", content_type: str = ""
    ) -> SipRequest:
        """A request within a dialog, or the one that opens it; not sent yet."""
        host = self.host_for(to)
        request = dialog.create_request(method, via_host=host, via_port=self.port, via_transport=to.protocol)
        if method != "BYE":
            request.headers.set_single("Contact", self.contact(to))
        request.headers.set_single("User-Agent", USER_AGENT)
        if method in ("INVITE", "UPDATE"):
            request.headers.set_single("Allow", ALLOW)
            request.headers.set_single("Supported", "timer")
        if body:
            request.text = body
            request.headers.set_single("Content-Type", content_type)
        return request

    def send(self, request: SipRequest, to: Remote) -> None:
        """Sends a request, with retransmissions."""
        self.transactions.request(request, to, self.now)

    def acknowledge(self, dialog: Dialog, response: SipResponse, invite: SipRequest, to: Remote) -> None:
        """Sends the ACK of a 2xx to `invite`."""
        number = response.cseq.seq if response.cseq else 1
        ack = self.create_request(dialog, "ACK", to)
        dialog.local_cseq -= 1  # an ACK has the number of its INVITE
        ack.headers.set_single("CSeq", f"{number} ACK")
        for name in ("Authorization", "Proxy-Authorization"):
            if value := invite.headers.get_first(name):
                ack.headers.set_single(name, value)
        self.transactions.acknowledge(invite, ack, to)

    def respond(
        self,
        request: SipRequest,
        status: int,
        tag: str = "",
        headers: dict[str, str] | None = None,
        sdp: str = "",
    ) -> None:
        """Responds to a request."""
        response = create_response(request, status, tag, {"Server": USER_AGENT, **(headers or {})})
        if sdp:
            response.text = sdp
            response.headers.set_single("Content-Type", "application/sdp")
        self.transactions.respond(request, response, self.now)

    def authorization(self, response: SipResponse, method: str, uri: str) -> tuple[str, str] | None:
        """Name and value of the header that answers a 401 or 407 challenge; None without a password, or for an unknown
        algorithm."""
        if self.auth is None or response.status_code not in (401, 407):
            return None
        challenge_header, header = "WWW-Authenticate", "Authorization"
        if response.status_code == 407:
            challenge_header, header = "Proxy-Authenticate", "Proxy-Authorization"
        for challenge in response.headers.get(challenge_header):
            credentials = build_credentials(self.auth, parse_auth(challenge), method, uri)
            if credentials is not None:
                return header, stringify_auth(credentials)
        return None
