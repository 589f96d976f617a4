"""Runs one conversation with the cascade: ASR, LLM and TTS, each streaming into the next.

    hear ──► Recognition ──(ASR's thread)──► Transcript ──► Context
                                                │ stable words: LlmSlot.prefill
                                                │ a pause: the reply is begun speculatively, and held
    reply ──► LlmSlot.generate ──(its thread)──► text ──► SpeechQueue ──(TTS's thread)──► sound
              or the speculative reply             │                                        │
                                                   └─────────────► one stream ◄─────────────┘

The object lives on one event loop; results of the threads come back to it through `call_soon_threadsafe`. `Turn` is the
user's turn on its way through the ASR: the sound pushed, the sound covered by an update, when to update again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import SAMPLE_RATE as ASR_RATE
from vivavoce.model.cascade.asr import Asr, Hypothesis, Recognition
from vivavoce.model.cascade.context import Context, offered_tools
from vivavoce.model.cascade.llm import Llm, Prompt
from vivavoce.model.cascade.reply import ActiveReply, Reply
from vivavoce.model.cascade.sight import Sight
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import (
    Done,
    Heard,
    Item,
    Message,
    Observation,
    OverlapOpinion,
    Picture,
    ReplySpec,
    ReplyToken,
    TextToken,
    Transcript,
    joined,
)
from vivavoce.model.errors import DialogueError, NotRecognized
from vivavoce.model.vision.eyes import Looking

TRANSCRIPT_PATIENCE: Final = 10.0
"""Seconds that a reply waits for the final transcript of its turn; that of a minute takes under two."""

MAX_TOKENS: Final = 160
"""Of a spoken reply, about a minute: longer ones lose the user's attention."""


