"""model/cascade/llm/memory.py, with the conversation that it is given."""

from __future__ import annotations

import random
from itertools import takewhile

import pytest

from vivavoce.model.cascade.llm import Prompt, chatml
from vivavoce.model.cascade.llm.memory import REMEMBERED_CHARS, Memory
from vivavoce.model.dialogue import Item, Message
from vivavoce.realtime.session.conversation import MAX_ITEMS, Conversation, entry
from vivavoce.realtime.wire.items import InputText, MessageItem

KIND = "Be kind."


def said(item_id: str, text: str) -> Message:
    return Message(item_id, "user", text)


def same(before: str, after: str) -> int:
    """Characters at the beginning of both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))


def conversation_of(lengths: list[int]) -> list[tuple[Item, ...]]:
    """What the conversation holds after each of its messages, as a session keeps it for hours."""
    kept, held = Conversation(), []
    for number, length in enumerate(lengths):
        text = f"{number} " + "x" * length
        kept.add(entry(MessageItem(role="user", content=[InputText(text=text)]), str(number)))
        kept.overflow("auto")
        held.append(tuple(said(item_id, f"{item_id} " + "x" * lengths[int(item_id)]) for item_id in kept.ids))
    return held


@pytest.mark.parametrize(("shortest", "longest"), [(3, 20), (20, 120), (100, 800)])
def test_a_conversation_of_hours_is_read_once_and_seldom_again(shortest: int, longest: int) -> None:
    draw = random.Random(shortest)
    lengths = [draw.randint(shortest, longest) for _ in range(6 * MAX_ITEMS)]
    memory, before, reread = Memory(20_000), chatml.render(Prompt(KIND, ())), []
    for items in conversation_of(lengths):
        text = chatml.render(memory.of(Prompt(KIND, items)))
        reread.append(len(text) - same(before, text))
        before = text
    written = sum(lengths) + len(lengths) * len(chatml.render(Prompt("", (said("", ""),))))
    assert sum(reread) < 1.2 * written, "once, and little of it once more"
    assert max(reread) < REMEMBERED_CHARS / 2, "never all that it remembers"
    assert sum(read > longest + 100 for read in reread) <= len(lengths) / 8, "and not every few turns"


def test_what_was_forgotten_stays_forgotten_when_the_conversation_forgets_it_too() -> None:
    items = tuple(said(str(number), "x" * 500) for number in range(16))
    memory = Memory(20_000)
    kept = memory.of(Prompt(KIND, items)).items
    assert 1 < len(kept) < 8
    assert memory.of(Prompt(KIND, items[6:])).items == kept
    assert memory.of(Prompt(KIND, (*items, said("", "and")))).items == (*kept, said("", "and"))


def test_a_reply_beside_the_conversation_does_not_make_it_forget() -> None:
    items = tuple(said(str(number), "x" * 500) for number in range(16))
    memory = Memory(20_000)
    kept = memory.of(Prompt(KIND, items)).items
    beside = (said("other", "What is this?"),)
    assert memory.of(Prompt(KIND, beside)).items == beside
    assert memory.of(Prompt(KIND, items)).items == kept


def test_long_instructions_leave_no_more_than_the_model_can_take() -> None:
    prompt = Prompt("x" * 5000, tuple(said(str(number), "x" * 500) for number in range(16)))
    assert len(chatml.render(Memory(7000).of(prompt))) <= 7000
