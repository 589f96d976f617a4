"""A real telephone for tests: baresip's own stack, driven from Python; it sends and receives samples.

    async with phone(codec="pcmu") as caller:
        call = await caller.dial(f"sip:voice@127.0.0.1:{port}")
        await call.say(samples); call.heard; await call.press("12"); await call.hang_up()

The stack is that of the Debian package, in a wheel (PyPI: baresip-python). It lives on a thread of its own, one at a
time in a process. Samples are mono at `SAMPLE_RATE`."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
import soxr
from baresip import Account, Config, StackEvent
from baresip.call import Call, CallState
from baresip.errors import AudioNotActive, AudioRestarted
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

CODECS = {"pcmu": "pcmu/8000/1", "pcma": "pcma/8000/1", "g722": "g722/16000/1", "opus": "opus/48000/2"}


class Talk:
    """One call of the phone. `heard` grows while it lasts, at `times` of the loop's clock."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.keys: list[str] = []
        self._heard: list[Samples] = []
        self.times: list[float] = []
        self._saying = np.zeros(0, np.int16)
        self.said_at: list[float] = []  # when each `say` had been picked up to its end
        self._runs: asyncio.Task[None] | None = None
        call.on_dtmf(lambda event: self.keys.append(event.digit))

    @property
    def heard(self) -> Samples:
        """All that came out of the receiver."""
        return np.concatenate([np.zeros(0, np.float32), *self._heard])

    @property
    def over(self) -> bool:
        return self.call.state is CallState.CLOSED

    async def up(self, seconds: float = 10) -> None:
        """Waits until the call is answered and has audio."""
        await self.call.wait_established(seconds)
        self._runs = asyncio.create_task(self._listen())  # noqa: TID251 - ended by `stop`

    async def say(self, samples: Samples) -> None:
        """Says something, in real time; returns when it has been said."""
        info = self.call.audio.info()
        ear = soxr.resample(samples, SAMPLE_RATE, info.tx_sample_rate)
        pcm = (np.clip(ear, -1, 1) * 32767).astype(np.int16).repeat(info.tx_channels)
        loop = asyncio.get_running_loop()
        step = info.tx_sample_rate // 50 * info.tx_channels
        due = loop.time()
        for start in range(0, len(pcm), step):
            self.call.audio.write(pcm[start : start + step].tobytes())
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))
        self.said_at.append(loop.time())

    async def press(self, keys: str) -> None:
        await self.call.send_dtmf(keys)

    async def until_over(self, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not self.over:  # noqa: ASYNC110 - the stack reports nothing
                await asyncio.sleep(0.02)

    async def until_heard(self, seconds: float, loud: float = 0.01, since: int = 0) -> float:
        """Waits until something louder than `loud` is heard after sample `since`; the time at which it was."""
        async with asyncio.timeout(seconds):
            while True:
                at = 0
                for when, piece in zip(list(self.times), list(self._heard), strict=True):
                    if at >= since and len(piece) and float(np.sqrt((piece**2).mean())) > loud:
                        return when
                    at += len(piece)
                await asyncio.sleep(0.01)

    async def hang_up(self) -> None:
        if not self.over:
            await self.call.hangup()
        await self.stop()

    async def stop(self) -> None:
        if self._runs is not None:
            self._runs.cancel()
            with suppress(asyncio.CancelledError):
                await self._runs

    async def _listen(self) -> None:
        resampler: soxr.ResampleStream | None = None
        while not self.over:
            with suppress(AudioNotActive, AudioRestarted):
                info = self.call.audio.info()
                if info.rx_ready and (pcm := self.call.audio.read(1 << 16)):
                    if resampler is None:
                        resampler = soxr.ResampleStream(info.rx_sample_rate, SAMPLE_RATE, 1, "float32", quality="LQ")
                    wide = np.frombuffer(pcm, np.int16).reshape(-1, info.rx_channels).mean(axis=1) / 32768
                    self._heard.append(resampler.resample_chunk(wide.astype(np.float32)))
                    self.times.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)


@dataclass
class Phone:
    """A telephone without a registrar: dials directly, and can be called at `port`."""

    runtime: Runtime
    agent: UserAgent
    port: int
    incoming: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)

    async def dial(self, uri: str, headers: dict[str, str] | None = None) -> Talk:
        """Calls, and waits for an answer."""
        early: list[StackEvent] = []  # a call that is answered at once is so before the binding listens to it
        self.runtime.subscribe(early.append)
        try:
            talk = Talk(call := await self.agent.dial(uri, headers=headers or {}))
        finally:
            self.runtime.unsubscribe(early.append)
        if call.state is not CallState.ESTABLISHED:
            for event in early:
                call._on_stack_event(event)
        await talk.up()
        return talk

    async def rung(self, seconds: float = 10) -> Call:
        """The next call that comes in, not answered yet."""
        async with asyncio.timeout(seconds):
            return await self.incoming.get()

    async def answer(self, seconds: float = 10) -> Talk:
        """Answers the next call that comes in."""
        talk = Talk(call := await self.rung(seconds))
        await call.answer()
        await talk.up()
        return talk


@asynccontextmanager
async def phone(
    *codecs: str,
    user: str = "anna",
    domain: str = "127.0.0.1",
    password: str = "",
    port: int = 0,
    transport: str = "udp",
    dtmf: str = "rtpevent",
) -> AsyncIterator[Phone]:
    """A telephone that speaks `codecs`, best first; with a `password` it registers at `domain`."""
    port = port or free_port()
    runtime = Runtime()
    text = f"sip_listen 127.0.0.1:{port}\nrtp_ports 31000-39998\n"
    await runtime.start(Config(net_interface="127.0.0.1", max_concurrent_calls=8, extra_config_text=text))
    try:
        account = Account(
            user,
            domain,
            password,
            reg_interval=60 if password else 0,
            transport=transport,  # type: ignore[arg-type]  # a test's own words
            audio_codecs=tuple(CODECS[codec] for codec in codecs or ("pcmu",)),
            dtmf_mode=dtmf,  # type: ignore[arg-type]
        )
        agent = await UserAgent.create(runtime, account)
        own = Phone(runtime, agent, port)
        agent.on_incoming(own.incoming.put_nowait)
        if password:
            await agent.register()
        yield own
    finally:
        await runtime.close()


def free_port() -> int:
    """A port that is free for SIP: over UDP, TCP, and TLS at the next one. Not one of those that the system gives to
    outgoing connections: another program could get it before it is used."""
    for port in random.SystemRandom().sample(range(20_000, 30_000, 2), 100):
        kinds = ((socket.SOCK_DGRAM, port), (socket.SOCK_STREAM, port), (socket.SOCK_STREAM, port + 1))
        with ExitStack() as probes:
            try:
                for kind, number in kinds:
                    probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
    raise OSError("no port is free for SIP")
