"""Words and sound of one reply on their way into one stream.

    deliver(Words) ─(model's thread)─┐                        ┌──► TextToken
                                     ├──► the loop's queue ───┼──► AudioToken  ──► Done
    Spoke ──────────(voice's thread)─┘                        └──► ToolCall
                                     words go to the voice as they arrive, whether anyone listens or not

A reply may be begun ahead, before anyone asks for it (`held`): then it makes its words and the sound of its first
clause, which is what the user waits for, and leaves the rest until `release`.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.model.cascade.llm import Calls, Generation, Piece, Stopped, Words
from vivavoce.model.cascade.speech_queue import Silent, SpeechQueue, Spoke
from vivavoce.model.dialogue import AudioToken, Done, Item, Message, ReplySpec, ReplyToken, TextToken, ToolCall
from vivavoce.model.errors import DialogueError


class Reply:
    """One reply. Made and read on one event loop; `deliver` may be called from any thread."""

    def __init__(self, mouth: SpeechQueue, spec: ReplySpec, held: bool = False) -> None:
        self.failed = False
        self._held = held
        self._unsaid: list[str] = []  # words that the voice gets upon release
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        # Bounded by the reply itself: at most MAX_TOKENS words, and the sound of them.
        self._pieces: asyncio.Queue[Piece | Spoke | Silent] = asyncio.Queue()
        self._utterance = mouth.begin(spec, self._deliver_sound) if spec.audio else None

    def deliver(self, piece: Piece) -> None:
        """Takes what the language model says."""
        self._loop.call_soon_threadsafe(self._arrive, piece)

    def recite(self, words: str) -> None:
        """Says these words as they are."""
        self._arrive(Words(words))
        self._arrive(Stopped("stop"))

    def release(self) -> None:
        """Somebody listens now: the rest is said too."""
        self._held = False
        self._speak()

    async def tokens(self) -> AsyncIterator[ReplyToken]:
        """All of the reply, as it comes. Raises `DialogueError`."""
        stopped: Stopped | None = None
        silent = self._utterance is None
        while stopped is None or not silent:
            match await self._pieces.get():
                case Words(text=text):
                    yield TextToken(text)
                case Calls(call_id=call_id, name=name, arguments=arguments, final=final):
                    yield ToolCall(call_id, name, arguments, final)
                case Stopped() as stopped:
                    if stopped.reason == "error":
                        raise DialogueError(stopped.error)
                case Spoke(samples=samples, words=words):
                    yield AudioToken(samples, words)
                case Silent(error=error):
                    if error:
                        raise DialogueError(error)
                    silent = True
        yield Done("length" if stopped.reason == "length" else "stop", stopped.usage)

    def close(self) -> None:
        """Nothing of it is wanted any more."""
        if self._utterance is not None:
            self._utterance.cancel()

    def _deliver_sound(self, event: Spoke | Silent) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, event)

    def _arrive(self, piece: Piece) -> None:
        match piece:
            case Words(text=text):
                self._unsaid.append(text)
            case Stopped(reason=reason):
                self._stopped = True
                self.failed = reason == "error"
        self._speak()
        self._pieces.put_nowait(piece)

    def _speak(self) -> None:
        """Gives the voice what it may say by now."""
        if self._utterance is None or self.failed:
            return
        while self._unsaid and self._held and not self._utterance.begun:
            self._utterance.say(self._unsaid.pop(0))
        if self._unsaid and not self._held:
            self._utterance.say("".join(self._unsaid))
            self._unsaid.clear()
        if self._stopped and not self._unsaid:
            self._utterance.finish()


@dataclass(frozen=True, slots=True)
class Begun:
    """A reply under way: what it answers, and what makes it (nothing, where its words were given)."""

    spec: ReplySpec
    items: tuple[Item, ...]
    reply: Reply
    generation: Generation | None

    def answers(self, spec: ReplySpec, items: tuple[Item, ...]) -> bool:
        """Whether it is what `spec` asks for now. The turn had no name yet when it was begun."""
        *context, turn = items or (None,)
        *known, heard = self.items
        same_words = isinstance(turn, Message) and isinstance(heard, Message) and alike(turn.text, heard.text)
        same_context = len(context) == len(known) and all(map(operator.is_, context, known))
        return same_words and same_context and replace(spec, id="") == self.spec and not self.reply.failed

    def heard(self, text: str) -> bool:
        """Whether it answers a turn of these words."""
        turn = self.items[-1]
        return isinstance(turn, Message) and alike(turn.text, text)

    def cancel(self) -> None:
        """It is not wanted any more."""
        if self.generation is not None:
            self.generation.cancel()
        self.reply.close()


def alike(first: str, second: str) -> bool:
    """The same words: the ears change their mind about commas, stops and capitals as a pause grows longer."""
    return _WORD.findall(first.casefold()) == _WORD.findall(second.casefold())


_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
