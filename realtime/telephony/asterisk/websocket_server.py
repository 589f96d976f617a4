"""Where Asterisk's WebSockets arrive: each is a call.

    WS /phone/asterisk?caller=…&called=…     Authorization: Basic …

The dial string's `v(…)` makes the query; `caller` and `called` are known by name, and all of it is passed on as the
call's headers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.asterisk import websocket as asterisk
from vivavoce.realtime.telephony.asterisk.websocket_line import AsteriskLine
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Accepted, Ringing
from vivavoce.realtime.transports import Ending

log = logging.getLogger(__name__)

INTRODUCTION: Final = 5.0
"""Seconds in which the first event must come."""


class AsteriskSocket:
    """The route. `password`: what Asterisk has to show."""

    def __init__(self, switchboard: Switchboard, ringing: Ringing, password: str) -> None:
        self._switchboard = switchboard
        self._ringing = ringing
        self._password = password

    async def serve(self, socket: WebSocket) -> None:
        """One call, from its socket's first byte to its last."""
        if not self._may(socket.headers.get("authorization", "")):
            log.warning("a WebSocket of Asterisk without its password")
            refusal = rest.refuse(Denied(401, "invalid_password", "Expected the 'phone.asterisk_password'."))
            return await socket.send_denial_response(refusal)
        offered = socket.scope["subprotocols"]
        await socket.accept(asterisk.SUBPROTOCOL if asterisk.SUBPROTOCOL in offered else None)
        try:
            async with asyncio.timeout(INTRODUCTION):
                began = await _began(socket)
        except (asterisk.WireBroken, TimeoutError) as error:
            reason = str(error) or "no MEDIA_START came"
            log.warning("a WebSocket that is no call of Asterisk", extra={"reason": reason})
            return await socket.close(1002, reason.encode()[:123].decode(errors="ignore"))
        except WebSocketDisconnect:
            return None
        await self._take(socket, AsteriskLine(socket, began))

    async def _take(self, socket: WebSocket, line: AsteriskLine) -> None:
        query = socket.query_params
        parameters = tuple(query.multi_items())
        call = PhoneCall(
            new_call_id(),
            "asterisk",
            caller=query.get("caller", ""),
            called=query.get("called", ""),
            headers=parameters,
        )
        CALL.set(call.id)
        decision = await self._ringing.decide_on(line, call)
        if isinstance(decision, Accepted):
            line.answer()
            await self._switchboard.take(call, line, decision.config)
        else:
            await line.close(Ending())

    def _may(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        try:
            _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(password, self._password.encode())


async def _began(socket: WebSocket) -> asterisk.Began:
    """The first event. Raises `WireBroken`, `WebSocketDisconnect`."""
    frame = await socket.receive()
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code", 1005))
    event = asterisk.read(frame.get("text") or "")
    if not isinstance(event, asterisk.Began):
        raise asterisk.WireBroken("expected MEDIA_START first")
    return event
