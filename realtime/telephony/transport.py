"""A phone connection as the transport of a call: collects DTMF, fills pauses with noise, hangs up after the goodbye.

    connection ──Sound────────────────────► intake       pull ──► opening ──► comfort noise ──► connection.speak
               ──Keys──► DtmfCollector ───► intake                                │
                                                         GoodbyeDetector: said ──►└── PeerGone, or a transfer

A telephone shows no events, so `send` drops them; sidebands get theirs from `Peers`.

`DtmfCollector` and `GoodbyeDetector` are cores.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Never

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.telephony import DTMF_KEYS, PhoneConnection
from vivavoce.realtime.telephony.errors import ActionFailed
from vivavoce.realtime.transports import CloseReason, Ending, Intake, Keys, Message, PeerGone, Pull, Received
from vivavoce.realtime.transports.queues import Discard, until_gone

log = logging.getLogger(__name__)

CONNECT: Final = 10.0
"""Seconds within which audio must pass once the call was answered."""

TRANSFER: Final = 20.0
"""Seconds that a transfer may take to be accepted."""

LONGEST_PROMPT: Final = 4.0
"""Seconds that the goodbye of a server that is stopped may take."""

_SILENCE: Final = np.zeros(FRAME, np.float32)


class PhoneTransport:
    """Implements `Transport` over one `PhoneConnection`; made and run on the event loop."""

    plays = True

    def __init__(
        self,
        connection: PhoneConnection,
        settings: PhoneConfig,
        clock: Callable[[], float],
        shutdown_prompt: Samples | None = None,
    ) -> None:
        """`clock` gives unix seconds. `shutdown_prompt`: said when the server is stopped."""
        self._connection = connection
        self._shutdown_prompt = shutdown_prompt
        self._clock = clock
        self._dtmf = DtmfCollector(settings.key_pause)
        self._key_arrived = asyncio.Event()
        self._opening = round(settings.opening * SAMPLE_RATE / FRAME)
        self._opening_left = self._opening  # frames
        self._noise = _noise(settings.comfort_noise)
        self._goodbye: GoodbyeDetector | None = None
        self._target = ""  # of the transfer that follows the goodbye
        self._goodbye_said = asyncio.Event()

    async def connected(self) -> None:
        """Audio can pass in both directions. Raises `PeerGone`."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._connection.connected()
        except TimeoutError:
            raise PeerGone(f"no audio could pass within {CONNECT:g} s") from None

    def recall(self) -> int | None:
        """See `PhoneConnection.recall`; counts the frames that were pulled from the call."""
        played = self._connection.recall()
        return None if played is None else max(0, played - self._opening)

    async def receive(self, intake: Intake) -> None:
        """Hands audio and keys to `intake` until the far end or the assistant hangs up. Raises `PeerGone`."""
        collecting = _CollectingIntake(intake, self._collect, self._key_arrived.set)
        await until_gone(self._connection.receive(collecting), self._deliver_entries(intake), self._leave(intake))

    async def speak(self, pull: Pull) -> None:
        """Pulls for the connection, for ever."""
        await self.connected()
        await self._connection.speak(lambda: self._frame(pull))

    def send(self, text: bytes) -> None:
        """Drops the event: a telephone cannot show it."""

    async def close(self, ending: Ending) -> None:
        """Hangs up. A server that is stopped says goodbye before."""
        prompt = self._shutdown_prompt
        if ending.reason is CloseReason.SHUTDOWN and prompt is not None and len(prompt):
            try:
                self._connection.recall()
                await play(self._connection, prompt, LONGEST_PROMPT)
            except (PeerGone, TimeoutError):
                pass  # the caller hung up before its end
        await self._connection.close(ending)

    # --- actions of the assistant and of applications ----------------------------------------------------------------

    def hang_up(self) -> None:
        """Hangs up once the assistant has said its goodbye."""
        self._goodbye = self._goodbye or GoodbyeDetector()

    def transfer(self, target: str) -> None:
        """Transfers the caller to `target` once the assistant has said its goodbye."""
        self._target = target
        self.hang_up()

    async def transfer_now(self, target: str) -> None:
        """Transfers the caller at once. Raises `ActionFailed`."""
        try:
            async with asyncio.timeout(TRANSFER):
                await self._connection.transfer(target)
        except TimeoutError:
            raise ActionFailed(f"nobody answered within {TRANSFER:g} s") from None

    async def send_dtmf(self, keys: str) -> None:
        """Sends keys to the far end. Raises `ActionFailed`."""
        await self._connection.send_dtmf(keys)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _frame(self, pull: Pull) -> Samples:
        if self._opening_left:
            self._opening_left -= 1
            return _SILENCE.copy()
        samples = pull()
        if self._goodbye is not None and self._goodbye.finished(bool(samples.any())):
            self._goodbye_said.set()
        if self._noise is not None and not samples.any():
            self._noise = np.roll(self._noise, -FRAME)
            samples = self._noise[:FRAME].copy()
        return samples

    def _collect(self, keys: str) -> list[Keys]:
        return self._dtmf.add(keys, asyncio.get_running_loop().time(), int(self._clock()))

    async def _deliver_entries(self, intake: Intake) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            await self._key_arrived.wait()
            self._key_arrived.clear()
            while (deadline := self._dtmf.deadline) is not None:
                await asyncio.sleep(deadline - loop.time())
                for keys in self._dtmf.expire(loop.time()):
                    await intake.deliver(keys)

    async def _leave(self, intake: Intake) -> Never:
        while True:
            await self._goodbye_said.wait()
            if not self._target:
                raise PeerGone("the assistant hung up")
            try:
                await self.transfer_now(self._target)
                raise PeerGone("the caller was transferred")
            except ActionFailed as error:
                log.warning("transfer failed")
                for message in _transfer_failed(str(error)):
                    await intake.deliver(message)
            self._target, self._goodbye = "", None
            self._goodbye_said.clear()


