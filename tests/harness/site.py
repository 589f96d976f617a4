"""A gateway on a thread of its own, for a browser that is driven from the test's thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.fakes import ScriptedEngine
from harness.gateway import gateway


@dataclass(frozen=True)
class Site:
    """Where it is, and the loop that it runs on."""

    url: str
    loop: asyncio.AbstractEventLoop


@contextmanager
def site(engine: ScriptedEngine) -> Iterator[Site]:
    """Runs a gateway; at the end it must be idle."""
    started: queue.Queue[tuple[Site, asyncio.Event]] = queue.Queue()

    async def main() -> None:
        async with gateway(engine) as running:
            stop = asyncio.Event()
            started.put((Site(running.url, asyncio.get_running_loop()), stop))
            await stop.wait()
            await running.idle()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    running, stop = started.get(timeout=30)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(stop.set)
        thread.join(60)
