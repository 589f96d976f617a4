"""A SIP telephone without a network: our own endpoint, with the test in place of the switchboard. It runs on the
network in memory, where a real telephone (harness/baresip_phone.py) cannot.

    async with sip_phone("pcmu") as caller:
        talk = await caller.dial("sip:voice@127.0.0.1:5060")
        await talk.say(samples); talk.heard; await talk.connection.send_dtmf("12"); await talk.hang_up()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import CODECS, SipConfig
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.sip.connection import SipConnection
from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint
from vivavoce.realtime.telephony.webhooks.ringing import Accepted, Decision
from vivavoce.realtime.transports import Ending, Keys, PeerGone, Received, Sound

_SILENCE = np.zeros(FRAME, np.float32)


class Talk:
    """One answered call of the phone, and its `Intake`. `heard` and `keys` grow while it lasts."""

    def __init__(self, connection: SipConnection) -> None:
        self.connection = connection
        self.keys = ""
        self.over = asyncio.Event()
        self._heard: list[Samples] = []
        self._saying: list[Samples] = []

    @property
    def heard(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *self._heard])

    async def say(self, samples: Samples) -> None:
        """Says something, in real time; returns when it has been sent."""
        self._saying += [samples[at : at + FRAME] for at in range(0, len(samples) // FRAME * FRAME, FRAME)]
        while self._saying:  # noqa: ASYNC110 - `_pull` takes it, frame by frame
            await asyncio.sleep(0.02)

    async def until_heard(self, seconds: float, since: int = 0) -> None:
        """Waits until there is sound after sample `since`."""
        async with asyncio.timeout(seconds):
            while np.abs(self.heard[since:]).max(initial=0) < 0.02:  # noqa: ASYNC110 - `put` adds to it
                await asyncio.sleep(0.02)

    async def hang_up(self) -> None:
        await self.connection.close(Ending())
        await self.over.wait()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.connection.receive(self))
                tasks.create_task(self.connection.speak(self._pull))
        except* PeerGone:
            pass
        finally:
            await self.connection.close(Ending())
            self.over.set()

    def put(self, received: Received) -> None:
        match received:
            case Sound(samples=samples):
                self._heard.append(samples)
            case Keys(keys=keys):
                self.keys += keys

    async def deliver(self, received: Received) -> None:
        self.put(received)

    def _pull(self) -> Samples:
        return self._saying.pop(0) if self._saying else _SILENCE


class Phone:
    """One telephone: the part of a switchboard that an endpoint uses. `decision`: about incoming calls."""

    def __init__(self, settings: SipConfig, tasks: asyncio.TaskGroup) -> None:
        self.settings = PhoneConfig(busy="")
        self.decision: Decision = Accepted()
        self.talks: asyncio.Queue[Talk] = asyncio.Queue()
        self.all_talks: list[Talk] = []
        self.endpoint = SipEndpoint(settings, self, self._decide, lambda: 0.0)  # type: ignore[arg-type]  # see the class
        self._tasks = tasks

    async def dial(self, uri: str, seconds: float = 10) -> Talk:
        """Calls, and waits for an answer; gives up after `seconds`. Raises `CallNotAnswered`, `TimeoutError`."""
        dialling = self._tasks.create_task(self._dial(uri))
        try:
            async with asyncio.timeout(seconds):
                while self.talks.empty():
                    if dialling.done() and (error := dialling.result()) is not None:
                        raise error
                    await asyncio.sleep(0.01)
        except TimeoutError:
            dialling.cancel()
            raise
        return self.talks.get_nowait()

    async def answered(self, seconds: float = 10) -> Talk:
        """The next call that came in, answered."""
        async with asyncio.timeout(seconds):
            return await self.talks.get()

    async def _dial(self, uri: str) -> Exception | None:
        try:
            await self.endpoint.dial(uri)
        except Exception as error:  # the border: `dial` raises it
            return error
        return None

    async def _decide(self, call: PhoneCall) -> Decision:
        return self.decision

    # --- the part of a switchboard -----------------------------------------------------------------------------------

    def admit(self, call: PhoneCall) -> None:
        """Every call has a slot."""

    def dismiss(self, call: PhoneCall) -> None:
        """There is nothing to give back."""

    async def connect(self, call: PhoneCall, connection: SipConnection, config: object = None) -> None:
        talk = Talk(connection)
        self.all_talks.append(talk)
        self.talks.put_nowait(talk)
        await talk.run()


@asynccontextmanager
async def sip_phone(*codecs: Any, port: int = 0, tcp: bool = False) -> AsyncIterator[Phone]:
    """A telephone that speaks `codecs`, best first, and calls over UDP or TCP."""
    settings = SipConfig(listen=f"127.0.0.1:{port}", codecs=codecs or CODECS, tcp=tcp)
    async with asyncio.TaskGroup() as tasks:
        phone = Phone(settings, tasks)
        async with phone.endpoint:
            try:
                yield phone
            finally:
                for talk in phone.all_talks:
                    await talk.connection.close(Ending())


def seconds(samples: Samples) -> float:
    """Seconds of audible sound."""
    hop = SAMPLE_RATE // 50
    frames = np.abs(samples[: len(samples) // hop * hop]).reshape(-1, hop).max(axis=1)
    return float((frames > 0.02).sum() / 50)