@dataclass(frozen=True, slots=True)
class _CollectingIntake:
    """The call's intake behind a `DtmfCollector`. `arrived` is called after each key."""

    intake: Intake
    collect: Callable[[str], list[Keys]]
    arrived: Callable[[], None]

    def put(self, received: Received) -> None:
        if not isinstance(received, Keys):
            self.intake.put(received)
            return
        for keys in self.collect(received.keys):
            self.intake.put(keys)
        self.arrived()

    async def deliver(self, received: Received) -> None:
        if not isinstance(received, Keys):
            await self.intake.deliver(received)
            return
        for keys in self.collect(received.keys):
            await self.intake.deliver(keys)
        self.arrived()


def _transfer_failed(reason: str) -> list[Message]:
    """Client events that make the assistant tell the caller about the failed transfer."""
    text = f"The transfer did not work: {reason}. Tell the caller, in one short sentence, and go on helping them."
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}
    events = {"type": "conversation.item.create", "item": item}, {"type": "response.create"}
    return [Message(json.dumps(event)) for event in events]


def _noise(level: float) -> Samples | None:
    """A second of noise, `level` dB below full scale (RMS); None for 0."""
    if not level:
        return None
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
    return noise * np.float32(10 ** (-abs(level) / 20))


async def play(connection: PhoneConnection, samples: Samples, longest: float) -> None:
    """Plays a prompt to its end, on a connection without a call, within `longest` seconds. Raises `PeerGone`,
    `TimeoutError`."""
    done = asyncio.Event()
    at = 0

    def pull() -> Samples:
        nonlocal at
        frame = samples[at : at + FRAME]
        at += FRAME
        if at >= len(samples) + FRAME:
            done.set()
        return frame if len(frame) == FRAME else _padded(frame)

    gone: PeerGone | None = None
    try:
        async with asyncio.timeout(longest), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(connection.receive(Discard())), tasks.create_task(_speak(connection, pull))]
            await done.wait()
            for task in running:
                task.cancel()
    except* PeerGone as left:
        gone = next(error for error in left.exceptions if isinstance(error, PeerGone))
    if gone is not None:
        raise gone


async def _speak(connection: PhoneConnection, pull: Callable[[], Samples]) -> None:
    await connection.connected()
    await connection.speak(pull)


def _padded(frame: Samples) -> Samples:
    return np.concatenate((frame, np.zeros(FRAME - len(frame), np.float32)))


QUIET: Final = 35
"""Frames (0.7 s) of silence that end a goodbye: longer than the pauses between its sentences."""

SILENT: Final = 300
"""Frames (6 s) of silence after which no goodbye is expected any more."""

LONGEST_GOODBYE: Final = 1500
"""Frames (30 s) after which a goodbye is cut off."""


class GoodbyeDetector:
    """Finds the end of the goodbye in the frames that are sent, so that hanging up does not clip it.

    waiting ──audio──► speaking ──0.7 s of silence──► finished
       └────6 s without any audio────────────────────┘
    """

    def __init__(self) -> None:
        self._frames = 0
        self._quiet = 0
        self._spoke = False

    def finished(self, audible: bool) -> bool:
        """Counts one frame of 20 ms, silent or not; whether the goodbye is over."""
        self._frames += 1
        self._spoke |= audible
        self._quiet = 0 if audible else self._quiet + 1
        return self._frames >= LONGEST_GOODBYE or self._quiet >= (QUIET if self._spoke else SILENT)


MAX_KEYS: Final = 64
"""Keys of one entry; a longer one is delivered in parts."""

END_KEY: Final = "#"
"""Completes an entry at once, as callers are used to."""


class DtmfCollector:
    """One caller's keys: single keys in, whole entries out.

    Keys("1") Keys("2") … pause or # ──► Keys("12", whole=True)

    The shell calls `expire` at `deadline`."""

    def __init__(self, pause: float) -> None:
        """`pause`: seconds after the last key at which an entry is complete."""
        self._pause = pause
        self._entry = ""
        self.deadline: float | None = None
        """When `expire` has an entry; None while there are no keys."""

    def add(self, keys: str, now: float, at: int) -> list[Keys]:
        """Takes keys at `now` seconds, `at` in unix seconds. Returns each of them, and the entry that they complete.
        Skips what is no key."""
        delivered: list[Keys] = []
        for key in keys.upper():
            if key not in DTMF_KEYS:
                continue
            delivered.append(Keys(key, at))
            self._entry += key
            self.deadline = now + self._pause
            if key == END_KEY or len(self._entry) == MAX_KEYS:
                delivered += self.expire(self.deadline)
        return delivered

    def expire(self, now: float) -> list[Keys]:
        """The entry, if the pause behind it is over."""
        if self.deadline is None or now < self.deadline:
            return []
        entry, self._entry, self.deadline = self._entry, "", None
        return [Keys(entry, whole=True)]
