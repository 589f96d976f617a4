"""One conversation with the cascade: recogniser, language model, voice, each streaming into the next.

    hear ──► Listening ──(ears' thread)──► Transcript ──► Context
                                              │ stable words: Thread.prefill
    reply ──► Thread.generate ──(its thread)──► Words ──► clauses ──► Mouth ──(voice's thread)──► Speech
                                                 │                                                  │
                                                 └──────────────► one stream ◄──────────────────────┘

The object lives on one event loop; what the threads make comes back to it through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Final

from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.context import Context, wanted
from vivavoce.model.cascade.ears import Ears, Hypothesis, Listening
from vivavoce.model.cascade.language import Calls, Language, Piece, Prompt, Stopped, Words
from vivavoce.model.cascade.mouth import Mouth, Silent, Spoke
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import (
    SAMPLE_RATE,
    AudioToken,
    DialogueError,
    Done,
    Heard,
    Item,
    Message,
    Picture,
    ReplySpec,
    ReplyToken,
    Samples,
    TextToken,
    ToolCall,
    Transcript,
    joined,
)

EARS_RATE: Final = 16_000
UPDATE: Final = EARS_RATE // 4
"""The ears look again after this much new sound: a quarter of a second."""

TRANSCRIPT_PATIENCE: Final = 10.0
"""Seconds the last transcript may take before the reply gives up; a turn of a minute takes under two."""

MAX_TOKENS: Final = 160
"""A spoken reply of about a minute: longer ones lose the listener."""


class _Turn:
    """The user's turn as the ears hear it. Counts in samples at `EARS_RATE`."""

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self.resampler = Resampler(SAMPLE_RATE, EARS_RATE)
        self.pushed = 0
        self.seen = 0  # pushed when the last look began
        self.voiced_end = 0
        self.paused = False  # a pause has begun that no look has covered
        self.id = ""  # set when the turn is closed
        self.overflowed = False  # more sound came than the ears could take
        self.final: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def wants_look(self) -> bool:
        return bool(self.id) or self.paused or self.pushed - self.seen >= UPDATE


