"""The HTTP routes of media streams: webhooks are answered, sockets become calls.

    POST /phone/{dialect}                    a call comes in: connect it to the socket    signed
    POST /phone/{dialect}/next/{ticket}      its stream is over: dial, or hang up         signed
    WS   /phone/{dialect}/stream/{ticket}    the call                                     from a signed webhook
    WS   /phone/{dialect}/stream             the call, from the user's own TwiML          signed (Twilio), or
    …    /phone/{dialect}/{secret}…          webhook and socket without signatures        `phone.secret` in the path

A dialect has routes only if its key is in the settings. The answers to webhooks are TwiML, TeXML, Plivo's XML, or JSON
(Vonage, Exotel). `Tickets` and the functions that write the answers are cores.
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
from starlette.websockets import WebSocket, WebSocketState

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.errors import BadFrame, StreamNotSupported
from vivavoce.realtime.telephony.providers import Dialect, signatures
from vivavoce.realtime.telephony.providers.dialects import detect
from vivavoce.realtime.telephony.providers.media_stream import MediaStreamConnection
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.unreadable import UnreadableFrames
from vivavoce.realtime.transports import PeerGone

log = logging.getLogger(__name__)

BEGIN: Final = 10.0
"""Seconds within which a stream must identify itself."""

_CALL_FIELDS: Final = ("CallSid", "CallUUID", "CallControlId", "uuid")
_CALLER_FIELDS: Final = ("From", "from", "CallFrom")
_CALLED_FIELDS: Final = ("To", "to", "CallTo")
"""Names that providers give these in their webhooks."""


class MediaStreamRoutes:
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
        """The routes under /phone."""
        routes: list[BaseRoute] = []
        for name in self._keys:
            incoming, after_stream = partial(self._incoming, name), partial(self._after_stream, name)
            stream = partial(self._stream, name)
            routes += [
                Route(f"/{name}", incoming, methods=["GET", "POST"]),
                Route(f"/{name}/next/{{ticket}}", after_stream, methods=["GET", "POST"]),
                WebSocketRoute(f"/{name}/stream/{{ticket}}", stream),
                WebSocketRoute(f"/{name}/stream", stream),
            ]
            if self._settings.secret:
                routes.append(Route(f"/{name}/{{secret}}", incoming, methods=["GET", "POST"]))
                routes.append(WebSocketRoute(f"/{name}/{{secret}}", stream))
        return routes

    # --- webhooks --------------------------------------------------------------------------------------------------

    async def _incoming(self, dialect: str, request: Request) -> Response:
        """Answers the webhook of an incoming call."""
        fields = await self._signed_fields(dialect, request)
        now = asyncio.get_running_loop().time()
        call, caller, called = (_first(fields, names) for names in (_CALL_FIELDS, _CALLER_FIELDS, _CALLED_FIELDS))
        ticket = self._tickets.issue(dialect, call, caller, called, now)
        if ticket is None:
            raise Denied(503, "server_full", "Too many calls were announced and did not come.")
        base = self._base_url(request)
        socket = f"{base.replace('http', 'ws', 1)}/phone/{dialect}/stream/{ticket.token}"
        next_url = f"{base}/phone/{dialect}/next/{ticket.token}" if dialect in TRANSFERABLE else ""
        kind, body = connect(dialect, socket, next_url)
        return Response(body, media_type=kind)

    async def _after_stream(self, dialect: str, request: Request) -> Response:
        """Answers the webhook that comes when a stream is over: the provider asks what to do with the call."""
        await self._signed_fields(dialect, request)
        token = request.path_params["ticket"]
        kind, body = after_stream(self._tickets.target(token, dialect, asyncio.get_running_loop().time()))
        return Response(body, media_type=kind)

    async def _signed_fields(self, dialect: str, request: Request) -> dict[str, str]:
        """The fields of a webhook. Raises `Denied` when its signature is missing or wrong."""
        body = await rest.read_body(request)
        url = f"{self._base_url(request)}{_path(request)}"
        form = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        fields = form if is_form else []
        headers, key = request.headers, self._keys[dialect]
        match dialect:
            case _ if self._has_secret(request):
                valid = True
            case "twilio":
                valid = signatures.twilio(key, url, fields, headers.get("x-twilio-signature", ""))
            case "plivo":
                nonce, signature = (
                    headers.get("x-plivo-signature-v3-nonce", ""),
                    headers.get("x-plivo-signature-v3", ""),
                )
                valid = signatures.plivo(key, request.method, url, fields, nonce, signature)
            case "telnyx":
                timestamp, signature = headers.get("telnyx-timestamp", ""), headers.get("telnyx-signature-ed25519", "")
                valid = signatures.telnyx(key, body, timestamp, signature, self._clock())
            case "vonage":
                valid = signatures.vonage(key, body, headers.get("authorization", ""), self._clock())
            case _:
                valid = False
        if not valid:
            log.warning("webhook refused", extra={"dialect": dialect})
            raise Denied(403, "bad_signature", "The request is not signed, or not with the key of the settings.")
        return {**dict(request.query_params), **dict(fields), **_json_fields(request, body)}

    def _base_url(self, connection: HTTPConnection) -> str:
        """The address at which the provider reaches this server."""
        return self._settings.base_url or f"https://{connection.headers.get('host', '')}"

    def _has_secret(self, connection: HTTPConnection) -> bool:
        secret = str(connection.path_params.get("secret", ""))
        return bool(secret) and hmac.compare_digest(secret.encode(), self._settings.secret.encode())

    # --- sockets ---------------------------------------------------------------------------------------------------

    async def _stream(self, dialect: str, socket: WebSocket) -> None:
        """Runs one call, to its end."""
        try:
            ticket = self._admit(dialect, socket)
        except Denied as denied:
            log.warning("media stream refused", extra={"dialect": dialect})
            await socket.send_denial_response(rest.refuse(denied))
            return
        call_id = new_call_id()
        CALL.set(call_id)
        await socket.accept(headers=[(b"location", f"/v1/realtime/calls/{call_id}".encode())])
        unreadable = UnreadableFrames(dialect)
        try:
            stream = await _detect(socket, unreadable)
            if stream.name != dialect or not self._is_announced(stream, ticket):
                raise StreamNotSupported("this is not the call that was announced")
        except (StreamNotSupported, PeerGone, TimeoutError) as error:
            reason = str(error) or "no stream began in time"
            log.warning("media stream not understood", extra={"dialect": dialect, "reason": reason})
            if socket.client_state is WebSocketState.CONNECTED:
                await socket.close(1008, reason[:120])
            return
        connection = MediaStreamConnection(socket, stream, partial(self._redirect, ticket), unreadable)
        try:
            await self._switchboard.take(_call(call_id, stream, ticket), connection)
        finally:
            if ticket is not None:
                self._tickets.release(ticket, asyncio.get_running_loop().time())

    def _admit(self, dialect: str, socket: WebSocket) -> Ticket | None:
        """The ticket of a socket; None where it is signed itself, or has the secret. Raises `Denied`."""
        if token := socket.path_params.get("ticket"):
            ticket = self._tickets.use(str(token), dialect, asyncio.get_running_loop().time())
            if ticket is not None:
                return ticket
        elif self._has_secret(socket):
            return None
        elif dialect == "twilio":
            url = f"{self._base_url(socket).replace('http', 'ws', 1)}{_path(socket)}"
            if signatures.twilio(self._keys[dialect], url, (), socket.headers.get("x-twilio-signature", "")):
                return None
        raise Denied(403, "bad_signature", "The stream was not announced by a signed webhook.")

    def _is_announced(self, stream: Dialect, ticket: Ticket | None) -> bool:
        account = self._settings.twilio_account
        if stream.name == "twilio" and account and stream.started.account != account:
            return False
        if ticket is None or stream.name not in ("twilio", "plivo"):
            return True  # the other providers use different ids in webhook and stream
        return ticket.call in ("", stream.started.call)

    def _redirect(self, ticket: Ticket | None, target: str) -> bool:
        if ticket is None or ticket.dialect not in TRANSFERABLE:
            return False
        ticket.target = target
        return True


async def _detect(socket: WebSocket, unreadable: UnreadableFrames) -> Dialect:
    """Reads to the start message, which tells the dialect. Raises `StreamNotSupported`, `PeerGone`, `TimeoutError`."""
    async with asyncio.timeout(BEGIN):
        while True:
            frame = await socket.receive()
            if frame["type"] == "websocket.disconnect":
                raise PeerGone("the stream ended before it began")
            text = frame.get("text")
            try:
                stream = detect(frame["bytes"] if text is None else text)
            except StreamNotSupported:
                raise
            except BadFrame as bad:
                unreadable.skip(str(bad))
                continue
            if stream is not None:
                return stream
            unreadable.read()


def _call(call_id: str, stream: Dialect, ticket: Ticket | None) -> PhoneCall:
    started = stream.started
    caller = (ticket.caller if ticket else "") or started.caller
    called = (ticket.called if ticket else "") or started.called
    return PhoneCall(call_id, stream.name, caller=caller, called=called, headers=started.parameters)


def _path(connection: HTTPConnection) -> str:
    """Path and query as they were requested."""
    query = connection.scope.get("query_string", b"").decode("latin-1")
    raw = connection.scope.get("raw_path") or connection.url.path.encode()
    return raw.decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")


def _json_fields(request: Request, body: bytes) -> dict[str, str]:
    """The texts at the top level of a JSON body, whose signature was checked."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json" or not body:
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return {key: text for key, text in fields.items() if isinstance(text, str)} if isinstance(fields, dict) else {}


