"""Measure the instrument's own error: known delays, over the same links as every other measurement.

    for 0, 100, 300 ms: tone ──► peer in a process of its own ──► beep        measured - known = error

    tone ──our transports──► end of tone ──delay──► beep ──our transports──► caller
                              heard_at              left_at                      (both sent in an event)

The error holds all that a measurement adds to the server's own time: the caller's frame of 20 ms, both ways over the
transport, both codecs. `way_there` is also the delay of the microphone's path, with packet loss too: our server
receives with the same code.

`python -m vivavoce.realtime.bench.runs.calibration` is the peer: it prints its URL and serves until its standard input
closes. The session's `instructions` set the delay in milliseconds. `heard_at` and `left_at` are on the machine's
monotonic clock, which all its processes share, so the caller knows the true delay.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.admission.rest import read_offer
from vivavoce.realtime.bench.caller.caller import Caller, Clip, Surroundings
from vivavoce.realtime.bench.caller.link import CallBroken, LinkOptions, Target
from vivavoce.realtime.bench.measure.distribution import Distribution, describe
from vivavoce.realtime.bench.runs.run import Plan, open_link
from vivavoce.realtime.transports import Ending, Message, PeerGone, Received, Sound, Transport
from vivavoce.realtime.transports.webrtc import IceSettings, answer
from vivavoce.realtime.transports.websocket import WebSocketTransport

DELAYS: Final = (0.0, 0.1, 0.3)
"""Injected delays in seconds."""

TONES: Final = 5
"""Tones for each delay."""

TOLERANCE: Final = 0.005
"""Seconds by which a beep may seem to arrive before it left: audio truth is good to a millisecond or two."""

_TONE_SECONDS = 0.3
_LIMIT = 2.0
_STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Beep:
    """One measurement, in seconds. `injected`: the requested delay; `known`: the true one, between the peer's two
    times, frames included; `measured`: end of the tone to first sound of the beep, by audio truth; `there`: end of the
    tone to the peer."""

    injected: float
    known: float
    measured: float
    there: float

    @property
    def error(self) -> float:
        """Added by the instrument and the transport."""
        return self.measured - self.known


@dataclass(frozen=True, slots=True)
class Calibration:
    """The figures of one transport, in milliseconds. `lost`: tones without a beep, for instance by packet loss."""

    transport: str
    error: Distribution
    way_there: Distribution
    way_back: Distribution
    lost: int


def calibrate(plan: Plan, tones: int = TONES) -> Calibration:
    """Measures the transport and impairment of `plan`; its target is not called. Takes about a second for each tone.

    Raises `CallBroken`."""
    with _peer() as url:
        beeps = [
            beep for delay in DELAYS for beep in asyncio.run(_measure(replace(plan, target=Target(url)), delay, tones))
        ]
    error = describe([beep.error * 1000 for beep in beeps])
    there = describe([beep.there * 1000 for beep in beeps])
    back = describe([(beep.error - beep.there) * 1000 for beep in beeps])
    if error is None or there is None or back is None:
        raise CallBroken(f"no beep came back over {plan.transport}")
    return Calibration(plan.transport, error, there, back, len(DELAYS) * tones - len(beeps))


async def _measure(plan: Plan, delay: float, tones: int) -> list[Beep]:
    options = LinkOptions(str(delay * 1000))
    link = open_link(plan, options, round(delay * 1000))
    caller = Caller(link, Surroundings(skew=plan.impairment.skew), options, plan.seed)
    sound = tone(_TONE_SECONDS)
    clip = Clip("tone", sound, 0, len(sound))
    replies: list[tuple[float, float]] = []  # (end of tone, first sound of the beep)

    async def script(caller: Caller) -> None:
        await caller.pause(1.0)
        for number in range(tones):
            said = caller.say(clip, "turn", number)
            await caller.until(said.ended)
            at = await caller.reply(said.ended, delay + _LIMIT)
            if at is not None:
                replies.append((said.ended, at))
            await caller.pause(0.4 + caller.random.random() * 0.1)

    record = await caller.call(script, plan.transport, "calibration")
    if record.failure:
        raise CallBroken(record.failure)
    moments = [
        (event.body["heard_at"] - caller.origin, event.body["left_at"] - caller.origin)
        for event in record.of("vivavoce.beep")
    ]
    beeps = []
    for ended, at in replies:
        between = [(there, left) for there, left in moments if ended <= there <= left <= at + TOLERANCE]
        if len(between) == 1:
            ((there, left),) = between
            beeps.append(Beep(delay, left - there, at - ended, there - ended))
    return beeps


@contextmanager
def _peer() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vivavoce.realtime.bench.runs.calibration"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise CallBroken("the calibration peer did not start")
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


LOUD: Final = 0.05
"""Least amplitude of the tone at its crests; twenty times that of coded silence."""

QUIET: Final = SAMPLE_RATE // 500
"""Samples (2 ms, two periods of the tone) without a crest: the tone is over."""

BEEP_SECONDS: Final = 0.2


def tone(seconds: float, hz: float = 1000.0) -> Samples:
    """A tone that begins and ends at full strength, amplitude 0.3."""
    return (0.3 * np.cos(np.arange(round(seconds * SAMPLE_RATE)) * 2 * np.pi * hz / SAMPLE_RATE)).astype(np.float32)


@dataclass(slots=True)
class EndOfTone:
    """Finds the end of a tone, in sound of any chunking."""

    _sounding: bool = False
    _quiet: int = 0
    _loud: int = 0

    def receive(self, samples: Samples) -> bool:
        """Whether a tone has ended within, or just before, `samples`."""
        crests = np.flatnonzero(np.abs(samples) > LOUD)
        if len(crests):
            self._loud += len(crests)
            self._sounding = self._sounding or self._loud > 10 * QUIET  # longer than a click
            self._quiet = len(samples) - 1 - int(crests[-1])
        else:
            self._quiet += len(samples)
        if self._quiet < QUIET:
            return False
        ended, self._sounding, self._loud = self._sounding, False, 0
        return ended


@dataclass(slots=True)
class Beeper:
    """One call of the peer."""

    transport: Transport
    delay: float = 0.0
    format: str = "audio/pcm"
    _end: EndOfTone = field(default_factory=EndOfTone)
    _tone_ended_at: float | None = None
    _beep: Samples = field(default_factory=lambda: np.zeros(0, np.float32))

    async def run(self) -> None:
        """Serves the call until the caller hangs up."""
        self._send({"type": "session.created", "session": {}})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.transport.receive(self))
                tasks.create_task(self.transport.speak(self._pull) if self.transport.plays else self._send_beeps())
        except* PeerGone:
            pass
        finally:
            await self.transport.close(Ending())

    async def deliver(self, received: Received) -> None:
        """Implements `Intake`."""
        self.put(received)

    def put(self, received: Received) -> None:
        """Implements `Intake`."""
        match received:
            case Sound(samples=samples):
                self._receive(samples)
            case Message(text=text):
                self._read(json.loads(text))

    def _read(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            session = event["session"]
            self.delay = float(session["instructions"]) / 1000
            self.format = session.get("audio", {}).get("input", {}).get("format", {}).get("type", "audio/pcm")
            self._send({"type": "session.updated", "session": session})
        elif event["type"] == "input_audio_buffer.append":
            sound = b64decode(event["audio"])
            if self.format == "audio/pcm":
                self._receive(np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32768))
            else:
                self._receive(np.repeat(g711.decode(sound, "mu"), 3))

    def _receive(self, samples: Samples) -> None:
        if self._end.receive(samples):
            self._tone_ended_at = asyncio.get_running_loop().time()

    def _due(self) -> bool:
        return self._tone_ended_at is not None and asyncio.get_running_loop().time() >= self._tone_ended_at + self.delay

    def _report(self, now: float) -> None:
        self._send({"type": "vivavoce.beep", "heard_at": self._tone_ended_at, "left_at": now})
        self._tone_ended_at = None

    def _pull(self) -> Samples:
        if self._due():
            self._beep = tone(BEEP_SECONDS)
            self._report(asyncio.get_running_loop().time())
        frame, self._beep = self._beep[:FRAME], self._beep[FRAME:]
        return np.pad(frame, (0, FRAME - len(frame)))

    async def _send_beeps(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            if self._due():
                beep = {
                    "type": "response.output_audio.delta",
                    "item_id": secrets.token_hex(4),
                    "delta": self._encoded(),
                }
                now = asyncio.get_running_loop().time()
                self._send(beep)
                self._report(now)

    def _encoded(self) -> str:
        beep = tone(BEEP_SECONDS)
        if self.format == "audio/pcm":
            return b64encode((beep * 32767).astype("<i2").tobytes()).decode()
        return b64encode(g711.Encoder("pcmu").encode(beep)).decode()

    def _send(self, event: dict[str, Any]) -> None:
        self.transport.send(json.dumps(event).encode())


async def _offer(request: Request) -> Response:
    sdp, _ = await read_offer(request)
    transport, local = await answer(sdp, IceSettings(loopback=True))
    request.app.state.tasks.create_task(Beeper(transport).run())
    return Response(local, 201, media_type="application/sdp")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await Beeper(WebSocketTransport(socket)).run()


async def serve() -> None:
    """Serves on a free loopback port until standard input closes."""
    app = Starlette(
        routes=[Route("/v1/realtime/calls", _offer, methods=["POST"]), WebSocketRoute("/v1/realtime", _socket)]
    )
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        app.state.tasks = tasks
        serving = tasks.create_task(server.serve([listening]))
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(serve())
