"""Scripted stand-ins for the slow or distant ends of a call. They keep the same contracts as the real ones.

`ScriptedDialogue` is a model whose ears, words and pace are written down; `LinePeer` is a user on an in-memory line.
Both live on the virtual clock.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.model.abilities import Abilities
from vivavoce.model.dialogue import (
    AudioToken,
    Done,
    Heard,
    Item,
    OverlapOpinion,
    Picture,
    ReplySpec,
    ReplyToken,
    TextToken,
    ToolCall,
    Transcript,
    WordEnd,
)
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.pipeline import Pipeline
from vivavoce.realtime.recording.taps import Taps
from vivavoce.realtime.transports import Ending, Intake, Message, PeerGone, PeerLost, Pull, Seen, Sound
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

SECOND = SAMPLE_RATE
QUIET: Samples = np.zeros(FRAME, np.float32)
LOUD: Samples = (np.pi / 4 * np.sin(2 * np.pi * 300 * np.arange(FRAME) / SAMPLE_RATE)).astype(np.float32)


def energy(window: Samples) -> float:
    """A speech net for sound that is either loud or silent."""
    return 0.99 if np.abs(window).mean() > 0.1 else 0.01


async def complete(sound: Samples) -> float:
    """An end-of-turn classifier that finds every turn complete, after the time a real one takes."""
    await asyncio.sleep(0.06)
    return 0.9


@dataclass(frozen=True)
class Line:
    """What the scripted model answers: words, each with its share of `seconds` of sound. `fails` after the words."""

    words: str
    seconds: float = 2.0
    thinking: float = 0.2
    fails: str = ""
    calls: ToolCall | None = None


class ScriptedDialogue:
    """Implements `Dialogue`. Hears what `transcripts` say (an error: its ears fail), answers with `lines`, in order;
    remembers what was done to it."""

    def __init__(self, transcripts: Iterable[str | DialogueError] = (), lines: Iterable[Line] = ()) -> None:
        self._transcripts = iter(transcripts)
        self._lines = iter(lines)
        self._final: asyncio.Queue[Transcript] = asyncio.Queue()
        self.heard_samples = 0
        self.turns: list[str] = []
        self.items: list[Item] = []
        self.cuts: list[Heard] = []
        self.seen: list[Picture] = []
        self.camera = False
        self.specs: list[ReplySpec] = []
        self.anticipated: list[ReplySpec] = []
        self.cancelled = 0
        self.dropped = 0
        self.closed = False

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        self.heard_samples += len(samples)

    def turn(self, item_id: str) -> None:
        self.turns.append(item_id)
        match next(self._transcripts, "hello"):
            case DialogueError() as error:
                heard = Transcript(item_id, "", "", final=True, error=str(error))
            case words:
                heard = Transcript(item_id, words, "", final=True)
        self._final.put_nowait(heard)

    def anticipate(self, spec: ReplySpec) -> None:
        self.anticipated.append(spec)

    def discard_turn(self) -> None:
        self.dropped += 1

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        return OverlapOpinion("")

    def see(self, picture: Picture | None) -> None:
        self.seen += [picture] if picture else []
        self.camera = picture is not None

    def read(self, item: Item, after: str | None = None) -> None:
        self.items.append(item)

    def forget(self, item_id: str) -> None:
        self.items = [item for item in self.items if item.id != item_id]

    def cut(self, heard: Heard) -> None:
        self.cuts.append(heard)

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        self.specs.append(spec)
        line = Line(spec.words) if spec.words else next(self._lines, Line("Fine."))
        try:
            await asyncio.sleep(line.thinking)
            words = line.words.split(" ") if line.words else []
            share = int(line.seconds * SAMPLE_RATE / max(len(words), 1))
            chars = 0
            for count, word in enumerate(words, 1):
                piece = word if count == 1 else f" {word}"
                chars += len(piece)
                yield TextToken(piece)
                if spec.audio:
                    await asyncio.sleep(0.02)
                    yield AudioToken(np.full(share, 0.1, np.float32), (WordEnd(chars, count * share),))
            if line.calls is not None:
                yield line.calls
            if line.fails:
                raise DialogueError(line.fails)
            yield Done("stop")
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while True:
            transcript = await self._final.get()
            await asyncio.sleep(0.05)
            yield transcript

    async def close(self) -> None:
        self.closed = True


class ScriptedEngine:
    """All that a gateway uses of `Engine`: each call gets a dialogue that hears `transcripts` and answers with `lines`,
    and ears that go by loudness. `dialogues` are those of all calls so far."""

    def __init__(self, transcripts: Sequence[str | DialogueError] = (), lines: Sequence[Line] = ()) -> None:
        self._transcripts = transcripts
        self._lines = lines
        self.dialogues: list[ScriptedDialogue] = []
        self.cascade = self
        self.end_of_turn = complete
        self.lateness = 0.0  # of its models
        self.abilities = Abilities()
        self.about: dict[str, str] = {}

    def open(self) -> ScriptedDialogue:
        self.dialogues.append(ScriptedDialogue(self._transcripts, self._lines))
        return self.dialogues[-1]

    def windows(self, taps: Taps) -> MicrophoneWindows:
        return taps.windows(MicrophoneWindows(taps.probability(energy), taps.floor(Floor(None))))

    def close(self) -> None:
        """There is nothing to free."""


class LinePeer:
    """Implements `Transport` on a line in memory: the test is the peer.

    `say` and `pause` put 20 ms frames on the line in real time; `send` collects events; what is played is kept."""

    pipeline: Pipeline
    """The call at the other end; set by whoever starts it."""

    def __init__(self, plays: bool) -> None:
        self.plays = plays
        self.events: list[dict[str, Any]] = []
        self.played: list[Samples] = []
        self.closed: Ending | None = None
        self._arrived = asyncio.Event()
        self._intake: Intake | None = None
        self._connected = asyncio.Event()
        self._gone = asyncio.Event()
        self._how: type[PeerGone] = PeerGone
        self.arrived = 1 << 30

    # --- the call's side -----------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """A line in memory always is."""

    def reached(self, played: int | None = None) -> int | None:
        """All that was pulled, unless the test says otherwise."""
        return self.arrived if self.plays else None

    async def receive(self, intake: Intake) -> None:
        self._intake = intake
        self._connected.set()
        await self._gone.wait()
        raise self._how("the test hung up")

    async def speak(self, pull: Pull) -> None:
        while True:
            self.played.append(pull())
            await asyncio.sleep(0.02)

    def send(self, text: bytes) -> None:
        self.events.append(json.loads(text))
        self._arrived.set()

    async def close(self, ending: Ending) -> None:
        self.closed = ending

    # --- the test's side -----------------------------------------------------------------------------------------

    async def say(self, seconds: float) -> None:
        await self._sound(LOUD, seconds)

    async def pause(self, seconds: float) -> None:
        await self._sound(QUIET, seconds)

    async def tell(self, **event: Any) -> None:
        """Sends a client event; `type` with its dots."""
        intake = await self._line()
        await intake.deliver(Message(json.dumps(event)))

    async def tell_raw(self, text: str) -> None:
        intake = await self._line()
        await intake.deliver(Message(text))

    async def show(self, picture: Picture | None) -> None:
        intake = await self._line()
        await intake.deliver(Seen(picture))

    def leave(self) -> None:
        self._gone.set()

    def break_off(self, arrived: int) -> None:
        """Gone without a goodbye, and only so many of the frames that were pulled had arrived."""
        self.arrived, self._how = arrived, PeerLost
        self._gone.set()

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Waits for the `count`-th event of this type, at most a minute."""
        async with asyncio.timeout(60):
            while len(found := self.of(kind)) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return found[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def audible(self) -> bool:
        """The last frame that was played holds sound."""
        return bool(self.played) and bool(self.played[-1].any())

    async def _line(self) -> Intake:
        await self._connected.wait()
        assert self._intake is not None
        return self._intake

    async def _sound(self, frame: Samples, seconds: float) -> None:
        intake = await self._line()
        for _ in range(round(seconds / 0.02)):
            await intake.deliver(Sound(frame))
            await asyncio.sleep(0.02)
