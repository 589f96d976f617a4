"""model/cascade/dialogue.py: the conversation goes on when the ears fail. Real threads; ears and words are scripted."""

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
from vivavoce.model.dialogue import ReplySpec, TextToken
from vivavoce.model.errors import DialogueError

SECOND = np.zeros(24_000, np.float32)


class FailingEars:
    """Ears whose first turn is more than they can bear; they hear "hello" in all others. `looked`: they tried."""

    def __init__(self) -> None:
        self.turns = 0
        self.looked = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def open(self) -> FailingListening:
        self.turns += 1
        look = partial(self._loop.call_soon_threadsafe, self.looked.set)
        return FailingListening(self.turns == 1, look)


class FailingListening:
    def __init__(self, fails: bool, look: Callable[[], object]) -> None:
        self._fails = fails
        self._look = look

    def push(self, samples_16k: Any) -> None:
        """It is not listened to; but there is only so much room."""
        if len(samples_16k) > 16_000 * 300:
            raise BufferError("the ears are full")

    def update(self) -> Hypothesis:
        self._look()
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


def converse(threads: Threads, test: Callable[[CascadeDialogue, FailingEars], Awaitable[None]]) -> None:
    async def main() -> None:
        ears = FailingEars()
        dialogue = CascadeDialogue(ears, Parrot(speculative=True), None, threads, "")  # type: ignore[arg-type]  # nothing is said aloud
        await test(dialogue, ears)
        await dialogue.close()

    asyncio.run(main())


def test_a_turn_that_cannot_be_recognised_is_reported_and_the_next_one_is_heard(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(dialogue: CascadeDialogue, ears: FailingEars) -> None:
        hearing = dialogue.transcripts()
        dialogue.hear(SECOND)  # a second of it is worth a look, which fails and is passed over
        dialogue.turn("first")
        failed = await anext(hearing)
        assert (failed.turn, failed.text, failed.final) == ("first", "", True)
        assert failed.error == "What you said could not be recognised."
        dialogue.turn("second")
        heard = await anext(hearing)
        assert (heard.turn, heard.text, heard.error) == ("second", "hello", "")

    with caplog.at_level(logging.ERROR):
        converse(threads, test)
    assert "shapes do not fit" in caplog.text, "the reason is in the log"


def test_a_turn_that_is_too_long_for_the_ears_is_reported_and_the_call_goes_on(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, ears: FailingEars) -> None:
        hearing = dialogue.transcripts()
        dialogue.turn("nothing")
        await anext(hearing)
        dialogue.hear(np.zeros(24_000 * 301, np.float32))
        dialogue.turn("a speech")
        assert "longer than the recogniser could follow" in (await anext(hearing)).error
        dialogue.turn("a word")
        assert (await anext(hearing)).text == "hello"

    converse(threads, test)


def test_a_look_that_fails_is_passed_over(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, ears: FailingEars) -> None:
        hearing = dialogue.transcripts()
        dialogue.hear(SECOND)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(anext(hearing))  # type: ignore[arg-type]  # a coroutine, as generators' are
            await ears.looked.wait()
            dialogue.turn("first")
            assert (await first).final

    converse(threads, test)


def test_a_reply_to_a_turn_that_could_not_be_recognised_fails_with_words(threads: Threads) -> None:
    async def test(dialogue: CascadeDialogue, ears: FailingEars) -> None:
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
