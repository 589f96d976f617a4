"""model/cascade/threads.py: earliest deadline first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import partial

import pytest

from vivavoce.model.cascade.threads import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    running = Worker("test")
    yield running
    running.close()


def held(worker: Worker) -> threading.Event:
    """Keeps the worker busy until the event is set; returns when it is."""
    began, go = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        go.wait(5)

    worker.submit(wait, time.monotonic())
    began.wait(5)
    return go


def test_work_is_done_by_deadline_and_of_the_same_deadline_in_order(worker: Worker) -> None:
    done: list[str] = []
    go = held(worker)
    futures = [worker.submit(partial(done.append, name), due) for name, due in zip("cabd", (3, 1, 1, 4), strict=True)]
    go.set()
    for future in futures:
        future.result(5)
    assert done == ["a", "b", "c", "d"]


def test_a_failure_reaches_its_caller_only(worker: Worker) -> None:
    def fail() -> None:
        raise ValueError("no")

    failed = worker.submit(fail, 0.0)
    with pytest.raises(ValueError, match="no"):
        failed.result(5)
    assert worker.submit(lambda: 3, 0.0).result(5) == 3


def test_lateness_counts_work_that_waited_or_is_waiting(worker: Worker) -> None:
    worker.submit(lambda: None, time.monotonic() + 1).result(5)
    assert worker.lateness <= 0
    go = held(worker)
    waiting = worker.submit(lambda: None, time.monotonic() - 2)
    assert worker.lateness >= 2, "before it has begun"
    go.set()
    waiting.result(5)
    assert worker.lateness >= 2


def test_closing_waits_for_the_work_under_way_and_drops_the_rest() -> None:
    worker = Worker("test")
    go = held(worker)
    dropped = worker.submit(lambda: None, 0.0)
    threading.Timer(0.05, go.set).start()
    worker.close()
    with pytest.raises(CancelledError):
        dropped.result(0)
    with pytest.raises(CancelledError):
        worker.submit(lambda: None, 0.0).result(0)
