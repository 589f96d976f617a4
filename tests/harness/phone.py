"""A phone connection in memory, and a switchboard with scripted models behind it; on the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from harness.fakes import QUIET, ScriptedEngine
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.errors import ActionFailed
from vivavoce.realtime.telephony.switchboard import Guard, Switchboard
from vivavoce.realtime.transports import Ending, Intake, Keys, PeerGone, Pull, Sound

NOON = 1_700_000_000
VOICE: Samples = (0.5 * np.sin(2 * np.pi * 300 * np.arange(FRAME) / SAMPLE_RATE)).astype(np.float32)
"""Not a constant: the echo canceller lets no direct current pass."""


class Telephone:
    """Implements `PhoneConnection`; the test is the caller. With `lead`, so many frames are pulled ahead, and `recall`
    reports that they were not played."""

    def __init__(self, lead: int = 0) -> None:
        self.lead = lead
        self.played: list[Samples] = []
        self.recalled: list[int] = []
        self.dtmf = ""  # received from the server
        self.transferred = ""
        self.refuses = ""  # transfers, with this reason
        self.closed: Ending | None = None
        self._intake: Intake | None = None
        self._receiving = asyncio.Event()
        self._hung_up = asyncio.Event()

    # --- the server's side ---------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Returns at once."""

    async def receive(self, intake: Intake) -> None:
        self._intake = intake
        self._receiving.set()
        await self._hung_up.wait()
        raise PeerGone("the caller hung up")

    async def speak(self, pull: Pull) -> None:
        self.played += [pull() for _ in range(self.lead)]
        while True:
            self.played.append(pull())
            await asyncio.sleep(0.02)

    def recall(self) -> int | None:
        if not self.lead:
            return None
        self.recalled.append(len(self.played) - self.lead)
        return self.recalled[-1]

    async def send_dtmf(self, keys: str) -> None:
        self.dtmf += keys

    async def transfer(self, target: str) -> None:
        if self.refuses:
            raise ActionFailed(self.refuses)
        self.transferred = target

    async def close(self, ending: Ending) -> None:
        self.closed = ending
        self._hung_up.set()

    # --- the test's side -----------------------------------------------------------------------------------------

    async def until_received(self) -> None:
        """Waits until the server receives."""
        await self._receiving.wait()

    async def say(self, seconds: float) -> None:
        await self._sound(VOICE, seconds)

    async def pause(self, seconds: float) -> None:
        await self._sound(QUIET, seconds)

    async def type(self, keys: str, gap: float = 0.2) -> None:
        """Presses keys one after the other, and is silent meanwhile."""
        for key in keys:
            await (await self._taken()).deliver(Keys(key))
            await self.pause(gap)

    def hang_up(self) -> None:
        self._hung_up.set()

    def heard(self) -> tuple[float, float]:
        """Seconds at which sound began and ended."""
        loud = [n for n, frame in enumerate(self.played) if np.abs(frame).max(initial=0) > 0.01]
        return (loud[0] * 0.02, (loud[-1] + 1) * 0.02) if loud else (0.0, 0.0)

    async def _taken(self) -> Intake:
        await self._receiving.wait()
        assert self._intake is not None
        return self._intake

    async def _sound(self, frame: Samples, seconds: float) -> None:
        intake = await self._taken()
        for _ in range(round(seconds / 0.02)):
            if self.closed:
                return
            await intake.deliver(Sound(frame))
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_switchboard(
    engine: ScriptedEngine, phone: PhoneConfig | None = None, guard: Guard | None = None, **settings: object
) -> AsyncIterator[tuple[Switchboard, Calls]]:
    """A switchboard in front of `engine`, with its prompts prerecorded, and the calls behind it;
    `ServerConfig(**settings)`."""
    config = ServerConfig(**{"echo_cancellation": "off", **settings})  # type: ignore[arg-type]  # a test's own words
    admission = Admission(config, lambda: NOON)
    switchboard = Switchboard(admission, phone or PhoneConfig(), lambda: NOON, guard)
    await switchboard.prerecord(engine)  # type: ignore[arg-type]  # all that is used of it
    engine.dialogues.clear()
    async with Calls(engine, config) as calls:  # type: ignore[arg-type]
        admission.calls = calls
        yield switchboard, calls


def call(caller: str = "+4930123456", direction: str = "incoming") -> PhoneCall:
    return PhoneCall(f"rtc_{caller}", "memory", direction, caller=caller)  # type: ignore[arg-type]
