"""The script of a conversation, turn by turn.

    pause ─► say a turn ─► wait for the reply ─► speak over it where the scenario says so ─► wait for its end ─► next

A reply that does not come within `audio_truth.LIMIT` is missed; the conversation goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from vivavoce.realtime.bench.caller.caller import Caller
from vivavoce.realtime.bench.caller.prepare import PreparedTurn
from vivavoce.realtime.bench.measure.audio_truth import LIMIT

PAUSE: Final = (0.4, 1.2)
"""Range of the pause between two turns, in seconds."""

SETTLE: Final = 0.6
"""Seconds of open microphone before the first word: connection and gain control settle."""


def script(turns: Sequence[PreparedTurn], first: int) -> Callable[[Caller], Awaitable[None]]:
    """The conversation of `turns`, numbered from `first`."""

    async def converse(caller: Caller) -> None:
        await caller.pause(SETTLE)
        for number, turn in enumerate(turns, first):
            await caller.pause(caller.random.uniform(*PAUSE))
            await _turn(caller, turn, number)
        await caller.pause(0.2)

    return converse


async def _turn(caller: Caller, turn: PreparedTurn, number: int) -> None:
    said = caller.say(turn.clip, "turn", number)
    await caller.until(said.ended)
    reply = await caller.reply(said.ended, LIMIT)
    if reply is not None:
        for overlap in turn.overlaps:
            await caller.until(reply + overlap.after)
            if caller.sounding:
                await caller.until(caller.say(overlap.clip, overlap.kind, number).ended)
    await caller.quiet()
