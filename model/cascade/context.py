"""What the cascade knows of the conversation: its items in order, as text. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeGuard

from vivavoce.model.dialogue import Call, CallResult, Heard, Item, Message, ReplySpec, Tool


def wanted(tools: tuple[Tool, ...], choice: str, items: tuple[Item, ...]) -> tuple[Tool, ...]:
    """The tools whose cue is in what the user said last; all where the model is not free to choose."""
    if choice != "auto":
        return tools
    said = next((item.text for item in reversed(items) if isinstance(item, Message) and item.role == "user"), "")
    return tuple(tool for tool in tools if not tool.cue or re.search(tool.cue, said, re.IGNORECASE))


class Context:
    """Ordered items. What the user heard of a reply is all that remains of it."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._turns: set[str] = set()  # which of them were spoken

    def turn(self, item_id: str) -> None:
        """The user has spoken; what they said comes with `transcribed`."""
        self._turns.add(item_id)
        self.read(Message(item_id, "user", ""))

    def read(self, item: Item, after: str | None = None) -> None:
        """Puts `item` behind `after` (None: at the end, "root": at the front, unknown: at the end)."""
        self._items.insert(self._place(after), item)

    def forget(self, item_id: str) -> None:
        self._items = [item for item in self._items if item.id != item_id]
        self._turns.discard(item_id)

    def transcribed(self, item_id: str, text: str) -> None:
        """The ears now know what the user said in the message `item_id`."""
        self._change(item_id, text)

    def answered(self, reply_id: str, text: str) -> None:
        """The reply `reply_id` has grown to `text`; the first words make it an item."""
        if not self._change(reply_id, text):
            self._items.append(Message(reply_id, "assistant", text))

    def cut(self, heard: Heard) -> None:
        for item in self._items:
            if item.id == heard.id and isinstance(item, Message):
                text = item.text[: heard.chars].rstrip()
                if text:
                    self._change(heard.id, text)
                else:
                    self.forget(heard.id)
                return

    def items(self, spec: ReplySpec) -> tuple[Item, ...]:
        """What the reply `spec` is an answer to. Passed over are unknown ids, messages without words, and calls without
        their result or results without their call: a model takes those for its own half-finished work, or refuses
        them."""
        chosen = self._items
        if spec.context is not None:
            known = {item.id: item for item in self._items}
            wanted = [known.get(entry) if isinstance(entry, str) else entry for entry in spec.context]
            chosen = [item for item in wanted if item is not None]
        called = {item.call_id for item in chosen if isinstance(item, Call)}
        answered = {item.call_id for item in chosen if isinstance(item, CallResult)}
        return tuple(item for item in chosen if _counts(item, called & answered))

    def together(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The same, with one message for what the user said in several turns. Whoever pauses within a sentence, and
        goes on before anything is heard of the answer to its first half, has said one thing. The open turn, which has
        no name yet, counts."""
        joined: list[Item] = []
        for item in items:
            before = joined[-1] if joined else None
            if before is not None and self._spoken(before) and self._spoken(item):
                joined[-1] = replace(before, text=f"{before.text} {item.text}".strip())
            else:
                joined.append(item)
        return tuple(joined)

    def _spoken(self, item: Item) -> TypeGuard[Message]:
        return isinstance(item, Message) and item.role == "user" and (not item.id or item.id in self._turns)

    def _place(self, after: str | None) -> int:
        if after == "root":
            return 0
        for place, item in enumerate(self._items):
            if item.id == after:
                return place + 1
        return len(self._items)

    def _change(self, item_id: str, text: str) -> bool:
        for place, item in enumerate(self._items):
            if item.id == item_id and isinstance(item, Message):
                self._items[place] = replace(item, text=text)
                return True
        return False


def _counts(item: Item, whole: set[str]) -> bool:
    if isinstance(item, Message):
        return bool(item.text or item.pictures)
    return item.call_id in whole
