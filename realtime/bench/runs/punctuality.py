"""Measure pacing jitter: silent calls, and how late each 20 ms frame of the server arrives.

    n callers, each with a phase of its own ──a quiet room──► server ──silence──► arrival of each frame ──► Punctual

An overloaded event loop shows here first: frames arrive late, and speech would stutter. The callers share the machine
with the server, and one event loop; their own lateness is reported, too."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.link import CallBroken, Sink, Target
from vivavoce.realtime.bench.caller.link_webrtc import WebRtcLink
from vivavoce.realtime.bench.runs.server import vitals

SECONDS: Final = 30.0
"""Duration of each level."""

LATE: Final = (20, 60)
"""Milliseconds: at one frame of lateness the smallest jitter buffer runs empty, at three a usual one."""

ROOM: Final = 0.0005
"""RMS of the microphones' noise: -66 dBFS, a quiet room."""

SETTLE: Final = 2.0
"""Seconds after the last call has connected."""

_STAGGER: Final = 0.37  # seconds between two calls that connect
_FRAME_SECONDS: Final = FRAME / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Punctual:
    """One level. `late`: for each of `LATE` the share of `frames` that arrived later. `p50` to `most`: ms after the
    most punctual frame of the same call. `lost`: seconds of audio that never arrived. `cpu`: cores that the server
    used, None where it runs elsewhere. `own`: ms by which the callers' own frames were late, 99th percentile."""

    calls: int
    frames: int
    late: tuple[float, ...]
    p50: float
    p99: float
    most: float
    lost: float
    cpu: float | None
    own: float


@dataclass(slots=True)
class Arrivals:
    """The arrivals of one caller: (time, samples received by then)."""

    now: Callable[[], float]
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    received: int = 0

    def add(self, samples: Samples, _: str) -> None:
        self.received += len(samples)
        self.arrivals.append((self.now(), self.received))

    def lateness(self, since: float) -> list[float]:
        """Lateness of each frame since then, in seconds."""
        transits = [at - position / SAMPLE_RATE for at, position in self.arrivals if at >= since]
        fastest = min(transits, default=0.0)
        return [transit - fastest for transit in transits]


def punctual(
    target: Target,
    levels: Sequence[int],
    pid: int | None,
    progress: Callable[[Punctual], None],
    seconds: float = SECONDS,
) -> list[Punctual]:
    """Measures each level, smallest first; `pid`: the server's, if it is our own. Raises `CallRefused`, and
    `CallBroken` when a call fails or no audio arrives."""
    found = []
    gc.collect()
    gc.freeze()  # garbage collection would make the callers late, and blame the server
    try:
        for calls in sorted(levels):
            found.append(asyncio.run(_level(target, calls, pid, seconds)))
            progress(found[-1])
    finally:
        gc.unfreeze()
    return found


def values(found: Sequence[Punctual]) -> list[dict[str, Any]]:
    """JSON values."""
    return [asdict(level) for level in found]


async def _level(target: Target, calls: int, pid: int | None, seconds: float) -> Punctual:
    loop = asyncio.get_running_loop()
    streams, own = [Arrivals(loop.time) for _ in range(calls)], list[float]()
    async with AsyncExitStack() as stack:
        links = []
        for stream in streams:
            link = WebRtcLink(target)
            stack.push_async_callback(link.close)
            await link.connect(Sink(stream.add, lambda event: None))
            links.append(link)
            await asyncio.sleep(_STAGGER)
        begin = loop.time() + SETTLE
        until = begin + seconds
        async with asyncio.TaskGroup() as group:
            for number, link in enumerate(links):
                group.create_task(_send_noise(link, random.Random(number).random() * _FRAME_SECONDS, until, own))
            await asyncio.sleep(begin - loop.time())
            before, lost = _cpu_seconds(pid), _concealed(links)
        used, lost = _cpu_seconds(pid) - before, _concealed(links) - lost
    late = 1000 * np.array([moment for stream in streams for moment in stream.lateness(begin)])
    if not len(late):
        raise CallBroken(f"{target.url} sent no audio")
    return Punctual(
        calls=calls,
        frames=len(late),
        late=tuple(float((late > bound).mean()) for bound in LATE),
        p50=float(np.median(late)),
        p99=float(np.percentile(late, 99)),
        most=float(late.max()),
        lost=lost,
        cpu=used / seconds if pid else None,
        own=1000 * float(np.percentile(own, 99)),
    )


def _cpu_seconds(pid: int | None) -> float:
    """Seconds of CPU time that the server has used."""
    seen = vitals(pid) if pid else None
    return seen.cpu if seen else 0.0


def _concealed(links: Sequence[WebRtcLink]) -> float:
    return sum(link.concealed for link in links)


async def _send_noise(link: WebRtcLink, phase: float, until: float, late: list[float]) -> None:
    """A microphone in a quiet room: sends a frame every 20 ms, beginning at `phase`."""
    loop = asyncio.get_running_loop()
    noise = np.random.default_rng(0).standard_normal((50, FRAME)).astype(np.float32) * np.float32(ROOM)
    began, number = loop.time() + phase, 0
    while (due := began + number * _FRAME_SECONDS) < until:
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)
        link.send_frame(noise[number % len(noise)], number)
        number += 1
