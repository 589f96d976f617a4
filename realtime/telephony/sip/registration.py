"""Our place at a PBX or provider, so that calls to our number find us (RFC 3261 section 10).

    start ──► REGISTER ──401──► with proof ──200──► REGISTERED ──four fifths of its time──► again
                  │ anything else, or nothing: FAILED ──half a minute, then longer──► again
    stop ───► REGISTER with Expires: 0

A core; `deadline` and `tick` as in the transactions."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.headers import parse_uri
from aiosipua.utils import generate_call_id

from vivavoce.realtime.telephony.sip.messages import Remote, new_tag
from vivavoce.realtime.telephony.sip.transactions import Outbox

EXPIRES: Final = 300
"""Seconds that we ask for: short enough for the address tables of routers on the way."""

SOON: Final = 30.0
"""Seconds to the next attempt after one that failed; doubled with each, up to `LATE`."""

LATE: Final = 600.0


class State(Enum):
    """Of a registration."""

    OFF = auto()
    TRYING = auto()
    REGISTERED = auto()
    FAILED = auto()
    LEAVING = auto()


class Registration:
    """One account at one registrar."""

    def __init__(self, outbox: Outbox, account: str, registrar: Remote) -> None:
        """`account`: our address there, such as sip:100@pbx.example.org."""
        self.state = State.OFF
        self.status = 0
        """What the registrar answered last; 408 for nothing at all."""
        self._outbox = outbox
        self._to = registrar
        uri = parse_uri(account)
        self._domain = f"sip:{uri.host}" + (f":{uri.port}" if uri.port else "")
        call_id = generate_call_id(outbox.host_for(registrar))
        self._dialog = Dialog(call_id, new_tag(), "", account, account, self._domain)
        self._expires = EXPIRES
        self._proven = False
        self._pause = SOON
        self.deadline: float | None = None
        """When `tick` has something to do."""

    @property
    def tag(self) -> str:
        """Which marks our requests, and so the responses."""
        return self._dialog.local_tag

    def start(self) -> None:
        """Registers."""
        self._proven = False
        self._send(self._expires)

    def stop(self) -> None:
        """Tells the registrar that we are gone."""
        self.deadline = None
        if self.state is State.REGISTERED:
            self._proven = False
            self._expires = 0
            self.state = State.LEAVING
            self._send(0)

    def tick(self, now: float) -> None:
        """Registers again when it is time."""
        if self.deadline is not None and now >= self.deadline:
            self.start()

    def response(self, response: SipResponse) -> None:
        """What the registrar says."""
        status = response.status_code
        if status < 200:
            return
        self.status = status
        proof = self._outbox.proof(response, "REGISTER", self._domain)
        if proof is not None and not self._proven:
            self._proven = True
            self._send(self._expires, proof)
        elif self._expires == 0:
            self.state = State.OFF
        elif status < 300:
            self.state, self._pause = State.REGISTERED, SOON
            self.deadline = self._outbox.now + 0.8 * self._granted(response)
        elif status == 423 and (least := _number(response.get_header("min-expires"))) > self._expires:
            self._expires = min(least, 86_400)
            self._send(self._expires)
        else:
            self._fail()

    def unanswered(self) -> None:
        """The registrar says nothing."""
        self.status = 408
        if self.state is State.LEAVING:
            self.state = State.OFF
        else:
            self._fail()

    def _fail(self) -> None:
        self.state = State.FAILED
        self.deadline = self._outbox.now + self._pause
        self._pause = min(2 * self._pause, LATE)

    def _send(self, expires: int, proof: tuple[str, str] | None = None) -> None:
        if self.state not in (State.REGISTERED, State.LEAVING):
            self.state = State.TRYING
        self.deadline = None
        request: SipRequest = self._outbox.draft(self._dialog, "REGISTER", self._to)
        request.headers.set_single("Expires", str(expires))
        if proof is not None:
            request.headers.set_single(*proof)
        self._outbox.send(request, self._to)

    def _granted(self, response: SipResponse) -> int:
        """Seconds for which we are known; registrars list our contact with them, or say it for all."""
        ours = self._outbox.sent_by(self._to)
        for contact in response.contact:
            uri = f"{contact.uri.host}:{contact.uri.port}"
            if uri == ours and (seconds := _number(contact.params.get("expires"))):
                return max(10, seconds)
        return max(10, _number(response.get_header("expires")) or self._expires)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
