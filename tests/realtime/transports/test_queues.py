"""realtime/transports/queues.py: the call's inbox and a peer's arrivals, on the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import virtual_time
from vivavoce.model.dialogue import Picture
from vivavoce.realtime.transports import Keys, Message, PeerGone, PeerLost, Received, Seen, Sound
from vivavoce.realtime.transports.queues import BOUND, MAX_MESSAGES, MAX_SOUND, TOO_MUCH, Arrivals, Inbox, until_gone

FRAME = Sound(np.zeros(480, np.float32))
FLOODS = pytest.mark.parametrize(
    "quarter",
    [Sound(np.zeros(MAX_SOUND // 4, np.float32)), Message(b"x" * (MAX_MESSAGES // 4))],
    ids=["sound", "messages"],
)


def said(number: int) -> Message:
    return Message(str(number))


def picture(number: int) -> Seen:
    return Seen(Picture(np.zeros((1, 1, 3), np.uint8), float(number)))


async def take(inbox: Inbox[int], count: int) -> list[int | Received]:
    taken: list[int | Received] = []
    async with aclosing(inbox.facts()) as facts:
        async for fact in facts:
            taken.append(fact)
            if len(taken) == count:
                break
    return taken


# --- the call's inbox: order ---------------------------------------------------------------------------------------


def test_facts_come_in_the_order_in_which_they_happened() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        inbox.post(1)
        await inbox.deliver(said(2))
        inbox.put(said(3))
        inbox.post(4)
        assert await take(inbox, 4) == [1, said(2), said(3), 4]

    virtual_time.run(main())


def test_sound_pictures_messages_and_keys_keep_their_order() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        sent: list[Received] = [FRAME, said(1), picture(1), FRAME, Keys("5"), said(2), FRAME]
        for number, received in enumerate(sent):
            if number % 2:
                await inbox.deliver(received)
            else:
                inbox.put(received)
        taken = await take(inbox, len(sent))
        assert all(one is other for one, other in zip(taken, sent, strict=True))

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


def test_what_is_posted_while_a_fact_is_worked_on_is_not_forgotten() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        inbox.post(0)
        seen = []
        async with aclosing(inbox.facts()) as facts:
            async for fact in facts:
                assert isinstance(fact, int)
                seen.append(fact)
                if fact == 3:
                    break
                inbox.post(fact + 1)
        assert seen == [0, 1, 2, 3]

    virtual_time.run(main())


def test_a_backlog_does_not_keep_other_tasks_from_running() -> None:
    async def main() -> None:
        inbox, others = Inbox[int](), list[int]()
        for number in range(3 * BOUND):
            inbox.post(number)

        async def other() -> None:
            while len(inbox):
                others.append(len(inbox))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take(inbox, 3 * BOUND))
            tasks.create_task(other())
        assert others == [2 * BOUND, BOUND]

    virtual_time.run(main())


def test_a_picture_that_was_not_looked_at_makes_room_for_the_next() -> None:
    async def main() -> None:
        inbox, newest = Inbox[int](), picture(3)
        inbox.put(picture(1))
        inbox.put(said(1))
        await inbox.deliver(picture(2))
        inbox.post(7)
        inbox.put(newest)
        assert await take(inbox, 3) == [said(1), 7, newest]

    virtual_time.run(main())


# --- the call's inbox: bounds --------------------------------------------------------------------------------------


def test_a_socket_is_held_back_at_the_bound_and_goes_on_when_there_is_room() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        delivered: list[int] = []

        async def peer(numbers: range) -> None:
            for number in numbers:
                await inbox.deliver(said(number))
                delivered.append(number)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(peer(range(BOUND)))
            tasks.create_task(peer(range(BOUND, BOUND + 10)))
            tasks.create_task(peer(range(BOUND + 10, BOUND + 20)))
            await asyncio.sleep(1)
            assert len(delivered) == BOUND
            assert await take(inbox, 5) == [said(number) for number in range(5)]
            await asyncio.sleep(1)
            assert len(delivered) == BOUND + 5  # two peers waited, and still the bound holds
            await take(inbox, BOUND)
        assert sorted(delivered) == list(range(BOUND + 20))

    virtual_time.run(main())


@FLOODS
def test_a_socket_is_held_back_when_what_waits_is_too_large(quarter: Sound | Message) -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        for _ in range(5):
            await inbox.deliver(quarter)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await inbox.deliver(said(1))
        inbox.put(quarter)  # another peer's own account
        await take(inbox, 1)
        await inbox.deliver(said(2))
        assert (await take(inbox, 6))[-1] == said(2)

    virtual_time.run(main())


@FLOODS
def test_a_peer_that_sends_more_than_the_call_can_take_is_gone(quarter: Sound | Message) -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        for _ in range(4):
            inbox.put(quarter)
        await take(inbox, 1)
        inbox.put(quarter)
        with pytest.raises(PeerGone, match=TOO_MUCH):
            inbox.put(quarter)
        assert len(await take(inbox, 5)) == 5  # and what it has sent is there

    virtual_time.run(main())


def test_the_calls_own_parts_are_never_held_back() -> None:
    async def main() -> None:
        inbox = Inbox[int]()
        for number in range(BOUND):
            await inbox.deliver(said(number))
        for number in range(10 * BOUND):
            inbox.post(number)
        assert (await take(inbox, 11 * BOUND))[-1] == 10 * BOUND - 1

    virtual_time.run(main())


# --- arrivals --------------------------------------------------------------------------------------------------------


class Receiving:
    """A peer's arrivals fed into a call's inbox; `how` it ended."""

    def __init__(self) -> None:
        self.arrivals, self.inbox = Arrivals(), Inbox[int]()
        self.how: PeerGone | None = None

    async def run(self) -> None:
        try:
            await self.arrivals.feed(self.inbox)
        except PeerGone as gone:
            self.how = gone

    def taken(self) -> list[int | Received]:
        return [self.inbox.take() for _ in range(len(self.inbox))]


def numbers(taken: Sequence[object]) -> list[int]:
    return [int(message.text) for message in taken if isinstance(message, Message)]


@given(early=st.integers(0, 20), late=st.integers(0, 20), bursts=st.integers(1, 5))
def test_nothing_is_lost_and_nothing_overtaken_between_early_arrival_and_receiving(
    early: int, late: int, bursts: int
) -> None:
    async def main() -> None:
        one = Receiving()
        for number in range(early):
            one.arrivals.put(said(number))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.run())
            for number in range(early, early + late):
                one.arrivals.put(said(number))
                if number % bursts == 0:
                    await asyncio.sleep(0)
            one.arrivals.end("bye")
        assert numbers(one.taken()) == list(range(early + late))

    virtual_time.run(main())


def test_things_come_out_in_the_order_they_came_in_and_then_the_end() -> None:
    async def main() -> None:
        one = Receiving()
        sent: list[Received] = [FRAME, said(1), picture(1), FRAME]
        for received in sent:
            one.arrivals.put(received)
        one.arrivals.end("bye")
        one.arrivals.end("too late", lost=True)
        one.arrivals.put(said(2))
        await one.run()
        assert all(a is b for a, b in zip(one.taken(), sent, strict=True))
        assert str(one.how) == "bye"
        assert type(one.how) is PeerGone
        with pytest.raises(PeerGone, match="bye"):
            one.arrivals.check()

    virtual_time.run(main())


def test_a_broken_connection_is_a_lost_peer() -> None:
    async def main() -> None:
        one = Receiving()
        one.arrivals.check()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.run())
            await asyncio.sleep(60)
            one.arrivals.end("no signal", lost=True)
        assert isinstance(one.how, PeerLost)

    virtual_time.run(main())


def test_of_early_pictures_one_is_kept() -> None:
    async def main() -> None:
        one, newest = Receiving(), picture(2)
        for received in (picture(1), said(1), newest):
            one.arrivals.put(received)
        one.arrivals.end("bye")
        await one.run()
        assert one.taken() == [said(1), newest]

    virtual_time.run(main())


@FLOODS
@pytest.mark.parametrize("early", [True, False])
def test_a_flood_ends_the_connection(quarter: Sound | Message, early: bool) -> None:
    async def main() -> None:
        one = Receiving()
        async with asyncio.TaskGroup() as tasks:
            if not early:
                tasks.create_task(one.run())
                await asyncio.sleep(0)
            for _ in range(4):
                one.arrivals.put(quarter)
                assert one.arrivals.ended is None
            one.arrivals.put(quarter)
            assert one.arrivals.ended == TOO_MUCH
            if early:
                tasks.create_task(one.run())
        assert type(one.how) is PeerGone
        assert str(one.how) == TOO_MUCH

    virtual_time.run(main())


def test_what_comes_after_another_connection_has_taken_over_is_dropped() -> None:
    async def main() -> None:
        one = Receiving()
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(one.run())
            await asyncio.sleep(0)
            one.arrivals.put(said(1))
            receiving.cancel()
            await asyncio.sleep(0)
            one.arrivals.put(said(2))
        assert one.taken() == [said(1)]

    virtual_time.run(main())


# --- several coroutines of one peer ----------------------------------------------------------------------------------


def test_the_first_peer_gone_ends_all_and_is_raised_alone() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def side(seconds: float, error: PeerGone | None) -> None:
            try:
                await asyncio.sleep(seconds)
                if error is not None:
                    raise error
            finally:
                ended.append(f"{seconds:g}")

        with pytest.raises(PeerLost, match="first"):
            await until_gone(side(9, None), side(1, PeerLost("first")), side(2, PeerGone("second")))
        assert sorted(ended) == ["1", "2", "9"]
        await until_gone(side(1, None), side(2, None))

    virtual_time.run(main())
