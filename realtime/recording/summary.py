"""Summarizes a recorded call: the words of both sides, as far as they were heard.

    entry, arguments, answer ──receive──► Summary ──► lines: 0:04.1  user       What time is it?
                                                            0:05.0  assistant  It is five past | twelve.

It follows the facts and actions of the cores, not the events for the client, so it works with every client. An answer
is cut at the same word as history and context: the words behind the bar were not heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import TextToken, Transcript
from vivavoce.realtime.events import CloseTurn, Cut, PlayoutStarted, Replied, Send, StartReply
from vivavoce.realtime.wire.items import InputText, MessageItem
from vivavoce.realtime.wire.server_events import ItemDone


@dataclass(slots=True)
class Line:
    """The words of one item. `at`: sample of the recording. `heard`: characters, None for all."""

    at: int
    side: str
    text: str = ""
    heard: int | None = None

    def __str__(self) -> str:
        minutes, seconds = divmod(self.at / SAMPLE_RATE, 60)
        words = self.text if self.heard is None else f"{self.text[: self.heard]}|{self.text[self.heard :]}"
        return f"{minutes:.0f}:{seconds:04.1f}  {self.side:<9}  {words.strip()}"


class Summary:
    """The lines of one call, in the order in which they began."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}  # by item
        self._items: dict[int, str] = {}  # reply -> its newest item
        self._at = 0

    def receive(self, entry: dict[str, Any], arguments: list[Any], result: object) -> None:
        """Takes an entry of the recording, with the arguments and the result of its replay."""
        match entry:
            case {"with": [{"left": int(at)}, *_]} | {"right": int(at)}:
                self._at = max(self._at, at)
        if entry["call"] == "session.receive":
            self._take(arguments[0])
        if entry["call"].startswith("session.") and isinstance(result, list):
            for action in result:
                self._follow(action)

    def lines(self) -> Iterator[Line]:
        """The lines that have words."""
        return (line for line in sorted(self._lines.values(), key=lambda line: line.at) if line.text)

    def _take(self, fact: object) -> None:
        match fact:
            case Replied(number=number, token=TextToken(text=text)) if number in self._items:
                self._lines[self._items[number]].text += text
            case PlayoutStarted(number=number) if number in self._items:
                self._lines[self._items[number]].at = self._at
            case Transcript(final=True, turn=turn, text=text) if turn in self._lines:
                self._lines[turn].text = text

    def _follow(self, action: object) -> None:
        match action:
            case CloseTurn(item_id=item_id):
                self._lines[item_id] = Line(self._at, "user")
            case StartReply(number=number, spec=spec):
                self._items[number] = spec.id
                self._lines.setdefault(spec.id, Line(self._at, "assistant"))
            case Cut(heard=heard) if heard.id in self._lines:
                self._lines[heard.id].heard = heard.chars
            case Send(event=ItemDone(item=MessageItem(id=str(name), role="user", content=[InputText(text=text)]))):
                self._lines.setdefault(name, Line(self._at, "user", text))
