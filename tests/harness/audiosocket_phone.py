"""A caller behind Asterisk's AudioSocket, without Asterisk: the bytes that it would send."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from vivavoce.realtime.telephony.asterisk.audiosocket import HANG_UP

LOUD = b"\x10\x01\x40" + (16_000 * np.sin(2 * np.pi * 300 * np.arange(160) / 8_000)).astype("<i2").tobytes()
QUIET = b"\x10\x01\x40" + bytes(320)


class Caller:
    """One call. `heard`: the audio messages that arrived, as (loop time, payload)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.heard: list[tuple[float, bytes]] = []
        self.hung_up = False
        self.over = asyncio.Event()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                head = await self._reader.readexactly(3)
                payload = await self._reader.readexactly(int.from_bytes(head[1:], "big"))
                if head == HANG_UP:
                    self.hung_up = True
                else:
                    assert head == b"\x10\x01\x40", head.hex()
                    self.heard.append((loop.time(), payload))
        except (EOFError, ConnectionError):
            self.over.set()

    async def send(self, message: bytes, seconds: float = 0.02) -> None:
        """The same 20 ms, in real time."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(round(seconds / 0.02)):
            self.writer.write(message)
            due += 0.02
            await asyncio.sleep(due - loop.time())

    async def until_voice(self, after: int = 0, seconds: float = 10) -> int:
        """The index of the first message from `after` on with audible sound."""
        async with asyncio.timeout(seconds):
            while True:
                for number, (_, payload) in enumerate(self.heard[after:], after):
                    if any(payload):
                        return number
                await asyncio.sleep(0.01)


@asynccontextmanager
async def calling(port: int, name: bytes | None = None, early: bytes = b"") -> AsyncIterator[Caller]:
    """Calls; `early`: messages before the id. Hangs up as Asterisk does, by closing the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    caller = Caller(reader, writer)
    writer.write(early + b"\x01\x00\x10" + (name or uuid.uuid4().bytes))
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(caller.listen())
        try:
            yield caller
        finally:
            listening.cancel()
            writer.close()
