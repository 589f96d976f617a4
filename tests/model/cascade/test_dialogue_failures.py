"""model/cascade: a failure on a thread reaches its reply, and does not outlast it."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cascade import Parrot
from vivavoce.model.cascade.asr import Hypothesis
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.llm import Prompt, Stopped
from vivavoce.model.cascade.llm.llama_cpp import NO_ANSWER, LlamaSlot
from vivavoce.model.cascade.speech_queue import SpeechEnd, SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import AudioToken, Message, ReplySpec, TextToken
from vivavoce.model.errors import NotRecognized


class FailingAsr:
    """An ASR, and its only turn, that fails."""

    def open(self) -> FailingAsr:
        return self

    def push(self, samples_16k: Any) -> None:
        """Drops the sound."""

    def update(self) -> Hypothesis:
        raise RuntimeError("broken")

    def finish(self, end: int | None = None) -> Hypothesis:
        raise RuntimeError("broken")


class Broken:
    """A TTS and an LLM with a bug."""

    checker = None
    grammars = SimpleNamespace(of=lambda tools, choice: None)

    def speak(self, text: str, **how: object) -> Iterator[Any]:
        raise KeyError("shapes")

    def prefill(self, text: str, slot: int, given_up: Any) -> None:
        """Breaks later."""

    def complete(self, slot: int, request: Any, generation: Any, on_text: Any, live: Any) -> Stopped:
        raise RuntimeError("a bug")

    def release(self, slot: LlamaSlot) -> None:
        """There are no other slots."""


@pytest.fixture
def threads() -> Iterator[Threads]:
    running = Threads()
    yield running
    running.close()


async def words_of(dialogue: CascadeDialogue, spec: ReplySpec) -> list[str]:
    return [token.text async for token in dialogue.reply(spec) if isinstance(token, TextToken)]


def test_a_turn_that_was_not_recognized_fails_one_reply_only(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        dialogue = CascadeDialogue(FailingAsr(), Parrot(), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
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


def test_given_words_do_not_wait_for_the_asr(threads: Threads) -> None:
    async def test() -> None:
        dialogue = CascadeDialogue(FailingAsr(), Parrot(), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
        dialogue.turn("never updated")
        async with asyncio.timeout(5):
            assert await words_of(dialogue, ReplySpec("a", words="Sorry.", audio=False)) == ["Sorry."]
        await dialogue.close()

    asyncio.run(test())


def test_a_tts_with_a_bug_ends_the_reply_with_an_error(threads: Threads, caplog: pytest.LogCaptureFixture) -> None:
    sound: queue.Queue[AudioToken | SpeechEnd] = queue.Queue()
    utterance = SpeechQueue(Broken(), threads).begin(ReplySpec("a"), sound.put)  # type: ignore[arg-type]  # it only breaks
    utterance.say("Hello there. ")
    utterance.finish()
    assert sound.get(timeout=10) == SpeechEnd("The voice failed.")
    assert "TTS failed" in caplog.text


def test_an_llm_with_a_bug_ends_the_reply_with_an_error(caplog: pytest.LogCaptureFixture) -> None:
    pieces: queue.Queue[Any] = queue.Queue()
    with ThreadPoolExecutor(1) as thread:
        slot = LlamaSlot(Broken(), 0, thread)  # type: ignore[arg-type]  # it only breaks
        slot.generate(Prompt("", (Message("a", "user", "hello"),)), 10, pieces.put)
        assert pieces.get(timeout=10) == Stopped("error", error=NO_ANSWER)
        slot.close()
    assert "LLM failed" in caplog.text
