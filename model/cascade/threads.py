"""The cascade's own threads: one for the ears, one for the voice, shared by all conversations.

(The language model has a thread per slot: llama.cpp does the batching.) One owner, `Cascade`, opens and joins them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vivavoce.model.dialogue import DialogueError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Threads:
    """Where the ears and the voice work."""

    def __init__(self) -> None:
        self._ears = ThreadPoolExecutor(1, thread_name_prefix="ears")
        self._voice = ThreadPoolExecutor(1, thread_name_prefix="voice")

    async def ears(self, work: Callable[[], T]) -> T:
        """Runs `work` on the ears' thread. Raises `DialogueError`."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._ears, work)
        except Exception as error:  # the border of the ears' thread: a turn they fail on must not end the call
            log.exception("the ears failed")
            raise DialogueError("What you said could not be recognised.") from error

    def voice(self, work: Callable[[], None]) -> None:
        """Queues `work` for the voice's thread. It reports its own errors."""
        self._voice.submit(work)

    def close(self) -> None:
        self._ears.shutdown(wait=True, cancel_futures=True)
        self._voice.shutdown(wait=True, cancel_futures=True)
