"""Punctuality: calls in which nobody speaks, and whether each 20 ms of the server's sound comes when it is due.

    n callers, each in a rhythm of its own ──a quiet room──► server ──silence──► when each frame came ──► Punctual

A server whose one event loop is full shows it here first: frames come late, and a voice would stutter. The callers
share the machine with the server and one loop among themselves; how late they are at their own work is told, too."""

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
from vivavoce.realtime.bench.caller.link import Broken, Sink, Target
from vivavoce.realtime.bench.caller.link_webrtc import WebRtcLink
from vivavoce.realtime.bench.caller.server import vitals

SECONDS: Final = 30.0
"""That each level is listened to."""

LATE: Final = (20, 60)
"""Milliseconds: from one frame too late on the smallest jitter buffer runs dry, from three a usual one."""

ROOM: Final = 0.0005
"""RMS of what the microphones pick up: -66 dBFS, a quiet room."""

SETTLE: Final = 2.0
"""Seconds after the last call has connected."""

_APART: Final = 0.37  # seconds between two calls that connect
_FRAME_SECONDS: Final = FRAME / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Punctual:
    """One level. `late`: for each of `LATE` the share of `frames` that came later than so. `p50` to `most` in ms,
    behind the most punctual frame of the same call. `lost`: seconds of sound that never came. `cpu`: cores that the
    server used, None where it runs elsewhere. `own`: ms by which the callers were late with their own frames, 99th
    percentile."""

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
class _Ear:
    """One caller's: when which sample of the stream came."""

    loop: asyncio.AbstractEventLoop
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    taken: int = 0

    def heard(self, samples: Samples, _: str) -> None:
        self.taken += len(samples)
        self.arrivals.append((self.loop.time(), self.taken))

    def lateness(self, since: float) -> list[float]:
        """Seconds of each frame since then."""
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
    """Measures each level, smallest first; `pid` of the server, if it is ours. Raises `Refused`, and `Broken` when a
    call does not come about or no sound comes."""
    found = []
    gc.collect()
    gc.freeze()  # or looking for garbage would make the callers late, and the server would be blamed
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
    ears, own = [_Ear(loop) for _ in range(calls)], list[float]()
    async with AsyncExitStack() as stack:
        links = []
        for ear in ears:
            link = WebRtcLink(target)
            stack.push_async_callback(link.close)
            await link.connect(Sink(ear.heard, lambda event: None))
            links.append(link)
            await asyncio.sleep(_APART)
        listened = loop.time() + SETTLE
        until = listened + seconds
        async with asyncio.TaskGroup() as group:
            for number, link in enumerate(links):
                group.create_task(_breathe(link, random.Random(number).random() * _FRAME_SECONDS, until, own))
            await asyncio.sleep(listened - loop.time())
            before, lost = _processor(pid), _concealed(links)
        used, lost = _processor(pid) - before, _concealed(links) - lost
    late = 1000 * np.array([moment for ear in ears for moment in ear.lateness(listened)])
    if not len(late):
        raise Broken(f"{target.url} sent no sound")
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


def _processor(pid: int | None) -> float:
    """Seconds of processor time that the server has used."""
    seen = vitals(pid) if pid else None
    return seen.cpu if seen else 0.0


def _concealed(links: Sequence[WebRtcLink]) -> float:
    return sum(link.concealed for link in links)


async def _breathe(link: WebRtcLink, phase: float, until: float, late: list[float]) -> None:
    """A microphone in a quiet room: 20 ms of it every 20 ms, beginning at `phase`."""
    loop = asyncio.get_running_loop()
    noise = np.random.default_rng(0).standard_normal((50, FRAME)).astype(np.float32) * np.float32(ROOM)
    began, number = loop.time() + phase, 0
    while (due := began + number * _FRAME_SECONDS) < until:
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)
        link.speak(noise[number % len(noise)], number)
        number += 1
