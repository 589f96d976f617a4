"""Runs the cascade's threads: one for the ASR, one for the TTS, shared by all conversations.

    work, due ──► earliest deadline first ──► the thread ──► Future
                                                  └── how late work began: `lateness`

The most urgent work is done first: the text of a turn that has paused before that of one that goes on, the first sound
of a reply before the rest of one that is being played. (The LLM has a thread per slot: llama.cpp does the batching.)
One owner, `Cascade`, opens and joins them. The worst lateness of the last ten seconds tells whether the machine is
overloaded.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from vivavoce.model.errors import DialogueError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Worker:
    """One thread that does the most urgent work first. `due` is a moment of `time.monotonic()`."""

    def __init__(self, name: str) -> None:
        self._jobs: list[tuple[float, int, Callable[[], Any], Future[Any]]] = []
        self._numbers = count()
        self._late = Lateness()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def submit(self, work: Callable[[], T], due: float) -> Future[T]:
        """Queues `work`, to be begun at `due` if possible; work of the same moment keeps its order. It runs in a copy
        of the caller's context: what it logs carries the id of the call."""
        future: Future[T] = Future()
        in_context: Callable[[], T] = partial(copy_context().run, work)
        with self._changed:
            if self._closing:
                future.cancel()
            else:
                heapq.heappush(self._jobs, (due, next(self._numbers), in_context, future))
                self._changed.notify()
        return future

    @property
    def lateness(self) -> float:
        """Seconds by which work has been late at worst in the last ten, waiting work included."""
        now = time.monotonic()
        with self._changed:
            waiting = now - self._jobs[0][0] if self._jobs else 0.0
        return max(waiting, self._late.worst)

    def close(self) -> None:
        """Waits for the work under way, and drops the rest."""
        with self._changed:
            self._closing = True
            for *_, future in self._jobs:
                future.cancel()
            self._jobs.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            work, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:  # the thread's border: the caller that waits gets it
                future.set_exception(error)
            else:
                future.set_result(result)

    def _next(self) -> tuple[Callable[[], Any], Future[Any]] | None:
        with self._changed:
            while not self._jobs and not self._closing:
                self._changed.wait()
            if self._closing:
                return None
            due, _, work, future = heapq.heappop(self._jobs)
            self._late.note(time.monotonic() - due)
            return work, future


class Threads:
    """The threads of ASR and TTS."""

    def __init__(self) -> None:
        self._asr = Worker("asr")
        self._tts = Worker("tts")

    async def run_asr(self, work: Callable[[], T], patience: float = 0.0) -> T:
        """Runs `work` on the ASR's thread, due in `patience` seconds. Raises `DialogueError`."""
        try:
            return await asyncio.wrap_future(self._asr.submit(work, time.monotonic() + patience))
        except Exception as error:  # the border of the ASR's thread: a turn it fails on must not end the call
            log.exception("ASR failed")
            raise DialogueError("What you said could not be recognised.") from error

    def submit_tts(self, work: Callable[[], None], due: float) -> None:
        """Queues `work` for the TTS's thread, due at a moment of `time.monotonic()`. It reports its own errors."""
        self._tts.submit(work, due)

    @property
    def lateness(self) -> float:
        """Seconds by which ASR or TTS have been late at worst in the last ten."""
        return max(self._asr.lateness, self._tts.lateness)

    def close(self) -> None:
        self._asr.close()
        self._tts.close()


REMEMBERED: Final = 10.0
"""Seconds for which a delay counts."""


class Lateness:
    """Delays in seconds, noted by any thread. Moments are those of `time.monotonic()`."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()  # when it was noted, and how late
        self._lock = threading.Lock()

    def note(self, late: float) -> None:
        """Work was done `late` seconds after it was due; below 0: early."""
        with self._lock:
            now = time.monotonic()
            self._late.append((now, late))
            while self._late[0][0] < now - REMEMBERED:
                self._late.popleft()

    @property
    def worst(self) -> float:
        """The longest delay of the last `REMEMBERED` seconds; 0 when there was none."""
        with self._lock:
            recent = time.monotonic() - REMEMBERED
            return max((late for at, late in self._late if at > recent), default=0.0)
