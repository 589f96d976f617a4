"""The client's requests about items: create, delete, retrieve.

Text, calls and their results enter the model's context as they are. A message of sound becomes a turn of its own, and
gets its words from the ASR.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from vivavoce.realtime.events import Action, CloseTurn, Forget, Send, TurnSound
from vivavoce.realtime.session.audio_buffer import to_format
from vivavoce.realtime.session.conversation import SAMPLE_BYTES, Entry, entry
from vivavoce.realtime.session.images import Decode, look
from vivavoce.realtime.session.item_sound import DecodeSound
from vivavoce.realtime.session.response_plan import sound_of, supported
from vivavoce.realtime.session.state import State
from vivavoce.realtime.session.user_turns import UserTurns
from vivavoce.realtime.wire import client_events as client
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import MessageItem


class ItemRequests:
    """Carries out the requests of one session."""

    def __init__(self, state: State, turns: UserTurns, decode: Decode, decode_sound: DecodeSound) -> None:
        self._state = state
        self._turns = turns
        self._decode = decode
        self._decode_sound = decode_sound

    def create(self, event: client.ItemCreate, now: float) -> Iterator[Action]:
        """`conversation.item.create`. Raises `Refused`."""
        item = supported(event.item, "item")
        item_id = item.id or self._state.ids.new("item")
        new = entry(item, item_id, look(item, "item", self._decode, now))
        self._state.require_room(new.pixels)
        if isinstance(item, MessageItem) and (sounds := sound_of(item)):
            if len(sounds) != len(item.content):
                message = "Sound without a transcript must be all that a message holds."
                raise Refused("invalid_value", message, "item.content")
            yield from self._hear(event, new, sounds)
        else:
            yield from self._state.insert(new, after=event.previous_item_id)

    def _hear(self, event: client.ItemCreate, new: Entry, sounds: list[bytes]) -> Iterator[Action]:
        """Creates an item of sound: a turn of its own for the ASR."""
        if self._turns.open:
            raise Refused(
                "invalid_value", "Sound is waiting in the input audio buffer: commit or clear it first.", "item"
            )
        sound = self._decode_sound(sounds, self._state.settings.input_format)
        new.sound, new.seconds = sound.kept, sound.seconds
        turn = CloseTurn(new.id, by_client=False, rest=TurnSound(sound.samples, voiced=True))
        yield from list(self._state.insert(new, turn, event.previous_item_id))

    def delete(self, item_id: str) -> Iterator[Action]:
        """`conversation.item.delete`. Raises `Refused`."""
        if item_id not in self._state.conversation:
            raise _unknown("delete", "deleting", item_id)
        yield from map(Forget, self._state.conversation.remove(item_id))
        yield Send(ev.ItemDeleted(item_id=item_id))

    def retrieve(self, item_id: str) -> Iterator[Action]:
        """`conversation.item.retrieve`. Raises `Refused`."""
        known = self._state.conversation.get(item_id)
        if known is None:
            raise _unknown("retrieve", "retrieving", item_id)
        item = known.item
        if isinstance(item, MessageItem) and item.content and (sound := self._sound(known)):
            first, *rest = item.content
            item = structs.replace(item, content=[structs.replace(first, audio=sound), *rest])
        yield Send(ev.ItemRetrieved(item=item))

    def _sound(self, known: Entry) -> bytes:
        """The sound of an item, in the format of its side. Of an answer that is being played: the part heard so far."""
        settings, ledger, sound = self._state.settings, self._state.ledger, known.sound
        if known.reply is not None and self._state.plays and ledger.left(known.reply):
            sound = sound[: ledger.heard(known.reply)[0] * SAMPLE_BYTES]
        form = settings.input_format if known.reply is None else settings.output_format
        return to_format(sound, form) if sound else b""


def _unknown(verb: str, doing: str, item_id: str) -> Refused:
    message = f"Error {doing} item: the item with id '{item_id}' does not exist."
    return Refused(f"item_{verb}_invalid_item_id", message)
