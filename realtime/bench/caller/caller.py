"""The virtual caller: one call, spoken and heard in real time, with everything that happened on one clock.

    script(caller) ── say, overlap, quiet ──► Mouth ──20 ms──► Link ──► server
                                                                          │
    CallRecord ◄── Loudspeaker, events ◄──────────── Link ◄───────────────┘

The caller behaves as good clients do: where it plays by itself (WebSocket) it stops when the server hears speech, and
says what it heard (`conversation.item.truncate`); it runs the tools that it offered. It judges nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.call_record import CallRecord, Event, Kind, Said
from vivavoce.realtime.bench.caller.link import Broken, Link, LinkOptions, Sink
from vivavoce.realtime.bench.caller.loudspeaker import Loudspeaker
from vivavoce.realtime.bench.caller.microphone import ECHO_DELAY, MicClock, VirtualMicrophone
from vivavoce.realtime.bench.measure.audio_truth import audible, first_sound

QUIET: Final = 0.7
"""Seconds of silence after which a reply is over, if the server says so too."""

PATIENCE: Final = 30.0
"""Seconds that one reply may last."""

GOODBYE: Final = 5.0
"""Seconds that hanging up may take."""

ANSWERED: Final = 2.5
"""Seconds within which a server that heard a turn begins its response, or never will."""

_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Clip:
    """Something to say. `start`, `end`: the samples between which it can be heard."""

    text: str
    samples: Samples
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Room:
    """Where the caller sits. `noise` is heard all the time; `echo`: how much of the loudspeaker comes back into the
    microphone (0.1 is -20 dB); `skew` of its clock in parts per million. `answers`: what its tools say, by name."""

    noise: Samples | None = None
    echo: float = 0.0
    skew: float = 0.0
    answers: Mapping[str, str] = field(default_factory=dict)


class Caller:
    """One call over `link`. `seed` sets the pauses between turns and where in a frame speech begins."""

    def __init__(self, link: Link, room: Room, wishes: LinkOptions, seed: int) -> None:
        self._link, self._room, self._wishes = link, room, wishes
        self.random = random.Random(seed)
        self._clock = MicClock(room.skew)
        self._ear = Loudspeaker(link.live)
        self._mouth = VirtualMicrophone(room.noise, self._echo if room.echo else None)
        self.origin = 0.0
        """When the call's clock began, on the event loop's."""
        self._events: list[Event] = []
        self._said: list[Said] = []
        self._flushes: list[float] = []
        self._truncated: dict[str, float] = {}
        self._running: set[str] = set()  # responses that the server has begun and not finished
        self._playing = False  # the server says that its sound plays
        self._due = 0.0  # until when the server may still begin to answer what it heard
        self._ready = asyncio.Event()

    async def call(self, script: Callable[[Caller], Awaitable[None]], transport: str, scenario: str) -> CallRecord:
        """Connects, follows `script`, hangs up. A connection that breaks is a record with `failure`.

        Raises `Refused`, and `Broken` when no connection comes about."""
        self.origin = asyncio.get_running_loop().time()
        failure = ""
        try:
            await self._link.connect(Sink(self._hear, self._take))
            self.origin = asyncio.get_running_loop().time()
            failure = await self._last(script)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._link.close()
        return CallRecord(
            transport,
            scenario,
            tuple(self._said),
            self._ear.recording(self.now),
            tuple(self._events),
            tuple(self._ear.gaps),
            tuple(self._flushes),
            self._link.concealed,
            self._clock.stalls,
            failure,
            dict(self._truncated),
        )

    async def _last(self, script: Callable[[Caller], Awaitable[None]]) -> str:
        failure = ""
        try:
            async with asyncio.TaskGroup() as group:
                line = group.create_task(self._link.run())
                speaking = group.create_task(self._speak())
                self._link.tell({"type": "session.update", "session": self._wishes.session(self._link.sound)})
                await asyncio.wait_for(self._ready.wait(), PATIENCE)
                await script(self)
                line.cancel()
                speaking.cancel()
        except* Broken as broken:
            failure = str(broken.exceptions[0])
        except* TimeoutError:
            failure = f"no session within {PATIENCE:.0f} s"
        return failure

    # --- what a script does --------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds on the call's clock."""
        return asyncio.get_running_loop().time() - self.origin

    async def pause(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def say(self, clip: Clip, kind: Kind, turn: int) -> Said:
        """Begins to say `clip` at once; returns when it will have been audible."""
        at = self._clock.free + self.random.randrange(FRAME)
        self._mouth.put(clip.samples, at)
        began, ended = (self._clock.moment(at + place) for place in (clip.start, clip.end))
        self._said.append(Said(kind, turn, clip.text, began, ended))
        return self._said[-1]

    async def until(self, moment: float) -> None:
        """Waits for a moment of the call."""
        await asyncio.sleep(moment - self.now)

    async def reply(self, since: float, limit: float) -> float | None:
        """When a reply became audible after `since`; None if `limit` seconds brought none."""
        give_up = since + limit
        while (now := self.now) < give_up:
            start = round(since * SAMPLE_RATE)
            stretch = self._ear.window(start, round(now * SAMPLE_RATE) - start)
            if (heard := first_sound(stretch, 0.0, now - since)) is not None:
                return since + heard
            since = max(since, now - 2 * QUIET)  # what lies before has been looked at
            await asyncio.sleep(_LOOK)
        return None

    async def quiet(self) -> bool:
        """Waits until the server has finished, and its voice has been silent for `QUIET`; False after `PATIENCE`."""
        give_up = self.now + PATIENCE
        while self.now < give_up:
            n = round(QUIET * SAMPLE_RATE)
            silent = not audible(self._ear.window(round(self.now * SAMPLE_RATE) - n, n)).any()
            busy = self._running or self._playing or self._ear.until > self.now + 0.05 or self.now < self._due
            if silent and not busy:
                return True
            await asyncio.sleep(_LOOK)
        return False

    def forget(self) -> None:
        """Drops what is known and heard of earlier turns: a call of hours keeps as much as one of a minute."""
        self._ear.forget(self.now - 2 * QUIET)
        self._events.clear()
        self._said.clear()

    @property
    def sounding(self) -> bool:
        """The server's voice has been audible within the last 0.4 s."""
        n = round(0.4 * SAMPLE_RATE)
        return bool(audible(self._ear.window(round(self.now * SAMPLE_RATE) - n, n)).any())

    # --- sound -----------------------------------------------------------------------------------------------------

    async def _speak(self) -> None:
        while True:
            number, due = self._clock.next(self.now)
            await asyncio.sleep(due - self.now)
            self._link.speak(self._mouth.frame(number), number)

    def _echo(self, start: int, n: int) -> Samples:
        return self._ear.window(start - round(ECHO_DELAY * SAMPLE_RATE), n) * self._room.echo

    def _hear(self, samples: Samples, item: str) -> None:
        if item not in self._truncated:  # else it was on its way while we stopped
            self._ear.play(samples, self.now, item)

    # --- events ----------------------------------------------------------------------------------------------------

    def _take(self, body: Mapping[str, Any]) -> None:
        event = Event(self.now, body)
        self._events.append(event)
        match event.type:
            case "session.updated":
                self._ready.set()
            case "response.created":
                self._running.add(str(body["response"].get("id")))
                self._due = 0.0
            case "response.done":
                self._running.discard(str(body["response"].get("id")))
                self._run_tools(body["response"].get("output") or [])
            case "output_audio_buffer.started":
                self._playing = True
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._playing = False
            case "input_audio_buffer.speech_started":
                self._due = event.at + PATIENCE
                if not self._link.live:
                    self._stop()
            case "input_audio_buffer.speech_stopped":
                self._due = event.at + ANSWERED

    def _stop(self) -> None:
        """The user speaks: the loudspeaker is silenced, and the server told what was heard."""
        now = self.now
        for item, heard in self._ear.flush(now).items():
            self._truncated[item] = heard
            self._flushes.append(now)
            self._link.tell(
                {
                    "type": "conversation.item.truncate",
                    "item_id": item,
                    "content_index": 0,
                    "audio_end_ms": int(heard * 1000),
                }
            )

    def _run_tools(self, output: list[Mapping[str, Any]]) -> None:
        calls = [item for item in output if item.get("type") == "function_call" and item.get("status") == "completed"]
        for call in calls:
            answer = self._room.answers.get(str(call.get("name")), "There is no such tool.")
            item = {"type": "function_call_output", "call_id": call.get("call_id"), "output": answer}
            self._link.tell({"type": "conversation.item.create", "item": item})
        if calls:
            self._link.tell({"type": "response.create"})
