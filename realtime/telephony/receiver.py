"""A phone line as the transport of a call: keys collected, pauses not dead, hang-up when the last word was said.

    line ──Sound──────────────► deliver          pull ──► opening ──► comfort noise ──► line.speak
         ──Keys──► Keypad ────► deliver                                  │
                                             leaving: said, and quiet ──►└── PeerGone, or a transfer

Nobody on a telephone reads events, so `send` drops them; sidebands have theirs from `Peers`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final, Never

import numpy as np

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.telephony import CannotDo, PhoneLine
from vivavoce.realtime.telephony.keypad import Keypad
from vivavoce.realtime.telephony.leaving import Leaving
from vivavoce.realtime.telephony.settings import PhoneConfig
from vivavoce.realtime.transports import FRAME, Deliver, Keys, Message, PeerGone, Pull, Received
from vivavoce.realtime.transports.gone import until_gone

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

    def reached(self, played: int | None = None) -> None:
        """A phone does not come back over another line."""

    def recall(self) -> int | None:
        """See `PhoneLine.recall`; in frames that were pulled from the call."""
        heard = self._line.recall()
        return None if heard is None else max(0, heard - self._opening)

    async def receive(self, deliver: Deliver) -> None:
        """Delivers sound and keys until the far end hangs up, or the assistant does. Raises `PeerGone`."""

        async def take(received: Received) -> None:
            if isinstance(received, Keys):
                for keys in self._keypad.press(received.keys, asyncio.get_running_loop().time(), int(self._clock())):
                    await deliver(keys)
                self._typed.set()
            else:
                await deliver(received)

        await until_gone(self._line.receive(take), self._entries(deliver), self._leave(deliver))

    async def speak(self, pull: Pull) -> None:
        """Pulls for the line, for ever."""
        await self.connected()
        await self._line.speak(lambda: self._frame(pull))

    def send(self, text: bytes) -> None:
        """Nobody reads it."""

    async def close(self, reason: str) -> None:
        """Hangs up."""
        await self._line.close(reason)

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

    async def _entries(self, deliver: Deliver) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            await self._typed.wait()
            self._typed.clear()
            while (due := self._keypad.deadline) is not None:
                await asyncio.sleep(due - loop.time())
                for keys in self._keypad.expire(loop.time()):
                    await deliver(keys)

    async def _leave(self, deliver: Deliver) -> Never:
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
                    await deliver(message)
            self._target, self._leaving = "", None
            self._said.clear()


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