class CascadeDialogue:
    """Implements `dialogue.Dialogue`. `transcripts()` must be consumed: it drives the ASR."""

    def __init__(
        self,
        asr: Asr,
        llm: Llm,
        speech_queue: SpeechQueue,
        threads: Threads,
        instructions: str,
        looking: Looking | None = None,
    ) -> None:
        """`looking`: looks at pictures in the place of an `llm` without vision."""
        self._asr = asr
        self._llm = llm
        self._slot = llm.open()
        self._speech_queue = speech_queue
        self._threads = threads
        self._instructions = instructions
        self._context = Context()
        self._open: Turn | None = None
        self._closed: list[Turn] = []  # without their final transcript
        self._last_turn: asyncio.Future[str] | None = None
        self._wake = asyncio.Event()
        self._ended = False
        self._view: Picture | None = None
        self._sight = None if llm.vision else Sight(looking)
        self._prefilled = ""  # text of the open turn that the LLM has read
        self._next_spec = ReplySpec("")  # the reply that will probably be requested next
        self._anticipated = False  # it follows the open turn, so it may be begun speculatively
        self._speculative: ActiveReply | None = None  # begun at a pause of the open turn
        self._slot.prefill(self._prompt_with(""))

    # --- the user's turn -------------------------------------------------------------------------------------

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        if self._open is None:
            self._open = Turn(self._asr.open())
            self._prefilled = ""
            self._drop_speculative()
            if self._sight is not None:
                self._sight.spoken()
            self._slot.prefill(self._prompt_with(""))
        turn = self._open
        turn.push(samples, voiced)
        if turn.needs_update:
            self._wake.set()

    def turn(self, item_id: str) -> None:
        turn = self._open or Turn(self._asr.open())
        self._open = None
        turn.id = item_id
        self._closed.append(turn)
        self._last_turn = turn.final
        self._context.turn(item_id)
        self._wake.set()

    def anticipate(self, spec: ReplySpec) -> None:
        before, self._next_spec = self._next_spec, replace(spec, id="")
        self._anticipated = self._llm.speculative
        if self._open is None and (before.instructions, before.tools) != (spec.instructions, spec.tools):
            self._slot.prefill(self._prompt_with(""))  # long instructions take longer to read than a question to ask

    def discard_turn(self) -> None:
        self._open, self._anticipated = None, False
        self._drop_speculative()

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        return await self._threads.run_asr(lambda: classified_overlap(self._asr, samples))

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while self._closed:
                yield await self._finish(self._closed[0])
                self._closed.pop(0)
            turn = self._open
            if turn is not None and turn.needs_update:
                paused = turn.begin_update()
                patience = 0.0 if paused else UPDATE / ASR_RATE  # when the next update will be due
                try:
                    hypothesis = await self._threads.run_asr(turn.recognition.update, patience)
                except DialogueError:
                    continue  # the final transcript decides
                if turn is self._open:
                    self._prefill(hypothesis, paused)
                    yield partial_transcript(turn, hypothesis)

    async def _finish(self, turn: Turn) -> Transcript:
        end = turn.voiced_end or None
        try:
            if turn.overflowed:
                raise DialogueError("You spoke for longer than the recogniser could follow.")
            hypothesis = await self._threads.run_asr(lambda: turn.recognition.finish(end))
        except DialogueError as error:
            turn.final.set_exception(error)
            turn.final.exception()  # marks it as retrieved: perhaps no reply waits for it
            return Transcript(turn.id, "", "", final=True, error=str(error))
        text = joined(hypothesis.stable, hypothesis.tail)
        self._context.transcribed(turn.id, text)
        turn.final.set_result(text)
        return Transcript(turn.id, text, "", final=True)

    def _prefill(self, hypothesis: Hypothesis, paused: bool) -> None:
        """Prefills the LLM while the user speaks. A pause may be the end: then with the whole text, and the reply is
        begun speculatively; else without the last word, which is still being said."""
        text = joined(hypothesis.stable, hypothesis.tail)
        if self._speculative is not None and self._speculative.answers_turn(text):
            return  # no words came since the reply was begun
        self._drop_speculative()
        if self._sight is not None:
            self._sight.spoken(text)
            if paused and self._sight.waits(self._context.merged(self._items_with(text))):
                return  # the reply needs what is being looked at
        if paused and text and self._anticipated:
            self._speculative = self._begin(self._next_spec, self._items_with(text), held=True)
        elif paused:
            self._slot.prefill(self._prompt_with(text), complete=True)
        elif (certain := text.rpartition(" ")[0]) != self._prefilled:
            self._prefilled = certain
            self._slot.prefill(self._prompt_with(certain))

    def _prompt_with(self, text: str) -> Prompt:
        """The prompt of the next reply if the open turn were `text`."""
        return self._prompt(self._next_spec, self._items_with(text))

    def _items_with(self, text: str) -> tuple[Item, ...]:
        return (*self._context.items(self._next_spec), Message("", "user", text))

    def _prompt(self, spec: ReplySpec, items: tuple[Item, ...]) -> Prompt:
        items = self._context.merged(items)
        instructions = f"{self._instructions}\n\n{spec.instructions}".strip()
        tools = offered_tools(spec.tools, spec.tool_choice, items)
        seen = items if self._sight is None else self._sight.reported(items)
        return Prompt(instructions, seen, tools, spec.tool_choice, self._view)

    # --- context -----------------------------------------------------------------------------------------------

    def see(self, picture: Picture | None) -> None:
        self._view = picture
        if self._sight is not None:
            self._sight.see(picture)

    def read(self, item: Item, after: str | None = None) -> None:
        self._context.read(item, after)
        if self._sight is not None:
            self._sight.read(item)

    def forget(self, item_id: str) -> None:
        self._context.forget(item_id)
        if self._sight is not None:
            self._sight.forget(item_id)

    def cut(self, heard: Heard) -> None:
        self._context.cut(heard)

    # --- the reply ---------------------------------------------------------------------------------------------

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        joins = spec.context is None
        if not spec.words and not await self._has_question(joins):
            yield Done("stop")  # a turn without words, such as a cough or a door
            return
        seen = await self._look(spec) if self._sight is not None and not spec.words else None
        active, text = self._take(spec, self._context.items(spec)), ""
        try:
            if seen is not None:
                yield seen
            async for token in active.reply.tokens():
                if joins and isinstance(token, TextToken):
                    text += token.text
                    aside = active.reply.aside
                    self._context.answered(spec.id, text[aside:], aside)
                yield self._with_images(token, active) if isinstance(token, Done) else token
            if self._open is None and self._speculative is None:
                self._slot.prefill(
                    self._prompt_with("")
                )  # now, while no user waits: the window may move, and be read again
        finally:
            active.cancel()

    async def _look(self, spec: ReplySpec) -> Observation | None:
        """Waits for what the reply needs to see; returns what was seen."""
        assert self._sight is not None
        await self._sight.ready(spec, self._context.merged(self._context.items(spec)))
        return self._sight.seen(self._context.merged(self._context.items(spec)))

    def _take(self, spec: ReplySpec, items: tuple[Item, ...]) -> ActiveReply:
        """The speculative reply, if it answers this request; else a new one."""
        speculative, self._speculative, self._anticipated = self._speculative, None, False
        if spec.context is None and not spec.words:
            self._next_spec = replace(spec, id="")
        if speculative is not None and not spec.words and speculative.answers(spec, items):
            speculative.reply.release()
            return speculative
        if speculative is not None:
            speculative.cancel()
        return self._begin(spec, items)

    def _begin(self, spec: ReplySpec, items: tuple[Item, ...], held: bool = False) -> ActiveReply:
        reply, generation = Reply(self._speech_queue, spec, held), None
        if words := spec.words or self._seen_words(spec, items):
            reply.recite(words)
        else:
            limit = min(spec.max_tokens or MAX_TOKENS, MAX_TOKENS)
            generation = self._slot.generate(self._prompt(spec, items), limit, reply.deliver)
        return ActiveReply(spec, items, reply, generation)

    def _seen_words(self, spec: ReplySpec, items: tuple[Item, ...]) -> str:
        """The answer to a question about something seen, unless it is the LLM's."""
        return "" if self._sight is None else self._sight.words(spec, self._context.merged(items))

    def _with_images(self, done: Done, active: ActiveReply) -> Done:
        """Counts the reports of what was seen as images."""
        if self._sight is None or active.generation is None:
            return done
        usage = done.usage
        images = min(self._sight.tokens(self._context.merged(active.items)), usage.input_text)
        return replace(done, usage=replace(usage, input_text=usage.input_text - images, input_image=images))

    def _drop_speculative(self) -> None:
        if self._speculative is not None:
            self._speculative.cancel()
            self._speculative = None

    async def _has_question(self, joins: bool) -> bool:
        """Waits for the transcript of the user's last turn; False when it has no words. Replies beside the conversation
        (not `joins`) do not depend on it. The next reply does not wait again, even after a failure. Raises
        `NotRecognized`."""
        if (turn := self._last_turn) is None:
            return True
        transcribed, _ = await asyncio.wait((turn,), timeout=TRANSCRIPT_PATIENCE)
        if not joins:
            return True
        if self._last_turn is turn:
            self._last_turn = None
        error = turn.exception() if transcribed else TimeoutError("Recognising what you said took too long.")
        if error is not None:
            raise NotRecognized(str(error)) from error
        return bool(turn.result())

    async def close(self) -> None:
        self._ended = True
        self._wake.set()
        self._open = None
        self._drop_speculative()
        self._slot.close()


