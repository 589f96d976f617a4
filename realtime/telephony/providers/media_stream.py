"""A media stream as a phone connection.

    socket ──frame──► dialect.parse ──┬─ Media ──► InboundAudio ──► intake: Sound
                                      ├─ DtmfReceived ────────────► intake: Keys
                                      ├─ MarkReached ──► Playback
                                      ├─ StreamStopped ──► PeerGone
                                      └─ BadFrame ───────► UnreadableFrames: passed over
    pull ──20 ms──► encode ──► media, mark ──► queue ──► socket          recall: queue emptied, "clear"

Audio leaves in real time, but for a lead at its beginning: the provider then has something to play while the network
stalls. In pauses nothing is sent. The lead costs nothing at a barge-in, for what was not played is taken back.

`InboundAudio` and `Playback` are cores.
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
from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.dtmf import DtmfTones
from vivavoce.realtime.telephony.errors import BadFrame, NotSupported
from vivavoce.realtime.telephony.providers import Dialect, MarkReached, Media, StreamStopped
from vivavoce.realtime.telephony.unreadable import UnreadableFrames
from vivavoce.realtime.transports import CloseReason, Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.pacing import PERIOD, Pace
from vivavoce.realtime.transports.queues import Outbox, until_gone
from vivavoce.realtime.transports.webrtc.jitter_buffer import JitterBuffer, Packet

LEAD: Final = 3
"""Frames (60 ms) that leave at once when audio begins."""

HANGOVER: Final = 25
"""Silent frames (0.5 s) that are still sent behind audio: the pauses within an answer keep their length."""

MARK_EVERY: Final = 5
"""Frames (0.1 s) between two marks."""

MAX_QUEUED: Final = 500
"""Messages that may wait for a provider that reads slowly."""

LAST_WORDS: Final = 2.0
"""Seconds for which the last words may still be playing when the connection is closed."""

GOODBYE: Final = 2.0
"""Seconds that closing the socket may take."""

_SILENCE: Final[Samples] = np.zeros(FRAME, np.float32)


class MediaStreamConnection:
    """Implements `PhoneConnection` on an accepted socket whose first messages have been read."""

    def __init__(
        self, socket: WebSocket, dialect: Dialect, redirect: Callable[[str], bool], unreadable: UnreadableFrames
    ) -> None:
        """`redirect`: connects the call to another number once the socket is closed; False when it cannot."""
        self._socket = socket
        self._dialect = dialect
        self._redirect = redirect
        width = codecs.width(dialect.encoding)
        self._inbound = InboundAudio(codecs.decoder(dialect.encoding, dialect.rate), width)
        self._encoder = codecs.encoder(dialect.encoding, dialect.rate)
        self._playback = Playback()
        self._tones = DtmfTones()
        self._outbox = Outbox(socket, lambda: PeerGone("the provider closed the stream"))
        self._batch = bytearray()
        self._batched = 0  # frames in it
        self._unmarked = 0  # frames sent since the last mark
        self._quiet = HANGOVER  # silent frames since the last audible one
        self._far_end_left = False
        self._unreadable = unreadable

    async def connected(self) -> None:
        """Returns at once: the stream began before the connection was made."""

    async def receive(self, intake: Intake) -> None:
        """Hands audio and keys to `intake` until the caller hangs up. Raises `PeerGone`. Runs the writer, too."""
        await until_gone(self._receive(intake), self._outbox.write())

    async def speak(self, pull: Pull) -> Never:
        """Pulls in real time, `LEAD` frames ahead while there is audio."""
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
        """Sends the frames that are ready ahead of their time; returns how many were pulled."""
        for ahead in range(1, max(LEAD, self._dialect.batch) + 1):
            frame = pull()
            if not frame.any():  # nothing more yet: silence in front of it would be a gap
                self._playback.skipped()
                return ahead
            self._send(frame)
        return ahead

    def recall(self) -> int:
        """See `PhoneConnection`."""
        self._outbox.keep(lambda message: message == self._dialect.clear())  # queued media and marks are obsolete
        self._batch.clear()
        self._batched = self._unmarked = 0
        self._quiet = HANGOVER
        self._outbox.put(self._dialect.clear())
        return self._playback.clear(asyncio.get_running_loop().time())

    async def send_dtmf(self, keys: str) -> None:
        """Sends keys as tones in the audio; returns when they are sent."""
        await asyncio.sleep(self._tones.add(keys) / SAMPLE_RATE)

    async def transfer(self, target: str) -> None:
        """Sets the number that the provider gets when it asks what to do after the stream. Raises `NotSupported`."""
        if not self._redirect(target):
            raise NotSupported("this telephone line cannot transfer calls")

    async def close(self, ending: Ending) -> None:
        """Waits for the last words to be played, then closes the socket: the provider hangs up."""
        loop = asyncio.get_running_loop()
        try:
            if not self._far_end_left and ending.reason is not CloseReason.ERROR:
                async with asyncio.timeout(LAST_WORDS):
                    await self._outbox.flush()
                    await self._until_played(loop.time)
        except (TimeoutError, WebSocketDisconnect, RuntimeError, PeerGone):
            pass  # the far end is gone, or does not read
        try:
            async with asyncio.timeout(GOODBYE):
                if self._outbox.is_open:
                    await self._socket.close(1000)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # the server drops the connection when the handler returns

    # --- out -------------------------------------------------------------------------------------------------------

    def _send(self, frame: Samples) -> None:
        """Sends one pulled frame, unless it is part of a pause. Raises `PeerGone` when too much waits."""
        frame = self._tones.mix(frame)
        payload = self._encoder.encode(frame)  # always: its filter has memory
        audible = bool(frame.any())
        ended = not audible and self._quiet == HANGOVER - 1
        self._quiet = 0 if audible else min(self._quiet + 1, HANGOVER)
        if self._quiet == HANGOVER and not ended:
            self._playback.skipped()
            return
        self._batch += payload
        self._batched += 1
        if self._batched >= self._dialect.batch or ended:
            self._post_batch(ended)

    def _post_batch(self, ended: bool) -> None:
        if len(self._outbox) >= MAX_QUEUED:
            raise PeerGone(f"the provider reads too slowly: {len(self._outbox)} messages are waiting for it")
        now = asyncio.get_running_loop().time()
        short = self._dialect.batch - self._batched  # padded with silence to the least length
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

    async def _receive(self, intake: Intake) -> Never:
        while True:
            match await self._next():
                case Media(payload=payload, at=at):
                    for samples in self._inbound.receive(payload, at):
                        await intake.deliver(Sound(samples))
                case DtmfReceived(key=key):
                    await intake.deliver(Keys(key))

    async def _next(self) -> Media | DtmfReceived | None:
        """The next event that has to be delivered; handles the others. Raises `PeerGone`."""
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            self._far_end_left = True
            raise PeerGone("the provider closed the stream")
        text = frame.get("text")
        try:
            event = self._dialect.parse(frame["bytes"] if text is None else text)
        except BadFrame as bad:
            self._unreadable.skip(str(bad))
            return None
        self._unreadable.read()
        match event:
            case MarkReached(name=name):
                self._playback.mark_reached(name, asyncio.get_running_loop().time())
                return None
            case StreamStopped():
                self._far_end_left = True
                raise PeerGone("the caller hung up")
        return event

    async def _until_played(self, clock: Callable[[], float]) -> None:
        """Waits until the last words were played, and reads marks meanwhile."""
        while (left := self._playback.remaining(clock())) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._next()
            except TimeoutError:
                return


LONGEST_GAP: Final = 50
"""Packets that may be missing at once; a larger jump of the time stamps is a new count."""


class InboundAudio:
    """The caller's audio without gaps: conceals lost packets and reorders late ones.

        Media(payload, at) ──► position by its time stamp ──► JitterBuffer (decoder, concealment) ──► Samples

    Over TCP nothing is lost or late; a loss on the carrier's side shows as a jump of the time stamps. So the clock here
    is that of the newest packet: a gap is closed as soon as a newer packet arrives, and a burst is never late."""

    def __init__(self, decoder: Decoder, width: int) -> None:
        """`width`: bytes of one tick of the codec's clock."""
        self._clock_hz = decoder.clock_hz
        self._width = width
        self._jitter_buffer = JitterBuffer(decoder)
        self._position = 0  # of the previous packet
        self._newest = 0
        self._at: int | None = None
        self._began = False

    def receive(self, payload: bytes, at: int | None) -> list[Samples]:
        """The next packet, `at` milliseconds of the stream if known; returns the audio that is complete."""
        ticks = len(payload) // self._width
        if not ticks:
            return []
        self._position += self._step(at, ticks)
        self._at = at
        self._newest = max(self._newest, self._position)
        now = (self._newest + 1) * ticks / self._clock_hz
        packet = Packet(1, self._position & 0xFFFF, self._position * ticks & 0xFFFFFFFF, payload)
        return self._jitter_buffer.receive(packet, now)

    @property
    def lost(self) -> int:
        """Samples concealed so far."""
        return self._jitter_buffer.lost

    def _step(self, at: int | None, ticks: int) -> int:
        """Packets from the previous one to this one."""
        if not self._began:
            self._began = True
            return 0
        if at is None or self._at is None:
            return 1
        steps = round((at - self._at) * self._clock_hz / (1000 * ticks))
        return steps if steps and abs(steps) <= LONGEST_GAP else 1


