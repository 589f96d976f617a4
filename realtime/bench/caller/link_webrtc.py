"""A caller on WebRTC: Opus or G.711 as RTP, events on the data channel `oai-events`, a camera if there is a picture.

Packets go through our own receive path (`tracks.Hearing`), which plays what is in order at once: aiortc's would add its
jitter buffer of 80 ms to every figure. A `Line` in each direction may lose and delay media packets; events travel on
a stream that repeats what was lost, and are left alone.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Awaitable, Callable, Mapping
from fractions import Fraction
from typing import Any, Final, Literal

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import InvalidStateError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.stream import Stream
from numpy.typing import NDArray

from vivavoce.codecs import g711, opus
from vivavoce.codecs.audio import Samples
from vivavoce.realtime.bench.caller.impairments import Line
from vivavoce.realtime.bench.caller.link import Broken, LinkOptions, Refused, Sink, Target
from vivavoce.realtime.transports.webrtc import aiortc_patches as patches
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver

PATIENCE: Final = 20.0
"""Seconds that connecting may take."""

PICTURES: Final = 10
"""Camera pictures a second."""

_QUEUED = 50

Codec = Literal["opus", "pcmu", "pcma"]
Pixels = NDArray[np.uint8]


class WebRtcLink:
    """Implements `Link`. `up` and `down` are the lines to and from the server, `picture` is what the camera sees."""

    live = True

    def __init__(
        self,
        target: Target,
        codec: Codec = "opus",
        *,
        up: Line | None = None,
        down: Line | None = None,
        picture: Pixels | None = None,
        wishes: LinkOptions | None = None,
    ) -> None:
        self.sound: str | None = None
        self._target, self._codec, self._wishes = target, codec, wishes or LinkOptions()
        self._mouth = _Mouth(opus.Encoder() if codec == "opus" else g711.Encoder(codec), codec)
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._camera = _Camera(picture) if picture is not None else None
        self._up, self._down = up, down
        self._late = _Late()
        self._hearing: AudioReceiver | None = None
        self._open, self._gone = asyncio.Event(), asyncio.Event()
        self._channel = self._peer.createDataChannel("oai-events")

    @property
    def concealed(self) -> float:
        """Seconds of the server's sound that were lost, and recovered or guessed."""
        return self._hearing.lost / 24_000 if self._hearing else 0.0

    async def connect(self, sink: Sink) -> None:
        """Offers, and waits for the open event channel."""
        self._prepare(sink)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._peer.setLocalDescription(await self._peer.createOffer())
                answer = await self._post(self._peer.localDescription.sdp)
                await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
                if self._up is not None and not self._up.impairment.clean:
                    sender = next(s for s in self._peer.getSenders() if s.track is self._mouth)
                    patches.divert_media(sender, self._disturb)
                await self._open.wait()
        except TimeoutError as error:
            raise Broken(f"{self._target.url} was not connected within {PATIENCE:.0f} s") from error
        except httpx.HTTPError as error:
            raise Broken(f"{self._target.url} cannot be reached: {error}") from error

    async def run(self) -> None:
        """Sends what the line delays; raises `Broken` when the connection ends."""
        async with asyncio.TaskGroup() as group:
            late = group.create_task(self._late.run())
            await self._gone.wait()
            late.cancel()
        raise Broken("the server closed the connection")

    def speak(self, frame: Samples, number: int) -> None:
        """Encodes 20 ms, for aiortc's sender to take at once."""
        self._mouth.speak(frame, number)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Sends an event, if the channel is still there."""
        try:
            self._channel.send(json.dumps(event))
        except InvalidStateError:
            self._gone.set()

    async def close(self) -> None:
        """Closes the peer connection."""
        if self._hearing:
            self._hearing.close()
        await self._peer.close()

    def _prepare(self, sink: Sink) -> None:
        audio = self._peer.addTransceiver(self._mouth, "sendrecv")
        known = RTCRtpSender.getCapabilities("audio").codecs
        audio.setCodecPreferences([c for c in known if c.mimeType.lower() == f"audio/{self._codec}"])
        decoder = opus.Decoder() if self._codec == "opus" else g711.Decoder(self._codec)
        hearing = self._hearing = AudioReceiver(decoder, lambda samples: sink.heard(samples, ""))
        patches.take_packets(audio.receiver, self._receive if self._disturbed(self._down) else hearing.receive)
        if self._camera is not None:
            self._peer.addTrack(self._camera)
        if self._target.loopback:
            patches.offer_loopback(self._peer)
        self._channel.on("message", lambda text: sink.told(json.loads(text)))
        self._channel.on("open", self._open.set)
        self._channel.on("close", self._gone.set)
        self._peer.on("connectionstatechange", self._follow)

    def _follow(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._gone.set()

    async def _post(self, sdp: str) -> str:
        """The offer goes as a form with the session, which every server of the protocol takes."""
        session = {"model": self._target.model, **self._wishes.session(None)}
        form = {
            "sdp": (None, sdp, "application/sdp"),
            "session": (None, json.dumps(session), "application/json"),
        }
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=not self._target.loopback) as http:
            address = self._target.address("/realtime/calls")
            answer = await http.post(address, files=form, headers=self._target.headers)
        if answer.status_code not in (200, 201):
            wait = answer.headers.get("Retry-After", "")
            raise Refused(answer.status_code, answer.text[:300], float(wait) if wait.isdigit() else None)
        return answer.text

    @staticmethod
    def _disturbed(line: Line | None) -> bool:
        return line is not None and not line.impairment.clean

    def _receive(self, packet: Packet) -> None:
        assert self._down is not None
        hearing = self._hearing
        assert hearing is not None
        delay = self._down.fate()
        if delay is not None:

            async def deliver() -> None:
                hearing.receive(packet)

            self._late.put(delay, deliver)

    def _disturb(self, send: Callable[[], Awaitable[None]]) -> None:
        assert self._up is not None
        delay = self._up.fate()
        if delay is not None:
            self._late.put(delay, send)


class _Late:
    """Packets on their way; each goes when its time has come, whatever was put in before or after it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._count = 0
        self._wake = asyncio.Event()

    def put(self, delay: float, send: Callable[[], Awaitable[None]]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (asyncio.get_running_loop().time() + delay, self._count, send))
        self._wake.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(self._heap[0][0] if self._heap else None):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            while self._heap and self._heap[0][0] <= loop.time():
                try:
                    await heapq.heappop(self._heap)[2]()
                except ConnectionError:
                    return


