"""The items of one conversation, in order, in two views: the client's and the model's.

    client, floor, model ──add / transcribe / cut / remove──► Conversation ──► wire view: Entry.item
                                                                          └──► model view: Entry.known()

The two views differ on purpose. When the user cuts an answer short, clients lose its whole transcript, while the model
keeps the words that were heard. The order is exact, because clients build their own copy of it from `previous_item_id`.
The session core sends the events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import UNSET, structs

from vivavoce.model.dialogue import Call, CallResult, Item, Message, Picture
from vivavoce.realtime.session.images import MAX_KEPT_PIXELS, pixel_count
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    FunctionOutputItem,
    InputAudio,
    InputText,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallItem,
    McpListItem,
    MessageItem,
    OutputAudio,
    OutputText,
    PlainText,
)
from vivavoce.realtime.wire.session_config import RetentionRatio

MAX_ITEMS: Final = 128
KEPT: Final = 0.5  # share of the limits that is kept when they are exceeded, unless the settings give one
MAX_CHARS: Final = 131_072
MAX_SOUND: Final = 8 * 2**20  # bytes of sound kept for retrieval, all items of both sides together
SAMPLE_BYTES: Final = 2
CHARS_PER_TOKEN: Final = 4  # of English text, roughly; limits given in tokens are kept by it

McpItem = McpListItem | McpCallItem | McpApprovalRequestItem | McpApprovalResponseItem
ConversationItem = MessageItem | FunctionCallItem | FunctionOutputItem | McpItem
Truncation = Literal["auto", "disabled"] | RetentionRatio


@dataclass(slots=True)
class Entry:
    """One item. `text`: of a message, in the model's view. `sound`: 16-bit at 24 kHz. `seconds`: length of the user's.

    Of an answer: `reply` is the number of its reply, `whole` its samples of sound once it was cut, and `read` is True
    when the model got it by an action, instead of keeping it by itself. Of an approval: `request` is the request that
    it answers."""

    item: ConversationItem
    text: str = ""
    pictures: tuple[Picture, ...] = ()
    sound: bytes = b""
    seconds: float = 0.0
    reply: int | None = None
    read: bool = False
    whole: int | None = None
    request: McpApprovalRequestItem | None = None

    @property
    def id(self) -> str:
        assert isinstance(self.item.id, str)  # given by `entry` or by the session, never left out
        return self.item.id

    def known(self) -> tuple[Item, ...]:
        """The model's view: nothing, one item, or a call and its result. The last one has the item's own id."""
        item = self.item
        match item:
            case MessageItem():
                return (Message(self.id, item.role, self.text, self.pictures),)
            case FunctionCallItem():
                return (Call(self.id, item.call_id or self.id, item.name, item.arguments),)
            case FunctionOutputItem():
                return (CallResult(self.id, item.call_id, item.output),)
            case McpCallItem() if self.read:
                output = item.output if isinstance(item.output, str) else item.error.message if item.error else None
                return () if output is None else call_with_result(self.id, item.name, item.arguments, output)
            case McpApprovalResponseItem(approve=False) if self.request is not None:
                output = f"The user did not allow this call. {item.reason or ''}".strip()
                return call_with_result(self.id, self.request.name, self.request.arguments, output)
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its ids in the model's view."""
        return tuple(item.id for item in self.known())

    @property
    def awaits_words(self) -> bool:
        """Whether it is a user's turn without a transcript yet."""
        parts = self.item.content if isinstance(self.item, MessageItem) else []
        return any(isinstance(part, InputAudio) and part.transcript is None for part in parts)

    @property
    def pixels(self) -> int:
        """Of its pictures."""
        return sum(pixel_count(picture.pixels) for picture in self.pictures)

    @property
    def chars(self) -> int:
        """Its length in the model's view."""
        if isinstance(self.item, MessageItem):
            return len(self.text)
        return sum(len(item.arguments if isinstance(item, Call) else _output(item)) for item in self.known())


def call_with_result(item_id: str, tool: str, arguments: str, output: str) -> tuple[Call, CallResult]:
    """A call and its result in the model's view of one item."""
    return Call(f"{item_id}.call", item_id, tool, arguments), CallResult(item_id, item_id, output)


def entry(
    item: MessageItem | FunctionCallItem | FunctionOutputItem, item_id: str, pictures: tuple[Picture, ...] = ()
) -> Entry:
    """An item of a client, in the form in which clients see it: with an id, complete, without sound."""
    if isinstance(item, FunctionCallItem):
        call_id = item.call_id or item_id
        return Entry(structs.replace(item, id=item_id, object="realtime.item", status="completed", call_id=call_id))
    named = structs.replace(item, id=item_id, object="realtime.item", status="completed")
    if isinstance(named, FunctionOutputItem):
        return Entry(named)
    parts = [_tidy(part, named.role) for part in named.content]
    text = "\n".join(words for part in parts if (words := _words(part)))
    return Entry(structs.replace(named, content=parts), text, pictures)


