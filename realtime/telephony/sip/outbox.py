"""What the legs of one endpoint share: how they send, who they are, and what the time is.

A leg (one call) writes requests and responses through its `Outbox`; the transactions below repeat what has to be
repeated. `now` is set by the agent whenever something happens, so that legs need no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.auth import SipDigestAuth, build_credentials
from aiosipua.headers import parse_auth, stringify_auth

from vivavoce.realtime.telephony.sip.messages import ALLOW, Remote, respond
from vivavoce.realtime.telephony.sip.transactions import Transactions

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
