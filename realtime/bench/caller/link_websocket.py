"""Call over a WebSocket: audio inside messages, as PCM at 24 kHz or G.711 at 8 kHz."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from vivavoce.codecs import g711
from vivavoce.codecs.audio import Samples
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, Sink, Target

OPEN_TIMEOUT: Final = 15.0
"""Seconds that opening may take."""

_MAX_QUEUED = 500  # messages to send: ten seconds of audio
_G711_CHUNK = 1600

Format = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


class WebSocketLink:
    """Implements `Link`."""

    live = False
    concealed = 0.0

    def __init__(self, target: Target, sound: Format = "audio/pcm") -> None:
        self.sound: str | None = sound
        self._target = target
        self._law: g711.Encoding | None = None if sound == "audio/pcm" else "pcmu" if sound == "audio/pcmu" else "pcma"
        self._encoder = g711.Encoder(self._law) if self._law else None
        self._decoder = g711.Decoder(self._law) if self._law else None
        self._socket: ClientConnection | None = None
        self._sink: Sink | None = None
        self._queue: deque[str] = deque(maxlen=_MAX_QUEUED)
        self._wake = asyncio.Event()

    async def connect(self, sink: Sink) -> None:
        """Opens the socket."""
        self._sink = sink
        address = self._target.address("/realtime").replace("http", "ws", 1)
        try:
            self._socket = await connect(
                address,
                additional_headers=self._target.headers,
                max_size=32 << 20,
                compression=None,
                open_timeout=OPEN_TIMEOUT,
                proxy=None if self._target.loopback else True,
            )
        except InvalidStatus as error:
            answer = error.response
            wait = answer.headers.get("Retry-After", "")
            message = (answer.body or b"").decode(errors="replace")[:300]
            raise CallRefused(answer.status_code, message, float(wait) if wait.isdigit() else None) from error
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise CallBroken(f"{self._target.url} cannot be reached: {error}") from error

    async def run(self) -> None:
        """Reads and writes. Raises `CallBroken`."""
        assert self._socket is not None
        why = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(self._socket))
                group.create_task(self._read(self._socket))
        except* ConnectionClosed as closed:
            why = str(closed.exceptions[0])
        raise CallBroken(f"the server closed the socket: {why}")

    def send_frame(self, frame: Samples, number: int) -> None:
        """Queues 20 ms as `input_audio_buffer.append`."""
        sound = self._encoder.encode(frame) if self._encoder else (frame * 32767).astype("<i2").tobytes()
        self._put(f'{{"type":"input_audio_buffer.append","audio":"{b64encode(sound).decode()}"}}')

    def send(self, event: Mapping[str, Any]) -> None:
        """Queues an event."""
        self._put(json.dumps(event))

    async def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            await self._socket.close()

    def _put(self, text: str) -> None:
        self._queue.append(text)
        self._wake.set()

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await socket.send(self._queue.popleft())

    async def _read(self, socket: ClientConnection) -> None:
        assert self._sink is not None
        while True:
            event = json.loads(await socket.recv())
            if event.get("type") == "response.output_audio.delta":
                sound = self._decode(b64decode(event["delta"]))
                self._sink.event({name: value for name, value in event.items() if name != "delta"})
                self._sink.audio(sound, str(event.get("item_id", "")))
            else:
                self._sink.event(event)

    def _decode(self, sound: bytes) -> Samples:
        if self._decoder is None:
            return np.frombuffer(sound[: len(sound) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)
        chunks = [sound[at : at + _G711_CHUNK] for at in range(0, len(sound), _G711_CHUNK)]
        return np.concatenate([np.zeros(0, np.float32), *(self._decoder.decode(chunk) for chunk in chunks)])
