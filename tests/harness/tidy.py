"""Runs a coroutine and fails when it leaves anything behind: tasks, threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any


def run(body: Coroutine[Any, Any, None], patience: float = 2.0) -> None:
    """Runs `body` on a fresh loop. What it started must have ended within `patience` seconds after it."""
    threads = set(threading.enumerate())

    async def main() -> None:
        await body
        end = time.monotonic() + patience
        while (left := asyncio.all_tasks() - {asyncio.current_task()}) and time.monotonic() < end:  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0.01)
        assert not left, f"tasks were left: {[task.get_coro() for task in left]}"
        mine = {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")} - threads
        assert not mine, f"threads were left: {mine}"  # (asyncio ends those of its own executor just below)

    asyncio.run(main())
    assert set(threading.enumerate()) <= threads
