"""A call that Asterisk brought over a WebSocket, as a phone line.

    binary frames ──► Sound          text frames ──► Keys, marks, errors
    pull, a little ahead ──► binary frames           cut, hang-up, marks ──► text frames

Asterisk plays out of a queue which we keep short; at a cut it is emptied, and what was heard is known to the frame.

How many of the frames that Asterisk was sent are still in its queue, and when it wants the next; a core.

    sent ──► [ queue: one frame leaves each 20 ms ] ──► the caller
             └── `due`: never fewer than it needs, never more than `AHEAD`       mark ──► played: the clock is set right

Silence is sent when it is needed and not before, so that the first word after it waits behind nothing.

Asterisk tells when a mark was reached, which is once in half a second; in between, time tells. `now` is in seconds, on
any clock that does not run backwards.
"""

from __future__ import annotations

import asyncio
import logging
from math import ceil
from typing import Final, Never

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.realtime.telephony import CannotDo
from vivavoce.realtime.telephony.asterisk import websocket as asterisk
from vivavoce.realtime.telephony.asterisk.audiosocket_line import Gaps
from vivavoce.realtime.telephony.asterisk.pcm import WireSound
from vivavoce.realtime.transports import Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.queues import Outbox, until_gone

log = logging.getLogger(__name__)

MAX_WAITING: Final = 250
"""Frames of the wire that may wait for an Asterisk that does not read: five seconds."""

GOODBYE: Final = 1.0


class AsteriskLine:
    """Implements `PhoneLine` on an accepted socket whose call has begun."""

    def __init__(self, socket: WebSocket, began: asterisk.Began) -> None:
        self._socket = socket
        self._plain = began.plain
        law = {"ulaw": "mu", "alaw": "a"}.get(began.format)
        self._sound = WireSound(began.rate, law)  # type: ignore[arg-type]  # the two laws there are
        self._queue = FarQueue(asyncio.get_running_loop().time())
        self._outbox = Outbox(socket, lambda: PeerGone("the connection to Asterisk was lost"))
        self._room = asyncio.Event()
        self._room.set()

    async def connected(self) -> None:
        """It is: the first event has come."""

    def answer(self) -> None:
        """Answers a call that was dialled without being answered by itself (option n)."""
        self._command("ANSWER")

    async def receive(self, intake: Intake) -> Never:
        """See `PhoneLine`. The writer lives here too."""
        await until_gone(self._outbox.write(), self._listen(intake))
        raise PeerGone("the caller hung up")

    async def speak(self, pull: Pull) -> Never:
        """See `PhoneLine`."""
        loop = asyncio.get_running_loop()
        while True:
            await self._room.wait()
            await asyncio.sleep(self._queue.due(loop.time()) - loop.time())
            frame = pull()
            self._post(self._sound.say(frame))
            if mark := self._queue.send(loop.time(), bool(frame.any())):
                self._command("MARK_MEDIA", mark)

    def recall(self) -> int:
        """See `PhoneLine`."""
        self._outbox.keep(lambda frame: isinstance(frame, str))
        self._command("FLUSH_MEDIA")
        return self._queue.flush(asyncio.get_running_loop().time())

    async def press(self, keys: str) -> None:
        """Raises `CannotDo`."""
        raise CannotDo("keys cannot be pressed on this line")

    async def transfer(self, target: str) -> None:
        """Raises `CannotDo`."""
        raise CannotDo("calls cannot be transferred from this line")

    async def close(self, ending: Ending) -> None:
        """Hangs up when the last frame has been played."""
        now = asyncio.get_running_loop().time()
        left = self._queue.sent - self._queue.heard(now)
        try:
            async with asyncio.timeout(GOODBYE):
                await self._outbox.flush()
                await asyncio.sleep(left * 0.02)
                self._command("HANGUP")
                await self._outbox.flush()
                if self._outbox.is_open:
                    await self._socket.close()
        except (TimeoutError, PeerGone, WebSocketDisconnect, RuntimeError):
            pass  # gone or stuck: the server drops the connection when the route returns

    # --- how it is done --------------------------------------------------------------------------------------------

    async def _listen(self, intake: Intake) -> Never:
        loop = asyncio.get_running_loop()
        gaps = Gaps(loop.time())
        while True:
            try:
                async with asyncio.timeout_at(gaps.deadline):
                    frame = await self._socket.receive()
            except TimeoutError:
                await intake.deliver(Sound(np.zeros(gaps.missing(loop.time()), np.float32)))
                continue
            if frame["type"] == "websocket.disconnect":
                raise PeerGone("the caller hung up")
            if (text := frame.get("text")) is None:
                sound = self._heard(frame["bytes"])
                gaps.heard(len(sound.samples), loop.time())
                await intake.deliver(sound)
            elif (keys := self._read(text)) is not None:
                await intake.deliver(keys)

    def _heard(self, content: bytes) -> Sound:
        try:
            return Sound(self._sound.hear(content))
        except ValueError:
            raise PeerGone(f"Asterisk sent what is no sound: {len(content)} bytes") from None

    def _read(self, text: str) -> Keys | None:
        try:
            event = asterisk.read(text)
        except asterisk.WireBroken as broken:
            raise PeerGone(f"Asterisk sent {broken}") from broken
        match event:
            case asterisk.Pressed(key=key):
                return Keys(key)
            case asterisk.Played(mark=mark):
                self._queue.played(mark, asyncio.get_running_loop().time())
            case asterisk.Held(full=full):
                (self._room.clear if full else self._room.set)()
            case asterisk.Failed(why=why):
                log.warning("Asterisk refused a command", extra={"reason": why})
            case _:
                pass  # nothing that we asked for
        return None

    def _command(self, name: str, correlation_id: str = "") -> None:
        self._post(asterisk.command(self._plain, name, correlation_id))

    def _post(self, frame: str | bytes) -> None:
        if len(self._outbox) >= MAX_WAITING:
            raise PeerGone("Asterisk does not read what it is sent")
        self._outbox.put(frame)


PERIOD: Final = 0.02

AHEAD: Final = 3
"""Frames that may wait: 60 ms bridge what a busy machine makes us late, and are taken back when somebody cuts in."""

MARKED: Final = 25
"""Every so many frames there is a mark."""


class FarQueue:
    """One call's."""

    def __init__(self, now: float) -> None:
        self._empty_at = now
        self._ahead = 1
        self.sent = 0
        """Frames since the call began."""

    def due(self, now: float) -> float:
        """When the next frame should leave."""
        return max(self._empty_at - (self._ahead - 1) * PERIOD, now)

    def send(self, now: float, sounds: bool = True) -> str:
        """A frame leaves, silent or not. Returns the name of a mark that should follow it, or ""."""
        self.sent += 1
        self._ahead = AHEAD if sounds else 1
        late = now - self._empty_at
        self._empty_at = (self._empty_at if late < PERIOD else now) + PERIOD  # a little late keeps the beat
        return str(self.sent) if self.sent % MARKED == 0 else ""

    def played(self, mark: str, now: float) -> None:
        """Asterisk reached a mark: so many frames have left its queue. Names that are not ours are passed over."""
        if mark.isascii() and mark.isdigit() and int(mark) <= self.sent:
            self._empty_at = now + (self.sent - int(mark)) * PERIOD

    def heard(self, now: float) -> int:
        """Frames that have left its queue."""
        return self.sent - max(0, ceil((self._empty_at - now) / PERIOD - 1e-6))

    def flush(self, now: float) -> int:
        """The queue was emptied; returns what `heard` did before."""
        heard = self.heard(now)
        self._empty_at = now
        return heard
