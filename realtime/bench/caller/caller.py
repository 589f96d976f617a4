"""The virtual caller: makes one call in real time, and records sound and events on one clock.

    script(caller) ── say, reply, quiet ──► VirtualMicrophone ──20 ms──► Link ──► server
                                                                                   │
    CallRecord ◄── Loudspeaker, events ◄───────────────────────────────── Link ◄───┘

The caller behaves as good clients do: over WebSocket, where the client plays, it stops playback when the server detects
speech, and reports what was played (`conversation.item.truncate`); it runs the tools that it offers. It computes no
measures.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.link import CallBroken, Link, LinkOptions, Sink
from vivavoce.realtime.bench.caller.loudspeaker import Loudspeaker
from vivavoce.realtime.bench.caller.microphone import ECHO_DELAY, MicClock, VirtualMicrophone
from vivavoce.realtime.bench.measure.audio_truth import audible, first_sound
from vivavoce.realtime.bench.measure.call_record import CallRecord, Event, Kind, Said

QUIET: Final = 0.7
"""Seconds of silence after which a reply is over, once the server has finished it."""

MAX_REPLY: Final = 30.0
"""Seconds that one reply may last."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that hanging up may take."""

RESPONSE_TIMEOUT: Final = 2.5
"""Seconds after the end of a turn within which a server begins its response, or never will."""

_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound to play. `start`, `end`: its first and last audible sample."""

    text: str
    samples: Samples
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The caller's side. `noise`: background, all the time; `echo`: gain from loudspeaker to microphone (0.1 is -20
    dB); `skew` of its clock in parts per million. `answers`: outputs of its tools, by name."""

    noise: Samples | None = None
    echo: float = 0.0
    skew: float = 0.0
    answers: Mapping[str, str] = field(default_factory=dict)


