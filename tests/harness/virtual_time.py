"""An event loop whose clock jumps: whenever nothing is ready, time moves to the next timer at once.

Whole calls with pauses and deadlines run in milliseconds, and always in the same order. Work on threads does not fit
in here: a loop that waits for a thread would jump over it, unless the thread takes its work from a `SeenQueue` and the
loop knows of it (`wait_for`).
"""

from __future__ import annotations

import asyncio
import queue
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready and no timer is set: the test would wait for ever."""


class SeenQueue(queue.Queue[Any]):
    """A queue of work for a thread that shows whether the thread is at work."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = False

    @property
    def at_work(self) -> bool:
        """Something waits in it, or what was taken last is still worked on: nothing was asked for since."""
        with self.mutex:
            return self._taken or bool(self._qsize())

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self.mutex:
            self._taken = False
        return super().get(block, timeout)

    def _get(self) -> Any:  # under the lock of `get`
        item = super()._get()
        self._taken = item is not None  # which ends the thread
        return item


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing but threads at work: what would be waiting time is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queues: list[SeenQueue] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        while not ready and timeout != 0 and any(waiting.at_work for waiting in self.queues):
            ready = super().select(0.001)
        if not ready:
            if timeout is None:
                raise Deadlock("every task waits for something that can no longer happen")
            self.now += max(timeout, 0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def wait_for(self, work: SeenQueue) -> None:
        """From now on the clock stands still while a thread is at work on what it takes from this queue."""
        self._jumping.queues.append(work)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a virtual clock that begins at 0."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
