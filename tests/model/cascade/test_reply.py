"""model/cascade/reply.py: a model that takes its time. The clock is virtual, the TTS is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np

from harness import virtual_time
from vivavoce.model.cascade.context import Context
from vivavoce.model.cascade.llm import Piece, Stopped
from vivavoce.model.cascade.reply import FIRST_MOMENT, MOMENTS, NEXT_MOMENT, Reply
from vivavoce.model.cascade.speech_queue import SpeechEnd
from vivavoce.model.cascade.tts.styles import STYLES, Style
from vivavoce.model.dialogue import AudioToken, Done, Heard, ReplySpec, ReplyToken, TextToken, ToolCall, Working


class Queue:
    """A speech queue, and its only utterance, that speaks at once."""

    def __init__(self) -> None:
        self.said: list[str | Style | None] = []
        self.begun = False

    def begin(self, spec: ReplySpec, deliver: Any) -> Queue:
        self._deliver = deliver
        return self

    def say(self, text: str) -> None:
        self.said.append(text)
        self._deliver(AudioToken(np.ones(240, np.float32)))

    def change(self, style: Style | None) -> None:
        self.said.append(style)

    def finish(self) -> None:
        self._deliver(SpeechEnd())

    def cancel(self) -> None:
        """Has nothing under way."""


def run(
    pieces: Iterable[tuple[float, Piece]],
    spec: ReplySpec | None = None,
    held: float = 0.0,
    queue: Queue | None = None,
) -> tuple[Reply, list[ReplyToken]]:
    """The tokens of a reply whose pieces come at moments in seconds; `held` until a moment."""

    async def main() -> tuple[Reply, list[ReplyToken]]:
        reply = Reply(queue or Queue(), spec or ReplySpec("a"), held=held > 0)  # type: ignore[arg-type]  # scripted
        loop = asyncio.get_running_loop()
        for at, piece in pieces:
            loop.call_at(at, reply.deliver, piece)
        if held:
            loop.call_at(held, reply.release)
        return reply, [token async for token in reply.tokens()]

    return virtual_time.run(main())


def text_of(tokens: Iterable[ReplyToken]) -> str:
    return "".join(token.text for token in tokens if isinstance(token, TextToken))


def working(start: int, stop: int) -> list[tuple[float, Piece]]:
    return [(float(at), Working()) for at in range(start, stop)]


END = Stopped("stop")


def test_a_model_that_works_for_long_asks_for_patience_and_then_answers() -> None:
    reply, tokens = run([*working(1, 40), (40.0, TextToken("We sell pears.")), (40.1, END)])
    assert text_of(tokens) == f"{MOMENTS[0]}{MOMENTS[1]}{MOMENTS[1]}{MOMENTS[1]}We sell pears."
    assert tokens.count(Working()) == 39, "each is a sign of life for the call"
    assert isinstance(tokens[-1], Done)
    assert reply.aside == len(MOMENTS[0] + 3 * MOMENTS[1])


def test_it_asks_when_the_user_may_take_the_line_for_dead_and_not_before() -> None:
    _, tokens = run(
        [*working(1, int(FIRST_MOMENT)), (2.9, TextToken("Yes.")), (3.0, Working()), (20.0, Working()), (21.0, END)]
    )
    assert text_of(tokens) == "Yes."
    _, tokens = run([*working(1, int(FIRST_MOMENT + NEXT_MOMENT)), (15.0, END)])
    assert text_of(tokens) == MOMENTS[0]


def test_tags_of_style_are_heard_and_neither_spoken_nor_shown() -> None:
    queue = Queue()
    pieces: list[tuple[float, Piece]] = [
        (1.0, TextToken("[whi")),
        (1.1, TextToken("sper] A secret.")),
        (1.2, TextToken(" [normal]Done. [")),
        (2.0, END),
    ]
    _, tokens = run(pieces, queue=queue)
    assert text_of(tokens) == "A secret. Done. ["
    assert queue.said == [STYLES["whisper"], "A secret.", " ", None, "Done. ", "["]


def test_tags_stay_in_a_written_reply() -> None:
    _, tokens = run([(1.0, TextToken("Write [whisper].")), (2.0, END)], ReplySpec("a", audio=False))
    assert text_of(tokens) == "Write [whisper]."


def test_what_was_held_back_is_spoken_in_its_styles_once_it_is_requested() -> None:
    queue = Queue()
    pieces: list[tuple[float, Piece]] = [
        (1.0, TextToken("Well, ")),
        (1.1, TextToken("[calm]")),
        (1.2, TextToken("one")),
        (1.3, TextToken(" two.")),
        (2.0, END),
    ]
    queue.begun = True
    _, tokens = run(pieces, held=3.0, queue=queue)
    assert text_of(tokens) == "Well, one two."
    assert queue.said == ["Well, ", STYLES["calm"], "one two."]


def test_a_written_reply_does_not_ask() -> None:
    _, tokens = run([*working(1, 40), (40.0, TextToken("Yes.")), (40.1, END)], ReplySpec("a", audio=False))
    assert text_of(tokens) == "Yes."


def test_a_reply_that_nobody_has_requested_yet_does_not_ask() -> None:
    _, tokens = run([*working(1, 22), (22.0, TextToken("Yes.")), (22.1, END)], held=20.0)
    assert text_of(tokens) == "Yes."
    _, tokens = run([*working(1, 26), (26.0, ToolCall("c", "now", "{}", final=True)), (26.1, END)], held=20.0)
    assert text_of(tokens) == MOMENTS[0]


def test_a_loop_that_has_been_closed_gets_no_more_pieces() -> None:
    async def main() -> Reply:
        return Reply(Queue(), ReplySpec("a"))  # type: ignore[arg-type]  # scripted

    virtual_time.run(main()).deliver(END)


def test_the_model_does_not_learn_what_was_said_in_its_place() -> None:
    context, spec = Context(), ReplySpec("")
    context.answered("a", "", aside=20)
    assert context.items(spec) == ()
    context.answered("a", "We sell pears.", aside=20)
    assert [item.text for item in context.items(spec)] == ["We sell pears."]  # type: ignore[union-attr]  # a message
    context.cut(Heard("a", 1000, 20 + len("We sell")))
    assert [item.text for item in context.items(spec)] == ["We sell"]  # type: ignore[union-attr]  # a message
    context.cut(Heard("a", 1000, 11))
    assert context.items(spec) == ()
