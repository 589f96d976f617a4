"""One conversation with the cascade: recogniser, language model, voice, each streaming into the next.

    hear ──► Listening ──(ears' thread)──► Transcript ──► Context
                                              │ stable words: Thread.prefill
                                              │ a pause: the answer is begun ahead, unheard
    reply ──► Thread.generate ──(its thread)──► Words ──► clauses ──► Mouth ──(voice's thread)──► Speech
              or the one begun ahead             │                                                  │
                                                 └──────────────► one stream ◄──────────────────────┘

The object lives on one event loop; what the threads make comes back to it through `call_soon_threadsafe`.

The user's turn as the ears hear it: what has come, what has been looked at, when to look again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import SAMPLE_RATE as EARS_RATE
from vivavoce.model.cascade.asr import Asr, Hypothesis, Recognition
from vivavoce.model.cascade.context import Context, wanted
from vivavoce.model.cascade.llm import Llm, Prompt
from vivavoce.model.cascade.reply import Begun, Reply
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import (
    Done,
    Heard,
    Item,
    Message,
    OverlapOpinion,
    Picture,
    ReplySpec,
    ReplyToken,
    TextToken,
    Transcript,
    joined,
)
from vivavoce.model.errors import DialogueError, NotRecognized

TRANSCRIPT_PATIENCE: Final = 10.0
"""Seconds the last transcript may take before the reply gives up; a turn of a minute takes under two."""

MAX_TOKENS: Final = 160
"""A spoken reply of about a minute: longer ones lose the listener."""


class CascadeDialogue:
    """See `dialogue.Dialogue`. `transcripts()` must be consumed: it is what drives the ears."""

    def __init__(self, ears: Asr, language: Llm, mouth: SpeechQueue, threads: Threads, instructions: str) -> None:
        self._ears = ears
        self._language = language
        self._thread = language.open()
        self._mouth = mouth
        self._threads = threads
        self._instructions = instructions
        self._context = Context()
        self._open: Turn | None = None
        self._closed: list[Turn] = []  # closed, not yet finally transcribed
        self._last_turn: asyncio.Future[str] | None = None
        self._wake = asyncio.Event()
        self._ended = False
        self._view: Picture | None = None
        self._read_ahead = ""  # what the model has read of the open turn
        self._expected = ReplySpec("")  # what will be asked for next, as far as anybody knows
        self._anticipated = False  # it follows from the open turn, so it may be begun
        self._ahead: Begun | None = None  # the answer to it, begun at a pause
        self._thread.prefill(self._with(""))

    # --- hearing ---------------------------------------------------------------------------------------------

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        if self._open is None:
            self._open = Turn(self._ears.open())
            self._read_ahead = ""
            self._drop_ahead()
            self._thread.prefill(self._with(""))
        turn = self._open
        turn.push(samples, voiced)
        if turn.wants_look:
            self._wake.set()

    def turn(self, item_id: str) -> None:
        turn = self._open or Turn(self._ears.open())
        self._open = None
        turn.id = item_id
        self._closed.append(turn)
        self._last_turn = turn.final
        self._context.turn(item_id)
        self._wake.set()

    def anticipate(self, spec: ReplySpec) -> None:
        self._expected = replace(spec, id="")
        self._anticipated = self._language.speculative

    def discard_turn(self) -> None:
        self._open, self._anticipated = None, False
        self._drop_ahead()

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        return await self._threads.ears(lambda: classified_overlap(self._ears, samples))

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while self._closed:
                yield await self._finish(self._closed[0])
                self._closed.pop(0)
            turn = self._open
            if turn is not None and turn.wants_look:
                paused = turn.look()
                patience = 0.0 if paused else UPDATE / EARS_RATE  # when the next look will be due
                try:
                    heard = await self._threads.ears(turn.listening.update, patience)
                except DialogueError:
                    continue  # the last look decides
                if turn is self._open:
                    self._prefill(heard, paused)
                    yield so_far(turn, heard)

    async def _finish(self, turn: Turn) -> Transcript:
        end = turn.voiced_end or None
        try:
            if turn.overflowed:
                raise DialogueError("You spoke for longer than the recogniser could follow.")
            hypothesis = await self._threads.ears(lambda: turn.listening.finish(end))
        except DialogueError as error:
            turn.final.set_exception(error)
            turn.final.exception()  # seen: there may be no reply that waits for it
            return Transcript(turn.id, "", "", final=True, error=str(error))
        text = joined(hypothesis.stable, hypothesis.tail)
        self._context.transcribed(turn.id, text)
        turn.final.set_result(text)
        return Transcript(turn.id, text, "", final=True)

    def _prefill(self, hypothesis: Hypothesis, paused: bool) -> None:
        """Lets the language model read along while the user speaks. A pause may be the end: then it reads everything,
        and begins to answer; else the last word is left out, for it is still being said."""
        heard = joined(hypothesis.stable, hypothesis.tail)
        if self._ahead is not None and self._ahead.heard(heard):
            return  # nothing was said since the answer was begun
        self._drop_ahead()
        if paused and heard and self._anticipated:
            self._ahead = self._begin(self._expected, self._items_with(heard), held=True)
        elif paused:
            self._thread.prefill(self._with(heard), complete=True)
        elif (certain := heard.rpartition(" ")[0]) != self._read_ahead:
            self._read_ahead = certain
            self._thread.prefill(self._with(certain))

    def _with(self, heard: str) -> Prompt:
        """What the model would have to answer if the user had said `heard`."""
        return self._prompt(self._expected, self._items_with(heard))

    def _items_with(self, heard: str) -> tuple[Item, ...]:
        return (*self._context.items(self._expected), Message("", "user", heard))

    def _prompt(self, spec: ReplySpec, items: tuple[Item, ...]) -> Prompt:
        items = self._context.together(items)
        instructions = f"{self._instructions}\n\n{spec.instructions}".strip()
        return Prompt(instructions, items, wanted(spec.tools, spec.tool_choice, items), spec.tool_choice, self._view)

    # --- context -----------------------------------------------------------------------------------------------

    def see(self, picture: Picture) -> None:
        self._view = picture

    def read(self, item: Item, after: str | None = None) -> None:
        self._context.read(item, after)

    def forget(self, item_id: str) -> None:
        self._context.forget(item_id)

    def cut(self, heard: Heard) -> None:
        self._context.cut(heard)

    # --- replying ----------------------------------------------------------------------------------------------

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        joins = spec.context is None
        if not spec.words and not await self._has_question(joins):
            yield Done("stop")  # a cough or a door: there is nothing to answer
            return
        begun, text = self._take(spec, self._context.items(spec)), ""
        try:
            async for token in begun.reply.tokens():
                if joins and isinstance(token, TextToken):
                    text += token.text
                    self._context.answered(spec.id, text)
                yield token
            if self._open is None and self._ahead is None:
                self._thread.prefill(self._with(""))  # now, when nobody waits: maybe it forgets, and reads much again
        finally:
            begun.cancel()

    def _take(self, spec: ReplySpec, items: tuple[Item, ...]) -> Begun:
        """The reply that was begun ahead, if it is what is asked for; else a new one."""
        ahead, self._ahead, self._anticipated = self._ahead, None, False
        if spec.context is None and not spec.words:
            self._expected = replace(spec, id="")
        if ahead is not None and not spec.words and ahead.answers(spec, items):
            ahead.reply.release()
            return ahead
        if ahead is not None:
            ahead.cancel()
        return self._begin(spec, items)

    def _begin(self, spec: ReplySpec, items: tuple[Item, ...], held: bool = False) -> Begun:
        reply, generation = Reply(self._mouth, spec, held), None
        if spec.words:
            reply.recite(spec.words)
        else:
            limit = min(spec.max_tokens or MAX_TOKENS, MAX_TOKENS)
            generation = self._thread.generate(self._prompt(spec, items), limit, reply.deliver)
        return Begun(spec, items, reply, generation)

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    async def _has_question(self, joins: bool) -> bool:
        """Waits for the words of the user's last turn. False when there are none; replies beside the conversation are
        not answers to it. The next reply does not ask again, be it after a failure. Raises `NotRecognized`."""
        if (turn := self._last_turn) is None:
            return True
        heard, _ = await asyncio.wait((turn,), timeout=TRANSCRIPT_PATIENCE)
        if not joins:
            return True
        if self._last_turn is turn:
            self._last_turn = None
        error = turn.exception() if heard else TimeoutError("Recognising what you said took too long.")
        if error is not None:
            raise NotRecognized(str(error)) from error
        return bool(turn.result())

    async def close(self) -> None:
        self._ended = True
        self._wake.set()
        self._open = None
        self._drop_ahead()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.close)


def classified_overlap(ears: Asr, samples: Samples) -> OverlapOpinion:
    """What `ears` make of sound at `SAMPLE_RATE`."""
    resampler = Resampler(SAMPLE_RATE, EARS_RATE)
    return ears.classify_overlap(np.concatenate((resampler.push(samples), resampler.flush())))


def so_far(turn: Turn, heard: Hypothesis) -> Transcript:
    """What a look at the open turn found."""
    whole = turn.voiced_end <= turn.seen
    return Transcript("", heard.stable, heard.tail, final=False, whole=whole, finished=heard.end_of_turn)


UPDATE: Final = EARS_RATE // 4
"""The ears look again after this much new sound: a quarter of a second."""


class Turn:
    """One turn. Counts in samples at `EARS_RATE`."""

    def __init__(self, listening: Recognition) -> None:
        self.listening = listening
        self.pushed = 0
        self.seen = 0  # pushed when the last look began
        self.voiced_end = 0
        self.paused = False  # a pause has begun that no look has covered
        self.id = ""  # set when the turn is closed
        self.overflowed = False  # more sound came than the ears could take
        self.final: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._resampler = Resampler(SAMPLE_RATE, EARS_RATE)

    @property
    def wants_look(self) -> bool:
        return bool(self.id) or self.paused or self.pushed - self.seen >= UPDATE

    def look(self) -> bool:
        """All that was pushed is about to be looked at. Whether it ends in a pause that nobody has looked at."""
        paused, self.paused, self.seen = self.paused, False, self.pushed
        return paused

    def push(self, samples: Samples, voiced: bool) -> None:
        """Takes more of it, at `SAMPLE_RATE`."""
        sound = self._resampler.push(samples)
        try:
            self.listening.push(sound)
        except BufferError:
            self.overflowed = True
        self.paused = not voiced and (self.paused or self.voiced_end == self.pushed)
        self.pushed += len(sound)
        if voiced:
            self.voiced_end = self.pushed
