"""model/cascade/dialogue.py: speculative replies, begun at a pause. Threads are real; ASR, LLM and TTS are scripted."""

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
from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import PLAIN, WHOLE, Part, Speech, Style
from vivavoce.model.dialogue import AudioToken, Heard, Message, ReplySpec, TextToken, WordEnd

SPOKEN = np.ones(9_600, np.float32)
PAUSE = np.zeros(768, np.float32)
ANSWER = "One, two is three. And three is four. "


class ScriptedAsr:
    """Recognizes `text` in all sound."""

    def __init__(self) -> None:
        self.text = "hello there"

    def open(self) -> ScriptedAsr:
        return self

    def push(self, samples_16k: Samples) -> None:
        pass

    def update(self) -> Hypothesis:
        return Hypothesis("", self.text, 0)

    def finish(self, end: int | None = None) -> Hypothesis:
        return Hypothesis(self.text, "", 0)


class ScriptedLlm:
    """Answers every prompt with `ANSWER`, at once. Keeps its prompts, and counts cancellations."""

    vision = False

    def __init__(self, speculative: bool) -> None:
        self.speculative = speculative
        self.lateness = 0.0
        self.generated: list[Prompt] = []
        self.prefilled: list[tuple[Prompt, bool]] = []
        self.cancelled = 0
        self.fails = False

    def fits(self, prompt: Prompt) -> bool:
        return True

    def open(self) -> ScriptedLlm:
        return self

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        self.prefilled.append((prompt, complete))

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> ScriptedLlm:
        self.generated.append(prompt)
        if self.fails:
            deliver(Stopped("error", error="out of words"))
        else:
            for word in ANSWER.split(" "):
                deliver(TextToken(f"{word} "))
            deliver(Stopped("stop"))
        return self

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        pass


class ScriptedTts:
    """Speaks a tenth of a second for each clause; keeps the clauses."""

    names = ("tone",)

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        self.spoken.append(text.strip())
        yield Speech(np.ones(2400, np.float32), (WordEnd(len(text), 2400),))


class Call:
    """A conversation, and its scripted stages."""

    def __init__(
        self, dialogue: CascadeDialogue, threads: Threads, asr: ScriptedAsr, llm: ScriptedLlm, tts: ScriptedTts
    ) -> None:
        self.dialogue, self.asr, self.llm, self.tts = dialogue, asr, llm, tts
        self._threads = threads
        self._transcripts = dialogue.transcripts()

    async def say(self, text: str, then_pause: bool = True) -> None:
        """The user says `text` and pauses; the ASR has updated."""
        self.asr.text = text
        self.dialogue.hear(SPOKEN, voiced=True)
        if then_pause:
            self.dialogue.hear(PAUSE, voiced=False)
        await anext(self._transcripts)
        await self._settle()

    async def _settle(self) -> None:
        """The text of the LLM is with the TTS, and the TTS has spoken it."""
        await asyncio.sleep(0)
        spoken, loop = asyncio.Event(), asyncio.get_running_loop()
        last = time.monotonic() + 1e6
        self._threads.submit_tts(partial(loop.call_soon_threadsafe, spoken.set), last)  # type: ignore[arg-type]  # its handle is dropped
        await spoken.wait()

    async def end(self, name: str) -> None:
        self.dialogue.turn(name)
        await anext(self._transcripts)

    async def answer(self, spec: ReplySpec) -> tuple[str, int]:
        """Text and samples of the reply."""
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
    asr, llm, tts, threads = ScriptedAsr(), ScriptedLlm(speculative), ScriptedTts(), Threads()
    dialogue = CascadeDialogue(asr, llm, SpeechQueue(tts, threads), threads, "")  # type: ignore[arg-type]  # scripted
    try:
        yield Call(dialogue, threads, asr, llm, tts)
    finally:
        await dialogue.close()
        threads.close()


def run(test: Callable[[Call], Awaitable[None]], speculative: bool = True) -> None:
    async def main() -> None:
        async with calling(speculative) as call, asyncio.timeout(5):
            await test(call)

    asyncio.run(main())


