"""Run a scenario: as many calls as its turns need, one after another, over one transport.

PreparedScenario, Plan ──► WebRtcLink | WebSocketLink | PhoneLink ──► Caller ──► CallRecord ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.realtime.bench.caller.caller import Caller, Surroundings
from vivavoce.realtime.bench.caller.impairments import ImpairedPath, Impairment
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, Link, LinkOptions, Target
from vivavoce.realtime.bench.caller.link_phone import PhoneLink
from vivavoce.realtime.bench.caller.link_webrtc import WebRtcLink
from vivavoce.realtime.bench.caller.link_websocket import WebSocketLink
from vivavoce.realtime.bench.caller.prepare import PreparedScenario, PreparedTurn
from vivavoce.realtime.bench.caller.script import script
from vivavoce.realtime.bench.measure.call_record import CallRecord, no_sound

TRANSPORTS: Final = ("webrtc", "websocket", "g711", "g711-websocket")
"""g711 is mu-law (PCMU): as RTP over WebRTC, or inside the messages of a WebSocket."""

PHONE: Final = "twilio"
"""Twilio's media stream; works with our own server only, and is not part of "all"."""

SEMANTIC: Final = {"type": "semantic_vad"}
"""Turns end when the server finds them complete: the protocol's default, half a second of silence, would be in every
figure."""

_COLOURS: Final = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How to call. `turns`: number of turns, which repeats the scenario's lines; 0: the scenario's own number."""

    target: Target
    transport: str = "webrtc"
    impairment: Impairment = field(default_factory=Impairment)
    seed: int = 1
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """The records of a run. `refused`: calls that the server did not take, which enter no measure."""

    records: tuple[CallRecord, ...]
    refused: int = 0


async def run_calls(play: PreparedScenario, plan: Plan, progress: Callable[[CallRecord], None]) -> Calls:
    """Makes the calls; `progress` takes each record. Raises `CallRefused` where the server refuses for another reason
    than its limit of calls, `CallBroken` where it cannot be reached."""
    scenario = play.scenario
    count = plan.turns or scenario.turns
    order = [play.turns[n % len(play.turns)] for n in range(count)]
    records: list[CallRecord] = []
    refused = 0
    for first in range(0, count, scenario.per_call):
        try:
            records.append(await one_call(play, plan, order[first : first + scenario.per_call], first))
        except CallRefused as error:
            if not error.full:
                raise
            refused += 1
            await asyncio.sleep(min(error.retry_after or 1.0, 10.0))
            continue
        progress(records[-1])
    return Calls(tuple(records), refused)


async def one_call(play: PreparedScenario, plan: Plan, turns: list[PreparedTurn], first: int) -> CallRecord:
    """Makes one call with `turns`, numbered from `first`. Raises `CallRefused`, `CallBroken`."""
    return await make_caller(play, plan, first).call(script(turns, first), plan.transport, play.scenario.name)


def make_caller(play: PreparedScenario, plan: Plan, number: int) -> Caller:
    """The caller of call `number` of a plan, not yet connected."""
    options = LinkOptions(play.scenario.instructions, SEMANTIC, play.scenario.tools)
    link = open_link(plan, options, number, picture(play.scenario.picture) if play.scenario.picture else None)
    surroundings = Surroundings(play.noise, play.echo, plan.impairment.skew, play.scenario.answers)
    return Caller(link, surroundings, options, plan.seed * 7919 + number)


def failed_call(plan: Plan, scenario: str, error: CallBroken) -> CallRecord:
    """The record of a call that never connected."""
    return CallRecord(plan.transport, scenario, (), no_sound(), (), failure=str(error))


def open_link(plan: Plan, options: LinkOptions, number: int, video: NDArray[np.uint8] | None = None) -> Link:
    """The link of call `number` of a plan, not yet connected. `video`: the camera's picture (WebRTC only)."""
    if plan.transport.endswith("websocket"):
        return WebSocketLink(plan.target, "audio/pcmu" if plan.transport.startswith("g711") else "audio/pcm")
    if plan.transport == PHONE:
        return PhoneLink(plan.target)
    seed = plan.seed * 104_729 + number
    return WebRtcLink(
        plan.target,
        "pcmu" if plan.transport == "g711" else "opus",
        up=ImpairedPath(plan.impairment, seed),
        down=ImpairedPath(plan.impairment, seed + 1),
        picture=video,
        options=options,
    )


def picture(colour: str) -> NDArray[np.uint8]:
    """A camera picture, shape (240, 320, 3): a plain colour with a lighter square. Raises ValueError."""
    if colour not in _COLOURS:
        raise ValueError(f"there is no picture {colour!r}; there are: {', '.join(_COLOURS)}")
    pixels = np.full((240, 320, 3), _COLOURS[colour], np.uint8)
    pixels[80:160, 120:200] //= 2
    return pixels
