"""How a conversation goes: the caller's manners, turn by turn.

    pause ─► say a turn ─► wait for the voice ─► speak over it where the play says so ─► wait until it is over ─► next

A missed turn is waited for (`truth.LIMIT`) and left; the conversation goes on, as a person would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from vivavoce.realtime.bench.caller.caller import Caller
from vivavoce.realtime.bench.caller.prepare import Act
from vivavoce.realtime.bench.measure.audio_truth import LIMIT

PAUSE: Final = (0.4, 1.2)
"""Seconds between two turns, from and to."""

SETTLE: Final = 0.6
"""Seconds of open microphone before the first word: lines and gain settle."""


def script(acts: Sequence[Act], first: int) -> Callable[[Caller], Awaitable[None]]:
    """The conversation of `acts`, whose turns are numbered from `first`."""

    async def converse(caller: Caller) -> None:
        await caller.pause(SETTLE)
        for number, act in enumerate(acts, first):
            await caller.pause(caller.random.uniform(*PAUSE))
            await _turn(caller, act, number)
        await caller.pause(0.2)

    return converse


async def _turn(caller: Caller, act: Act, number: int) -> None:
    said = caller.say(act.clip, "turn", number)
    await caller.until(said.ended)
    heard = await caller.reply(said.ended, LIMIT)
    if heard is not None:
        for over in act.over:
            await caller.until(heard + over.after)
            if caller.sounding:
                await caller.until(caller.say(over.clip, over.kind, number).ended)
    await caller.quiet()
