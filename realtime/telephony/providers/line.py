"""A media stream as a phone line.

    socket ──frame──► dialect.read ──┬─ Media ──► Inbound ──► intake: Sound
                                     ├─ Pressed ───────────► intake: Keys
                                     ├─ Marked ──► Playback
                                     └─ Left ──► PeerGone
    pull ──20 ms──► encode ──► media, mark ──► queue ──► socket          recall: queue emptied, "clear"

Sound leaves in real time, but for a lead at its beginning: the provider then has something to play while the network
hesitates. In pauses nothing is sent. Nothing is lost by the lead, for what was not heard is taken back at a cut.

Sound of a stream, without gaps: lost pieces are concealed, pieces in the wrong order put right.

    Media(payload, at) ──► place by its time ──► Microphone (decoder, concealment) ──► Samples

Over TCP nothing is lost or late; what the carrier lost shows as a jump of the time stamps. So the clock here is that
of the newest piece: a hole is closed as soon as something newer has come, and a burst is late for nothing.

How much of what was sent the caller has heard, by the clock and by marks.

    sent(frames) ──► [ played │ under way │ waiting at the provider ]
                             ▲                        │
      marks come back ───────┘       clear ───────────┘ dropped: never heard

A mark comes back one round trip after its sound was played; the shortest delay seen is the round trip, and what exceeds
it is a stall: the provider had nothing to play for a while, so all that follows is later, too. `heard` asked at a cut
says what will have been played when the "clear" arrives, which takes as long as the mark's way back did.

Frames are of 20 ms. A core; `now` in seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final, Never

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.packets import Decoder
from vivavoce.realtime.telephony import CannotDo
from vivavoce.realtime.telephony.dtmf import Tones
from vivavoce.realtime.telephony.providers import BadFrame, Dialect, Left, Marked, Media, Pressed
from vivavoce.realtime.transports import CloseReason, Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.pacing import PERIOD, Pace
from vivavoce.realtime.transports.queues import Outbox, until_gone
from vivavoce.realtime.transports.webrtc.jitter_buffer import JitterBuffer, Packet

LEAD: Final = 3
"""Frames (60 ms) that leave at once when sound begins."""

HANGOVER: Final = 25
"""Silent frames (0.5 s) that are still sent behind sound: the pauses within an answer keep their length."""

MARK_EVERY: Final = 5
"""Frames (0.1 s) between two marks."""

MAX_QUEUED: Final = 500
"""Messages that may wait for a provider that reads slowly."""

FAREWELL: Final = 2.0
"""Seconds for which the last words may still be playing when the line is closed."""

GOODBYE: Final = 2.0
"""Seconds that closing the socket may take."""

_SILENCE: Final[Samples] = np.zeros(FRAME, np.float32)


class StreamLine:
    """Implements `PhoneLine` on an accepted socket whose first messages have been read."""

    def __init__(self, socket: WebSocket, dialect: Dialect, redirect: Callable[[str], bool]) -> None:
        """`redirect`: the call goes to another number once the socket is closed; False when it cannot."""
        self._socket = socket
        self._dialect = dialect
        self._redirect = redirect
        width = codecs.width(dialect.encoding)
        self._inbound = Inbound(codecs.decoder(dialect.encoding, dialect.rate), width)
        self._encoder = codecs.encoder(dialect.encoding, dialect.rate)
        self._playback = Playback()
        self._tones = Tones()
        self._outbox = Outbox(socket, lambda: PeerGone("the provider closed the stream"))
        self._batch = bytearray()
        self._batched = 0  # frames in it
        self._unmarked = 0  # frames sent since the last mark
        self._quiet = HANGOVER  # silent frames since the last sound
        self._left = False  # the far end has

    async def connected(self) -> None:
        """The stream has begun before there is a line."""

    async def receive(self, intake: Intake) -> None:
        """Delivers sound and keys until the caller hangs up. Raises `PeerGone`. The writer lives here too."""
        await until_gone(self._read(intake), self._outbox.write())

    async def speak(self, pull: Pull) -> Never:
        """Pulls in real time, `LEAD` frames ahead while there is sound."""
        loop = asyncio.get_running_loop()
        pace = Pace()
        ahead = 0
        while True:
            _, due = pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            if ahead and self._quiet >= HANGOVER:
                ahead -= 1  # the lead is over: real time catches up
                continue
            began = self._quiet >= HANGOVER
            self._send(pull())
            if began and not self._quiet:
                ahead = self._take_lead(pull)

    def _take_lead(self, pull: Pull) -> int:
        """Sends what there is ahead of its time; returns how many frames were pulled."""
        for ahead in range(1, max(LEAD, self._dialect.batch) + 1):
            frame = pull()
            if not frame.any():  # nothing more yet: silence in front of it would be a gap
                self._playback.passed()
                return ahead
            self._send(frame)
        return ahead

    def recall(self) -> int:
        """See `PhoneLine`."""
        self._outbox.keep(lambda message: message == self._dialect.clear())  # sound and marks are of no use now
        self._batch.clear()
        self._batched = self._unmarked = 0
        self._quiet = HANGOVER
        self._outbox.put(self._dialect.clear())
        return self._playback.clear(asyncio.get_running_loop().time())

    async def press(self, keys: str) -> None:
        """Sends keys as tones within the sound, as telephones have always done; returns when they are sent."""
        await asyncio.sleep(self._tones.press(keys) / SAMPLE_RATE)

    async def transfer(self, target: str) -> None:
        """The provider asks what to do next when the socket is closed, and is told the number. Raises `CannotDo`."""
        if not self._redirect(target):
            raise CannotDo("this telephone line cannot transfer calls")

    async def close(self, ending: Ending) -> None:
        """Lets the last words be heard, and closes the socket: the provider hangs up."""
        loop = asyncio.get_running_loop()
        try:
            if not self._left and ending.reason not in (CloseReason.ERROR, CloseReason.SHUTDOWN):
                async with asyncio.timeout(FAREWELL):
                    await self._outbox.flush()
                    await self._listen_for_marks(loop.time)
        except (TimeoutError, WebSocketDisconnect, RuntimeError, PeerGone):
            pass  # gone, or nobody listens
        try:
            async with asyncio.timeout(GOODBYE):
                if self._outbox.is_open:
                    await self._socket.close(1000)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # the server drops the connection when the handler returns

    # --- out -------------------------------------------------------------------------------------------------------

    def _send(self, frame: Samples) -> None:
        """One frame that was pulled. Raises `PeerGone` when too much waits."""
        frame = self._tones.mix(frame)
        payload = self._encoder.encode(frame)  # always: its filter remembers
        sounds = bool(frame.any())
        ended = not sounds and self._quiet == HANGOVER - 1
        self._quiet = 0 if sounds else min(self._quiet + 1, HANGOVER)
        if self._quiet == HANGOVER and not ended:
            self._playback.passed()
            return
        self._batch += payload
        self._batched += 1
        if self._batched >= self._dialect.batch or ended:
            self._post_batch(ended)

    def _post_batch(self, ended: bool) -> None:
        if len(self._outbox) >= MAX_QUEUED:
            raise PeerGone(f"the provider reads too slowly: {len(self._outbox)} messages are waiting for it")
        now = asyncio.get_running_loop().time()
        short = self._dialect.batch - self._batched  # filled up with silence: there is a least length
        silence = self._encoder.encode(_SILENCE) * short if short else b""
        self._outbox.put(self._dialect.media(bytes(self._batch) + silence))
        self._playback.sent(self._batched, now)
        self._unmarked += self._batched
        self._batch.clear()
        self._batched = 0
        if self._unmarked >= MARK_EVERY or ended:
            self._unmarked = 0
            self._outbox.put(self._dialect.mark(self._playback.mark()))

    # --- in --------------------------------------------------------------------------------------------------------

    async def _read(self, intake: Intake) -> Never:
        while True:
            match await self._next():
                case Media(payload=payload, at=at):
                    for samples in self._inbound.receive(payload, at):
                        await intake.deliver(Sound(samples))
                case Pressed(key=key):
                    await intake.deliver(Keys(key))

    async def _next(self) -> Media | Pressed | None:
        """The next event that is not our own business. Raises `PeerGone`."""
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            self._left = True
            raise PeerGone("the provider closed the stream")
        text = frame.get("text")
        try:
            event = self._dialect.read(frame["bytes"] if text is None else text)
        except BadFrame as bad:
            raise PeerGone(f"the provider cannot be understood: {bad}") from bad
        match event:
            case Marked(name=name):
                self._playback.echoed(name, asyncio.get_running_loop().time())
                return None
            case Left():
                self._left = True
                raise PeerGone("the caller hung up")
        return event

    async def _listen_for_marks(self, clock: Callable[[], float]) -> None:
        """Waits until the last words were heard."""
        while (left := self._playback.left(clock())) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._next()
            except TimeoutError:
                return


LONGEST_HOLE: Final = 50
"""Pieces that may be missing at once; more is no loss but a new count."""


class Inbound:
    """One call's microphone."""

    def __init__(self, decoder: Decoder, width: int) -> None:
        """`width`: bytes of one tick of the codec's clock."""
        self._clock_hz = decoder.clock_hz
        self._width = width
        self._microphone = JitterBuffer(decoder)
        self._place = 0  # of the piece before
        self._newest = 0
        self._at: int | None = None
        self._began = False

    def receive(self, payload: bytes, at: int | None) -> list[Samples]:
        """The next piece, `at` milliseconds of the stream if that is known; returns what can be heard now."""
        ticks = len(payload) // self._width
        if not ticks:
            return []
        self._place += self._step(at, ticks)
        self._at = at
        self._newest = max(self._newest, self._place)
        now = (self._newest + 1) * ticks / self._clock_hz
        packet = Packet(1, self._place & 0xFFFF, self._place * ticks & 0xFFFFFFFF, payload)
        return self._microphone.receive(packet, now)

    @property
    def lost(self) -> int:
        """Samples concealed so far."""
        return self._microphone.lost

    def _step(self, at: int | None, ticks: int) -> int:
        """How many pieces further this one is than the one before."""
        if not self._began:
            self._began = True
            return 0
        if at is None or self._at is None:
            return 1
        steps = round((at - self._at) * self._clock_hz / (1000 * ticks))
        return steps if steps and abs(steps) <= LONGEST_HOLE else 1