class Caller:
    """One call over `link`. `seed` sets the pauses between turns, and where in a frame speech begins."""

    def __init__(self, link: Link, surroundings: Surroundings, options: LinkOptions, seed: int) -> None:
        self._link, self._surroundings, self._options = link, surroundings, options
        self.random = random.Random(seed)
        self._clock = MicClock(surroundings.skew)
        self._loudspeaker = Loudspeaker(link.live)
        self._microphone = VirtualMicrophone(surroundings.noise, self._echo if surroundings.echo else None)
        self.origin = 0.0
        """Start of the call's clock, on the event loop's."""
        self._events: list[Event] = []
        self._said: list[Said] = []
        self._flushes: list[float] = []
        self._truncated: dict[str, float] = {}
        self._running: set[str] = set()  # unfinished responses
        self._playing = False  # by the server's events
        self._response_due = 0.0  # until then the server may still begin a response
        self._ready = asyncio.Event()

    async def call(self, script: Callable[[Caller], Awaitable[None]], transport: str, scenario: str) -> CallRecord:
        """Connects, follows `script`, hangs up. A broken connection gives a record with `failure`.

        Raises `CallRefused`, and `CallBroken` when the connection fails."""
        self.origin = asyncio.get_running_loop().time()
        failure = ""
        try:
            await self._link.connect(Sink(self._play, self._receive))
            self.origin = asyncio.get_running_loop().time()
            failure = await self._run(script)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._link.close()
        return CallRecord(
            transport,
            scenario,
            tuple(self._said),
            self._loudspeaker.recording(self.now),
            tuple(self._events),
            tuple(self._loudspeaker.gaps),
            tuple(self._flushes),
            self._link.concealed,
            self._clock.stalls,
            failure,
            dict(self._truncated),
        )

    async def _run(self, script: Callable[[Caller], Awaitable[None]]) -> str:
        failure = ""
        try:
            async with asyncio.TaskGroup() as group:
                link = group.create_task(self._link.run())
                microphone = group.create_task(self._send_frames())
                self._link.send({"type": "session.update", "session": self._options.session(self._link.sound)})
                await asyncio.wait_for(self._ready.wait(), MAX_REPLY)
                await script(self)
                link.cancel()
                microphone.cancel()
        except* CallBroken as broken:
            failure = str(broken.exceptions[0])
        except* TimeoutError:
            failure = f"no session within {MAX_REPLY:.0f} s"
        return failure

    # --- for scripts --------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds on the call's clock."""
        return asyncio.get_running_loop().time() - self.origin

    async def pause(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def say(self, clip: Clip, kind: Kind, turn: int) -> Said:
        """Begins to play `clip` at once; returns its record, with the times at which it is audible."""
        at = self._clock.free + self.random.randrange(FRAME)
        self._microphone.put(clip.samples, at)
        began, ended = (self._clock.moment(at + sample) for sample in (clip.start, clip.end))
        self._said.append(Said(kind, turn, clip.text, began, ended))
        return self._said[-1]

    async def until(self, moment: float) -> None:
        """Waits for a moment of the call."""
        await asyncio.sleep(moment - self.now)

    async def reply(self, since: float, limit: float) -> float | None:
        """The time at which a reply became audible after `since`; None after `limit` seconds without one."""
        deadline = since + limit
        while (now := self.now) < deadline:
            start = round(since * SAMPLE_RATE)
            stretch = self._loudspeaker.window(start, round(now * SAMPLE_RATE) - start)
            if (first := first_sound(stretch, 0.0, now - since)) is not None:
                return since + first
            since = max(since, now - 2 * QUIET)  # the sound before it is silent
            await asyncio.sleep(_POLL)
        return None

    async def quiet(self) -> bool:
        """Waits until the server has finished, and its sound has been silent for `QUIET`; False after `MAX_REPLY`."""
        deadline = self.now + MAX_REPLY
        while self.now < deadline:
            n = round(QUIET * SAMPLE_RATE)
            silent = not audible(self._loudspeaker.window(round(self.now * SAMPLE_RATE) - n, n)).any()
            busy = (
                self._running
                or self._playing
                or self._loudspeaker.until > self.now + 0.05
                or self.now < self._response_due
            )
            if silent and not busy:
                return True
            await asyncio.sleep(_POLL)
        return False

    def forget(self) -> None:
        """Drops sound and events of earlier turns, so that a call of hours keeps no more than one of a minute."""
        self._loudspeaker.forget(self.now - 2 * QUIET)
        self._events.clear()
        self._said.clear()

    @property
    def sounding(self) -> bool:
        """Whether the server has been audible within the last 0.4 s."""
        n = round(0.4 * SAMPLE_RATE)
        return bool(audible(self._loudspeaker.window(round(self.now * SAMPLE_RATE) - n, n)).any())

    # --- audio -----------------------------------------------------------------------------------------------------

    async def _send_frames(self) -> None:
        while True:
            number, due = self._clock.next(self.now)
            await asyncio.sleep(due - self.now)
            self._link.send_frame(self._microphone.frame(number), number)

    def _echo(self, start: int, n: int) -> Samples:
        return self._loudspeaker.window(start - round(ECHO_DELAY * SAMPLE_RATE), n) * self._surroundings.echo

    def _play(self, samples: Samples, item: str) -> None:
        if item not in self._truncated:  # else it was under way when playback stopped
            self._loudspeaker.play(samples, self.now, item)

    # --- events ----------------------------------------------------------------------------------------------------

    def _receive(self, body: Mapping[str, Any]) -> None:
        event = Event(self.now, body)
        self._events.append(event)
        match event.type:
            case "session.updated":
                self._ready.set()
            case "response.created":
                self._running.add(str(body["response"].get("id")))
                self._response_due = 0.0
            case "response.done":
                self._running.discard(str(body["response"].get("id")))
                self._run_tools(body["response"].get("output") or [])
            case "output_audio_buffer.started":
                self._playing = True
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._playing = False
            case "input_audio_buffer.speech_started":
                self._response_due = event.at + MAX_REPLY
                if not self._link.live:
                    self._stop_playback()
            case "input_audio_buffer.speech_stopped":
                self._response_due = event.at + RESPONSE_TIMEOUT

    def _stop_playback(self) -> None:
        """Stops playback, since the server has detected speech, and reports what was played."""
        now = self.now
        for item, played in self._loudspeaker.flush(now).items():
            self._truncated[item] = played
            self._flushes.append(now)
            self._link.send(
                {
                    "type": "conversation.item.truncate",
                    "item_id": item,
                    "content_index": 0,
                    "audio_end_ms": int(played * 1000),
                }
            )

    def _run_tools(self, output: list[Mapping[str, Any]]) -> None:
        calls = [item for item in output if item.get("type") == "function_call" and item.get("status") == "completed"]
        for call in calls:
            answer = self._surroundings.answers.get(str(call.get("name")), "There is no such tool.")
            item = {"type": "function_call_output", "call_id": call.get("call_id"), "output": answer}
            self._link.send({"type": "conversation.item.create", "item": item})
        if calls:
            self._link.send({"type": "response.create"})
