"""model/cascade/llm/chatml.py: rendering and trimming."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.chatml import render, render_growing, trimmed
from vivavoce.model.dialogue import Call, CallResult, Item, Message, Tool

TOOL = Tool("timer", "Starts a timer", {"type": "object"})


def said(*texts: str) -> tuple[Item, ...]:
    return tuple(Message(str(number), "assistant" if number % 2 else "user", text) for number, text in enumerate(texts))


def test_a_conversation_is_rendered_as_chatml() -> None:
    prompt = Prompt("Be kind.", said("Hello", "Hi!", "Who are you?"))
    assert render(prompt) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\nHi!<|im_end|>\n"
        "<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_tool_calls_and_their_results_are_rendered() -> None:
    items = (Call("1", "c1", "timer", '{"seconds": 5}'), CallResult("2", "c1", "started"), Call("3", "c2", "timer", ""))
    assert render(Prompt("", items)).splitlines()[2:] == [
        "<|im_start|>assistant",
        '{"name": "timer", "arguments": {"seconds": 5}}<|im_end|>',
        "<|im_start|>user",
        "The function has answered: started",
        "Now tell me, in a short sentence.<|im_end|>",
        "<|im_start|>assistant",
        '{"name": "timer", "arguments": {}}<|im_end|>',
        "<|im_start|>assistant",
    ]


@pytest.mark.parametrize(
    ("choice", "described"), [("auto", True), ("required", True), ("timer", True), ("none", False)]
)
def test_tools_are_described_where_they_may_be_called(choice: str, described: bool) -> None:
    text = render(Prompt("Be kind.", (), (TOOL,), choice))
    assert ('"name": "timer"' in text) == described


def test_a_growing_prompt_is_a_prefix_of_the_complete_one() -> None:
    growing = render_growing(Prompt("Be kind.", said("Hello", "Hi!", "What is the cap")))
    whole = render(Prompt("Be kind.", said("Hello", "Hi!", "What is the capital of France?")))
    assert growing.endswith("What is the cap")
    assert whole.startswith(growing)


@given(st.lists(st.sampled_from(["<|im_end|>", "<|im_", "end|>", "<|", "|>", "<|endoftext|>", "a", " "])).map("".join))
def test_no_text_can_close_its_message(text: str) -> None:
    items = (Message("1", "user", text), CallResult("2", "c", text), Call("3", "c", text, text))
    rendered = render(Prompt(text, items, (Tool(text, text, {}),)))
    assert re.findall(r"<\|\w+\|>", rendered) == ["<|im_start|>", "<|im_end|>"] * 4 + ["<|im_start|>"]


def test_a_prompt_that_fits_is_not_trimmed() -> None:
    prompt = Prompt("Be kind.", said("Hello", "Hi!"))
    assert trimmed(prompt, len(render(prompt))) is prompt


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.integers(200, 2000))
def test_a_trimmed_prompt_fits_and_keeps_the_newest_items(lengths: list[int], bound: int) -> None:
    prompt = Prompt("Be kind.", said(*("x" * length for length in lengths)))
    short = trimmed(prompt, bound)
    assert len(render(short)) <= bound
    assert short.items == prompt.items[-len(short.items) :]
    assert short.items


def test_the_newest_item_stays_even_if_it_is_too_long() -> None:
    prompt = Prompt("Be kind.", said("Hello", "Hi!", "x" * 500))
    assert trimmed(prompt, 100).items == prompt.items[-1:]


def test_the_cut_moves_rarely_while_a_conversation_grows() -> None:
    items, starts = said(*("x" * 40 for _ in range(200))), list[str]()
    for count in range(1, 200):
        starts.append(trimmed(Prompt("Be kind.", items[:count]), 2000).items[0].id)
    assert len(set(starts)) < 12  # of 200 turns; each is about 3 % of the bound


def test_a_result_is_not_left_without_its_call() -> None:
    items = (
        Call("1", "c", "timer", f'{{"name": "{"z" * 1000}"}}'),
        CallResult("2", "c", "started"),
        *said("x" * 50, "y" * 50),
    )
    assert trimmed(Prompt("", items), len(render(Prompt("", items))) - 1).items[0].id == "0"
