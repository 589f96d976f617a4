"""model/cascade/llm/chatml.py: the context window, with the conversation that it is given."""

from __future__ import annotations

import random
from os.path import commonprefix

import pytest

from vivavoce.model.cascade.llm import Prompt, chatml
from vivavoce.model.cascade.llm.chatml import WINDOW_CHARS, ContextWindow
from vivavoce.model.dialogue import Item, Message
from vivavoce.realtime.session.conversation import MAX_ITEMS, Conversation, entry
from vivavoce.realtime.wire.items import InputText, MessageItem

pytestmark = pytest.mark.integration

KIND = "Be kind."


def said(item_id: str, text: str) -> Message:
    return Message(item_id, "user", text)


def same(before: str, after: str) -> int:
    """Characters of the common prefix."""
    return len(commonprefix([before, after]))  # noqa: RUF071 - of strings, not of paths


def conversation_of(lengths: list[int]) -> list[tuple[Item, ...]]:
    """The items of a conversation after each of its messages, as a session keeps it for hours."""
    kept, held = Conversation(), list[tuple[Item, ...]]()
    for number, length in enumerate(lengths):
        text = f"{number} " + "x" * length
        kept.add(entry(MessageItem(role="user", content=[InputText(text=text)]), str(number)))
        kept.overflow("auto")
        held.append(tuple(said(item_id, f"{item_id} " + "x" * lengths[int(item_id)]) for item_id in kept.ids))
    return held


@pytest.mark.parametrize(("shortest", "longest"), [(3, 20), (20, 120), (100, 800)])
def test_a_conversation_of_hours_is_read_once_and_rarely_again(shortest: int, longest: int) -> None:
    draw = random.Random(shortest)
    lengths = [draw.randint(shortest, longest) for _ in range(6 * MAX_ITEMS)]
    window, before, reread = ContextWindow(20_000), chatml.render(Prompt(KIND, ())), []
    for items in conversation_of(lengths):
        text = chatml.render(window.fit(Prompt(KIND, items)))
        reread.append(len(text) - same(before, text))
        before = text
    written = sum(lengths) + len(lengths) * len(chatml.render(Prompt("", (said("", ""),))))
    assert sum(reread) < 1.2 * written, "once, and little of it once more"
    assert max(reread) < WINDOW_CHARS / 2, "never the whole window"
    assert sum(read > longest + 100 for read in reread) <= len(lengths) / 8, "and not every few turns"


def test_dropped_items_stay_dropped_when_the_conversation_drops_them_too() -> None:
    items = tuple(said(str(number), "x" * 500) for number in range(16))
    window = ContextWindow(20_000)
    kept = window.fit(Prompt(KIND, items)).items
    assert 1 < len(kept) < 8
    assert window.fit(Prompt(KIND, items[6:])).items == kept
    assert window.fit(Prompt(KIND, (*items, said("", "and")))).items == (*kept, said("", "and"))


def test_a_reply_beside_the_conversation_does_not_move_the_window() -> None:
    items = tuple(said(str(number), "x" * 500) for number in range(16))
    window = ContextWindow(20_000)
    kept = window.fit(Prompt(KIND, items)).items
    beside = (said("other", "What is this?"),)
    assert window.fit(Prompt(KIND, beside)).items == beside
    assert window.fit(Prompt(KIND, items)).items == kept


def test_long_instructions_shrink_the_window_to_the_models_limit() -> None:
    prompt = Prompt("x" * 5000, tuple(said(str(number), "x" * 500) for number in range(16)))
    assert len(chatml.render(ContextWindow(7000).fit(prompt))) <= 7000
