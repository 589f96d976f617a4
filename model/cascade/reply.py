"""Joins the text and the sound of one reply into one stream.

    deliver(TextToken | ToolCall | Stopped) ─(LLM's thread)─┐    tags of style are taken out of spoken text
                                                            ├──► the loop's queue ──► ReplyToken ... Done
    AudioToken | SpeechEnd ──────────────────(TTS's thread)─┘
                             text goes to the speech queue as it arrives, whether or not the stream is read

A reply may be begun speculatively, before it is requested (`held`): then it makes its text and the sound of its first
clause, which decide the user's wait, and leaves the rest until `release`. A spoken reply whose model works for long
before its first word says that it needs a moment; these words are its first text.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.model.cascade.llm import Generation, Piece, Stopped
from vivavoce.model.cascade.speech_queue import SpeechEnd, SpeechQueue
from vivavoce.model.cascade.tts import Style, Tags
from vivavoce.model.dialogue import AudioToken, Done, Item, Message, ReplySpec, ReplyToken, TextToken, Working
from vivavoce.model.errors import DialogueError, ToolCallError

MOMENTS: Final = ("One moment, please. ", "Just a moment longer. ")
"""What is said where the first word takes long: at first, and later."""

FIRST_MOMENT: Final = 3.0
"""Seconds from the request, after which the user may take the line for dead, ..."""

NEXT_MOMENT: Final = 12.0
"""... and from one such sentence to the next."""


class Reply:
    """One reply. Made and read on one event loop; `deliver` may be called from any thread."""

    def __init__(self, speech_queue: SpeechQueue, spec: ReplySpec, held: bool = False) -> None:
        self.failed = False
        self._held = held
        self._unspoken: list[str | Style | None] = []  # what the speech queue gets upon release
        self._tags = Tags()
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._worded = False  # the model has given text
        self._moments = 0
        self._next_moment = self._loop.time() + FIRST_MOMENT
        self.aside = 0
        """Characters at the beginning of its text that are not the model's."""
        # Bounded by the reply itself: at most MAX_TOKENS pieces of text, and their sound.
        self._pieces: asyncio.Queue[Piece | AudioToken | SpeechEnd] = asyncio.Queue()
        self._utterance = speech_queue.begin(spec, self._deliver_sound) if spec.audio else None

    def deliver(self, piece: Piece) -> None:
        """Takes the next piece from the LLM."""
        with suppress(RuntimeError):  # the loop has been closed: the dialogue did not wait for the last pieces
            self._loop.call_soon_threadsafe(self._arrive, piece)

    def recite(self, words: str) -> None:
        """Takes `words` as the whole text, instead of pieces from the LLM."""
        self._arrive(TextToken(words))
        self._arrive(Stopped("stop"))

    def release(self) -> None:
        """The reply was requested: speaks the rest too."""
        self._held = False
        self._next_moment = self._loop.time() + FIRST_MOMENT
        self._speak()

    async def tokens(self) -> AsyncIterator[ReplyToken]:
        """All tokens of the reply, as they come. Raises `DialogueError`."""
        stopped: Stopped | None = None
        silent = self._utterance is None
        while stopped is None or not silent:
            match await self._pieces.get():
                case Stopped() as stopped:
                    if stopped.reason == "error":
                        raise DialogueError(stopped.error) if stopped.again else ToolCallError(stopped.error)
                case SpeechEnd(error=error):
                    if error:
                        raise DialogueError(error)
                    silent = True
                case token:
                    yield token
        yield Done("length" if stopped.reason == "length" else "stop", stopped.usage)

    def close(self) -> None:
        """Drops the sound that was not made yet."""
        if self._utterance is not None:
            self._utterance.cancel()

    def _deliver_sound(self, event: AudioToken | SpeechEnd) -> None:
        with suppress(RuntimeError):  # as in `deliver`
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, event)

    def _arrive(self, piece: Piece) -> None:
        match piece:
            case Working():
                if self._held:
                    return  # nobody waits
                self._ask_for_patience()
            case TextToken(text=text):
                self._worded = True
                self._write(self._tags.push(text) if self._utterance is not None else [text])
                return
            case Stopped(reason=reason):
                self._stopped = True
                self.failed = reason == "error"
                self._write([self._tags.flush()])
        self._speak()
        self._pieces.put_nowait(piece)

    def _write(self, parts: list[str | Style | None]) -> None:
        """Takes text, which is shown and spoken, and the styles in which it is spoken."""
        for part in parts:
            last = self._unspoken[-1] if self._unspoken else None
            if isinstance(part, str) and isinstance(last, str):
                self._unspoken[-1] = last + part
            elif part != "":
                self._unspoken.append(part)
        self._speak()
        if text := "".join(part for part in parts if isinstance(part, str)):
            self._pieces.put_nowait(TextToken(text))

    def _ask_for_patience(self) -> None:
        if self._utterance is None or self._worded or self._loop.time() < self._next_moment:
            return
        words = MOMENTS[min(self._moments, len(MOMENTS) - 1)]
        self._moments += 1
        self._next_moment = self._loop.time() + NEXT_MOMENT
        self.aside += len(words)
        self._unspoken.append(words)
        self._pieces.put_nowait(TextToken(words))

    def _speak(self) -> None:
        """Gives the speech queue the text that may be spoken by now."""
        if self._utterance is None or self.failed:
            return
        while self._unspoken and not (self._held and self._utterance.begun):
            match self._unspoken.pop(0):
                case str() as text:
                    self._utterance.say(text)
                case style:
                    self._utterance.change(style)
        if self._stopped and not self._unspoken:
            self._utterance.finish()


@dataclass(frozen=True, slots=True)
class ActiveReply:
    """A reply under way, with the request and the context it answers. `generation`: None where its text was given."""

    spec: ReplySpec
    items: tuple[Item, ...]
    reply: Reply
    generation: Generation | None

    def answers(self, spec: ReplySpec, items: tuple[Item, ...]) -> bool:
        """Whether it is the reply to this request. The turn had no id yet when the reply was begun."""
        *context, turn = items or (None,)
        *known, expected = self.items
        same_turn = isinstance(turn, Message) and isinstance(expected, Message) and same_words(turn.text, expected.text)
        same_context = len(context) == len(known) and all(map(operator.is_, context, known))
        return same_turn and same_context and replace(spec, id="") == self.spec and not self.reply.failed

    def answers_turn(self, text: str) -> bool:
        """Whether it answers a turn of these words."""
        turn = self.items[-1]
        return isinstance(turn, Message) and same_words(turn.text, text)

    def cancel(self) -> None:
        """Ends it."""
        if self.generation is not None:
            self.generation.cancel()
        self.reply.close()


def same_words(first: str, second: str) -> bool:
    """Whether the words are the same: the ASR changes commas, stops and capitals as a pause grows longer."""
    return _WORD.findall(first.casefold()) == _WORD.findall(second.casefold())


_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
