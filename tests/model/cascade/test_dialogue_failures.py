"""What breaks on a thread of the cascade is told to whoever waits, and does not outlast its reply."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from harness.cascade import Parrot
from vivavoce.model.cascade.asr import Hypothesis
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.llm import Prompt, Stopped
from vivavoce.model.cascade.llm.generation import NO_ANSWER
from vivavoce.model.cascade.llm.llama_cpp import LlamaThread
from vivavoce.model.cascade.speech_queue import Silent, SpeechQueue, Spoke
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import Message, ReplySpec, TextToken
from vivavoce.model.errors import NotRecognized


class Deaf:
    """Ears, and their only turn, that cannot recognise anything."""

    def open(self) -> Deaf:
        return self

    def push(self, samples_16k: Any) -> None:
        """It is not listened to."""

    def update(self) -> Hypothesis:
        raise RuntimeError("broken")

    def finish(self, end: int | None = None) -> Hypothesis:
        raise RuntimeError("broken")


class Broken:
    """A voice, and a language model, with a bug."""

    def speak(self, text: str, **how: object) -> Iterator[Any]:
        raise KeyError("shapes")

    def prefill(self, text: str, slot: int) -> None:
        """It breaks later."""

    def complete(self, slot: int, request: Any, generation: Any, say: Any) -> Stopped:
        raise RuntimeError("a bug")

    def give_back(self, slot: int) -> None:
        """There are no others."""


@pytest.fixture
def threads() -> Iterator[Threads]:
    running = Threads()
    yield running
    running.close()


async def words_of(dialogue: CascadeDialogue, spec: ReplySpec) -> list[str]:
    return [token.text async for token in dialogue.reply(spec) if isinstance(token, TextToken)]


def test_a_turn_that_was_not_heard_fails_one_reply_only(threads: Threads, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        dialogue = CascadeDialogue(Deaf(), Parrot(), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
        dialogue.turn("lost")
        async for transcript in dialogue.transcripts():
            assert transcript.error
            break
        with pytest.raises(NotRecognized, match="could not be recognised"):
            await words_of(dialogue, ReplySpec("a", audio=False))
        dialogue.read(Message("typed", "user", "hello"))
        assert await words_of(dialogue, ReplySpec("b", audio=False)) == ["hello"]
        await dialogue.close()

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(test())


def test_given_words_do_not_wait_for_the_ears(threads: Threads) -> None:
    async def test() -> None:
        dialogue = CascadeDialogue(Deaf(), Parrot(), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
        dialogue.turn("never looked at")
        async with asyncio.timeout(5):
            assert await words_of(dialogue, ReplySpec("a", words="Sorry.", audio=False)) == ["Sorry."]
        await dialogue.close()

    asyncio.run(test())


def test_a_voice_with_a_bug_says_so_instead_of_nothing(threads: Threads, caplog: pytest.LogCaptureFixture) -> None:
    heard: queue.Queue[Spoke | Silent] = queue.Queue()
    utterance = SpeechQueue(Broken(), threads).begin(ReplySpec("a"), heard.put)  # type: ignore[arg-type]  # it only breaks
    utterance.say("Hello there. ")
    utterance.finish()
    assert heard.get(timeout=10) == Silent("The voice failed.")
    assert "the voice failed" in caplog.text


def test_a_language_model_with_a_bug_says_so_instead_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    said: queue.Queue[Any] = queue.Queue()
    thread = LlamaThread(Broken(), 0)  # type: ignore[arg-type]  # it only breaks
    thread.generate(Prompt("", (Message("a", "user", "hello"),)), 10, said.put)
    assert said.get(timeout=10) == Stopped("error", error=NO_ANSWER)
    thread.close()
    assert "the language model failed" in caplog.text
