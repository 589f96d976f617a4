"""The state that the parts of a session share, and the operations on it that several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vivavoce.realtime.audio.playout import Ledger
from vivavoce.realtime.events import Action, Forget, Send
from vivavoce.realtime.session.conversation import Conversation, Entry
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import MAX_KEPT_PIXELS
from vivavoce.realtime.session.mcp_servers import Approved, Servers
from vivavoce.realtime.session.model_context import read
from vivavoce.realtime.session.settings import Settings
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.server_events import ItemAdded, ItemDone


@dataclass(slots=True)
class PendingResponse:
    """The responses that are due. `answer`: to a turn, once the current response is over. `unheard`: an answer was cut
    before any of it was heard, or has not begun; it is given again when the next turn is only a noise. `apology`: for a
    response that failed. `empty`: number of responses without words since the last turn ended."""

    answer: bool = False
    unheard: bool = False
    apology: bool = False
    empty: int = 0

    def begin(self) -> tuple[bool, bool]:
        """A response begins. Returns whether an answer, and whether an apology was pending until now."""
        answer, apology, self.answer, self.apology = self.answer, self.apology, False, False
        self.unheard |= answer
        return answer, apology

    def end(self, completed: bool, empty: bool) -> None:
        """A response ended. The first one without words follows a turn without words, the second one is meant."""
        self.empty = self.empty + 1 if completed and empty else 0
        self.answer |= self.unheard and self.empty == 1
        self.unheard = False


@dataclass(slots=True)
class State:
    """One session. `plays`: the server paces the sound (WebRTC, phones); else the client does. `ledger`: reads the
    playout, which actions change. `approved`: calls with which the next response begins."""

    settings: Settings
    conversation: Conversation
    ledger: Ledger
    plays: bool
    ids: Ids
    servers: Servers
    approved: list[Approved] = field(default_factory=list)
    pending: PendingResponse = field(default_factory=PendingResponse)

    def require_room(self, pixels: int = 0) -> None:
        """Raises `Refused` when the conversation is full, or has no room for pictures of so many pixels, and
        `truncation` is disabled."""
        full = self.conversation.full or (pixels > 0 and self.conversation.pixels + pixels > MAX_KEPT_PIXELS)
        if self.settings.truncation == "disabled" and full:
            message = "The conversation is full, and truncation is disabled."
            raise Refused("context_length_exceeded", message)

    def insert(self, new: Entry, model: Action | None = None, after: str | None = None) -> Iterator[Action]:
        """Adds a complete item, to the model's context (by the action `model`, or as text) too, and informs the client.
        Raises `Refused`."""
        self.conversation.add(new, after)
        before = self.conversation.before(new.id)
        if model is not None:
            yield model
        else:
            yield from read(self.conversation, new.id, newest=after is None)
        yield Send(ItemAdded(previous_item_id=before, item=new.item))
        yield Send(ItemDone(previous_item_id=before, item=new.item))
        yield from self.trim()

    def trim(self) -> Iterator[Action]:
        """Drops the oldest items and pictures beyond the limits."""
        yield from (Forget(item_id) for item_id in self.conversation.overflow(self.settings.truncation))
        for bare in self.conversation.drop_pictures():
            yield Forget(bare.id)
            yield from read(self.conversation, bare.id)


def sends(events: Iterable[ServerEvent]) -> Iterator[Action]:
    """Sends events."""
    return (Send(event) for event in events)
