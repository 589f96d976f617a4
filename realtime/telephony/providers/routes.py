"""The web side of media streams: webhooks are answered, sockets become calls.

    POST /phone/{dialect}                    a call comes in: connect it to the socket    signed
    POST /phone/{dialect}/next/{ticket}      its stream is over: dial, or hang up         signed
    WS   /phone/{dialect}/stream/{ticket}    the call                                     from a signed webhook
    WS   /phone/{dialect}/stream             the call, from TwiML of one's own            signed (Twilio), or
    …    /phone/{dialect}/{secret}…          webhook and socket of who signs nothing      `phone.secret` in the path

A dialect is there only if its key is in the settings.

What providers are told to do with a call: connect it to our socket; and when that is closed, dial or hang up.

TwiML, TeXML and Plivo's XML differ in a few attributes; Vonage and Exotel want JSON. A core.

A word in the URL of each socket: who has it was sent by a webhook that was signed.

    webhook ──issue──► ticket ──► socket: use, once ──► afterwards: where the call goes then

A core; `now` in seconds.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.providers import BadFrame, Dialect, signatures
from vivavoce.realtime.telephony.providers import routes as answers
from vivavoce.realtime.telephony.providers.dialects import detect
from vivavoce.realtime.telephony.providers.line import StreamLine
from vivavoce.realtime.telephony.switchboard import Switchboard

log = logging.getLogger(__name__)

BEGIN: Final = 10.0
"""Seconds within which a stream must say who it is."""

_CALL: Final = ("CallSid", "CallUUID", "CallControlId", "uuid")
_FROM: Final = ("From", "from", "CallFrom")
_TO: Final = ("To", "to", "CallTo")


class Streams:
    """All media streams of one server."""

    def __init__(self, switchboard: Switchboard, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds."""
        self._switchboard = switchboard
        self._settings = switchboard.settings
        self._clock = clock
        self._tickets = Tickets(lambda: secrets.token_urlsafe(16))
        keys = {
            "twilio": self._settings.twilio_token,
            "telnyx": self._settings.telnyx_public_key,
            "plivo": self._settings.plivo_token,
            "vonage": self._settings.vonage_secret,
            "exotel": self._settings.secret,
        }
        self._keys = {name: key for name, key in keys.items() if key}

    def routes(self) -> list[BaseRoute]:
        """Under /phone."""
        routes: list[BaseRoute] = []
        for name in self._keys:
            answer, after = partial(self._answer, name), partial(self._after, name)
            talk = partial(self._talk, name)
            routes += [
                Route(f"/{name}", answer, methods=["GET", "POST"]),
                Route(f"/{name}/next/{{ticket}}", after, methods=["GET", "POST"]),
                WebSocketRoute(f"/{name}/stream/{{ticket}}", talk),
                WebSocketRoute(f"/{name}/stream", talk),
            ]
            if self._settings.secret:
                routes.append(Route(f"/{name}/{{secret}}", answer, methods=["GET", "POST"]))
                routes.append(WebSocketRoute(f"/{name}/{{secret}}", talk))
        return routes

    # --- webhooks --------------------------------------------------------------------------------------------------

    async def _answer(self, dialect: str, request: Request) -> Response:
        """A call comes in."""
        fields = await self._signed(dialect, request)
        now = asyncio.get_running_loop().time()
        call, caller, called = (_first(fields, names) for names in (_CALL, _FROM, _TO))
        ticket = self._tickets.issue(dialect, call, caller, called, now)
        if ticket is None:
            raise Denied(503, "server_full", "Too many calls were announced and did not come.")
        base = self._base(request)
        socket = f"{base.replace('http', 'ws', 1)}/phone/{dialect}/stream/{ticket.word}"
        then = f"{base}/phone/{dialect}/next/{ticket.word}" if dialect in answers.AFTERWARDS else ""
        kind, body = answers.connect(dialect, socket, then)
        return Response(body, media_type=kind)

    async def _after(self, dialect: str, request: Request) -> Response:
        """A stream is over, and the provider asks what to do with the call."""
        await self._signed(dialect, request)
        word = request.path_params["ticket"]
        kind, body = answers.afterwards(self._tickets.after(word, dialect, asyncio.get_running_loop().time()))
        return Response(body, media_type=kind)

    async def _signed(self, dialect: str, request: Request) -> dict[str, str]:
        """The fields of a webhook. Raises `Denied` when it was not signed as it should be."""
        body = await rest.read_body(request)
        url = f"{self._base(request)}{_path(request)}"
        posted = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        fields = posted if is_form else []
        headers, key = request.headers, self._keys[dialect]
        match dialect:
            case _ if self._knows_secret(request):
                right = True
            case "twilio":
                right = signatures.twilio(key, url, fields, headers.get("x-twilio-signature", ""))
            case "plivo":
                nonce, given = headers.get("x-plivo-signature-v3-nonce", ""), headers.get("x-plivo-signature-v3", "")
                right = signatures.plivo(key, request.method, url, fields, nonce, given)
            case "telnyx":
                at, given = headers.get("telnyx-timestamp", ""), headers.get("telnyx-signature-ed25519", "")
                right = signatures.telnyx(key, body, at, given, self._clock())
            case "vonage":
                right = signatures.vonage(key, body, headers.get("authorization", ""), self._clock())
            case _:
                right = False
        if not right:
            log.warning("webhook refused", extra={"dialect": dialect})
            raise Denied(403, "bad_signature", "The request is not signed, or not with the key of the settings.")
        return {**dict(request.query_params), **dict(fields), **_json_fields(request, body)}

    def _base(self, connection: HTTPConnection) -> str:
        """How the provider reaches this server."""
        return self._settings.base_url or f"https://{connection.headers.get('host', '')}"

    def _knows_secret(self, connection: HTTPConnection) -> bool:
        given = str(connection.path_params.get("secret", ""))
        return bool(given) and hmac.compare_digest(given.encode(), self._settings.secret.encode())

    # --- sockets ---------------------------------------------------------------------------------------------------

    async def _talk(self, dialect: str, socket: WebSocket) -> None:
        """One call, to its end."""
        try:
            ticket = self._admit(dialect, socket)
        except Denied as denied:
            log.warning("stream refused", extra={"dialect": dialect})
            await socket.send_denial_response(rest.refuse(denied))
            return
        call_id = new_call_id()
        CALL.set(call_id)
        await socket.accept(headers=[(b"location", f"/v1/realtime/calls/{call_id}".encode())])
        try:
            stream = await _begin(socket)
            if stream.name != dialect or not self._is_announced(stream, ticket):
                raise BadFrame("this is not the call that was announced")
        except (BadFrame, TimeoutError) as error:
            log.warning("stream not understood", extra={"dialect": dialect, "reason": str(error) or "nothing came"})
            await socket.close(1008, (str(error) or "No stream began in time.")[:120])
            return
        try:
            await self._switchboard.take(
                _call(call_id, stream, ticket), StreamLine(socket, stream, partial(self._redirect, ticket))
            )
        finally:
            if ticket is not None:
                self._tickets.release(ticket, asyncio.get_running_loop().time())

    def _admit(self, dialect: str, socket: WebSocket) -> Ticket | None:
        """The ticket of a socket; None where it is signed itself, or knows the secret. Raises `Denied`."""
        if word := socket.path_params.get("ticket"):
            ticket = self._tickets.use(str(word), dialect, asyncio.get_running_loop().time())
            if ticket is not None:
                return ticket
        elif self._knows_secret(socket):
            return None
        elif dialect == "twilio":
            url = f"{self._base(socket).replace('http', 'ws', 1)}{_path(socket)}"
            if signatures.twilio(self._keys[dialect], url, (), socket.headers.get("x-twilio-signature", "")):
                return None
        raise Denied(403, "bad_signature", "The stream was not announced by a signed webhook.")

    def _is_announced(self, stream: Dialect, ticket: Ticket | None) -> bool:
        account = self._settings.twilio_account
        if stream.name == "twilio" and account and stream.opened.account != account:
            return False
        if ticket is None or stream.name not in ("twilio", "plivo"):
            return True  # the ids of webhook and stream are not the same kind elsewhere
        return ticket.call in ("", stream.opened.call)

    def _redirect(self, ticket: Ticket | None, target: str) -> bool:
        if ticket is None or ticket.dialect not in answers.AFTERWARDS:
            return False
        ticket.target = target
        return True