STUCK: Final = 1.0
"""Seconds by which a mark may be late before only the marks that came back count as played."""


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    frames: int
    due: float  # when its audio will have been played, without network delay


class Playback:
    """Estimates how many of the frames sent the caller has heard, by the clock and by marks.

        sent(frames) ──► [ played │ in the network │ queued at the provider ]
                                 ▲                          │
          marks come back ───────┘           clear ─────────┘ dropped: never heard

    A mark comes back one round trip after its audio was played. The shortest delay seen is the round trip; what exceeds
    it is a stall: the provider had nothing to play for a while, so all that follows is later, too. At a barge-in
    `heard` tells what will have been played when the "clear" arrives, which takes as long as the mark's way back.

    Frames are of 20 ms; `now` in seconds."""

    def __init__(self) -> None:
        self._frames = 0  # pulled from the call so far
        self._last = 0  # of these, up to the last one that was sent
        self._ends = 0.0  # when all sent frames will have been played, without network delay
        self._round_trip: float | None = None
        self._stall = 0.0
        self._confirmed = 0
        self._clears = 0
        self._marks: deque[_Mark] = deque()

    def sent(self, frames: int, now: float) -> None:
        """Counts frames that were sent."""
        if self._ends + self._stall < now:
            self._ends, self._stall = now, 0.0
        self._ends += frames * PERIOD
        self._frames += frames
        self._last = self._frames

    def skipped(self) -> None:
        """Counts a silent frame that was not sent."""
        self._frames += 1

    def mark(self) -> str:
        """The name of a mark that is sent now."""
        name = f"{self._clears}.{self._frames}"
        self._marks.append(_Mark(name, self._frames, self._ends))
        return name

    def mark_reached(self, name: str, now: float) -> None:
        """A mark came back. Marks from before the last clear are ignored."""
        if not any(mark.name == name for mark in self._marks):
            return
        while (mark := self._marks.popleft()).name != name:
            pass
        late = now - mark.due
        self._round_trip = late if self._round_trip is None else min(self._round_trip, late)
        self._stall = max(0.0, late - self._round_trip)
        self._confirmed = mark.frames

    def heard(self, now: float) -> int:
        """Frames that will have been played when a message that is sent now arrives."""
        if self._marks and self._round_trip is not None and self._marks[0].due + self._round_trip + STUCK < now:
            return self._confirmed
        left = self._ends + self._stall - now
        if left <= 0:
            return self._frames
        return max(self._confirmed, self._last - ceil(round(left / PERIOD, 6)))

    def clear(self, now: float) -> int:
        """The provider drops its queue; returns the frames heard until then."""
        heard = self.heard(now)
        self._clears += 1
        self._marks.clear()
        self._ends, self._stall = now, 0.0
        return heard

    def remaining(self, now: float) -> float:
        """Seconds until all sent frames will have been played and the last mark is back."""
        return max(0.0, self._ends + self._stall + (self._round_trip or 0.0) - now)
