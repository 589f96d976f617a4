"""model/cascade/dialogue.py: the conversation goes on when the ASR fails. ASR and LLM are scripted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from harness.cascade import Parrot
from vivavoce.model.cascade.asr import Hypothesis
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import ReplySpec, TextToken, Transcript
from vivavoce.model.errors import DialogueError

SECOND = np.zeros(24_000, np.float32)


class FailingAsr:
    """An ASR that fails in its first turn and recognizes "hello" in all others. `updated`: it tried."""

    def __init__(self) -> None:
        self.turns = 0
        self.updated = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def open(self) -> FailingRecognition:
        self.turns += 1
        on_update = partial(self._loop.call_soon_threadsafe, self.updated.set)
        return FailingRecognition(self.turns == 1, on_update)


class FailingRecognition:
    def __init__(self, fails: bool, on_update: Callable[[], object]) -> None:
        self._fails = fails
        self._on_update = on_update

    def push(self, samples_16k: Any) -> None:
        """Drops the sound; but its buffer is bounded."""
        if len(samples_16k) > 16_000 * 300:
            raise BufferError("full")

    def update(self) -> Hypothesis:
        self._on_update()
        return self.finish()

    def finish(self, end: int | None = None) -> Hypothesis:
        if self._fails:
            raise RuntimeError("shapes do not fit: (1, 0, 416)")
        return Hypothesis("hello", "", 0)


@pytest.fixture
def threads() -> Iterator[Threads]:
    running = Threads()
    yield running
    running.close()


def converse(threads: Threads, test: Callable[[CascadeDialogue, FailingAsr], Awaitable[None]]) -> None:
    async def main() -> None:
        asr = FailingAsr()
        dialogue = CascadeDialogue(asr, Parrot(speculative=True), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
        await test(dialogue, asr)
        await dialogue.close()

    asyncio.run(main())


def test_a_turn_that_cannot_be_recognized_is_reported_and_the_next_one_is_recognized(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(dialogue: CascadeDialogue, asr: FailingAsr) -> None:
        transcripts = dialogue.transcripts()
        dialogue.hear(SECOND)  # a second causes an update, which fails and is ignored
        dialogue.turn("first")
        failed = await anext(transcripts)
        assert (failed.turn, failed.text, failed.final) == ("first", "", True)
        assert failed.error == "What you said could not be recognised."
        dialogue.turn("second")
        recognized = await anext(transcripts)
        assert (recognized.turn, recognized.text, recognized.error) == ("second", "hello", "")

    with caplog.at_level(logging.ERROR):
        converse(threads, test)
    assert "shapes do not fit" in caplog.text, "the reason is in the log"


def test_a_turn_that_is_too_long_for_the_asr_is_reported_and_the_call_goes_on(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, asr: FailingAsr) -> None:
        transcripts = dialogue.transcripts()
        dialogue.turn("nothing")
        await anext(transcripts)
        dialogue.hear(np.zeros(24_000 * 301, np.float32))
        dialogue.turn("a speech")
        assert "longer than the recogniser could follow" in (await anext(transcripts)).error
        dialogue.turn("a word")
        assert (await anext(transcripts)).text == "hello"

    converse(threads, test)


def test_an_update_that_fails_is_ignored(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, asr: FailingAsr) -> None:
        transcripts = dialogue.transcripts()
        dialogue.hear(SECOND)
        async with asyncio.TaskGroup() as tasks:
            first: asyncio.Task[Transcript] = tasks.create_task(anext(transcripts))  # type: ignore[arg-type]  # a coroutine, as generators' are
            await asr.updated.wait()
            dialogue.turn("first")
            assert (await first).final

    converse(threads, test)


def test_a_reply_to_a_turn_that_could_not_be_recognized_fails_with_a_message(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, asr: FailingAsr) -> None:
        async def listen() -> None:
            async for _ in dialogue.transcripts():
                pass

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen())
            dialogue.turn("first")
            with pytest.raises(DialogueError, match="could not be recognised"):
                async for _ in dialogue.reply(ReplySpec("a", audio=False)):
                    pass
            dialogue.turn("second")
            tokens = [token async for token in dialogue.reply(ReplySpec("b", audio=False))]
            assert tokens[0] == TextToken("hello")
            listening.cancel()

    converse(threads, test)
