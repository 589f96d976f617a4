"""A WebRTC client without a browser: speaks, listens, shows pictures, sends events; over a line that loses and delays
what we like.

    peer = Peer()
    await peer.connect(post_offer)          # post_offer(offer sdp) -> answer sdp
    peer.play(samples); peer.send({...})
    peer.recorded(); await peer.event("session.created")
    await peer.close()                      # or vanish(): gone without a goodbye

Sound in both directions is mono at `SAMPLE_RATE`. What is sent is encoded by aiortc itself, unless `fec` asks for our
own encoder: so the two ends of a test are two implementations."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.stream import Stream
from numpy.typing import NDArray

from harness.virtual_time import SeenQueue, VirtualTimeLoop
from vivavoce.codecs import opus
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.transports.pacing import Pace
from vivavoce.realtime.transports.webrtc.aiortc_patches import offer_loopback

_WIRE_HZ = 48_000
_FRAME = SAMPLE_RATE // 50


@dataclass
class Line:
    """What happens to our RTP packets: bursts of loss (Gilbert and Elliott's two states), and random delay in seconds.

    `loss` is the share of packets lost, `burst` the mean number lost in a row."""

    loss: float = 0.0
    burst: float = 1.0
    jitter: float = 0.0
    seed: int = 1
    dropped: int = 0
    _bad: bool = False
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def drops(self) -> bool:
        leave = 1 / self.burst
        enter = leave * self.loss / (1 - self.loss)
        self._bad = self._random.random() >= leave if self._bad else self._random.random() < enter
        self.dropped += self._bad
        return self._bad

    def delay(self) -> float:
        return self._random.random() * self.jitter


class Voice(MediaStreamTrack):
    """A microphone: what is played into it, else silence."""

    kind = "audio"

    def __init__(self, fec: bool) -> None:
        super().__init__()
        self.played: Samples = np.zeros(0, np.float32)
        self.encoder = opus.Encoder(opus.OpusSettings(loss=20)) if fec else None
        self.captured: dict[int, float] = {}  # frame number -> loop time at which its last sample was picked up
        self.said: dict[int, Samples] = {}  # frame number -> what it carried; a number left out was never sent
        self._pace = Pace()

    async def recv(self) -> av.AudioFrame | av.Packet[Stream]:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        number, due = self._pace.next(loop.time())
        await asyncio.sleep(due - loop.time())
        samples = np.zeros(_FRAME, np.float32)
        part = self.played[:_FRAME]
        samples[: len(part)] = part
        self.played = self.played[_FRAME:]
        self.said[number] = samples
        self.captured[number] = loop.time()
        if self.encoder is not None:
            packet = av.Packet(self.encoder.encode(samples))
            packet.pts, packet.time_base = number * 960, Fraction(1, _WIRE_HZ)
            return packet
        wide = np.clip(soxr.resample(samples, SAMPLE_RATE, _WIRE_HZ), -1, 1)
        frame = av.AudioFrame.from_ndarray((wide * 32767).astype(np.int16)[None, :], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = _WIRE_HZ, number * 960, Fraction(1, _WIRE_HZ)
        return frame


class Pictures(MediaStreamTrack):
    """A camera: shows `pixels` (RGB, any size, may change) 15 times a second."""

    kind = "video"

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self.pixels = pixels
        self._number = 0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(1 / 15)
        frame = av.VideoFrame.from_ndarray(self.pixels, "rgb24")
        frame.pts, frame.time_base = self._number * 6000, Fraction(1, 90_000)
        self._number += 1
        return frame


class Peer:
    """One client. Options: `microphone` False offers recvonly audio; `camera` pixels; `codec` such as "PCMU" alone;
    `line`; `fec`."""

    def __init__(
        self,
        *,
        microphone: bool = True,
        camera: NDArray[np.uint8] | None = None,
        codec: str | None = None,
        line: Line | None = None,
        fec: bool = False,
        channel: str = "oai-events",
    ) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice(fec)
        self.camera = Pictures(camera) if camera is not None else None
        self.events: list[dict[str, Any]] = []
        self.heard: list[tuple[float, Samples]] = []  # (loop time, samples) of each frame from the loudspeaker
        self._happened = asyncio.Condition()
        self._line = line
        self._listening: asyncio.Task[None] | None = None
        audio = self.peer.addTransceiver(
            self.voice if microphone else "audio", "sendrecv" if microphone else "recvonly"
        )
        if codec is not None:
            known = RTCRtpSender.getCapabilities("audio").codecs
            audio.setCodecPreferences([c for c in known if c.mimeType == f"audio/{codec}"])
        if self.camera is not None:
            self.peer.addTrack(self.camera)
        self.channel: RTCDataChannel = self.peer.createDataChannel(channel)
        self.channel.on("message", self._take)
        self.opened = asyncio.Event()
        self.channel.on("open", self.opened.set)
        self.closed = asyncio.Event()
        self.channel.on("close", self.closed.set)

    async def offer(self) -> str:
        offer_loopback(self.peer)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        self._show_decoders()
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for receiver in self.peer.getReceivers():
            if receiver.track is not None and receiver.track.kind == "audio":
                self._listening = asyncio.create_task(self._listen(receiver.track))  # noqa: TID251 - ended by close()
        if self._line is not None:
            self._disturb(self._line)

    async def connect(self, post_offer: Callable[[str], Awaitable[str]], timeout: float = 10) -> None:  # noqa: ASYNC109
        """Offers, accepts the answer, waits for the open event channel."""
        await self.accept(await post_offer(await self.offer()))
        async with asyncio.timeout(timeout):
            await self.opened.wait()

    def play(self, samples: Samples) -> None:
        """Says `samples`, behind what is still to be said."""
        self.voice.played = np.concatenate([self.voice.played, samples.astype(np.float32)])

    def recorded(self) -> Samples:
        """All that came out of the loudspeaker so far."""
        return np.concatenate([np.zeros(0, np.float32), *(samples for _, samples in self.heard)])

    def send(self, event: dict[str, Any]) -> None:
        self.channel.send(json.dumps(event))

    async def event(self, type: str, timeout: float = 10) -> dict[str, Any]:  # noqa: A002, ASYNC109
        """Waits for the first event of this type, past ones included."""
        async with asyncio.timeout(timeout), self._happened:
            while True:
                for event in self.events:
                    if event["type"] == type:
                        return event
                await self._happened.wait()

    async def close(self) -> None:
        await self._stop_listening()
        await self.peer.close()

    async def vanish(self) -> None:
        """The plug is pulled: not a packet more in either direction; then the client's own side is cleared away."""
        await self._stop_listening()
        assert self.peer.sctp is not None
        for protocol in self.peer.sctp.transport.transport._connection._protocols:
            protocol.transport.abort()
        await self.peer.close()

    def _take(self, text: str) -> None:
        async def tell() -> None:
            async with self._happened:
                self._happened.notify_all()

        self.events.append(json.loads(text))
        asyncio.ensure_future(tell())  # noqa: TID251, RUF006 - ends at once

    async def _listen(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        resampler = soxr.ResampleStream(_WIRE_HZ, SAMPLE_RATE, 1, "float32", quality="LQ")
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                wide = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1) / 32768
                if frame.sample_rate == _WIRE_HZ:
                    samples = resampler.resample_chunk(wide.astype(np.float32))
                else:
                    samples = np.repeat(wide, SAMPLE_RATE // frame.sample_rate).astype(np.float32)
                self.heard.append((loop.time(), samples))

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    def _show_decoders(self) -> None:
        """On the virtual clock: aiortc decodes on threads, for which the clock must wait."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualTimeLoop):
            for receiver in self.peer.getReceivers():
                work = SeenQueue()
                setattr(receiver, "_RTCRtpReceiver__decoder_queue", work)  # noqa: B010 - a private name of a class
                loop.wait_for(work)

    def _disturb(self, line: Line) -> None:
        transport = self.voice_sender.transport
        send, loop = transport._send_rtp, asyncio.get_running_loop()

        async def send_badly(data: bytes) -> None:
            if not 64 <= data[1] & 0x7F < 96:  # not RTCP (RFC 5761 section 4)
                if line.drops():
                    return
                if line.jitter:
                    await asyncio.sleep(0)
                    packet = transport._tx_srtp.protect(data)
                    loop.call_later(line.delay(), self._late, packet)
                    return
            await send(data)

        setattr(transport, "_send_rtp", send_badly)  # noqa: B010 - a method, replaced on one object

    def _late(self, packet: bytes) -> None:
        async def send() -> None:
            with suppress(ConnectionError):
                await self.voice_sender.transport.transport._send(packet)

        asyncio.ensure_future(send())  # noqa: TID251, RUF006 - ends at once

    @property
    def voice_sender(self) -> RTCRtpSender:
        return next(sender for sender in self.peer.getSenders() if sender.kind == "audio")
