"""Call over WebRTC: Opus or G.711 as RTP, events on the data channel `oai-events`, video if there is a picture.

Packets take our own receive path (`AudioReceiver`), which plays packets in order at once: aiortc's jitter buffer would
add 80 ms to every figure. An `ImpairedPath` in each direction may lose and delay media packets; events travel on a
reliable stream, and are not impaired.
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
from vivavoce.realtime.bench.caller.impairments import ImpairedPath
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, LinkOptions, Sink, Target
from vivavoce.realtime.transports.webrtc import aiortc_patches as patches
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver

CONNECT_TIMEOUT: Final = 20.0
"""Seconds that connecting may take."""

FRAME_RATE: Final = 10
"""Video frames per second."""

_QUEUED = 50

Codec = Literal["opus", "pcmu", "pcma"]
Pixels = NDArray[np.uint8]


class WebRtcLink:
    """Implements `Link`. `up` and `down`: the paths to and from the server; `picture`: the camera's."""

    live = True

    def __init__(
        self,
        target: Target,
        codec: Codec = "opus",
        *,
        up: ImpairedPath | None = None,
        down: ImpairedPath | None = None,
        picture: Pixels | None = None,
        options: LinkOptions | None = None,
    ) -> None:
        self.sound: str | None = None
        self._target, self._codec, self._options = target, codec, options or LinkOptions()
        self._microphone = _MicrophoneTrack(opus.Encoder() if codec == "opus" else g711.Encoder(codec), codec)
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._camera = _CameraTrack(picture) if picture is not None else None
        self._up, self._down = up, down
        self._delayed = _DelayedPackets()
        self._receiver: AudioReceiver | None = None
        self._open, self._lost = asyncio.Event(), asyncio.Event()
        self._channel = self._peer.createDataChannel("oai-events")

    @property
    def concealed(self) -> float:
        """Seconds of the server's audio that were lost, and recovered or concealed."""
        return self._receiver.lost / 24_000 if self._receiver else 0.0

    async def connect(self, sink: Sink) -> None:
        """Negotiates, and waits for the event channel to open."""
        self._prepare(sink)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._peer.setLocalDescription(await self._peer.createOffer())
                answer = await self._post(self._peer.localDescription.sdp)
                await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
                if self._up is not None and not self._up.impairment.clean:
                    sender = next(s for s in self._peer.getSenders() if s.track is self._microphone)
                    patches.divert_media(sender, self._send_impaired)
                await self._open.wait()
        except TimeoutError as error:
            raise CallBroken(f"{self._target.url} was not connected within {CONNECT_TIMEOUT:.0f} s") from error
        except httpx.HTTPError as error:
            raise CallBroken(f"{self._target.url} cannot be reached: {error}") from error

    async def run(self) -> None:
        """Sends delayed packets; raises `CallBroken` when the connection ends."""
        async with asyncio.TaskGroup() as group:
            delayed = group.create_task(self._delayed.run())
            await self._lost.wait()
            delayed.cancel()
        raise CallBroken("the server closed the connection")

    def send_frame(self, frame: Samples, number: int) -> None:
        """Encodes 20 ms, which aiortc's sender takes at once."""
        self._microphone.put(frame, number)

    def send(self, event: Mapping[str, Any]) -> None:
        """Sends an event, if the channel is still open."""
        try:
            self._channel.send(json.dumps(event))
        except InvalidStateError:
            self._lost.set()

    async def close(self) -> None:
        """Closes the peer connection."""
        if self._receiver:
            self._receiver.close()
        await self._peer.close()

    def _prepare(self, sink: Sink) -> None:
        audio = self._peer.addTransceiver(self._microphone, "sendrecv")
        known = RTCRtpSender.getCapabilities("audio").codecs
        audio.setCodecPreferences([c for c in known if c.mimeType.lower() == f"audio/{self._codec}"])
        decoder = opus.Decoder() if self._codec == "opus" else g711.Decoder(self._codec)
        receiver = self._receiver = AudioReceiver(decoder, lambda samples: sink.audio(samples, ""))
        patches.take_packets(audio.receiver, self._receive_impaired if self._impaired(self._down) else receiver.receive)
        if self._camera is not None:
            self._peer.addTrack(self._camera)
        if self._target.loopback:
            patches.offer_loopback(self._peer)
        self._channel.on("message", lambda text: sink.event(json.loads(text)))
        self._channel.on("open", self._open.set)
        self._channel.on("close", self._lost.set)
        self._peer.on("connectionstatechange", self._follow)

    def _follow(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._lost.set()

    async def _post(self, sdp: str) -> str:
        """Posts the offer as a form with the session, which every server of the protocol accepts."""
        session = {"model": self._target.model, **self._options.session(None)}
        form = {
            "sdp": (None, sdp, "application/sdp"),
            "session": (None, json.dumps(session), "application/json"),
        }
        async with httpx.AsyncClient(timeout=CONNECT_TIMEOUT, trust_env=not self._target.loopback) as http:
            address = self._target.address("/realtime/calls")
            answer = await http.post(address, files=form, headers=self._target.headers)
        if answer.status_code not in (200, 201):
            wait = answer.headers.get("Retry-After", "")
            raise CallRefused(answer.status_code, answer.text[:300], float(wait) if wait.isdigit() else None)
        return answer.text

    @staticmethod
    def _impaired(path: ImpairedPath | None) -> bool:
        return path is not None and not path.impairment.clean

    def _receive_impaired(self, packet: Packet) -> None:
        assert self._down is not None
        receiver = self._receiver
        assert receiver is not None
        delay = self._down.next_packet()
        if delay is not None:

            async def deliver() -> None:
                receiver.receive(packet)

            self._delayed.put(delay, deliver)

    def _send_impaired(self, send: Callable[[], Awaitable[None]]) -> None:
        assert self._up is not None
        delay = self._up.next_packet()
        if delay is not None:
            self._delayed.put(delay, send)


class _DelayedPackets:
    """Delivers each packet at its own time, in whatever order they were put in."""

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


class _MicrophoneTrack(MediaStreamTrack):
    """The audio track to the server. The caller paces it; aiortc's sender waits here."""

    kind = "audio"

    def __init__(self, encoder: opus.Encoder | g711.Encoder, codec: Codec) -> None:
        super().__init__()
        self._encoder = encoder
        self._clock_hz = opus.CLOCK_HZ if codec == "opus" else g711.CLOCK_HZ
        self._queue: asyncio.Queue[av.Packet[Stream]] = asyncio.Queue(_QUEUED)

    def put(self, frame: Samples, number: int) -> None:
        packet = av.Packet(self._encoder.encode(frame))
        packet.pts = number * self._clock_hz // 50
        packet.time_base = Fraction(1, self._clock_hz)
        if self._queue.full():  # the sender has stopped: the connection is lost, which `run` reports
            self._queue.get_nowait()
        self._queue.put_nowait(packet)

    async def recv(self) -> av.Packet[Stream]:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._queue.get()


class _CameraTrack(MediaStreamTrack):
    """Sends one picture again and again."""

    kind = "video"

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        self._pixels = pixels
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(1 / FRAME_RATE)
        frame = av.VideoFrame.from_ndarray(self._pixels, "rgb24")
        frame.pts, frame.time_base = self._number * (90_000 // FRAME_RATE), Fraction(1, 90_000)
        self._number += 1
        return frame
