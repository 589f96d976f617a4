"""Keeps the model's context in line with the conversation, once a reply has ended or was cut.

The model keeps the words of its replies by itself, under the id of the message. Everything else reaches it by actions:
its own calls, answers from a context of their own, and where the user stopped hearing one.
"""

from __future__ import annotations

from collections.abc import Iterator

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import Heard
from vivavoce.realtime.audio.playout import Ledger
from vivavoce.realtime.events import Action, Cut, Forget, Read, Send
from vivavoce.realtime.session.conversation import Conversation, Entry
from vivavoce.realtime.session.response_output import ResponseEmitter
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.client_events import ItemTruncate
from vivavoce.realtime.wire.errors import Refused


def read(conversation: Conversation, item_id: str, newest: bool = False) -> Iterator[Action]:
    """Puts an item into the model's context, in its exact place; at the end if it is the `newest`."""
    after = None if newest else conversation.anchor(conversation.before(item_id))
    for item in conversation[item_id].known():
        yield Read(item, after)
        after = item.id


def settle(conversation: Conversation, plan: Plan, emitter: ResponseEmitter, heard: Heard | None) -> Iterator[Action]:
    """A reply has ended. `heard`: where, if it was cut."""
    by_itself = plan.spec.context is None
    if not plan.joins:
        return
    if not emitter.opened:
        if by_itself and heard is not None:
            yield Cut(Heard(plan.spec.id, 0, 0))  # the model may have words that no event has shown
        return
    entry = conversation.get(plan.spec.id)
    if entry is None:  # deleted while it was generated
        if by_itself:
            yield Forget(plan.spec.id)
        return
    if not by_itself:
        entry.read = True
        yield from read(conversation, entry.id)
    if heard is not None and plan.modality == "audio":
        yield from roll_back(conversation, entry, heard)
    elif heard is not None and by_itself:
        yield Cut(heard)


def roll_back(conversation: Conversation, entry: Entry, heard: Heard) -> Iterator[Action]:
    """Cuts an answer that has ended to the part that the user heard."""
    text = entry.text
    conversation.cut(entry.id, heard.samples, heard.chars)
    if entry.read:
        yield Forget(entry.id)
        yield from read(conversation, entry.id)
    else:
        yield Cut(heard)
    yield Send(ev.Heard(item_id=entry.id, text=text, heard_chars=min(heard.chars, len(text))))


def truncation(conversation: Conversation, ledger: Ledger, event: ItemTruncate) -> tuple[Entry, int, int]:
    """Resolves a client's truncation: the answer, the number of its reply, and samples heard. Raises `Refused`."""
    entry = conversation.get(event.item_id)
    if entry is None:
        message = f"Error truncating item: the item with id '{event.item_id}' does not exist."
        raise Refused("item_truncate_invalid_item_id", message)
    if entry.reply is None:
        raise Refused("unsupported_content_type", "Only model output audio messages can be truncated")
    if event.content_index:
        raise Refused("invalid_value", "Invalid 'content_index': the item has one part, 0.", "content_index")
    whole = ledger.pushed(entry.reply) if entry.whole is None else entry.whole
    if event.audio_end_ms and (event.audio_end_ms - 1) * SAMPLE_RATE >= whole * 1000:  # clients round up
        length = whole * 1000 // SAMPLE_RATE
        message = f"Audio content of {length}ms is already shorter than {event.audio_end_ms}ms"
        raise Refused("invalid_value", message, "audio_end_ms")
    return entry, entry.reply, min(event.audio_end_ms * SAMPLE_RATE // 1000, whole)