def classified_overlap(asr: Asr, samples: Samples) -> OverlapOpinion:
    """Classifies sound over the assistant, given at `SAMPLE_RATE`."""
    resampler = Resampler(SAMPLE_RATE, ASR_RATE)
    return asr.classify_overlap(np.concatenate((resampler.push(samples), resampler.flush())))


def partial_transcript(turn: Turn, hypothesis: Hypothesis) -> Transcript:
    """The open turn as of its last update."""
    stable, tail, whole = hypothesis.stable, hypothesis.tail, turn.voiced_end <= turn.covered
    return Transcript("", stable, tail, final=False, whole=whole, finished=hypothesis.end_of_turn)


UPDATE: Final = ASR_RATE // 4
"""Samples of new sound after which the ASR updates: a quarter of a second."""


class Turn:
    """One turn of the user. Counts in samples at `ASR_RATE`."""

    def __init__(self, recognition: Recognition) -> None:
        self.recognition = recognition
        self.pushed = 0
        self.covered = 0  # pushed when the last update began
        self.voiced_end = 0
        self.paused = False  # a pause has begun that no update has covered
        self.id = ""  # set when the turn is closed
        self.overflowed = False  # more sound came than the ASR could take
        self.final: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._resampler = Resampler(SAMPLE_RATE, ASR_RATE)

    @property
    def needs_update(self) -> bool:
        return bool(self.id) or self.paused or self.pushed - self.covered >= UPDATE

    def begin_update(self) -> bool:
        """Begins an update over all sound pushed. Returns whether it ends in a pause that no update has covered."""
        paused, self.paused, self.covered = self.paused, False, self.pushed
        return paused

    def push(self, samples: Samples, voiced: bool) -> None:
        """Takes the next sound of the turn, at `SAMPLE_RATE`."""
        sound = self._resampler.push(samples)
        try:
            self.recognition.push(sound)
        except BufferError:
            self.overflowed = True
        self.paused = not voiced and (self.paused or self.voiced_end == self.pushed)
        self.pushed += len(sound)
        if voiced:
            self.voiced_end = self.pushed
