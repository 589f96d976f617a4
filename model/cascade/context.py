"""Keeps the conversation as the cascade's LLM is given it: items in order, as text. Pure.

read · forget · turn · transcribed · answered · cut ──► Context ──► items(spec) ──► merged ──► Prompt
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeGuard

from vivavoce.model.dialogue import Call, CallResult, Heard, Item, Message, ReplySpec, Tool


def offered_tools(tools: tuple[Tool, ...], choice: str, items: tuple[Item, ...]) -> tuple[Tool, ...]:
    """The tools whose cue is in the user's newest message; all where `choice` is not "auto"."""
    if choice != "auto":
        return tools
    newest = next((item.text for item in reversed(items) if isinstance(item, Message) and item.role == "user"), "")
    return tuple(tool for tool in tools if not tool.cue or re.search(tool.cue, newest, re.IGNORECASE))


class Context:
    """Ordered items. Of a reply that was cut, the part that the user heard remains."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._turns: set[str] = set()  # ids of the messages that were spoken
        self._asides: dict[str, int] = {}  # characters in front of replies that are not the model's

    def turn(self, item_id: str) -> None:
        """Adds the user's turn; its text comes with `transcribed`."""
        self._turns.add(item_id)
        self.read(Message(item_id, "user", ""))

    def read(self, item: Item, after: str | None = None) -> None:
        """Puts `item` behind `after` (None: at the end, "root": at the front, unknown: at the end)."""
        self._items.insert(self._place(after), item)

    def forget(self, item_id: str) -> None:
        """Removes an item."""
        self._items = [item for item in self._items if item.id != item_id]
        self._turns.discard(item_id)
        self._asides.pop(item_id, None)

    def transcribed(self, item_id: str, text: str) -> None:
        """Sets the text of the turn `item_id`."""
        self._change(item_id, text)

    def answered(self, reply_id: str, text: str, aside: int = 0) -> None:
        """The reply `reply_id` has grown to `text`; its first text makes it an item. `aside`: characters in front of it
        that are not the model's, who would imitate them: they are left out."""
        if aside:
            self._asides[reply_id] = aside
        if text and not self._change(reply_id, text):
            self._items.append(Message(reply_id, "assistant", text))

    def cut(self, heard: Heard) -> None:
        """Keeps of a reply the text that the user heard; removes it where that is none."""
        for item in self._items:
            if item.id == heard.id and isinstance(item, Message):
                text = item.text[: max(heard.chars - self._asides.get(heard.id, 0), 0)].rstrip()
                if text:
                    self._change(heard.id, text)
                else:
                    self.forget(heard.id)
                return

    def items(self, spec: ReplySpec) -> tuple[Item, ...]:
        """The context of the reply `spec`. Left out are unknown ids, messages without text, and tool calls without
        result or results without call: a model takes those for its own unfinished work, or refuses them."""
        chosen = self._items
        if spec.context is not None:
            known = {item.id: item for item in self._items}
            requested = [known.get(entry) if isinstance(entry, str) else entry for entry in spec.context]
            chosen = [item for item in requested if item is not None]
        called = {item.call_id for item in chosen if isinstance(item, Call)}
        answered = {item.call_id for item in chosen if isinstance(item, CallResult)}
        return tuple(item for item in chosen if _counts(item, called & answered))

    def merged(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """`items` with consecutive turns of the user as one message: a user who pauses within a sentence, and goes on
        before the reply to its first half is heard, has said one thing. The open turn, which has no id yet, counts."""
        merged: list[Item] = []
        for item in items:
            before = merged[-1] if merged else None
            if before is not None and self._spoken(before) and self._spoken(item):
                merged[-1] = replace(before, text=f"{before.text} {item.text}".strip())
            else:
                merged.append(item)
        return tuple(merged)

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