class _Mouth(MediaStreamTrack):
    """The track that we send. The caller paces it; aiortc's sender waits here."""

    kind = "audio"

    def __init__(self, encoder: opus.Encoder | g711.Encoder, codec: Codec) -> None:
        super().__init__()
        self._encoder = encoder
        self._clock_hz = opus.CLOCK_HZ if codec == "opus" else g711.CLOCK_HZ
        self._queue: asyncio.Queue[av.Packet[Stream]] = asyncio.Queue(_QUEUED)

    def speak(self, frame: Samples, number: int) -> None:
        packet = av.Packet(self._encoder.encode(frame))
        packet.pts = number * self._clock_hz // 50
        packet.time_base = Fraction(1, self._clock_hz)
        if self._queue.full():  # nobody sends: the connection is gone, which `run` tells
            self._queue.get_nowait()
        self._queue.put_nowait(packet)

    async def recv(self) -> av.Packet[Stream]:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._queue.get()


class _Camera(MediaStreamTrack):
    """Shows one picture for ever."""

    kind = "video"

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self._pixels = pixels
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(1 / PICTURES)
        frame = av.VideoFrame.from_ndarray(self._pixels, "rgb24")
        frame.pts, frame.time_base = self._number * (90_000 // PICTURES), Fraction(1, 90_000)
        self._number += 1
        return frame
