"""Registration at a PBX or provider, so that calls to our number reach us (RFC 3261 section 10).

    start ──► REGISTER ──401──► with credentials ──200──► REGISTERED ──four fifths of its time──► again
                  │ anything else, or nothing: FAILED ──half a minute, then longer──► again
    stop ───► REGISTER with Expires: 0

A core; `deadline` and `tick` as in the transactions."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from aiosipua import Dialog, SipRequest, SipResponse
from aiosipua.headers import parse_uri
from aiosipua.utils import generate_call_id

from vivavoce.realtime.telephony.sip.headers import host_of
from vivavoce.realtime.telephony.sip.messages import Remote, contacts, new_tag
from vivavoce.realtime.telephony.sip.transactions import SipSender

EXPIRES: Final = 300
"""Seconds that we request: short enough for the address tables of routers on the way."""

FIRST_RETRY: Final = 30.0
"""Seconds to the next attempt after one that failed; doubled with each, up to `LONGEST_RETRY`."""

LONGEST_RETRY: Final = 600.0


class State(Enum):
    """State of a registration."""

    OFF = auto()
    TRYING = auto()
    REGISTERED = auto()
    FAILED = auto()
    LEAVING = auto()


class Registration:
    """One account at one registrar."""

    def __init__(self, sender: SipSender, account: str, registrar: Remote) -> None:
        """`account`: our address there, such as sip:100@pbx.example.org."""
        self.state = State.OFF
        self.status = 0
        """The registrar's last status; 408 for no response."""
        self._sender = sender
        self._registrar = registrar
        uri = parse_uri(account)
        self._domain = f"sip:{uri.host}" + (f":{uri.port}" if uri.port else "")
        call_id = generate_call_id(sender.host_for(registrar))
        self._dialog = Dialog(call_id, new_tag(), "", account, account, self._domain)
        self._expires = EXPIRES
        self._authorized = False  # the last request had credentials
        self._retry = FIRST_RETRY
        self.deadline: float | None = None
        """When to call `tick`."""

    @property
    def tag(self) -> str:
        """Our tag, which responses to us carry."""
        return self._dialog.local_tag

    def start(self) -> None:
        """Registers."""
        self._authorized = False
        self._send(self._expires)

    def stop(self) -> None:
        """Removes the registration."""
        self.deadline = None
        if self.state is State.REGISTERED:
            self._authorized = False
            self._expires = 0
            self.state = State.LEAVING
            self._send(0)

    def tick(self, now: float) -> None:
        """Registers again when it is time."""
        if self.deadline is not None and now >= self.deadline:
            self.start()

    def receive_response(self, response: SipResponse) -> None:
        """Takes the registrar's response."""
        status = response.status_code
        if status < 200:
            return
        self.status = status
        authorization = self._sender.authorization(response, "REGISTER", self._domain)
        if authorization is not None and not self._authorized:
            self._authorized = True
            self._send(self._expires, authorization)
        elif self._expires == 0:
            self.state = State.OFF
        elif status < 300:
            self.state, self._retry = State.REGISTERED, FIRST_RETRY
            self.deadline = self._sender.now + 0.8 * self._granted(response)
        elif status == 423 and (least := _number(response.get_header("min-expires"))) > self._expires:
            self._expires = min(least, 86_400)
            self._send(self._expires)
        else:
            self._fail()

    def timed_out(self) -> None:
        """The registrar did not respond."""
        self.status = 408
        if self.state is State.LEAVING:
            self.state = State.OFF
        else:
            self._fail()

    def _fail(self) -> None:
        self.state = State.FAILED
        self.deadline = self._sender.now + self._retry
        self._retry = min(2 * self._retry, LONGEST_RETRY)

    def _send(self, expires: int, authorization: tuple[str, str] | None = None) -> None:
        if self.state not in (State.REGISTERED, State.LEAVING):
            self.state = State.TRYING
        self.deadline = None
        request: SipRequest = self._sender.create_request(self._dialog, "REGISTER", self._registrar)
        request.headers.set_single("Expires", str(expires))
        if authorization is not None:
            request.headers.set_single(*authorization)
        self._sender.send(request, self._registrar)

    def _granted(self, response: SipResponse) -> int:
        """Seconds for which we are registered: of our Contact, or of all."""
        ours = self._sender.sent_by(self._registrar)
        for contact in contacts(response):
            host, port = host_of(contact.uri)
            if f"{host}:{port}" == ours and (seconds := _number(contact.parameters.get("expires"))):
                return max(10, seconds)
        return max(10, _number(response.get_header("expires")) or self._expires)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