def _first(fields: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name][:256] for name in names if fields.get(name)), "")


XML: Final = "application/xml"
JSON: Final = "application/json"

TRANSFERABLE: Final = ("twilio", "telnyx", "plivo")
"""Dialects whose provider asks what comes next when the stream is over, so that a call can be transferred."""


def connect(dialect: str, socket: str, next_url: str) -> tuple[str, str]:
    """The answer that connects a call to the WebSocket URL `socket`: content type and body. `next_url`: where the
    provider asks what comes next ("" for nothing)."""
    then = f"<Redirect>{escape(next_url)}</Redirect>" if next_url else ""
    match dialect:
        case "twilio":
            return _xml(f"<Connect><Stream url={quoteattr(socket)}/></Connect>{then}")
        case "telnyx":
            stream = f'<Stream url={quoteattr(socket)} bidirectionalMode="rtp" bidirectionalCodec="PCMU"/>'
            return _xml(f"<Connect>{stream}</Connect>{then}")
        case "plivo":
            options = 'bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"'
            return _xml(f"<Stream {options}>{escape(socket)}</Stream>{then}")
        case "vonage":
            endpoint = {"type": "websocket", "uri": socket, "content-type": "audio/l16;rate=16000"}
            return JSON, json.dumps([{"action": "connect", "endpoint": [endpoint]}])
        case _:
            return JSON, json.dumps({"url": socket})