STUCK: Final = 1.0
"""Seconds by which a mark may be late before nothing but marks is believed."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    frames: int
    due: float  # when its sound will have been played if it travels in no time


class Playback:
    """One call's."""

    def __init__(self) -> None:
        self._frames = 0  # pulled from the call so far
        self._last = 0  # of these, up to the last one that was sent
        self._ends = 0.0  # when all that was sent will have been played, if it travels in no time
        self._trip: float | None = None
        self._stall = 0.0
        self._confirmed = 0
        self._round = 0  # of clears
        self._marks: deque[_Mark] = deque()

    def sent(self, frames: int, now: float) -> None:
        """So many frames were sent."""
        if self._ends + self._stall < now:
            self._ends, self._stall = now, 0.0
        self._ends += frames * PERIOD
        self._frames += frames
        self._last = self._frames

    def passed(self) -> None:
        """A frame was silent, and was not sent."""
        self._frames += 1

    def mark(self) -> str:
        """The name of a mark that is being sent now."""
        name = f"{self._round}.{self._frames}"
        self._marks.append(_Mark(name, self._frames, self._ends))
        return name

    def echoed(self, name: str, now: float) -> None:
        """A mark came back; those of an earlier round say nothing."""
        if not any(mark.name == name for mark in self._marks):
            return
        while (mark := self._marks.popleft()).name != name:
            pass
        late = now - mark.due
        self._trip = late if self._trip is None else min(self._trip, late)
        self._stall = max(0.0, late - self._trip)
        self._confirmed = mark.frames

    def heard(self, now: float) -> int:
        """How many frames will have been played when what is sent now arrives."""
        if self._marks and self._trip is not None and self._marks[0].due + self._trip + STUCK < now:
            return self._confirmed
        left = self._ends + self._stall - now
        if left <= 0:
            return self._frames
        return max(self._confirmed, self._last - ceil(round(left / PERIOD, 6)))

    def clear(self, now: float) -> int:
        """What waits at the provider is dropped; returns what was heard until then."""
        heard = self.heard(now)
        self._round += 1
        self._marks.clear()
        self._ends, self._stall = now, 0.0
        return heard

    def left(self, now: float) -> float:
        """Seconds until all that was sent will have been heard, and we know it."""
        return max(0.0, self._ends + self._stall + (self._trip or 0.0) - now)
