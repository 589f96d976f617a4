"""Sound and pictures between aiortc's tracks and the call. The only module that knows PyAV.

    RTP ──Hearing──► samples, at once          (microphone.py decides, opus.py or g711.py decodes, on the event loop)
    RTP ──Camera──► two RGB pictures a second  (aiortc decodes on a thread of its own; we convert on another)
    pull() ──Speaker──► RTP                    (paced here, encoded here; aiortc's sender only wraps the packets)

Nothing here decides what is said or seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from typing import Never

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import Packet as EncodedPacket
from av import VideoFrame
from av.stream import Stream
from numpy.typing import NDArray

from vivavoce.codecs import g711, opus
from vivavoce.codecs.audio import FRAME, Samples
from vivavoce.codecs.packets import Decoder
from vivavoce.model.dialogue import Picture
from vivavoce.realtime.transports import Pull
from vivavoce.realtime.transports.pacing import Pace
from vivavoce.realtime.transports.webrtc.jitter_buffer import JitterBuffer, Packet

PICTURE_PERIOD = 0.5
"""Seconds between two pictures handed on."""

PICTURE_SIDE = 640
"""Pixels of a picture's longer side, at most; more does not help the models that look."""

_OWN_STALL = 0.01  # a timer this late (seconds) says that the loop stood still, not the network


class AudioReceiver:
    """Feeds one `JitterBuffer` with packets and with time. `heard` gets the samples, on the event loop."""

    def __init__(self, decoder: Decoder, heard: Callable[[Samples], None]) -> None:
        self._microphone = JitterBuffer(decoder)
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def receive(self, packet: Packet) -> None:
        """Takes one packet off the wire."""
        if self._closed:
            return
        self._tell(self._microphone.receive(packet, self._loop.time()))
        if self._timer is None:
            self._wait()

    @property
    def lost(self) -> int:
        """Samples that had to be recovered or guessed so far."""
        return self._microphone.lost

    def close(self) -> None:
        """Stops the clock."""
        self._closed = True
        if self._timer:
            self._timer.cancel()

    def _wait(self) -> None:
        deadline = self._microphone.deadline
        if deadline is not None:
            # No sooner than in 5 ms: one timer serves all packets, it is not moved with each of them.
            self._timer = self._loop.call_at(max(deadline, self._loop.time() + 0.005), self._tick)

    def _tick(self) -> None:
        assert self._timer is not None
        late = self._loop.time() - self._timer.when()
        if late < _OWN_STALL:  # else packets may be waiting in the socket: they first
            self._tell(self._microphone.tick(self._loop.time()))
        self._wait()

    def _tell(self, sounds: list[Samples]) -> None:
        for samples in sounds:
            self._heard(samples)


class AudioSender(MediaStreamTrack):
    """The track we send: silence, until somebody speaks."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder: opus.Encoder | g711.Encoder = opus.Encoder()
        self._clock_hz = opus.CLOCK_HZ
        self._pace = Pace()
        self._pull: Pull = silence
        self._failed: asyncio.Future[None] | None = None
        self.pulled = 0
        """Frames that were pulled for sending so far; what is sent before anybody speaks does not count."""

    def encode_with(self, encoder: opus.Encoder | g711.Encoder, clock_hz: int) -> None:
        """Sets the codec that was agreed upon, before the first frame."""
        self._encoder, self._clock_hz = encoder, clock_hz

    async def speak(self, pull: Pull) -> None:
        """Sends what `pull` gives, from when the peer is connected, for ever. Raises what `pull` raises."""
        self._failed = asyncio.get_running_loop().create_future()
        self._pull = pull
        try:
            await self._failed
        finally:
            self._pull = silence

    async def recv(self) -> EncodedPacket[Stream]:
        """The next packet, when it is due; aiortc's sender calls it. Samples are pulled at the last moment."""
        loop = asyncio.get_running_loop()
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            number, due = self._pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            payload = self._encoder.encode(self._next())
            if len(payload) > 2:  # shorter ones are DTX: not to be sent (RFC 6716 section 2.1.9)
                packet = EncodedPacket(payload)
                packet.pts = number * self._clock_hz // 50
                packet.time_base = Fraction(1, self._clock_hz)
                return packet

    def _next(self) -> Samples:
        if self._pull is silence:
            return silence()
        try:
            samples = self._pull()
            self.pulled += 1
            return samples
        except Exception as error:  # a border: it belongs to whoever speaks, not to aiortc's sender
            self._pull = silence
            if self._failed and not self._failed.done():
                self._failed.set_exception(error)
            return silence()


class Camera:
    """Drains a video track; shows two pictures a second, each the freshest there is."""

    def __init__(self, seen: Callable[[Picture], None]) -> None:
        self._seen = seen
        self._freshest: tuple[VideoFrame, float] | None = None
        self._arrived = asyncio.Event()

    async def watch(self, track: MediaStreamTrack) -> None:
        """Runs until cancelled. A track that ends (camera off) is no error."""
        with ThreadPoolExecutor(1, "camera") as thread:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drain(track))
                group.create_task(self._show(thread))

    async def _drain(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                self._freshest = frame, loop.time()
                self._arrived.set()

    async def _show(self, thread: ThreadPoolExecutor) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            await asyncio.sleep(0)  # lets a backlog drain first
            assert self._freshest is not None
            frame, at = self._freshest
            self._arrived.clear()
            self._seen(Picture(await loop.run_in_executor(thread, rgb, frame), at))
            await asyncio.sleep(PICTURE_PERIOD)


def rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """The frame as RGB, shape (height, width, 3), its longer side at most `PICTURE_SIDE` pixels."""
    scale = min(1.0, PICTURE_SIDE / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    return np.asarray(frame.to_ndarray(width=width, height=height, format="rgb24"), np.uint8)


def silence() -> Samples:
    """One frame of it."""
    return np.zeros(FRAME, np.float32)
