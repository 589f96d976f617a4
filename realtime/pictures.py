"""Decodes the images of clients' messages for all calls of a process, on one thread.

    message ──decode──► a queue of MAX_WAITING ──(thread "pictures")──► pixels, or `Refused`

Decoding takes up to seconds where files unpack to many pixels; on the event loop it would stop every call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from vivavoce.realtime.session.images import Pixels, decode_images
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import InputImage

DEADLINE: Final = 10.0
"""Seconds that a message may wait for its images."""

MAX_WAITING: Final = 16
"""Messages whose images are decoded or wait for it."""


class PictureDecoder:
    """The thread, which begins with the first message."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._jobs: list[Future[dict[str, Pixels]]] = []

    async def decode(self, images: Sequence[tuple[InputImage, str]]) -> Mapping[str, Pixels]:
        """The pictures of one message, by their data URIs. Raises `Refused`, with the path of the image at fault."""
        _, path = images[0]
        self._jobs = [job for job in self._jobs if not job.done()]
        if len(self._jobs) >= MAX_WAITING:
            raise _busy(path)
        job = self._pool.submit(decode_images, images)
        self._jobs.append(job)
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise _busy(path) from None

    def close(self) -> None:
        """Ends the thread, after the message that it is at. Blocks until then."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _busy(path: str) -> Refused:
    return Refused("rate_limit_exceeded", "The server has too many images to decode. Please send it again.", path)
