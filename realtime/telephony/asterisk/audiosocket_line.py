"""A call that Asterisk brought over AudioSocket, as a phone line.

    TCP ──bytes──► Reader ──► Sound, Keys          pull, every 20 ms ──► audio ──► TCP

Asterisk plays what it gets at once: nothing is ahead, so nothing can be recalled. Keys and transfers have no place on
this wire.

Where a telephone sends nothing (voice activity detection, hold, a stalled link), silence takes its place; a core.

    sound that came ──heard──┐
    time that passes ─missing┴──► samples of silence to put in, so that ears and clock agree

Otherwise a caller who stops speaking would never have finished. `now` is in seconds, on any clock that does not run
backwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Never

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.telephony import CannotDo
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk.pcm import WireSound
from vivavoce.realtime.transports import Ending, Intake, Keys, PeerGone, Pull, Sound
from vivavoce.realtime.transports.pacing import Pace

log = logging.getLogger(__name__)

USUAL_RATE: Final = 8_000
SILENT: Final = 0.5
"""Seconds after which we speak at the usual rate to a telephone that has sent nothing."""

MAX_WAITING: Final = 64 << 10
"""Bytes that may wait for a peer that does not read: two seconds of sound at 16 kHz."""

GOODBYE: Final = 1.0
CHUNK: Final = 16 << 10


class AudioSocketLine:
    """Implements `PhoneLine` on a connection whose call has been named."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: audiosocket.Reader) -> None:
        self._reader = reader
        self._writer = writer
        self._wire = wire
        self._sound: WireSound | None = None
        self._heard = asyncio.Event()

    async def connected(self) -> None:
        """The caller's first sound says at which rate to speak; a silent one is spoken to all the same."""
        try:
            async with asyncio.timeout(SILENT):
                await self._heard.wait()
        except TimeoutError:
            self._speaks(USUAL_RATE)

    async def receive(self, intake: Intake) -> Never:
        """See `PhoneLine`."""
        loop = asyncio.get_running_loop()
        gaps = Gaps(loop.time())
        while True:
            try:
                async with asyncio.timeout_at(gaps.deadline):
                    data = await self._read()
            except TimeoutError:
                await intake.deliver(Sound(np.zeros(gaps.missing(loop.time()), np.float32)))
                continue
            for received in self._received(data):
                if isinstance(received, Sound):
                    gaps.heard(len(received.samples), loop.time())
                await intake.deliver(received)

    async def speak(self, pull: Pull) -> Never:
        """See `PhoneLine`."""
        loop = asyncio.get_running_loop()
        await self.connected()
        pace = Pace()
        while True:
            _, due = pace.next(loop.time())
            await asyncio.sleep(due - loop.time())
            sound = self._sound or self._speaks(USUAL_RATE)
            self._write(audiosocket.audio(sound.rate, sound.say(pull())))

    def recall(self) -> None:
        """Nothing is ever ahead."""

    async def press(self, keys: str) -> None:
        """Raises `CannotDo`."""
        raise CannotDo("keys cannot be pressed on this line")

    async def transfer(self, target: str) -> None:
        """Raises `CannotDo`."""
        raise CannotDo("calls cannot be transferred from this line")

    async def close(self, ending: Ending) -> None:
        """Ends Asterisk's application; the dialplan goes on."""
        try:
            self._write(audiosocket.HANG_UP)
            async with asyncio.timeout(GOODBYE):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()
        except (OSError, TimeoutError, PeerGone):
            self._writer.transport.abort()

    def _speaks(self, rate: int) -> WireSound:
        """The far end's rate is known, or has changed."""
        self._sound = WireSound(rate)
        self._heard.set()
        return self._sound

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(CHUNK)
        except OSError:
            data = b""
        if not data:
            raise PeerGone("the caller hung up")
        return data

    def _received(self, data: bytes) -> Iterable[Sound | Keys]:
        """Raises `PeerGone`."""
        try:
            for event in self._wire.receive(data):
                match event:
                    case audiosocket.Heard(rate=rate, pcm=pcm):
                        sound = self._sound if self._sound and self._sound.rate == rate else self._speaks(rate)
                        yield Sound(sound.hear(pcm))
                    case audiosocket.Pressed(key=key):
                        yield Keys(key)
                    case audiosocket.HungUp():
                        raise PeerGone("the caller hung up")
                    case audiosocket.Failed(why=why):
                        raise PeerGone(f"Asterisk gave up: {why}")
        except audiosocket.WireBroken as broken:
            raise PeerGone(f"Asterisk sent what is not AudioSocket: {broken}") from broken

    def _write(self, message: bytes) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            raise PeerGone("the caller hung up")
        if transport.get_write_buffer_size() > MAX_WAITING:
            raise PeerGone("Asterisk does not read what it is sent")
        self._writer.write(message)


PATIENCE: Final = 0.1
"""Seconds by which sound may be late: more than networks and machines delay it as a rule."""


class Gaps:
    """One line's sound on its way in."""

    def __init__(self, now: float) -> None:
        self._until = now  # the moment up to which there is sound

    def heard(self, samples: int, now: float) -> None:
        """So many samples came. A burst after a stall does not count ahead."""
        self._until = min(self._until + samples / SAMPLE_RATE, now) if samples else self._until

    @property
    def deadline(self) -> float:
        """When something is missing, unless sound comes before."""
        return self._until + PATIENCE

    def missing(self, now: float) -> int:
        """Samples of silence to put in at `now`; they count as heard."""
        late = now - self._until
        if late < PATIENCE:
            return 0
        self._until = now
        return round(late * SAMPLE_RATE)
