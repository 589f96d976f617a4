"""tests/harness/virtual_time.py."""

import asyncio

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
