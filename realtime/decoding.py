"""Decodes the attachments of clients' events for all calls of a process, on one thread.

    event ──decode──► a queue of MAX_WAITING ──(thread "decoding")──► Decoded, or `Refused`

Decoding takes up to seconds where files unpack to many pixels or samples; on the event loop it would stop every call.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from vivavoce.realtime.session import attachments
from vivavoce.realtime.session.attachments import Decoded
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import AudioFormat

DEADLINE: Final = 10.0
"""Seconds that an event may wait for its attachments."""

MAX_WAITING: Final = 16
"""Events whose attachments are decoded or wait for it."""


class AttachmentDecoder:
    """The thread, which begins with the first event."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._jobs: list[Future[Decoded]] = []

    async def decode(self, event: ClientEvent, form: AudioFormat) -> Decoded:
        """The attachments of one event; `form`: of its sound. Raises `Refused`, with the path of the fault."""
        self._jobs = [job for job in self._jobs if not job.done()]
        if len(self._jobs) >= MAX_WAITING:
            raise _busy()
        job = self._pool.submit(attachments.decode, event, form)
        self._jobs.append(job)
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise _busy() from None

    def close(self) -> None:
        """Ends the thread, after the event that it is at. Blocks until then."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _busy() -> Refused:
    return Refused("rate_limit_exceeded", "The server has too many images or sounds to decode. Please send it again.")
