"""model/cascade/dialogue.py: the answer begun at a pause, unheard. Real threads; ears, words and voice are scripted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest

from vivavoce.codecs.audio import Samples
from vivavoce.model.cascade.asr import Hypothesis
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped, Words
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import WHOLE, Part, Speech
from vivavoce.model.dialogue import AudioToken, Heard, Message, ReplySpec, TextToken, WordEnd

SPOKEN = np.ones(9_600, np.float32)
PAUSE = np.zeros(768, np.float32)
ANSWER = "One, two is three. And three is four. "


class Ears:
    """Hears `text`, whatever is said."""

    def __init__(self) -> None:
        self.text = "hello there"

    def open(self) -> Ears:
        return self

    def push(self, samples_16k: Samples) -> None:
        pass

    def update(self) -> Hypothesis:
        return Hypothesis("", self.text, 0)

    def finish(self, end: int | None = None) -> Hypothesis:
        return Hypothesis(self.text, "", 0)


class Model:
    """Answers everything with `ANSWER`, at once. Keeps what it was asked, and how often it was told to stop."""

    vision = False

    def __init__(self, speculative: bool) -> None:
        self.speculative = speculative
        self.lateness = 0.0
        self.asked: list[Prompt] = []
        self.read: list[tuple[Prompt, bool]] = []
        self.cancelled = 0
        self.fails = False

    def open(self) -> Model:
        return self

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        self.read.append((prompt, complete))

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Model:
        self.asked.append(prompt)
        if self.fails:
            deliver(Stopped("error", error="out of words"))
        else:
            for word in ANSWER.split(" "):
                deliver(Words(f"{word} "))
            deliver(Stopped("stop"))
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        pass


class Voice:
    """A tenth of a second for each clause; keeps what it has said."""

    names = ("tone",)

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE) -> Iterator[Speech]:
        self.said.append(text.strip())
        yield Speech(np.ones(2400, np.float32), (WordEnd(len(text), 2400),))


class Call:
    """A conversation, and what it is made of."""

    def __init__(self, dialogue: CascadeDialogue, threads: Threads, ears: Ears, model: Model, voice: Voice) -> None:
        self.dialogue, self.ears, self.model, self.voice = dialogue, ears, model, voice
        self._threads = threads
        self._hearing = dialogue.transcripts()

    async def say(self, text: str, then_pause: bool = True) -> None:
        """The user says `text`, pauses, and the ears have looked."""
        self.ears.text = text
        self.dialogue.hear(SPOKEN, voiced=True)
        if then_pause:
            self.dialogue.hear(PAUSE, voiced=False)
        await anext(self._hearing)
        await self._settle()

    async def _settle(self) -> None:
        """What the model said is with the voice, and the voice has said it."""
        await asyncio.sleep(0)
        said, loop = asyncio.Event(), asyncio.get_running_loop()
        last = time.monotonic() + 1e6
        self._threads.voice(partial(loop.call_soon_threadsafe, said.set), last)  # type: ignore[arg-type]  # its handle is dropped
        await said.wait()

    async def end(self, name: str) -> None:
        self.dialogue.turn(name)
        await anext(self._hearing)

    async def answer(self, spec: ReplySpec) -> tuple[str, int]:
        """Words and samples of the reply."""
        text, samples = "", 0
        async for token in self.dialogue.reply(spec):
            match token:
                case TextToken(text=words):
                    text += words
                case AudioToken(samples=sound):
                    samples += len(sound)
        return text, samples


@asynccontextmanager
async def calling(speculative: bool = True) -> AsyncIterator[Call]:
    ears, model, voice, threads = Ears(), Model(speculative), Voice(), Threads()
    dialogue = CascadeDialogue(ears, model, SpeechQueue(voice, threads), threads, "")  # type: ignore[arg-type]  # scripted
    try:
        yield Call(dialogue, threads, ears, model, voice)
    finally:
        await dialogue.close()
        threads.close()


def run(test: Callable[[Call], Awaitable[None]], speculative: bool = True) -> None:
    async def main() -> None:
        async with calling(speculative) as call, asyncio.timeout(5):
            await test(call)

    asyncio.run(main())


def test_at_a_pause_the_answer_and_its_first_clause_are_made_and_taken_up_when_asked_for() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec("", instructions="Be kind."))
        await call.say("what is one and two")
        assert len(call.model.asked) == 1
        assert call.voice.said == ["One,"], "no more than what is heard first"
        await call.end("turn")
        text, samples = await call.answer(ReplySpec("reply", instructions="Be kind."))
        assert len(call.model.asked) == 1, "the answer that was begun is the answer"
        assert text.strip() == ANSWER.strip()
        assert samples == 3 * 2400
        assert call.voice.said == ["One,", "two is three.", "And three is four."]
        await call.say("and then", then_pause=False)
        known = call.model.read[-1][0].items
        assert known[:2] == (Message("turn", "user", "what is one and two"), Message("reply", "assistant", text))

    run(test)


def test_an_answer_to_what_was_not_the_end_is_dropped_without_a_trace() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("what is one")
        await call.say("what is one and two")
        assert call.model.cancelled >= 1
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert [prompt.items for prompt in call.model.asked] == [
            (Message("", "user", "what is one"),),
            (Message("", "user", "what is one and two"),),
        ]

    run(test)


def test_a_second_pause_without_new_words_lets_the_answer_go_on() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("what is one")
        await call.say("what is one")
        assert len(call.model.asked) == 1

    run(test)


@pytest.mark.parametrize(
    "asked",
    [
        ReplySpec("reply", instructions="Be brief."),
        ReplySpec("reply", voice="other"),
        ReplySpec("reply", max_tokens=5),
        ReplySpec("reply", words="Good morning."),
        ReplySpec("reply", context=(Message("m", "user", "hi"),)),
    ],
)
def test_an_answer_that_is_not_what_is_asked_for_is_not_given(asked: ReplySpec) -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        await call.end("turn")
        before = call.model.cancelled
        text, _ = await call.answer(asked)
        assert call.model.cancelled > before
        assert (text == asked.words) if asked.words else len(call.model.asked) == 2

    run(test)


def test_the_context_that_changed_meanwhile_is_respected() -> None:
    async def test(call: Call) -> None:
        call.dialogue.read(Message("rule", "system", "Rhyme."))
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        call.dialogue.forget("rule")
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert call.model.asked[-1].items == (Message("turn", "user", "hello"),)

    run(test)


def test_an_answer_that_failed_ahead_is_tried_again() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        call.model.fails = True
        await call.say("hello")
        call.model.fails = False
        await call.end("turn")
        assert (await call.answer(ReplySpec("reply")))[0].strip() == ANSWER.strip()

    run(test)


def test_nothing_is_begun_where_nobody_said_what_will_be_asked_or_tokens_are_paid_for() -> None:
    async def silent(call: Call) -> None:
        await call.say("hello")
        assert not call.model.asked

    async def costly(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        assert not call.model.asked
        assert call.model.read[-1][1], "it reads ahead all the same"

    run(silent)
    run(costly, speculative=False)


def test_a_turn_that_is_dropped_takes_its_answer_with_it() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        before = call.model.cancelled
        call.dialogue.discard_turn()
        assert call.model.cancelled == before + 1

    run(test)


def test_the_ears_may_change_their_mind_about_commas_and_capitals() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("Who wrote hamlet,")
        call.ears.text = "Who wrote Hamlet?"
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert len(call.model.asked) == 1

    run(test)


def test_who_goes_on_before_the_answer_is_heard_has_said_one_thing() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("I left my glasses,")
        await call.end("first")
        reply = call.dialogue.reply(ReplySpec("unheard"))
        await anext(reply)
        await reply.aclose()
        call.dialogue.cut(Heard("unheard", 0, 0))
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("on the train")
        whole = "I left my glasses, on the train"
        assert call.model.asked[-1].items == (Message("first", "user", whole),), "begun ahead, too"
        await call.end("second")
        await call.answer(ReplySpec("reply"))
        assert [prompt.items[-1].text for prompt in call.model.asked] == ["I left my glasses,", whole]  # type: ignore[union-attr]

    run(test)
