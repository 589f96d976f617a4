"""Prompts that are known ahead of the calls, synthesized when the server starts: greeting, notice, busy prompt.

    start ──record──► { words, voice: tokens } ──► PrerecordedDialogue: replies with them at once
                                              └──► `audio`: for a connection without a dialogue

So the first word of a greeting leaves with the first frame, however busy the machine is.
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
    """The tokens of prompts, by words and voice, at normal speed."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], tuple[ReplyToken, ...]] = {}

    async def record(self, dialogue: Dialogue, prompts: Iterable[str], voice: str) -> None:
        """Has `dialogue` synthesize `prompts`. Raises `DialogueError`; a prompt that is missing is synthesized in the
        call."""
        for words in {prompt for prompt in prompts if prompt and (prompt, voice) not in self._tokens}:
            tokens: list[ReplyToken] = []
            spec = ReplySpec("prerecording", voice=voice, words=words, context=())
            async with aclosing(dialogue.reply(spec)) as reply:
                async for token in reply:
                    tokens.append(token)
            self._tokens[words, voice] = tuple(tokens)

    def audio(self, words: str, voice: str) -> Samples:
        """The audio of a prompt; empty when it was not prerecorded."""
        tokens = self._tokens.get((words, voice), ())
        return np.concatenate([np.zeros(0, np.float32), *(t.samples for t in tokens if isinstance(t, AudioToken))])

    def find(self, spec: ReplySpec) -> tuple[ReplyToken, ...] | None:
        """The tokens of a reply, if it is a prerecorded prompt."""
        known = spec.audio and spec.speed == 1.0 and spec.words
        return self._tokens.get((spec.words, spec.voice)) if known else None


class PrerecordedDialogue:
    """A `Dialogue` that replies with prerecorded prompts where there are any, and else asks the one behind it."""

    def __init__(self, dialogue: Dialogue, prompts: Prerecording) -> None:
        self._dialogue = dialogue
        self._prompts = prompts

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        self._dialogue.hear(samples, voiced)

    def turn(self, item_id: str) -> None:
        self._dialogue.turn(item_id)

    def anticipate(self, spec: ReplySpec) -> None:
        self._dialogue.anticipate(spec)

    def discard_turn(self) -> None:
        self._dialogue.discard_turn()

    def see(self, picture: Picture | None) -> None:
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
        tokens = self._prompts.find(spec)
        if tokens is None:
            async with aclosing(self._dialogue.reply(spec)) as reply:
                async for token in reply:
                    yield token
            return
        if spec.context is None:
            words = "".join(token.text for token in tokens if isinstance(token, TextToken))
            self._dialogue.read(Message(spec.id, "assistant", words))
        for token in tokens:
            yield token
