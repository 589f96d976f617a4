"""model/cascade/llm/thoughts.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.llm.thoughts import MUSINGS, Opened, Thoughts

NOTATIONS = {
    "a block in front": "<think>The user asks for a colour. I should say blue.</think>\n\nIt is blue.",
    "capitals": "<THINK>A colour.</Think> It is blue.",
    "another name": "<thinking>A colour.</thinking>It is blue.",
    "Gemini": "<thought>A colour: <b>blue</b>, 3 < 4.</thought>It is blue.",
    "a name space": "<seed:think>A colour.</seed:think>It is blue.",
    "square brackets": "[THINK]A colour.[/THINK]It is blue.",
    "triangles": "◁think▷A colour.◁/think▷It is blue.",
    "special tokens": "<|begin_of_thought|>Blue<|end_of_thought|>\n<|begin_of_solution|>It is blue.<|end_of_solution|>",
    "Cohere": "<|START_THINKING|>Blue.<|END_THINKING|><|START_RESPONSE|>It is blue.<|END_RESPONSE|>",
    "Gemma": "<|channel>thought\nBlue.<channel|>It is blue.",
    "channels": "<|channel|>analysis<|message|>User asks: a colour.<|end|><|start|>assistant<|channel|>final<|message|>"
    "It is blue.<|return|>",
    "more channels": "<|channel|>analysis<|message|>Blue?<|end|><|start|>assistant<|channel|>commentary<|message|>Hm."
    "<|channel|>final <|constrain|>text<|message|>It is blue.",
    "channels without special tokens": "analysisThe user asks for a colour.assistantfinalIt is blue.",
    "an answer in tags": "<think>Blue.</think><answer>It is blue.</answer>",
    "two blocks": "<think>One.</think><think>Two.</think>It is blue.",
    "a block within": "It is <think>Which one?</think>blue.",
    "an empty block": "<think>\n\n</think>\n\nIt is blue.",
    "no block": "It is blue.",
    "an end token": "It is blue.<|im_end|>",
}
UNOPENED = {
    "only its end": "The user asks for a colour. I should say blue.\n</think>\n\nIt is blue.",
    "nothing that reads like thoughts": "Colour of the sky: blue.</think>It is blue.",
    "another notation": "Blue.[/THINK]It is blue.",
    "its end at once": "</think>It is blue.",
}
TEXTS = (
    "Is 3 < 4? Yes, and <b>5</b> > 4.",
    "a [1] b [/x] c ◁ d",
    "The users of <thinkpads> think so.",
    "analysis of the data",
    "Analysis",
    "<",
    "It is <thi",
    "<|unknown|> tokens",
    "Use <answer> here.",
    "Okay, the sky is blue.",
    "we need",
    "",
    " ",
)


def read(pieces: list[str], opened: Opened = Opened.NO) -> str:
    thoughts = Thoughts(opened)
    return "".join(map(thoughts.push, pieces)) + thoughts.flush()


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 11, 1000])
@pytest.mark.parametrize("opened", Opened)
@pytest.mark.parametrize("text", NOTATIONS.values(), ids=NOTATIONS.keys())
def test_only_the_answer_is_left_of_every_notation_however_it_is_torn(text: str, opened: Opened, size: int) -> None:
    assert read(cut(text, size), opened) == "It is blue."


@pytest.mark.parametrize("size", [1, 3, 4, 1000])
@pytest.mark.parametrize("opened", [Opened.UNKNOWN, Opened.YES])
@pytest.mark.parametrize("text", UNOPENED.values(), ids=UNOPENED.keys())
def test_thoughts_that_the_template_has_opened_end_where_their_end_arrives(
    text: str, opened: Opened, size: int
) -> None:
    thoughts = Thoughts(opened)
    assert "".join(map(thoughts.push, cut(text, size))) + thoughts.flush() == "It is blue."
    assert thoughts.unopened


@given(st.sampled_from(TEXTS), st.integers(1, 9), st.sampled_from(Opened))
def test_text_without_thoughts_stays_as_it_is(text: str, size: int, opened: Opened) -> None:
    assert read(cut(text, size), opened) == text.lstrip()


@given(st.text(alphabet="<>/|[]thinkaersow ◁▷", max_size=80), st.data())
def test_no_cut_changes_the_answer(text: str, data: st.DataObject) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    assert read(pieces) == read([text])


@pytest.mark.parametrize(
    "text", ["<think>The sky is", "<think>Blue.</think>\n", "[THINK]", "<|channel|>analysis<|message|>Hm"]
)
def test_an_answer_that_is_only_thoughts_has_no_words(text: str) -> None:
    thoughts = Thoughts()
    assert thoughts.push(text) + thoughts.flush() == ""
    assert thoughts.seen


def test_plain_text_is_given_out_as_it_comes() -> None:
    thoughts = Thoughts()
    assert [thoughts.push(piece) for piece in ("The", " capital", " is", " Paris <", "b>.")] == [
        "",  # "The user …" would be thoughts
        "The capital",
        " is",
        " Paris ",
        "<b>.",
    ]


@pytest.mark.parametrize("musing", MUSINGS)
def test_an_answer_that_begins_like_thoughts_is_withheld_until_its_end(musing: str) -> None:
    thoughts = Thoughts()
    assert thoughts.push(f"{musing.capitalize()}is asking. ") == ""
    assert thoughts.push("</think>Blue.") + thoughts.flush() == "Blue."
    assert read([musing, "say yes."]) == f"{musing}say yes."
    assert thoughts_that_were_cut(f"{musing}is asking. ") == ""


def thoughts_that_were_cut(text: str) -> str:
    thoughts = Thoughts(Opened.UNKNOWN)
    return thoughts.push(text) + thoughts.flush(cut=True)


def test_an_answer_that_was_cut_is_given_out() -> None:
    assert thoughts_that_were_cut("Once upon a") == "Once upon a"


def test_after_a_while_the_text_withheld_is_given_out_unless_it_reads_like_thoughts() -> None:
    answer, thoughts, known = Thoughts(Opened.UNKNOWN), Thoughts(Opened.UNKNOWN), Thoughts(Opened.YES)
    assert answer.push("It is ") == ""
    assert answer.withholds
    assert answer.release() == "It is "
    assert answer.push("blue.") == "blue."
    assert thoughts.push("Okay, the user asks") + thoughts.release() == ""
    assert known.push("It is ") + known.release() == ""
