"""Moves sound and pictures between aiortc's tracks and the transport. The only module that knows PyAV.

RTP ──AudioReceiver──► samples, at once    (ordered by jitter_buffer.py, decoded on the event loop)
RTP ──Camera──► two RGB pictures a second  (decoded on a thread of aiortc, converted on one of ours)
pull() ──AudioSender──► RTP                (paced and encoded here; aiortc's sender only wraps the packets)
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
"""Pixels of a picture's longer side, at most; more does not help the models."""

CAMERA_OFF = 5.0
"""Seconds without a frame, after which the camera is off. A shared screen that stands still sends one a second."""

_OWN_STALL = 0.01  # a timer this late (seconds) means that the event loop stalled, not the network


class AudioReceiver:
    """Feeds one `JitterBuffer` with packets and with time. `deliver` gets the samples, on the event loop."""

    def __init__(self, decoder: Decoder, deliver: Callable[[Samples], None]) -> None:
        self._buffer = JitterBuffer(decoder)
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def receive(self, packet: Packet) -> None:
        """Takes one packet off the wire."""
        if self._closed:
            return
        self._pass_on(self._buffer.receive(packet, self._loop.time()))
        if self._timer is None:
            self._wait()

    @property
    def lost(self) -> int:
        """Samples that were recovered or concealed so far."""
        return self._buffer.lost

    def close(self) -> None:
        """Stops the timer and takes no packet any more."""
        self._closed = True
        if self._timer:
            self._timer.cancel()

    def _wait(self) -> None:
        deadline = self._buffer.deadline
        if deadline is not None:
            # No sooner than in 5 ms: one timer serves all packets, and is not moved with each of them.
            self._timer = self._loop.call_at(max(deadline, self._loop.time() + 0.005), self._tick)

    def _tick(self) -> None:
        assert self._timer is not None
        late = self._loop.time() - self._timer.when()
        if late < _OWN_STALL:  # else packets may wait in the socket, and come first
            self._pass_on(self._buffer.tick(self._loop.time()))
        self._wait()

    def _pass_on(self, sounds: list[Samples]) -> None:
        for samples in sounds:
            self._deliver(samples)


class AudioSender(MediaStreamTrack):
    """The track we send: silence, until `speak` is called."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder: opus.Encoder | g711.Encoder = opus.Encoder()
        self._clock_hz = opus.CLOCK_HZ
        self._pace = Pace()
        self._pull: Pull = silence
        self._failed: asyncio.Future[None] | None = None
        self.pulled = 0
        """Frames pulled for sending so far; the silence before `speak` does not count."""

    def encode_with(self, encoder: opus.Encoder | g711.Encoder, clock_hz: int) -> None:
        """Sets the negotiated codec, before the first frame."""
        self._encoder, self._clock_hz = encoder, clock_hz

    async def speak(self, pull: Pull) -> None:
        """Sends frames of `pull`, from when the peer is connected, for ever. Raises what `pull` raises."""
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
        except Exception as error:  # a border: it is raised by `speak`, not into aiortc's sender
            self._pull = silence
            if self._failed and not self._failed.done():
                self._failed.set_exception(error)
            return silence()


class Camera:
    """Drains a video track; hands on two pictures a second, each the newest there is, and None when no more come."""

    def __init__(self, show: Callable[[Picture | None], None]) -> None:
        self._show = show
        self._newest: tuple[VideoFrame, float] | None = None
        self._arrived = asyncio.Event()

    async def watch(self, track: MediaStreamTrack) -> None:
        """Runs until cancelled. A track that ends (camera off) is no error."""
        with ThreadPoolExecutor(1, "camera") as thread:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drain(track))
                group.create_task(self._convert(thread))

    async def _drain(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                self._newest = frame, loop.time()
                self._arrived.set()

    async def _convert(self, thread: ThreadPoolExecutor) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(CAMERA_OFF if self._newest else None):
                    await self._arrived.wait()
            except TimeoutError:
                self._newest = None
                self._show(None)
                continue
            await asyncio.sleep(0)  # lets a backlog drain first
            assert self._newest is not None
            frame, at = self._newest
            self._arrived.clear()
            self._show(Picture(await loop.run_in_executor(thread, rgb, frame), at))
            await asyncio.sleep(PICTURE_PERIOD)


def rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """The frame as RGB, shape (height, width, 3), its longer side at most `PICTURE_SIDE` pixels."""
    scale = min(1.0, PICTURE_SIDE / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    return np.asarray(frame.to_ndarray(width=width, height=height, format="rgb24"), np.uint8)


def silence() -> Samples:
    """One frame of silence."""
    return np.zeros(FRAME, np.float32)