class Conversation:
    """Items in order, each with an id of its own."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._entries: dict[str, Entry] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._order)

    @property
    def last(self) -> str | None:
        """The newest item."""
        return self._order[-1] if self._order else None

    @property
    def last_sound(self) -> bytes:
        """The sound of the newest user's turn that has some."""
        entries = (self._entries[item_id] for item_id in reversed(self._order))
        return next((entry.sound for entry in entries if entry.sound and entry.reply is None), b"")

    @property
    def full(self) -> bool:
        """Whether another item needs the oldest to be dropped."""
        return len(self._order) >= MAX_ITEMS or self._chars(self._order) >= MAX_CHARS

    @property
    def pixels(self) -> int:
        """Of all pictures."""
        return sum(entry.pixels for entry in self._entries.values())

    def drop_pictures(self) -> list[Entry]:
        """Takes the oldest pictures out of their items when there are more than `MAX_KEPT_PIXELS`, but not the newest;
        returns those items. The words stay."""
        excess = self.pixels - MAX_KEPT_PIXELS
        dropped = []
        shown = [entry for item_id in self._order if (entry := self._entries[item_id]).pictures]
        for entry in shown[:-1]:
            if excess <= 0:
                break
            excess -= entry.pixels
            entry.pictures = ()
            dropped.append(entry)
        return dropped

    def __getitem__(self, item_id: str) -> Entry:
        return self._entries[item_id]

    def get(self, item_id: str) -> Entry | None:
        return self._entries.get(item_id)

    @property
    def names(self) -> tuple[str, ...]:
        """The model's names of all items, in order."""
        return tuple(name for item_id in self._order for name in self._entries[item_id].names)

    def anchor(self, item_id: str | None) -> str:
        """The id, in the model's view, of this item or the nearest one before it that is in the view; else "root"."""
        place = self._order.index(item_id) if item_id is not None else -1
        for known in reversed(self._order[: place + 1]):
            if names := self._entries[known].names:
                return names[-1]
        return "root"

    def before(self, item_id: str) -> str | None:
        """The id of the item before this one; None when it is the first."""
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    def add(self, new: Entry, after: str | None = None) -> None:
        """Puts an item behind `after` (None: at the end, "root": at the front). Raises `Refused`."""
        if new.id in self._entries:
            message = f"Error adding item: an item with id '{new.id}' already exists."
            raise Refused("item_create_duplicate_item_id", message)
        if after is None:
            place = len(self._order)
        elif after == "root":
            place = 0
        elif after in self._entries:
            place = self._order.index(after) + 1
        else:
            message = f"Error adding item: the previous item with id '{after}' does not exist."
            raise Refused("item_create_invalid_previous_item_id", message)
        self._order.insert(place, new.id)
        self._entries[new.id] = new
        self._bound_sound()

    def remove(self, item_id: str) -> tuple[str, ...]:
        """Removes an item; returns its ids in the model's view."""
        self._order.remove(item_id)
        return self._entries.pop(item_id).names

    def transcribe(self, item_id: str, text: str) -> None:
        """Sets the transcript of a user's turn."""
        turn = self._entries[item_id]
        assert isinstance(turn.item, MessageItem)
        turn.text = text
        parts = [structs.replace(p, transcript=text) if isinstance(p, InputAudio) else p for p in turn.item.content]
        turn.item = structs.replace(turn.item, content=parts)

    def complete(self, item_id: str, item: ConversationItem, text: str, sound: bytes) -> None:
        """Completes an item of the assistant, with `text` and `sound` of a message."""
        answer = self._entries[item_id]
        answer.item, answer.text, answer.sound = item, text, sound
        self._bound_sound()

    def cut(self, item_id: str, samples: int, chars: int) -> None:
        """Ends an answer where the user stopped hearing it: the model keeps those words, clients keep none, and the
        sound is cut there."""
        answer = self._entries[item_id]
        assert isinstance(answer.item, MessageItem)
        answer.text = answer.text[:chars]
        answer.sound = answer.sound[: samples * SAMPLE_BYTES]
        answer.whole = samples
        answer.item = structs.replace(answer.item, content=[OutputAudio()])

    def overflow(self, truncation: Truncation) -> list[str]:
        """Drops the oldest items when there are more than the limits allow; returns their ids in the model's view. Many
        at once: the rest is a new prompt, which the model has to read again. An item that is still generated stays."""
        share, max_chars = KEPT, MAX_CHARS
        if isinstance(truncation, RetentionRatio):
            share = truncation.retention_ratio
            if truncation.token_limits and isinstance(truncation.token_limits.post_instructions, int):
                max_chars = min(max_chars, truncation.token_limits.post_instructions * CHARS_PER_TOKEN)
        chars = self._chars(self._order)
        if truncation == "disabled" or (len(self._order) <= MAX_ITEMS and chars <= max_chars):
            return []
        dropped: list[str] = []
        for item_id in self._order[:-1]:
            if len(self._order) - len(dropped) <= share * MAX_ITEMS and chars <= share * max_chars:
                break
            if not _unfinished(self._entries[item_id].item):
                chars -= self._entries[item_id].chars
                dropped.append(item_id)
        return [name for item_id in dropped for name in self.remove(item_id)]

    def _chars(self, ids: Iterable[str]) -> int:
        return sum(self._entries[item_id].chars for item_id in ids)

    def _bound_sound(self) -> None:
        """Drops the oldest sound beyond `MAX_SOUND`; the words stay."""
        kept = 0
        for item_id in reversed(self._order):
            kept += len(self._entries[item_id].sound)
            if kept > MAX_SOUND:
                self._entries[item_id].sound = b""


def _unfinished(item: ConversationItem) -> bool:
    if isinstance(item, McpCallItem):
        return item.output is UNSET and item.error is UNSET
    return getattr(item, "status", UNSET) == "in_progress"


def _output(item: Item) -> str:
    assert isinstance(item, CallResult)
    return item.output


def _tidy(part: object, role: str) -> InputText | InputAudio | OutputText | OutputAudio:
    """A part as clients see it: text of the assistant is always `output_text`, and sound is left out."""
    match part:
        case InputText(text=text) | PlainText(text=text) | OutputText(text=text):
            return OutputText(text=text) if role == "assistant" else InputText(text=text)
        case InputAudio() | OutputAudio():
            return structs.replace(part, audio=UNSET)
    return part  # type: ignore[return-value]  # a picture, echoed as it is


def _words(part: object) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=str(text)) | OutputAudio(transcript=str(text)):
            return text
    return ""