def test_at_a_pause_the_reply_and_its_first_clause_are_made_and_taken_up_when_requested() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec("", instructions="Be kind."))
        await call.say("what is one and two")
        assert len(call.llm.generated) == 1
        assert call.tts.spoken == ["One,"], "no more than the first clause"
        await call.end("turn")
        text, samples = await call.answer(ReplySpec("reply", instructions="Be kind."))
        assert len(call.llm.generated) == 1, "the speculative reply is the reply"
        assert text.strip() == ANSWER.strip()
        assert samples == 3 * 2400
        assert call.tts.spoken == ["One,", "two is three.", "And three is four."]
        await call.say("and then", then_pause=False)
        known = call.llm.prefilled[-1][0].items
        assert known[:2] == (Message("turn", "user", "what is one and two"), Message("reply", "assistant", text))

    run(test)


def test_a_reply_to_a_pause_within_the_turn_is_dropped_without_a_trace() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("what is one")
        await call.say("what is one and two")
        assert call.llm.cancelled >= 1
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert [prompt.items for prompt in call.llm.generated] == [
            (Message("", "user", "what is one"),),
            (Message("", "user", "what is one and two"),),
        ]

    run(test)


def test_a_second_pause_without_new_words_keeps_the_reply() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("what is one")
        await call.say("what is one")
        assert len(call.llm.generated) == 1

    run(test)


@pytest.mark.parametrize(
    "requested",
    [
        ReplySpec("reply", instructions="Be brief."),
        ReplySpec("reply", voice="other"),
        ReplySpec("reply", max_tokens=5),
        ReplySpec("reply", words="Good morning."),
        ReplySpec("reply", context=(Message("m", "user", "hi"),)),
    ],
)
def test_a_speculative_reply_to_another_request_is_not_given(requested: ReplySpec) -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        await call.end("turn")
        before = call.llm.cancelled
        text, _ = await call.answer(requested)
        assert call.llm.cancelled > before
        assert (text == requested.words) if requested.words else len(call.llm.generated) == 2

    run(test)


def test_a_context_that_changed_meanwhile_is_respected() -> None:
    async def test(call: Call) -> None:
        call.dialogue.read(Message("rule", "system", "Rhyme."))
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        call.dialogue.forget("rule")
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert call.llm.generated[-1].items == (Message("turn", "user", "hello"),)

    run(test)


def test_a_speculative_reply_that_failed_is_tried_again() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        call.llm.fails = True
        await call.say("hello")
        call.llm.fails = False
        await call.end("turn")
        assert (await call.answer(ReplySpec("reply")))[0].strip() == ANSWER.strip()

    run(test)


def test_nothing_is_begun_without_an_anticipated_request_or_where_tokens_are_paid_for() -> None:
    async def silent(call: Call) -> None:
        await call.say("hello")
        assert not call.llm.generated

    async def costly(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        assert not call.llm.generated
        assert call.llm.prefilled[-1][1], "it prefills all the same"

    run(silent)
    run(costly, speculative=False)


def test_a_dropped_turn_drops_its_speculative_reply() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("hello")
        before = call.llm.cancelled
        call.dialogue.discard_turn()
        assert call.llm.cancelled == before + 1

    run(test)


def test_the_asr_may_change_commas_and_capitals() -> None:
    async def test(call: Call) -> None:
        call.dialogue.anticipate(ReplySpec(""))
        await call.say("Who wrote hamlet,")
        call.asr.text = "Who wrote Hamlet?"
        await call.end("turn")
        await call.answer(ReplySpec("reply"))
        assert len(call.llm.generated) == 1

    run(test)


def test_turns_without_a_heard_reply_between_them_are_one_message() -> None:
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
        assert call.llm.generated[-1].items == (Message("first", "user", whole),), "begun speculatively, too"
        await call.end("second")
        await call.answer(ReplySpec("reply"))
        assert [prompt.items[-1].text for prompt in call.llm.generated] == ["I left my glasses,", whole]  # type: ignore[union-attr]

    run(test)


def test_new_instructions_are_read_before_anybody_asks() -> None:
    async def test(call: Call) -> None:
        for _ in range(2):
            call.dialogue.anticipate(ReplySpec("", instructions="You sell pears."))
        assert [prompt.instructions for prompt, _ in call.llm.prefilled][1:] == ["You sell pears."]

    run(test)
