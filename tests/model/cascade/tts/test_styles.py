"""model/cascade/tts/styles.py: which tags there are, in pieces of any size, and what instructions ask for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.tts.contract import FASTEST, SLOWEST, check_speed
from vivavoce.model.cascade.tts.styles import PLAIN, STYLES, Style, Tags, requested

WHISPER = STYLES["whisper"]


def taken(text: str, cuts: tuple[int, ...] = ()) -> list[str | Style | None]:
    """The parts of `text`, given in pieces, with neighbouring texts joined."""
    tags, found = Tags(), list[str | Style | None]()
    ends = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    for start, end in pairwise(ends):
        found += tags.push(text[start:end])
    joined: list[str | Style | None] = []
    for part in [*found, tags.flush()]:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", ["Hello."]),
        ("[whisper] Come closer.", [WHISPER, "Come closer."]),
        ("[WHISPER]Come", [WHISPER, "Come"]),
        ("Now [whisper] quietly [/whisper] loud.", ["Now ", WHISPER, "quietly ", None, "loud."]),
        ("Now[whisper] this.", ["Now", WHISPER, " this."]),
        ("[calm] [slow] one", [STYLES["calm"], STYLES["slow"], "one"]),
        ("One [normal]", ["One ", None]),
        ("a list [1, 2] and [laughs] stay", ["a list [1, 2] and [laughs] stay"]),
        ("an end [whis", ["an end [whis"]),
        ("[[whisper]]", ["[", WHISPER, "]"]),
        ("[whisper me", ["[whisper me"]),
    ],
)
def test_tags_are_taken_out_and_other_brackets_stay(text: str, parts: list[str | Style | None]) -> None:
    assert taken(text) == parts


@given(st.text("[]/whisperCalmnot ", max_size=40), st.lists(st.integers(1, 40)))
def test_the_size_of_the_pieces_does_not_matter(text: str, cuts: list[int]) -> None:
    assert taken(text, tuple(cuts)) == taken(text)


@given(st.lists(st.sampled_from(["[whisper]", "[soft] ", "word ", "end. ", "[x]"])), st.lists(st.integers(1, 60)))
def test_no_tag_is_left_in_the_text(parts: list[str], cuts: list[int]) -> None:
    text = "".join(part for part in taken("".join(parts), tuple(cuts)) if isinstance(part, str))
    assert "[whisper]" not in text
    assert "[soft]" not in text
    assert text.split() == [part.strip() for part in parts if part not in ("[whisper]", "[soft] ")] or "[x]" in text


def test_text_is_not_held_back_longer_than_it_may_become_a_tag() -> None:
    tags = Tags()
    assert tags.push("See [") == ["See "]
    assert tags.push("1") == ["[", "1"]


@pytest.mark.parametrize(
    ("instructions", "names"),
    [
        ("", []),
        ("You are a friendly assistant. Answer questions quickly.", []),
        ("Speak softly.", ["soft"]),
        ("You are a librarian. Always whisper.", ["whisper"]),
        ("Talk slowly, and in a calm voice.", ["calm", "slow"]),
        ("Your voice should be warm, with a lively tone.\nTalk quickly.", ["lively", "fast"]),
        ("If the user asks, speak softly.", []),
        ("Never whisper.", []),
        ("Don\u2019t talk too fast.", []),
        ("Be slow to judge.", []),
        ("Users speak quietly.", []),
    ],
)
def test_instructions_ask_for_a_style_without_a_condition(instructions: str, names: list[str]) -> None:
    expected = PLAIN
    for name in names:
        expected = expected.joined(STYLES[name])
    assert requested(instructions) == expected


def test_a_style_keeps_the_speed_in_its_range() -> None:
    assert check_speed(1.0, Style(pace=0.8)) == pytest.approx(0.8)
    assert check_speed(FASTEST, Style(pace=1.25)) == FASTEST
    assert check_speed(SLOWEST, Style(pace=0.5)) == SLOWEST
