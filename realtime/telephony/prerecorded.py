"""Words that are known beforehand, made to sound before anybody calls: greeting, notice, the busy line.

    start ──rehearse──► { words, voice: tokens } ──► Rehearsed: a dialogue that has them at once
                                                └──► `sound`: for a line without a dialogue

So the first word of a greeting leaves with the first frame, whatever the machine is busy with.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing

import numpy as np

from vivavoce.codecs.audio import Samples
from vivavoce.model.dialogue import (
    AudioToken,
    Dialogue,
    Heard,
    Item,
    Message,
    OverlapOpinion,
    Picture,
    ReplySpec,
    ReplyToken,
    TextToken,
    Transcript,
)


class Prerecording:
    """What was made so far, by words and voice, at the usual speed."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[ReplyToken, ...]] = {}

    async def rehearse(self, dialogue: Dialogue, lines: Iterable[str], voice: str) -> None:
        """Has `dialogue` say `lines`, unheard. What it fails to say is said when it is needed. Raises
        `DialogueError`."""
        for words in {line for line in lines if line and (line, voice) not in self._made}:
            tokens: list[ReplyToken] = []
            async with aclosing(dialogue.reply(ReplySpec("rehearsal", voice=voice, words=words, context=()))) as saying:
                async for token in saying:
                    tokens.append(token)
            self._made[words, voice] = tuple(tokens)

    def sound(self, words: str, voice: str) -> Samples:
        """The sound of a line; none when it was not rehearsed."""
        tokens = self._made.get((words, voice), ())
        return np.concatenate([np.zeros(0, np.float32), *(t.samples for t in tokens if isinstance(t, AudioToken))])

    def find(self, spec: ReplySpec) -> tuple[ReplyToken, ...] | None:
        """What a reply consists of, if it is known."""
        known = spec.audio and spec.speed == 1.0 and spec.words
        return self._made.get((spec.words, spec.voice)) if known else None


class PrerecordedDialogue:
    """A `Dialogue` that has rehearsed lines at hand. All else is done by the one behind it."""

    def __init__(self, dialogue: Dialogue, rehearsal: Prerecording) -> None:
        self._dialogue = dialogue
        self._rehearsal = rehearsal

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        self._dialogue.hear(samples, voiced)

    def turn(self, item_id: str) -> None:
        self._dialogue.turn(item_id)

    def anticipate(self, spec: ReplySpec) -> None:
        self._dialogue.anticipate(spec)

    def discard_turn(self) -> None:
        self._dialogue.discard_turn()

    def see(self, picture: Picture) -> None:
        self._dialogue.see(picture)

    def read(self, item: Item, after: str | None = None) -> None:
        self._dialogue.read(item, after)

    def forget(self, item_id: str) -> None:
        self._dialogue.forget(item_id)

    def cut(self, heard: Heard) -> None:
        self._dialogue.cut(heard)

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        return await self._dialogue.classify_overlap(samples)

    def transcripts(self) -> AsyncIterator[Transcript]:
        return self._dialogue.transcripts()

    async def close(self) -> None:
        await self._dialogue.close()

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        made = self._rehearsal.find(spec)
        if made is None:
            async with aclosing(self._dialogue.reply(spec)) as saying:
                async for token in saying:
                    yield token
            return
        if spec.context is None:
            words = "".join(token.text for token in made if isinstance(token, TextToken))
            self._dialogue.read(Message(spec.id, "assistant", words))
        for token in made:
            yield token
