"""The real server with a model of your own, a parrot that repeats you. First: vivavoce models pull smart-turn"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

import numpy as np
import uvicorn

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
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
    Transcript,
)
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.config import load
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.app import Gateway


class Parrot:
    """Implements `Dialogue`: one conversation."""

    def __init__(self) -> None:
        self._turn: list[Samples] = []  # the sound of the open turn
        self._said: Samples = np.zeros(0, np.float32)  # of the last turn that was closed
        self._queue: asyncio.Queue[Transcript | None] = asyncio.Queue()

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        self._turn.append(samples)

    def turn(self, item_id: str) -> None:
        self._said, self._turn = np.concatenate([self._said[:0], *self._turn]), []
        words = f"{len(self._said) / SAMPLE_RATE:.1f} seconds of sound"  # a turn without words gets no answer
        self._queue.put_nowait(Transcript(item_id, words, "", final=True))

    def discard_turn(self) -> None:
        self._turn = []

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        yield TextToken("You said this.")
        if spec.audio:
            for start in range(0, len(self._said), SAMPLE_RATE):
                yield AudioToken(self._said[start : start + SAMPLE_RATE])
        yield Done("stop")

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (transcript := await self._queue.get()) is not None:
            yield transcript

    async def close(self) -> None:
        self._queue.put_nowait(None)

    # What a parrot has no use for.

    def anticipate(self, spec: ReplySpec) -> None: ...

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        return OverlapOpinion("")

    def see(self, picture: Picture | None) -> None: ...

    def read(self, item: Item, after: str | None = None) -> None: ...

    def forget(self, item_id: str) -> None: ...

    def cut(self, heard: Heard) -> None: ...


class Parrots:
    """What an engine needs of a model: a dialogue for each call."""

    lateness = 0.0
    abilities = Abilities()  # sessions may ask for any voice and language

    def open(self) -> Parrot:
        return Parrot()

    def close(self) -> None: ...


config = load()
store = Store(config.home, catalog.load())
gateway = Gateway(
    config.server,
    lambda: Engine(config.model, store.path, lambda settings, directory_of: Parrots()),  # runs on a thread
    lambda: datetime.now(UTC).timestamp(),
)
uvicorn.run(gateway.app, host="127.0.0.1", port=8790, ws="websockets-sansio")