class CascadeDialogue:
    """See `dialogue.Dialogue`. `hearing()` must be consumed: it is what drives the ears."""

    def __init__(self, ears: Ears, language: Language, mouth: Mouth, threads: Threads, instructions: str) -> None:
        self._ears = ears
        self._language = language
        self._thread = language.open()
        self._mouth = mouth
        self._threads = threads
        self._instructions = instructions
        self._context = Context()
        self._open: _Turn | None = None
        self._closed: list[_Turn] = []  # closed, not yet finally transcribed
        self._last_turn: asyncio.Future[str] | None = None
        self._wake = asyncio.Event()
        self._ended = False
        self._view: Picture | None = None
        self._read_ahead = ""  # what the model has read of the open turn
        self._frame = Prompt(
            instructions, ()
        )  # of the last reply: the next one's instructions and tools are likely the same
        self._thread.prefill(self._with(""))

    # --- hearing ---------------------------------------------------------------------------------------------

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        if self._open is None:
            self._open = _Turn(self._ears.open())
            self._read_ahead = ""
            self._thread.prefill(self._with(""))
        turn = self._open
        sound = turn.resampler.push(samples)
        try:
            turn.listening.push(sound)
        except BufferError:
            turn.overflowed = True
        turn.paused = not voiced and (turn.paused or turn.voiced_end == turn.pushed)
        turn.pushed += len(sound)
        if voiced:
            turn.voiced_end = turn.pushed
        if turn.wants_look:
            self._wake.set()

    def turn(self, item_id: str) -> None:
        turn = self._open or _Turn(self._ears.open())
        self._open = None
        turn.id = item_id
        self._closed.append(turn)
        self._last_turn = turn.final
        self._context.read(Message(item_id, "user", ""))
        self._wake.set()

    def unhear(self) -> None:
        self._open = None

    async def hearing(self) -> AsyncIterator[Transcript]:
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while self._closed:
                yield await self._finish(self._closed[0])
                self._closed.pop(0)
            turn = self._open
            if turn is not None and turn.wants_look:
                paused = turn.paused
                try:
                    hypothesis = await self._look(turn)
                except DialogueError:
                    continue  # the last look decides
                if turn is self._open:
                    self._prefill(hypothesis, paused)
                    yield Transcript("", hypothesis.stable, hypothesis.tail, final=False)

    async def _look(self, turn: _Turn) -> Hypothesis:
        turn.seen, turn.paused = turn.pushed, False
        return await self._threads.ears(turn.listening.update)

    async def _finish(self, turn: _Turn) -> Transcript:
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
        """Lets the language model read along while the user speaks. A pause may be the end: then it reads everything;
        else the last word is left out, for it is still being said."""
        heard = joined(hypothesis.stable, hypothesis.tail)
        if paused:
            self._thread.prefill(self._with(heard), complete=True)
        elif (certain := heard.rpartition(" ")[0]) != self._read_ahead:
            self._read_ahead = certain
            self._thread.prefill(self._with(certain))

    def _with(self, heard: str) -> Prompt:
        """What the model would have to answer if the user had said `heard`."""
        return replace(self._frame, items=(*self._context.items(ReplySpec("")), Message("", "user", heard)))

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
        if joins and self._last_turn is not None and not await self._transcript(self._last_turn):
            self._last_turn = None
            yield Done("stop")  # a cough or a door: there is nothing to answer
            return
        self._last_turn = None
        reply = _Reply(self._mouth, self._threads, spec)
        items = self._context.items(spec)
        instructions = f"{self._instructions}\n\n{spec.instructions}".strip()
        generation = None
        if spec.words:
            reply.recite(spec.words)
        else:
            tools = wanted(spec.tools, spec.tool_choice, items)
            self._frame = Prompt(instructions, (), tools, spec.tool_choice)
            prompt = replace(self._frame, items=items, view=self._view)
            limit = min(spec.max_tokens or MAX_TOKENS, MAX_TOKENS)
            generation = self._thread.generate(prompt, limit, reply.deliver)
        try:
            async for token in reply.tokens():
                if joins and isinstance(token, TextToken):
                    self._context.answered(spec.id, reply.text)
                yield token
        finally:
            if generation is not None:
                generation.cancel()
            reply.close()

    async def _transcript(self, final: asyncio.Future[str]) -> str:
        try:
            async with asyncio.timeout(TRANSCRIPT_PATIENCE):
                return await asyncio.shield(final)
        except TimeoutError:
            raise DialogueError("Recognising what you said took too long.") from None

    async def close(self) -> None:
        self._ended = True
        self._wake.set()
        self._open = None
        await asyncio.get_running_loop().run_in_executor(None, self._thread.close)


class _Reply:
    """Words and sound of one reply on their way into one stream."""

    def __init__(self, mouth: Mouth, threads: Threads, spec: ReplySpec) -> None:
        self.text = ""
        self._loop = asyncio.get_running_loop()
        # Bounded by the reply itself: at most MAX_TOKENS words, and the sound of them.
        self._pieces: asyncio.Queue[Piece | Spoke | Silent] = asyncio.Queue()
        self._utterance = mouth.begin(spec, self._arrive_from_voice) if spec.audio else None

    def recite(self, words: str) -> None:
        """Says these words as they are."""
        self.deliver(Words(words))
        self.deliver(Stopped("stop"))

    def deliver(self, piece: Piece) -> None:
        self._arrive(piece)

    async def tokens(self) -> AsyncIterator[ReplyToken]:
        stopped: Stopped | None = None
        silent = self._utterance is None
        while stopped is None or not silent:
            match await self._pieces.get():
                case Words(text=text):
                    self.text += text
                    if self._utterance is not None:
                        self._utterance.say(text)
                    yield TextToken(text)
                case Calls(call_id=call_id, name=name, arguments=arguments, final=final):
                    yield ToolCall(call_id, name, arguments, final)
                case Stopped() as stopped:
                    if stopped.reason == "error":
                        raise DialogueError(stopped.error)
                    if self._utterance is not None:
                        self._utterance.finish()
                case Spoke(samples=samples, words=words):
                    yield AudioToken(samples, words)
                case Silent(error=error):
                    if error:
                        raise DialogueError(error)
                    silent = True
        yield Done("length" if stopped.reason == "length" else "stop", stopped.usage)

    def close(self) -> None:
        if self._utterance is not None:
            self._utterance.cancel()

    def _arrive_from_voice(self, event: Spoke | Silent) -> None:
        self._arrive(event)

    def _arrive(self, piece: Piece | Spoke | Silent) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
