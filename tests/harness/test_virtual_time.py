"""tests/harness/virtual_time.py."""

import asyncio
import threading
import time

import pytest

from harness import virtual_time


def test_an_hour_passes_in_no_time() -> None:
    async def hour() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(hour()) == pytest.approx(3600)


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        async with asyncio.TaskGroup() as tasks:
            for seconds in (3, 1, 2):
                tasks.create_task(sleeper(seconds))
        return woken

    assert virtual_time.run(main()) == [1, 2, 3]


def test_a_wait_that_nothing_can_end_is_an_error_instead_of_a_hang() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual_time.Deadlock):
        virtual_time.run(stuck())


def test_the_clock_waits_for_a_thread_at_work() -> None:
    async def main() -> float:
        loop, done, work = asyncio.get_running_loop(), asyncio.Event(), virtual_time.SeenQueue()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        loop.wait_for(work)

        def worker() -> None:
            while (seconds := work.get()) is not None:
                time.sleep(seconds)
                loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=worker)
        thread.start()
        work.put(0.1)
        async with asyncio.timeout(3600):
            await done.wait()
        work.put(None)
        thread.join()
        return loop.time()

    assert virtual_time.run(main()) == 0.0
