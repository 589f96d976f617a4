"""The instrument's own error: known delays, measured through the same links as everything else.

    for 0, 100, 300 ms: tone ──► beep.py in a process of its own ──► beep        measured - known = error

The error holds what a measurement adds to the server's own time: the caller's frame of 20 ms, both ways over the
transport, both codecs. `way_there` is also the delay of the microphone's path, for lines with loss too: our server
hears through the same code.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.realtime.bench.beep import tone
from vivavoce.realtime.bench.caller import Caller, Clip, Room
from vivavoce.realtime.bench.distribution import Distribution, describe
from vivavoce.realtime.bench.link import Broken, Target, Wishes
from vivavoce.realtime.bench.run import Plan, open_link

DELAYS: Final = (0.0, 0.1, 0.3)
"""Seconds that are injected."""

TONES: Final = 5
"""For each delay."""

TOLERANCE: Final = 0.005
"""Seconds by which a beep may seem to be heard before it left: audio truth is good to a millisecond or two."""

_TONE_SECONDS = 0.3
_LIMIT = 2.0
_GOODBYE = 10.0


@dataclass(frozen=True, slots=True)
class Beep:
    """One measurement, in seconds. `injected`: the delay asked for; `known`: between the peer's own two moments, which
    is that and what its frames add; `measured`: end of the tone to first sound of the beep, by audio truth; `there`:
    from the end of the tone to the peer."""

    injected: float
    known: float
    measured: float
    there: float

    @property
    def error(self) -> float:
        """What the instrument and the way add."""
        return self.measured - self.known


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one transport, in milliseconds. `lost`: tones that brought no beep (a line with loss may swallow one)."""

    transport: str
    error: Distribution
    way_there: Distribution
    way_back: Distribution
    lost: int


def calibrate(plan: Plan, tones: int = TONES) -> Calibration:
    """Measures the transport and line of `plan`; its target is not called. Takes about a second for each tone.

    Raises `Broken`."""
    with _peer() as url:
        beeps = [
            beep for delay in DELAYS for beep in asyncio.run(_measure(replace(plan, target=Target(url)), delay, tones))
        ]
    error = describe([beep.error * 1000 for beep in beeps])
    there = describe([beep.there * 1000 for beep in beeps])
    back = describe([(beep.error - beep.there) * 1000 for beep in beeps])
    if error is None or there is None or back is None:
        raise Broken(f"no beep came back over {plan.transport}")
    return Calibration(plan.transport, error, there, back, len(DELAYS) * tones - len(beeps))


async def _measure(plan: Plan, delay: float, tones: int) -> list[Beep]:
    wishes = Wishes(str(delay * 1000))
    caller = Caller(open_link(plan, wishes, round(delay * 1000)), Room(skew=plan.impairment.skew), wishes, plan.seed)
    sound = tone(_TONE_SECONDS)
    clip = Clip("tone", sound, 0, len(sound))
    heard: list[tuple[float, float]] = []

    async def script(caller: Caller) -> None:
        await caller.pause(1.0)
        for number in range(tones):
            said = caller.say(clip, "turn", number)
            await caller.until(said.ended)
            at = await caller.reply(said.ended, delay + _LIMIT)
            if at is not None:
                heard.append((said.ended, at))
            await caller.pause(0.4 + caller.random.random() * 0.1)

    record = await caller.call(script, plan.transport, "calibration")
    if record.failure:
        raise Broken(record.failure)
    told = [
        (event.body["heard_at"] - caller.origin, event.body["left_at"] - caller.origin)
        for event in record.of("vivavoce.beep")
    ]
    beeps = []
    for ended, at in heard:
        moments = [(there, left) for there, left in told if ended <= there <= left <= at + TOLERANCE]
        if len(moments) == 1:
            ((there, left),) = moments
            beeps.append(Beep(delay, left - there, at - ended, there - ended))
    return beeps


@contextmanager
def _peer() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vivavoce.realtime.bench.beep"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise Broken("the calibration peer did not start")
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
