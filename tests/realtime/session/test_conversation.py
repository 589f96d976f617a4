"""The items of a conversation: order, names, limits, and its two views."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from vivavoce.model.dialogue import Call, CallResult, Message
from vivavoce.realtime.session.conversation import (
    MAX_CHARS,
    MAX_ITEMS,
    MAX_SOUND,
    Conversation,
    Entry,
    Truncation,
    entry,
)
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    FunctionOutputItem,
    InputAudio,
    InputImage,
    InputText,
    MessageItem,
    OutputAudio,
    OutputText,
    PlainText,
)
from vivavoce.realtime.wire.session_config import RetentionRatio, TokenLimits


def message(item_id: str, text: str = "Hello", role: Any = "user") -> Entry:
    return entry(MessageItem(role=role, content=[InputText(text=text)]), item_id)


def filled(*ids: str) -> Conversation:
    conversation = Conversation()
    for item_id in ids:
        conversation.add(message(item_id))
    return conversation


@pytest.mark.parametrize(
    ("after", "order"),
    [(None, "abx"), ("root", "xab"), ("a", "axb"), ("b", "abx")],
)
def test_items_go_where_they_are_put(after: str | None, order: str) -> None:
    conversation = filled("a", "b")
    conversation.add(message("x"), after)
    assert conversation.ids == tuple(order)
    place = order.index("x")
    assert conversation.before("x") == (order[place - 1] if place else None)
    assert conversation.last == order[-1]


def test_an_empty_conversation_has_no_last_item() -> None:
    assert Conversation().last is None
    assert Conversation().get("x") is None


def test_names_are_used_once_and_places_exist() -> None:
    conversation = filled("a")
    with pytest.raises(Refused, match="already exists") as refused:
        conversation.add(message("a"))
    assert refused.value.code == "item_create_duplicate_item_id"
    with pytest.raises(Refused, match="previous item") as refused:
        conversation.add(message("b"), "z")
    assert refused.value.code == "item_create_invalid_previous_item_id"
    assert conversation.ids == ("a",)


def test_a_removed_item_is_gone() -> None:
    conversation = filled("a", "b")
    conversation.remove("a")
    assert "a" not in conversation
    assert conversation.ids == ("b",)


def test_the_model_knows_words_calls_and_results() -> None:
    call = entry(FunctionCallItem(name="go", arguments="{}"), "c")
    assert call.known() == (Call("c", "c", "go", "{}"),)
    named = entry(FunctionCallItem(name="go", arguments="{}", call_id="k", id=None, status=None), "c")
    assert named.known() == (Call("c", "k", "go", "{}"),)
    result = entry(FunctionOutputItem(call_id="k", output="42"), "r")
    assert result.known() == (CallResult("r", "k", "42"),)
    assert message("m", "Be kind.", "system").known() == (Message("m", "system", "Be kind."),)
    assert [e.chars for e in (call, result)] == [2, 2]
    assert not call.awaits_words


def test_items_are_echoed_tidy() -> None:
    parts: list[Any] = [
        InputText(text="a"),
        InputAudio(audio=b"xx", transcript="b"),
        InputImage(image_url="data:image/png;base64,", detail="low"),
        PlainText(text="c"),
    ]
    told = entry(MessageItem(role="user", content=parts, object=None, status=None), "m")
    assert msgspec.to_builtins(told.item) == {
        "type": "message",
        "id": "m",
        "object": "realtime.item",
        "status": "completed",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_audio", "transcript": "b"},
            {"type": "input_image", "image_url": "data:image/png;base64,", "detail": "low"},
            {"type": "input_text", "text": "c"},
        ],
    }
    assert told.text == "a\nb\nc"
    said: list[Any] = [
        PlainText(text="a"),
        InputText(text="b"),
        OutputAudio(transcript="c", audio=b"xx"),
        OutputAudio(),
    ]
    told = entry(MessageItem(role="assistant", content=said), "m")
    assert told.text == "a\nb\nc"
    assert isinstance(told.item, MessageItem)
    assert told.item.content == [OutputText(text="a"), OutputText(text="b"), OutputAudio(transcript="c"), OutputAudio()]


def test_a_turn_gets_its_words_once_they_are_known() -> None:
    conversation = Conversation()
    conversation.add(entry(MessageItem(role="user", content=[InputAudio(), InputText(text="x")]), "t"))
    assert conversation["t"].awaits_words
    conversation.transcribe("t", "What time?")
    assert not conversation["t"].awaits_words
    assert conversation["t"].known() == (Message("t", "user", "What time?"),)


def test_a_cut_answer_keeps_what_was_heard_for_the_model_only() -> None:
    conversation = Conversation()
    conversation.add(entry(MessageItem(role="assistant", content=[OutputAudio(transcript="One two")]), "r"))
    conversation.cut("r", samples=24_000, chars=3)
    answer = conversation["r"]
    assert answer.known() == (Message("r", "assistant", "One"),)
    assert answer.whole == 24_000
    assert msgspec.to_builtins(answer.item)["content"] == [{"type": "output_audio"}]


# --- limits --------------------------------------------------------------------------------------------------------


def ratio(share: float, tokens: int | None = None) -> RetentionRatio:
    limits = TokenLimits(post_instructions=tokens) if tokens is not None else None
    return RetentionRatio(type="retention_ratio", retention_ratio=share, token_limits=limits)


@pytest.mark.parametrize(
    ("count", "chars", "truncation", "left"),
    [
        (MAX_ITEMS, 5, "auto", MAX_ITEMS),
        (MAX_ITEMS + 3, 5, "auto", MAX_ITEMS // 2),
        (MAX_ITEMS + 3, 5, "disabled", MAX_ITEMS + 3),
        (MAX_ITEMS + 1, 5, ratio(0.5), MAX_ITEMS // 2),
        (4, MAX_CHARS // 2, "auto", 1),
        (4, MAX_CHARS, ratio(0.5), 1),
        (10, 40, ratio(0.8, 50), 4),
        (10, 40, ratio(0.8), 10),
    ],
)
def test_the_oldest_items_make_room(count: int, chars: int, truncation: Truncation, left: int) -> None:
    conversation = Conversation()
    for i in range(count):
        conversation.add(message(str(i), "x" * chars))
    dropped = conversation.overflow(truncation)
    assert dropped == [str(i) for i in range(count - left)]
    assert conversation.ids == tuple(str(i) for i in range(count - left, count))


def test_an_item_that_is_being_made_stays() -> None:
    conversation = Conversation()
    conversation.add(Entry(MessageItem(id="now", role="assistant", status="in_progress", content=[])))
    for i in range(MAX_ITEMS):
        conversation.add(message(str(i)))
    assert conversation.overflow("auto")[0] == "0"
    assert conversation.ids[0] == "now"
    assert len(conversation.ids) == MAX_ITEMS // 2


@pytest.mark.parametrize(
    ("count", "chars", "full"), [(MAX_ITEMS - 1, 1, False), (MAX_ITEMS, 1, True), (1, MAX_CHARS, True)]
)
def test_a_conversation_knows_when_it_is_full(count: int, chars: int, full: bool) -> None:
    conversation = Conversation()
    for i in range(count):
        conversation.add(message(str(i), "x" * chars))
    assert conversation.full is full


def test_the_oldest_sound_is_let_go_first() -> None:
    conversation = Conversation()
    for i in range(3):
        conversation.add(
            Entry(MessageItem(id=str(i), role="user", content=[InputAudio()]), sound=bytes(MAX_SOUND // 2))
        )
    assert [len(conversation[item_id].sound) for item_id in conversation.ids] == [0, MAX_SOUND // 2, MAX_SOUND // 2]
