"""Runs a scenario: as many calls as its turns need, one after the other, over one transport.

Play, Plan ──► WebRtcLink | WebSocketLink | PhoneLink ──► Caller ──► CallRecord ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.realtime.bench.caller.call_record import CallRecord, no_sound
from vivavoce.realtime.bench.caller.caller import Caller, Room
from vivavoce.realtime.bench.caller.impairments import Impairment, Line
from vivavoce.realtime.bench.caller.link import Broken, Link, LinkOptions, Refused, Target
from vivavoce.realtime.bench.caller.link_phone import PhoneLink
from vivavoce.realtime.bench.caller.link_webrtc import WebRtcLink
from vivavoce.realtime.bench.caller.link_websocket import WebSocketLink
from vivavoce.realtime.bench.caller.prepare import Act, Play
from vivavoce.realtime.bench.caller.script import script

TRANSPORTS: Final = ("webrtc", "websocket", "g711", "g711-websocket")
"""g711 is mu-law (PCMU): as RTP over WebRTC, or inside the messages of a WebSocket."""

PHONE: Final = "twilio"
"""Twilio's media stream; works with our own server only, and is not among "all"."""

SEMANTIC: Final = {"type": "semantic_vad"}
"""Turns end when the server finds them complete: with the protocol's default, half a second of silence, that half
second would be in every figure."""

_COLOURS: Final = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How to call. `turns`: how many in all, the scenario's lines again and again; `turns` 0: as many as it says."""

    target: Target
    transport: str = "webrtc"
    impairment: Impairment = field(default_factory=Impairment)
    seed: int = 1
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """What came of it. `refused`: calls that the server took no part in, apart from all measures."""

    records: tuple[CallRecord, ...]
    refused: int = 0


async def run_calls(play: Play, plan: Plan, progress: Callable[[CallRecord], None]) -> Calls:
    """Makes the calls; `progress` sees each as it ends. Raises `Refused` where the server refuses for another reason
    than having no room, `Broken` where it cannot be reached at all."""
    scenario = play.scenario
    count = plan.turns or scenario.turns
    order = [play.acts[n % len(play.acts)] for n in range(count)]
    records: list[CallRecord] = []
    refused = 0
    for first in range(0, count, scenario.per_call):
        try:
            records.append(await one_call(play, plan, order[first : first + scenario.per_call], first))
        except Refused as error:
            if not error.full:
                raise
            refused += 1
            await asyncio.sleep(min(error.retry_after or 1.0, 10.0))
            continue
        progress(records[-1])
    return Calls(tuple(records), refused)


async def one_call(play: Play, plan: Plan, acts: list[Act], first: int) -> CallRecord:
    """One call with `acts`, whose first has number `first`. Raises `Refused`, `Broken`."""
    return await caller_of(play, plan, first).call(script(acts, first), plan.transport, play.scenario.name)


def caller_of(play: Play, plan: Plan, number: int) -> Caller:
    """Whoever makes the call `number` of a plan; nobody has called yet."""
    wishes = LinkOptions(play.scenario.instructions, SEMANTIC, play.scenario.tools)
    link = open_link(plan, wishes, number, picture(play.scenario.picture) if play.scenario.picture else None)
    room = Room(play.noise, play.echo, plan.impairment.skew, play.scenario.answers)
    return Caller(link, room, wishes, plan.seed * 7919 + number)


def failed_call(plan: Plan, scenario: str, error: Broken) -> CallRecord:
    """The record of a call that never came about."""
    return CallRecord(plan.transport, scenario, (), no_sound(), (), failure=str(error))


def open_link(plan: Plan, wishes: LinkOptions, number: int, sees: NDArray[np.uint8] | None = None) -> Link:
    """The link of a plan's call `number`, not yet connected. `sees`: what its camera shows (WebRTC only)."""
    if plan.transport.endswith("websocket"):
        return WebSocketLink(plan.target, "audio/pcmu" if plan.transport.startswith("g711") else "audio/pcm")
    if plan.transport == PHONE:
        return PhoneLink(plan.target)
    seed = plan.seed * 104_729 + number
    return WebRtcLink(
        plan.target,
        "pcmu" if plan.transport == "g711" else "opus",
        up=Line(plan.impairment, seed),
        down=Line(plan.impairment, seed + 1),
        picture=sees,
        wishes=wishes,
    )


def picture(colour: str) -> NDArray[np.uint8]:
    """A camera picture, shape (240, 320, 3): a plain colour with a lighter square. Raises ValueError."""
    if colour not in _COLOURS:
        raise ValueError(f"there is no picture {colour!r}; there are: {', '.join(_COLOURS)}")
    pixels = np.full((240, 320, 3), _COLOURS[colour], np.uint8)
    pixels[80:160, 120:200] //= 2
    return pixels
