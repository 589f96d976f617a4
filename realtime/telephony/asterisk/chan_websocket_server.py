"""Takes the WebSockets of Asterisk's chan_websocket: each is a call.

    WS /phone/asterisk?caller=…&called=…     Authorization: Basic …

    binary frames ──► Sound          text frames ──► Keys, marks, errors
    pull, a little ahead ──► binary frames           flush, hang-up, marks ──► text frames

The dial string's `v(…)` sets the query; `caller` and `called` are the PhoneCall's, and the whole query is passed on as
its headers.

Asterisk plays out of a queue, which we keep short; at a barge-in it is flushed, and the number of played frames is
exact.

Under load, Asterisk sends sound before its first event: that is dropped. A frame that cannot be read is passed over.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from typing import Final, Never

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import new_call_id
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.telephony import DtmfReceived, PhoneCall
from vivavoce.realtime.telephony.asterisk import chan_websocket
from vivavoce.realtime.telephony.asterisk.audio import AsteriskCodec, SilenceFiller
from vivavoce.realtime.telephony.asterisk.chan_websocket import (
    PERIOD,
    CommandRejected,
    FlowChanged,
    MarkReached,
    MediaStarted,
    RemoteQueue,
)
from vivavoce.realtime.telephony.errors import BadChanWebSocket, FormatNotSupported, NotSupported
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.unreadable import UnreadableFrames
from vivavoce.realtime.telephony.webhooks.ringing import Accepted, Ringing
from vivavoce.realtime.transports import Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.queues import Outbox, until_gone

log = logging.getLogger(__name__)

BEGIN: Final = 5.0
"""Seconds within which MEDIA_START must come."""

MAX_PENDING: Final = 250
"""Frames that may wait for an Asterisk that does not read: five seconds."""

GOODBYE: Final = 1.0
"""Seconds that closing a connection may take."""


class ChanWebSocketServer:
    """Serves the route. `password`: of Asterisk."""

    def __init__(self, switchboard: Switchboard, ringing: Ringing, password: str) -> None:
        self._switchboard = switchboard
        self._ringing = ringing
        self._password = password

    async def serve(self, socket: WebSocket) -> None:
        """Serves one call, from its socket's handshake to its end."""
        if not self._is_allowed(socket.headers.get("authorization", "")):
            log.warning("chan_websocket without its password")
            refusal = rest.refuse(Denied(401, "invalid_password", "Expected the 'phone.asterisk_password'."))
            return await socket.send_denial_response(refusal)
        protocols = socket.scope["subprotocols"]
        await socket.accept(chan_websocket.SUBPROTOCOL if chan_websocket.SUBPROTOCOL in protocols else None)
        unreadable = UnreadableFrames("asterisk")
        try:
            async with asyncio.timeout(BEGIN):
                started = await _media_started(socket, unreadable)
        except (FormatNotSupported, PeerGone, TimeoutError) as error:
            reason = str(error) or "no MEDIA_START came"
            log.warning("not chan_websocket", extra={"reason": reason})
            return await socket.close(1002, reason.encode()[:123].decode(errors="ignore"))
        except WebSocketDisconnect:
            return None
        await self._take(socket, ChanWebSocketConnection(socket, started, unreadable))

    async def _take(self, socket: WebSocket, connection: ChanWebSocketConnection) -> None:
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
        decision = await self._ringing.decide_while_open(connection, call)
        if isinstance(decision, Accepted):
            connection.answer()
            await self._switchboard.take(call, connection, decision.config)
        else:
            await connection.close(Ending())

    def _is_allowed(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        try:
            _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(password, self._password.encode())


async def _media_started(socket: WebSocket, unreadable: UnreadableFrames) -> MediaStarted:
    """The event that begins the call; drops what comes before it. Raises `FormatNotSupported`, `PeerGone` for too many
    frames that cannot be read, `WebSocketDisconnect`."""
    while True:
        frame = await socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        if (text := frame.get("text")) is None:
            continue  # sound, whose format is not known yet
        try:
            event = chan_websocket.parse(text)
        except FormatNotSupported:
            raise
        except BadChanWebSocket as bad:
            unreadable.skip(str(bad))
            continue
        if isinstance(event, MediaStarted):
            return event


class ChanWebSocketConnection:
    """Implements `PhoneConnection` on an accepted socket whose call has begun."""

    def __init__(self, socket: WebSocket, started: MediaStarted, unreadable: UnreadableFrames) -> None:
        self._socket = socket
        self._unreadable = unreadable
        self._plain = started.plain
        law = {"ulaw": "mu", "alaw": "a"}.get(started.format)
        self._codec = AsteriskCodec(started.rate, law)  # type: ignore[arg-type]  # the two laws there are
        self._queue = RemoteQueue(asyncio.get_running_loop().time())
        self._outbox = Outbox(socket, lambda: PeerGone("the connection to Asterisk was lost"))
        self._may_send = asyncio.Event()
        self._may_send.set()

    async def connected(self) -> None:
        """Returns at once: the first event has come."""

    def answer(self) -> None:
        """Answers a call that Asterisk dialled without answering it by itself (option n)."""
        self._command("ANSWER")

    async def receive(self, intake: Intake) -> Never:
        """See `PhoneConnection`. Runs the writer, too."""
        await until_gone(self._outbox.write(), self._receive(intake))
        raise PeerGone("the caller hung up")

    async def speak(self, pull: Pull) -> Never:
        """See `PhoneConnection`."""
        loop = asyncio.get_running_loop()
        while True:
            await self._may_send.wait()
            await asyncio.sleep(self._queue.due(loop.time()) - loop.time())
            frame = pull()
            self._post(self._codec.encode(frame))
            if mark := self._queue.send(loop.time(), bool(frame.any())):
                self._command("MARK_MEDIA", mark)

    def recall(self) -> int:
        """See `PhoneConnection`."""
        self._outbox.keep(lambda frame: isinstance(frame, str))
        self._command("FLUSH_MEDIA")
        return self._queue.flush(asyncio.get_running_loop().time())

    async def send_dtmf(self, keys: str) -> None:
        """Raises `NotSupported`."""
        raise NotSupported("keys cannot be pressed on this line")

    async def transfer(self, target: str) -> None:
        """Raises `NotSupported`."""
        raise NotSupported("calls cannot be transferred from this line")

    async def close(self, ending: Ending) -> None:
        """Hangs up when the last frame has been played."""
        now = asyncio.get_running_loop().time()
        ahead = self._queue.sent - self._queue.played(now)
        try:
            async with asyncio.timeout(GOODBYE):
                await self._outbox.flush()
                await asyncio.sleep(ahead * PERIOD)
                self._command("HANGUP")
                await self._outbox.flush()
                if self._outbox.is_open:
                    await self._socket.close()
        except (TimeoutError, PeerGone, WebSocketDisconnect, RuntimeError):
            pass  # gone or stuck: the server drops the connection when the route returns

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _receive(self, intake: Intake) -> Never:
        loop = asyncio.get_running_loop()
        filler = SilenceFiller(loop.time())
        while True:
            try:
                async with asyncio.timeout_at(filler.deadline):
                    frame = await self._socket.receive()
            except TimeoutError:
                await intake.deliver(Sound(np.zeros(filler.missing(loop.time()), np.float32)))
                continue
            if frame["type"] == "websocket.disconnect":
                raise PeerGone("the caller hung up")
            if (text := frame.get("text")) is not None:
                if (keys := self._take_event(text)) is not None:
                    await intake.deliver(keys)
            elif (sound := self._decode(frame["bytes"])) is not None:
                filler.received(len(sound.samples), loop.time())
                await intake.deliver(sound)

    def _decode(self, content: bytes) -> Sound | None:
        """None for a frame that is not audio."""
        try:
            sound = Sound(self._codec.decode(content))
        except ValueError:
            self._unreadable.skip("audio that is not of whole samples")
            return None
        self._unreadable.read()
        return sound

    def _take_event(self, text: str) -> Keys | None:
        """The keys in a text frame; takes other events, and passes over what cannot be read."""
        try:
            event = chan_websocket.parse(text)
        except BadChanWebSocket as bad:
            self._unreadable.skip(str(bad))
            return None
        self._unreadable.read()
        match event:
            case DtmfReceived(key=key):
                return Keys(key)
            case MarkReached(mark=mark):
                self._queue.mark_reached(mark, asyncio.get_running_loop().time())
            case FlowChanged(full=full):
                (self._may_send.clear if full else self._may_send.set)()
            case CommandRejected(reason=reason):
                log.warning("Asterisk rejected a command", extra={"reason": reason})
            case _:
                pass  # not requested, or of a later version
        return None

    def _command(self, name: str, correlation_id: str = "") -> None:
        self._post(chan_websocket.command(self._plain, name, correlation_id))

    def _post(self, frame: str | bytes) -> None:
        if len(self._outbox) >= MAX_PENDING:
            raise PeerGone("Asterisk does not read its frames")
        self._outbox.put(frame)
