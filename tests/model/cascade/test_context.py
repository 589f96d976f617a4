"""model/cascade/context.py."""

import numpy as np
import pytest

from vivavoce.model.cascade.context import Context, offered_tools
from vivavoce.model.dialogue import Call, CallResult, Heard, Item, Message, Picture, ReplySpec, Tool

ALL = ReplySpec("r")


def user(name: str, text: str = "words") -> Message:
    return Message(name, "user", text)


def ids(context: Context, spec: ReplySpec = ALL) -> list[str]:
    return [item.id for item in context.items(spec)]


def test_items_come_in_the_order_in_which_they_were_read() -> None:
    context = Context()
    for name in "abc":
        context.read(user(name))
    assert ids(context) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("after", "order"), [(None, "abx"), ("root", "xab"), ("a", "axb"), ("b", "abx"), ("unknown", "abx")]
)
def test_an_item_is_put_at_the_requested_place(after: str | None, order: str) -> None:
    context = Context()
    context.read(user("a"))
    context.read(user("b"))
    context.read(user("x"), after)
    assert "".join(ids(context)) == order


def test_a_forgotten_item_is_gone() -> None:
    context = Context()
    context.read(user("a"))
    context.read(user("b"))
    context.forget("a")
    context.forget("unknown")
    assert ids(context) == ["b"]


def test_a_turn_without_words_does_not_count_until_it_is_transcribed() -> None:
    context = Context()
    context.read(user("a", ""))
    assert ids(context) == []
    context.transcribed("a", "hello")
    assert context.items(ALL) == (user("a", "hello"),)


def test_a_picture_needs_no_words() -> None:
    context = Context()
    context.read(Message("a", "user", "", (Picture(np.zeros((1, 1, 3), np.uint8), 0.0),)))
    assert ids(context) == ["a"]


def test_a_reply_grows_in_its_place() -> None:
    context = Context()
    context.answered("r", "Par")
    context.read(user("b"))
    context.answered("r", "Paris.")
    assert context.items(ALL) == (Message("r", "assistant", "Paris."), user("b"))


@pytest.mark.parametrize(("chars", "rest"), [(5, "Paris"), (6, "Paris"), (100, "Paris is big."), (0, None)])
def test_of_a_cut_reply_the_part_that_was_heard_remains(chars: int, rest: str | None) -> None:
    context = Context()
    context.read(user("a"))
    context.answered("r", "Paris is big.")
    context.cut(Heard("r", 0, chars))
    expected: list[Item] = [user("a"), *([Message("r", "assistant", rest)] if rest else [])]
    assert list(context.items(ALL)) == expected


def test_cutting_an_item_that_is_no_reply_changes_nothing() -> None:
    context = Context()
    context.read(Call("c", "1", "timer", "{}"))
    context.read(CallResult("d", "1", "done"))
    context.cut(Heard("c", 0, 0))
    context.cut(Heard("unknown", 0, 0))
    assert ids(context) == ["c", "d"]


def test_a_reply_may_have_a_context_of_its_own() -> None:
    context = Context()
    context.read(user("a"))
    context.read(user("b"))
    assert ids(context, ReplySpec("r", context=("b", user("x"), "unknown"))) == ["b", "x"]
    assert ids(context, ReplySpec("r", context=())) == []


def test_tool_calls_and_results_count_in_pairs_only() -> None:
    context = Context()
    for item in (
        Call("a", "1", "t", "{}"),
        Call("b", "2", "t", "{}"),
        CallResult("c", "2", ""),
        CallResult("d", "3", ""),
    ):
        context.read(item)
    assert ids(context) == ["b", "c"]


def test_tools_with_a_cue_are_offered_when_the_user_says_it() -> None:
    clock, plain = Tool("time", "", {}, cue=r"\btime\b"), Tool("look", "", {})
    items = (Message("a", "user", "What TIME is it?"), Message("b", "assistant", "Noon."))
    assert offered_tools((clock, plain), "auto", items) == (clock, plain)
    assert offered_tools((clock, plain), "auto", (*items, Message("c", "user", "Thanks."))) == (plain,)
    assert offered_tools((clock,), "required", ()) == (clock,)
    assert offered_tools((clock,), "auto", ()) == ()


def test_consecutive_turns_of_the_user_are_one_message() -> None:
    context = Context()
    for name, text in (("a", "I left my glasses,"), ("b", "on the train.")):
        context.turn(name)
        context.transcribed(name, text)
    said = context.items(ALL)
    assert [item.id for item in said] == ["a", "b"]
    assert context.merged(said) == (user("a", "I left my glasses, on the train."),)
    assert context.merged((*said, user("", "Today."))) == (user("a", "I left my glasses, on the train. Today."),)


def test_turns_with_a_reply_between_them_and_typed_messages_stay_apart() -> None:
    context = Context()
    context.turn("a")
    context.transcribed("a", "Hello.")
    context.answered("r", "Good morning.")
    context.turn("b")
    context.transcribed("b", "A question.")
    context.read(user("typed", "See above."))
    assert context.merged(context.items(ALL)) == context.items(ALL)
    context.cut(Heard("r", 0, 0))
    assert [item.id for item in context.merged(context.items(ALL))] == ["a", "typed"]
