"""realtime/pipeline.py."""

import asyncio
from contextlib import aclosing

from harness import virtual_time
from vivavoce.realtime.pipeline import BOUND, Inbox


async def take(inbox: Inbox[int], count: int) -> list[int]:
    taken: list[int] = []
    async with aclosing(inbox.facts()) as facts:
        async for fact in facts:
            taken.append(fact)
            if len(taken) == count:
                break
    return taken


def test_facts_come_in_the_order_in_which_they_happened() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        inbox.post(1)
        await inbox.deliver(2)
        inbox.post(3)
        assert await take(inbox, 3) == [1, 2, 3]

    virtual_time.run(main())


def test_the_reader_waits_for_what_comes_later() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(take(inbox, 2))
            for fact in (1, 2):
                await asyncio.sleep(60)
                inbox.post(fact)
        assert taking.result() == [1, 2]

    virtual_time.run(main())


def test_the_peer_is_held_back_at_the_bound_and_goes_on_when_there_is_room() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        delivered: list[int] = []

        async def peer(numbers: range) -> None:
            for number in numbers:
                await inbox.deliver(number)
                delivered.append(number)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(peer(range(BOUND)))
            tasks.create_task(peer(range(BOUND, BOUND + 10)))
            tasks.create_task(peer(range(BOUND + 10, BOUND + 20)))
            await asyncio.sleep(1)
            assert len(delivered) == BOUND
            assert await take(inbox, 5) == [0, 1, 2, 3, 4]
            await asyncio.sleep(1)
            assert len(delivered) == BOUND + 5  # two peers waited, and still the bound holds
            await take(inbox, BOUND)
        assert sorted(delivered) == list(range(BOUND + 20))

    virtual_time.run(main())


def test_the_calls_own_parts_are_never_held_back() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        for number in range(BOUND):
            await inbox.deliver(number)
        inbox.post(-1)
        assert (await take(inbox, BOUND + 1))[-1] == -1

    virtual_time.run(main())


def test_what_is_posted_while_a_fact_is_worked_on_is_not_forgotten() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        inbox.post(0)
        seen = []
        async with aclosing(inbox.facts()) as facts:
            async for fact in facts:
                seen.append(fact)
                if fact == 3:
                    break
                inbox.post(fact + 1)
        assert seen == [0, 1, 2, 3]

    virtual_time.run(main())