def after_stream(target: str) -> tuple[str, str]:
    """The answer when the stream is over: dials `target`, or hangs up. Content type and body."""
    return _xml(f"<Dial>{_dial_target(target)}</Dial>" if target else "<Hangup/>")


def _dial_target(target: str) -> str:
    name = "Sip" if target.lower().startswith(("sip:", "sips:")) else "Number"
    return f"<{name}>{escape(target.removeprefix('tel:'))}</{name}>"


def _xml(content: str) -> tuple[str, str]:
    return XML, f'<?xml version="1.0" encoding="UTF-8"?><Response>{content}</Response>'


TICKET_LIFE: Final = 60.0
"""Seconds within which the socket must follow the webhook, and the next webhook the end of the stream."""

MAX_TICKETS: Final = 1000


@dataclass(slots=True)
class Ticket:
    """One call that a webhook announced; `token` in the URL of its socket proves that. `call`: the provider's id, ""
    where there is none. `target`: where to transfer the caller after the stream."""

    token: str
    dialect: str
    call: str
    caller: str = field(repr=False)
    called: str = field(repr=False)
    expires_at: float | None
    """None while its call runs."""
    used: bool = False
    target: str = field(default="", repr=False)


class Tickets:
    """The valid tickets.

    webhook ──issue──► ticket ──► socket: use, once ──► next webhook: target

    `now` in seconds."""

    def __init__(self, new_token: Callable[[], str]) -> None:
        self._new_token = new_token
        self._tickets: dict[str, Ticket] = {}

    def issue(self, dialect: str, call: str, caller: str, called: str, now: float) -> Ticket | None:
        """A ticket for a call; None when there are too many."""
        self._expire(now)
        if len(self._tickets) >= MAX_TICKETS:
            return None
        ticket = Ticket(self._new_token(), dialect, call, caller, called, now + TICKET_LIFE)
        self._tickets[ticket.token] = ticket
        return ticket

    def use(self, token: str, dialect: str, now: float) -> Ticket | None:
        """The ticket of a socket that opens; valid once."""
        self._expire(now)
        ticket = self._tickets.get(token)
        if ticket is None or ticket.used or ticket.dialect != dialect:
            return None
        ticket.used, ticket.expires_at = True, None
        return ticket

    def release(self, ticket: Ticket, now: float) -> None:
        """The stream of a ticket is over."""
        ticket.expires_at = now + TICKET_LIFE

    def target(self, token: str, dialect: str, now: float) -> str:
        """Where the call of a ticket is transferred; "" for nowhere."""
        self._expire(now)
        ticket = self._tickets.get(token)
        return ticket.target if ticket is not None and ticket.dialect == dialect else ""

    def _expire(self, now: float) -> None:
        for token, ticket in list(self._tickets.items()):
            if ticket.expires_at is not None and ticket.expires_at <= now:
                del self._tickets[token]