async def _begin(socket: WebSocket) -> Dialect:
    """The dialect, by the first messages. Raises `BadFrame`, `TimeoutError`."""
    async with asyncio.timeout(BEGIN):
        for _ in range(2):
            frame = await socket.receive()
            if frame["type"] == "websocket.disconnect":
                raise BadFrame("the stream ended before it began")
            text = frame.get("text")
            if (stream := detect(frame["bytes"] if text is None else text)) is not None:
                return stream
    raise BadFrame("no 'start' came")


def _call(call_id: str, stream: Dialect, ticket: Ticket | None) -> PhoneCall:
    opened = stream.opened
    caller = (ticket.caller if ticket else "") or opened.caller
    called = (ticket.called if ticket else "") or opened.called
    return PhoneCall(call_id, stream.name, caller=caller, called=called, headers=opened.parameters)


def _path(connection: HTTPConnection) -> str:
    """Path and query as they were asked for."""
    query = connection.scope.get("query_string", b"").decode("latin-1")
    raw = connection.scope.get("raw_path") or connection.url.path.encode()
    return raw.decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")


def _json_fields(request: Request, body: bytes) -> dict[str, str]:
    """The texts at the top of a body of JSON; it has been shown to come from the provider."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json" or not body:
        return {}
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return {key: one for key, one in said.items() if isinstance(one, str)} if isinstance(said, dict) else {}


def _first(fields: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name][:256] for name in names if fields.get(name)), "")


XML: Final = "application/xml"
JSON: Final = "application/json"

AFTERWARDS: Final = ("twilio", "telnyx", "plivo")
"""Dialects that ask what comes next when the stream is over, so that a call can be transferred."""


def connect(dialect: str, socket: str, afterwards: str) -> tuple[str, str]:
    """The answer that connects a call to the WebSocket URL `socket`; `afterwards`: the URL that says what comes next
    ("" for nothing). Content type and body."""
    then = f"<Redirect>{escape(afterwards)}</Redirect>" if afterwards else ""
    match dialect:
        case "twilio":
            return _xml(f"<Connect><Stream url={quoteattr(socket)}/></Connect>{then}")
        case "telnyx":
            stream = f'<Stream url={quoteattr(socket)} bidirectionalMode="rtp" bidirectionalCodec="PCMU"/>'
            return _xml(f"<Connect>{stream}</Connect>{then}")
        case "plivo":
            how = 'bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"'
            return _xml(f"<Stream {how}>{escape(socket)}</Stream>{then}")
        case "vonage":
            endpoint = {"type": "websocket", "uri": socket, "content-type": "audio/l16;rate=16000"}
            return JSON, json.dumps([{"action": "connect", "endpoint": [endpoint]}])
        case _:
            return JSON, json.dumps({"url": socket})


def afterwards(target: str) -> tuple[str, str]:
    """What comes when the stream is over: `target` is dialled, or the call ends."""
    return _xml(f"<Dial>{_dialled(target)}</Dial>" if target else "<Hangup/>")


def _dialled(target: str) -> str:
    name = "Sip" if target.lower().startswith(("sip:", "sips:")) else "Number"
    return f"<{name}>{escape(target.removeprefix('tel:'))}</{name}>"


def _xml(content: str) -> tuple[str, str]:
    return XML, f'<?xml version="1.0" encoding="UTF-8"?><Response>{content}</Response>'


PATIENCE: Final = 60.0
"""Seconds from the webhook to the socket, and from the end of the stream to the next webhook."""

MAX_TICKETS: Final = 1000


@dataclass(slots=True)
class Ticket:
    """One call that a webhook announced. `call`: the provider's id, "" where it says none. `target`: where the caller
    is to be connected afterwards."""

    word: str
    dialect: str
    call: str
    caller: str = field(repr=False)
    called: str = field(repr=False)
    expires_at: float | None
    """None while its call runs."""
    used: bool = False
    target: str = field(default="", repr=False)


class Tickets:
    """Those that are valid."""

    def __init__(self, new_word: Callable[[], str]) -> None:
        self._new_word = new_word
        self._tickets: dict[str, Ticket] = {}

    def issue(self, dialect: str, call: str, caller: str, called: str, now: float) -> Ticket | None:
        """A ticket for a call; None when there are too many calls that never came."""
        self._tidy(now)
        if len(self._tickets) >= MAX_TICKETS:
            return None
        ticket = Ticket(self._new_word(), dialect, call, caller, called, now + PATIENCE)
        self._tickets[ticket.word] = ticket
        return ticket

    def use(self, word: str, dialect: str, now: float) -> Ticket | None:
        """The ticket of a socket that has just come; once."""
        self._tidy(now)
        ticket = self._tickets.get(word)
        if ticket is None or ticket.used or ticket.dialect != dialect:
            return None
        ticket.used, ticket.expires_at = True, None
        return ticket

    def release(self, ticket: Ticket, now: float) -> None:
        """Its stream is over."""
        ticket.expires_at = now + PATIENCE

    def after(self, word: str, dialect: str, now: float) -> str:
        """Where the call of a ticket goes now; "" for nowhere."""
        self._tidy(now)
        ticket = self._tickets.get(word)
        return ticket.target if ticket is not None and ticket.dialect == dialect else ""

    def _tidy(self, now: float) -> None:
        late = [word for word, one in self._tickets.items() if one.expires_at is not None and one.expires_at <= now]
        for word in late:
            del self._tickets[word]
