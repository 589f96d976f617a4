"""A phone line as the transport of a call: keys collected, pauses not dead, hang-up when the last word was said.

    line ──Sound──────────────► intake           pull ──► opening ──► comfort noise ──► line.speak
         ──Keys──► Keypad ────► intake                                   │
                                             leaving: said, and quiet ──►└── PeerGone, or a transfer

Nobody on a telephone reads events, so `send` drops them; sidebands have theirs from `Peers`.

When to hang up: after the goodbye that the assistant is about to say, and not in the middle of it.

    hang_up ──► waiting ──sound──► speaking ──0.7 s of quiet──► said
                   └──────6 s without any sound──────────────────┘

A core; it counts frames of 20 ms as they leave.

What is typed on a telephone: single keys in, whole entries out.

    Keys("1") Keys("2") … pause or # ──► Keys("12", whole=True)

A core: the shell asks at `deadline`.
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
from vivavoce.realtime.telephony import KEYS, CannotDo, PhoneLine
from vivavoce.realtime.transports import Ending, Intake, Keys, Message, PeerGone, Pull, Received
from vivavoce.realtime.transports.queues import until_gone

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds in which sound must be able to pass, once the call was answered."""

TRANSFER: Final = 20.0
"""Seconds that a transfer may take to be accepted."""

_QUIET: Final = np.zeros(FRAME, np.float32)


class PhoneTransport:
    """Implements `Transport` over one `PhoneLine`; made and run on the event loop."""

    plays = True

    def __init__(self, line: PhoneLine, settings: PhoneConfig, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds."""
        self._line = line
        self._clock = clock
        self._keypad = Keypad(settings.key_pause)
        self._typed = asyncio.Event()
        self._opening = round(settings.opening * SAMPLE_RATE / FRAME)
        self._unpulled = self._opening  # frames of it that are still to come
        self._noise = _noise(settings.comfort_noise)
        self._leaving: Leaving | None = None
        self._target = ""
        self._said = asyncio.Event()

    async def connected(self) -> None:
        """The line is open both ways. Raises `PeerGone`."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._line.connected()
        except TimeoutError:
            raise PeerGone(f"no sound could pass within {PATIENCE:g} s") from None

    def recall(self) -> int | None:
        """See `PhoneLine.recall`; in frames that were pulled from the call."""
        heard = self._line.recall()
        return None if heard is None else max(0, heard - self._opening)

    async def receive(self, intake: Intake) -> None:
        """Hands sound and keys to `intake` until the far end hangs up, or the assistant does. Raises `PeerGone`."""
        line = self._line.receive(_KeypadIntake(intake, self._press, self._typed.set))
        await until_gone(line, self._entries(intake), self._leave(intake))

    async def speak(self, pull: Pull) -> None:
        """Pulls for the line, for ever."""
        await self.connected()
        await self._line.speak(lambda: self._frame(pull))

    def send(self, text: bytes) -> None:
        """Nobody reads it."""

    async def close(self, ending: Ending) -> None:
        """Hangs up."""
        await self._line.close(ending)

    # --- what the assistant may do -----------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Hangs up when the assistant has said what it is about to say."""
        self._leaving = self._leaving or Leaving()

    def transfer(self, target: str) -> None:
        """The same, but hands the caller over to `target`."""
        self._target = target
        self.hang_up()

    async def transfer_now(self, target: str) -> None:
        """Hands the caller over at once. Raises `CannotDo`."""
        try:
            async with asyncio.timeout(TRANSFER):
                await self._line.transfer(target)
        except TimeoutError:
            raise CannotDo(f"nobody answered within {TRANSFER:g} s") from None

    async def press(self, keys: str) -> None:
        """Sends keys to the far end. Raises `CannotDo`."""
        await self._line.press(keys)

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _frame(self, pull: Pull) -> Samples:
        if self._unpulled:
            self._unpulled -= 1
            return _QUIET.copy()
        samples = pull()
        if self._leaving is not None and self._leaving.said(bool(samples.any())):
            self._said.set()
        if self._noise is not None and not samples.any():
            self._noise = np.roll(self._noise, -FRAME)
            samples = self._noise[:FRAME].copy()
        return samples

    def _press(self, keys: str) -> list[Keys]:
        return self._keypad.press(keys, asyncio.get_running_loop().time(), int(self._clock()))

    async def _entries(self, intake: Intake) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            await self._typed.wait()
            self._typed.clear()
            while (due := self._keypad.deadline) is not None:
                await asyncio.sleep(due - loop.time())
                for keys in self._keypad.expire(loop.time()):
                    await intake.deliver(keys)

    async def _leave(self, intake: Intake) -> Never:
        while True:
            await self._said.wait()
            if not self._target:
                raise PeerGone("the assistant hung up")
            try:
                await self.transfer_now(self._target)
                raise PeerGone("the caller was transferred")
            except CannotDo as error:
                log.warning("transfer failed")
                for message in _told(str(error)):
                    await intake.deliver(message)
            self._target, self._leaving = "", None
            self._said.clear()


@dataclass(frozen=True, slots=True)
class _KeypadIntake:
    """An `Intake` in front of the call's: keys pass the keypad."""

    intake: Intake
    press: Callable[[str], list[Keys]]
    pressed: Callable[[], None]

    def put(self, received: Received) -> None:
        if not isinstance(received, Keys):
            self.intake.put(received)
            return
        for keys in self.press(received.keys):
            self.intake.put(keys)
        self.pressed()

    async def deliver(self, received: Received) -> None:
        if not isinstance(received, Keys):
            await self.intake.deliver(received)
            return
        for keys in self.press(received.keys):
            await self.intake.deliver(keys)
        self.pressed()


def _told(why: str) -> list[Message]:
    """The assistant learns that the transfer failed, and says so."""
    text = f"The transfer did not work: {why}. Tell the caller, in one short sentence, and go on helping them."
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}
    events = {"type": "conversation.item.create", "item": item}, {"type": "response.create"}
    return [Message(json.dumps(event)) for event in events]


