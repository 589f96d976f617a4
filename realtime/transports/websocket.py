"""A transport over a WebSocket: sound travels inside messages, and the client plays it.

    text or binary frame ──► Message          send(event) ──► bounded queue ──writer──► text frame

The gateway has accepted the socket, chosen its subprotocol and bounded incoming messages (the server's `ws_max_size`).
"""

from __future__ import annotations

import asyncio
from typing import Final, Never

from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.realtime.transports import CloseReason, Ending, Intake, Message, PeerGone, PeerLost, Pull
from vivavoce.realtime.transports.pacing import pull_in_real_time
from vivavoce.realtime.transports.queues import Outbox, until_gone

MAX_QUEUED = 32 << 20
"""Bytes of events waiting for a client that reads slowly: eight minutes of speech as base64."""

GOODBYE = 2.0
"""Seconds that `close` may take, at most."""

ABNORMAL = 1006
"""The code that stands for a broken connection: no close frame came (RFC 6455 section 7.1.5)."""

CLOSE_CODES: Final = {
    CloseReason.OVER: 1000,
    CloseReason.RESUMED: 1000,
    CloseReason.EXPIRED: 1001,
    CloseReason.IDLE: 1001,
    CloseReason.SHUTDOWN: 1001,
    CloseReason.REFUSED: 1008,
    CloseReason.ERROR: 1011,
    CloseReason.BUSY: 1013,
}
"""RFC 6455 section 7.4.1: normal, going away, policy violation, internal error, try again later."""

MAX_REASON: Final = 123
"""Bytes of text that a close frame can carry (RFC 6455 section 5.5)."""


class WebSocketTransport:
    """One client on an accepted WebSocket; implements `Transport`."""

    plays = False

    def __init__(self, socket: WebSocket, max_queued: int = MAX_QUEUED) -> None:
        self._socket = socket
        self._max_queued = max_queued
        self._outbox = Outbox(socket, lambda: PeerLost("the connection to the client was lost"))

    async def connected(self) -> None:
        """The gateway has accepted the socket already."""

    async def receive(self, intake: Intake) -> None:
        """Delivers messages until the client leaves: then raises `PeerGone`, or `PeerLost` when the connection broke
        without a closing frame. The writer runs here too."""
        await until_gone(self._outbox.write(), self._read(intake))

    async def speak(self, pull: Pull) -> Never:
        """Pulls in real time and drops the frames: an estimate of what the client plays."""
        await pull_in_real_time(pull)

    def send(self, text: bytes) -> None:
        """Queues one event. Raises `PeerGone` when more than the bound is waiting."""
        if self._outbox.size + len(text) > self._max_queued:
            raise PeerGone(f"the client reads too slowly: {self._outbox.size} bytes of events are waiting for it")
        self._outbox.put(text.decode())

    async def close(self, ending: Ending) -> None:
        """Sends what is queued, then the close frame: the reason's code, and as much of `ending` as fits."""
        text = str(ending).encode()[:MAX_REASON].decode(errors="ignore")
        try:
            async with asyncio.timeout(GOODBYE):
                await self._outbox.flush()
                if self._outbox.is_open:
                    await self._socket.close(CLOSE_CODES[ending.reason], text)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # the client is gone or stuck: the server drops the connection when the handler returns

    async def _read(self, intake: Intake) -> Never:
        while True:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                if frame.get("reason") is None or frame.get("code") == ABNORMAL:
                    raise PeerLost("the connection to the client was lost")  # only a closing frame has a reason
                words = f": {frame['reason']}" if frame["reason"] else ""
                raise PeerGone(f"the client closed the socket ({frame.get('code', 1005)}{words})")
            text = frame.get("text")
            await intake.deliver(Message(frame["bytes"] if text is None else text))
