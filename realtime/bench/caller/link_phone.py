"""Call by telephone: mu-law at 8 kHz in the messages of Twilio's media stream, and events over a sideband.

    send_frame ──media──► /phone/twilio/SECRET ──media──► Sink.audio, at once        clear: drops unplayed audio
    send ───────────────► /v1/realtime?call_id=… ───────► Sink.event

Works with our own server on this machine only, which sends the call's id in the handshake.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, Sink, Target

SECRET: Final = "vivavoce-bench"
SETTINGS: Final = {
    "VIVAVOCE_PHONE_TWILIO_TOKEN": SECRET,
    "VIVAVOCE_PHONE_SECRET": SECRET,
    "VIVAVOCE_PHONE_GREETING": "",
    "VIVAVOCE_PHONE_OPENING": "0",
    "VIVAVOCE_PHONE_CALLS_PER_CALLER": "1000",
    "VIVAVOCE_PHONE_CALLS_PER_MINUTE": "100000",
}
"""Environment with which our own server takes phone calls; it listens on loopback, for this run."""

OPEN_TIMEOUT: Final = 15.0
"""Seconds that opening may take."""


class PhoneLink:
    """Implements `Link`."""

    live = True
    sound: str | None = None
    concealed = 0.0

    def __init__(self, target: Target) -> None:
        self._target = target
        self._encoder, self._decoder = g711.Encoder("pcmu"), g711.Decoder("pcmu")
        self._sockets: list[ClientConnection] = []
        self._sink: Sink | None = None
        self._queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue(500)
        self._ends = 0.0  # time at which all received audio will have been played, on the loop's clock
        self._marks: list[asyncio.TimerHandle] = []

    async def connect(self, sink: Sink) -> None:
        """Calls, and joins the call as a sideband. Raises `CallRefused`, `CallBroken`."""
        self._sink = sink
        parts = urlsplit(self._target.base)
        host = urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, "", "", ""))
        try:
            stream = await self._open(f"{host}/phone/twilio/{SECRET}")
            form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
            start = {"streamSid": "MZ", "accountSid": "", "callSid": "CA", "mediaFormat": form}
            await stream.send(json.dumps({"event": "start", "streamSid": "MZ", "start": start}))
            assert stream.response is not None
            call_id = stream.response.headers.get("Location", "").rpartition("/")[2]
            await self._open(f"{host}/v1/realtime?call_id={call_id}&extras=true")
        except InvalidStatus as error:
            message = (error.response.body or b"").decode(errors="replace")[:300]
            raise CallRefused(error.response.status_code, message) from error
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise CallBroken(f"{self._target.url} cannot be reached: {error}") from error

    async def run(self) -> None:
        """Reads and writes. Raises `CallBroken`."""
        stream, sideband = self._sockets
        why = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                group.create_task(self._play_stream(stream))
                group.create_task(self._read(sideband))
        except* ConnectionClosed as closed:
            why = str(closed.exceptions[0])
        raise CallBroken(f"the server closed the socket: {why}")

    def send_frame(self, frame: Samples, number: int) -> None:
        """Queues 20 ms."""
        payload = b64encode(self._encoder.encode(frame)).decode()
        media = f'{{"timestamp":"{20 * number}","payload":"{payload}"}}'
        self._queue.put_nowait((0, f'{{"event":"media","streamSid":"MZ","media":{media}}}'))

    def send(self, event: Mapping[str, Any]) -> None:
        """Queues an event."""
        self._queue.put_nowait((1, json.dumps(event)))

    async def close(self) -> None:
        """Hangs up."""
        for mark in self._marks:
            mark.cancel()
        for socket in self._sockets:
            await socket.close()

    async def _open(self, address: str) -> ClientConnection:
        headers = self._target.headers
        for delay in (0.1, 0.3, 1.0, None):  # a call begins just after its socket is accepted
            try:
                socket = await connect(
                    address, additional_headers=headers, compression=None, open_timeout=OPEN_TIMEOUT, proxy=None
                )
            except InvalidStatus as error:
                if delay is None or error.response.status_code != 404:
                    raise
                await asyncio.sleep(delay)
            else:
                self._sockets.append(socket)
                return socket
        raise AssertionError("the last attempt returns or raises")

    async def _write(self) -> None:
        while True:
            which, text = await self._queue.get()
            await self._sockets[which].send(text)

    async def _play_stream(self, stream: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = json.loads(await stream.recv())
            match message["event"]:
                case "media":
                    sound = self._decoder.decode(b64decode(message["media"]["payload"]))
                    self._ends = max(self._ends, loop.time()) + len(sound) / SAMPLE_RATE
                    self._play(sound)
                case "mark":
                    name = message["mark"]["name"]
                    self._marks = [mark for mark in self._marks if mark.when() > loop.time()]
                    self._marks.append(loop.call_at(self._ends, self._echo, name))
                case "clear":
                    self._ends = loop.time()
                    for mark in self._marks:
                        mark.cancel()

    def _play(self, sound: Samples) -> None:
        assert self._sink is not None
        for at in range(0, len(sound), FRAME):
            self._sink.audio(np.ascontiguousarray(sound[at : at + FRAME]), "")

    def _echo(self, name: str) -> None:
        self._queue.put_nowait((0, json.dumps({"event": "mark", "streamSid": "MZ", "mark": {"name": name}})))

    async def _read(self, sideband: ClientConnection) -> None:
        assert self._sink is not None
        while True:
            self._sink.event(json.loads(await sideband.recv()))