def _noise(level: float) -> Samples | None:
    """A second of noise, `level` dB below full scale (RMS); None for 0."""
    if not level:
        return None
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
    return noise * np.float32(10 ** (-abs(level) / 20))


QUIET: Final = 35
"""Frames (0.7 s) of silence that end a goodbye: pauses between its sentences are shorter."""

SILENT: Final = 300
"""Frames (6 s) for which nothing may be said at all."""

LONGEST_FAREWELL: Final = 1500
"""Frames (30 s) after which it is over anyway."""


class Leaving:
    """One goodbye."""

    def __init__(self) -> None:
        self._frames = 0
        self._quiet = 0
        self._spoke = False

    def said(self, sound: bool) -> bool:
        """A frame left, with `sound` or silent: whether that was all."""
        self._frames += 1
        self._spoke |= sound
        self._quiet = 0 if sound else self._quiet + 1
        return self._frames >= LONGEST_FAREWELL or self._quiet >= (QUIET if self._spoke else SILENT)


MAX_KEYS: Final = 64
"""Keys of one entry; a longer one is told in parts."""

END: Final = "#"
"""The key that says that this is all, as everybody who has a telephone knows."""


class Keypad:
    """One caller's keys."""

    def __init__(self, pause: float) -> None:
        """`pause`: seconds after the last key at which an entry is whole."""
        self._pause = pause
        self._typed = ""
        self.deadline: float | None = None
        """When `expire` has something to say; None while nothing is typed."""

    def press(self, keys: str, now: float, at: int) -> list[Keys]:
        """Takes keys at `now` seconds, `at` in unix seconds. Returns each of them, and the entry they complete. What is
        no key is passed over."""
        told: list[Keys] = []
        for key in keys.upper():
            if key not in KEYS:
                continue
            told.append(Keys(key, at))
            self._typed += key
            self.deadline = now + self._pause
            if key == END or len(self._typed) == MAX_KEYS:
                told += self.expire(self.deadline)
        return told

    def expire(self, now: float) -> list[Keys]:
        """The entry, once there was a pause behind it."""
        if self.deadline is None or now < self.deadline:
            return []
        typed, self._typed, self.deadline = self._typed, "", None
        return [Keys(typed, whole=True)]
