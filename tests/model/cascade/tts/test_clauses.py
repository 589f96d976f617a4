"""model/cascade/tts/clauses.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.cascade.tts.clauses import MAX_CHARS, MAX_WORDS, Clause, Clauses
from vivavoce.model.cascade.tts.contract import Part


def _clauses(text: str) -> list[str]:
    clauses = Clauses()
    return [clause.text for clause in [*clauses.push(text), *clauses.flush()]]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Yes, the train leaves at 3.50. It is late.", ["Yes,", " the train leaves at 3.50.", " It is late."]),
        ("Hello there! How are you?", ["Hello there!", " How are you?"]),
        ("See you at 5 p.m. Then we go.", ["See you at 5 p.m.", " Then we go."]),
        ("Come at 5 p.m. today. Bye.", ["Come at 5 p.m. today.", " Bye."]),
        ("Dr. Smith saw Mr. Hill. Good.", ["Dr. Smith saw Mr. Hill.", " Good."]),
        ("Cats, dogs, etc. Then more.", ["Cats,", " dogs, etc.", " Then more."]),
        ("It costs 1,234.50 or so", ["It costs 1,234.50 or so"]),
        ("Pi is 3.14159. Really", ["Pi is 3.14159.", " Really"]),
        ("Use e.g. tea. Or milk.", ["Use e.g. tea.", " Or milk."]),
        ("J. R. R. Tolkien wrote. He did.", ["J. R. R. Tolkien wrote.", " He did."]),
        ("Wait... what? Oh", ["Wait... what?", " Oh"]),
        ("Wait... What? Oh", ["Wait...", " What?", " Oh"]),
        ("1. Open it.\n2. Close it", ["1. Open it.", "\n2. Close it"]),
        ("In 2024. We met", ["In 2024.", " We met"]),
        ("First line\nsecond line", ["First line", "\nsecond line"]),
        ('**Yes.** "So." he', ["**Yes.**", ' "So."', " he"]),
        ("See example.com, or v1.2.3 now. Ok", ["See example.com,", " or v1.2.3 now.", " Ok"]),
        ("Mail a.b@c.org?x=1 please, do", ["Mail a.b@c.org?x=1 please,", " do"]),
        ("你好，世界。再见", ["你好，", "世界。", "再见"]),
        ("Well – 5 - 3 = 2. Ok", ["Well – 5 - 3 = 2.", " Ok"]),
        ("Note: this; that", ["Note:", " this; that"]),
        ("-\nGo -\nnow", ["-\nGo -", "\nnow"]),
        ("A long—yes— dash", ["A long—yes—", " dash"]),
        ("", []),
        (" \n ", []),
        ("!!!", ["!!!"]),
    ],
)
def test_clauses_end_where_a_speaker_would_pause(text: str, cut: list[str]) -> None:
    assert _clauses(text) == cut


def test_the_first_clause_ends_before_a_joining_word_after_five_words() -> None:
    assert _clauses("I think we should go home because it is late, you know")[0] == "I think we should go home"


def test_the_first_clause_never_waits_for_more_than_a_few_words() -> None:
    first = _clauses("one two three four five six seven eight nine ten eleven twelve")[0]
    assert first == "one two three four five six seven eight nine"


def test_no_pause_comes_between_an_article_and_its_noun_or_between_two_numbers() -> None:
    assert _clauses("one two three four five six seven eight the ten")[0].endswith("the ten")
    assert _clauses("It takes from about 5 to 10 days")[0] == "It takes from about 5 to 10 days"


def test_later_clauses_are_whole_sentences_unless_they_are_long() -> None:
    text = "Sure. On Monday, we go. The train from the north station leaves very early, so we must hurry."
    assert _clauses(text) == [
        "Sure.",
        " On Monday, we go.",
        " The train from the north station leaves very early,",
        " so we must hurry.",
    ]


def test_a_comma_behind_a_number_ends_a_clause_only_when_something_follows() -> None:
    clauses = Clauses()
    assert clauses.push("In 1984,") == []
    assert clauses.push(" she") == [Clause("In 1984,", 0, 8)]


def test_a_comma_behind_a_word_ends_the_first_clause_at_once() -> None:
    assert Clauses().push("Well,") == [Clause("Well,", 0, 5)]


def test_clauses_are_bounded() -> None:
    words = "Yes. " + "word " * 100
    assert max(len(clause.split()) for clause in _clauses(words)) == MAX_WORDS
    assert max(map(len, _clauses("Yes. " + "pneumonoultramicroscopic " * 30))) <= MAX_CHARS
    assert _clauses("x" * (MAX_CHARS + 5)) == ["x" * MAX_CHARS, "x" * 5]
    assert _clauses("Yes. " + "1" * 100 + " " + "2" * 200)[1:] == [" " + "1" * 100, " " + "2" * 200]


def test_a_clause_too_long_is_cut_where_a_pause_hurts_least() -> None:
    text = "Yes. It is red, " + "antidisestablishmentarianism " * 9
    assert _clauses(text)[1] == " It is red,"


def _openings(pieces: list[str], every: int = 1) -> tuple[list[str], list[Clause]]:
    """The spoken parts of the reply, when an opening is taken after each piece; and the clauses."""
    clauses, said, whole = Clauses(), [], []
    for number, piece in enumerate(pieces, 1):
        done = clauses.push(piece)
        whole += done
        said += done
        if number % every == 0 and (opening := clauses.opening()) is not None:
            said.append(opening)
    rest = clauses.flush()
    return [_said(clause) for clause in [*said, *rest]], [*whole, *rest]


def _said(clause: Clause) -> str:
    """The text that a TTS speaks of it: an opening leaves its last word, which is still arriving."""
    text = clause.text[: clause.end - clause.start]
    return text[clause.part.said :]


def test_an_opening_is_spoken_while_the_clause_is_generated() -> None:
    said, clauses = _openings(["I", " don", "'t", " have", " a", " preference", " for", " music", "."])
    assert said == ["I don't have", " a preference", "", " for music."]
    assert [clause.text for clause in clauses] == ["I don't have a preference"], "the rest was spoken before its end"


def test_a_full_stop_ends_an_opening_at_once_even_if_the_word_goes_on() -> None:
    said, _ = _openings(["See", " example", ".", "com", " for", " it", ". ", "Bye", "."])
    assert [part for part in said if part] == ["See example.", "com for it.", " Bye."]


def test_an_opening_knows_the_word_behind_it() -> None:
    clauses = Clauses()
    clauses.push("Cats are the mo")
    opening = clauses.opening()
    assert opening == Clause("Cats are the mo", 0, 12, Part(0, goes_on=True))
    assert clauses.push("st intelligent animals. ")[-1].part == Part(12)


@pytest.mark.parametrize(
    "text",
    [
        "I am so",  # too short: the rest could not be written in time
        "It costs about 5 dol",  # how a number is said depends on what follows
        "The USA declared inde",
        "Photosynthesis ",  # the word behind it is not there yet
        "Sir Walter (Scott wrote",
    ],
)
def test_text_that_depends_on_the_rest_is_no_opening(text: str) -> None:
    clauses = Clauses()
    clauses.push(text)
    assert clauses.opening() is None


_PIECES = st.sampled_from(
    [
        "Yes",
        ", ",
        ". ",
        " ",
        "Dr.",
        "3.5",
        "1,000",
        " and",
        " the",
        "p.m. ",
        "\n",
        "! ",
        "…",
        "A",
        "word ",
        " because",
        '"',
        "**",
        "。",
        " thirteen",
        "'s",
    ]
)


@given(st.lists(_PIECES, max_size=60).map("".join), st.data())
def test_any_chunking_gives_the_same_clauses(text: str, data: st.DataObject) -> None:
    whole = Clauses()
    expected = [*whole.push(text), *whole.flush()]
    pieces = Clauses()
    got: list[Clause] = []
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        got += pieces.push(rest[:size])
        rest = rest[size:]
    assert got + pieces.flush() == expected


@given(st.lists(_PIECES, max_size=60).map("".join))
def test_clauses_have_no_gaps(text: str) -> None:
    clauses = Clauses()
    at = 0
    for clause in [*clauses.push(text), *clauses.flush()]:
        assert (clause.start, clause.text) == (at, text[at : clause.end])
        assert 0 < len(clause.text) <= MAX_CHARS
        assert any(map(str.isalnum, clause.text)) or clause.text == text, "a clause without words is all of the reply"
        at = clause.end
    assert not any(map(str.isalnum, text[at:]))


@given(st.lists(_PIECES, max_size=60), st.integers(1, 4))
def test_openings_change_no_clause_and_all_text_is_spoken_once(pieces: list[str], every: int) -> None:
    said, clauses = _openings(pieces, every)
    plain, whole = Clauses(), "".join(pieces)
    assert [(c.text, c.start, c.end) for c in clauses][: len(clauses)] == [
        (c.text, c.start, c.end) for piece in pieces for c in plain.push(piece)
    ] + [
        (c.text, c.start, c.end)
        for c in plain.flush()
        if any(map(str.isalnum, c.text[_opened(clauses, c) :])) or c.text == whole
    ]
    assert "".join("".join(said).split()) == "".join("".join(pieces)[: clauses[-1].end if clauses else 0].split())


def _opened(clauses: list[Clause], clause: Clause) -> int:
    """Characters of `clause` that its openings had."""
    return next((one.part.said for one in clauses if one.start == clause.start), len(clause.text))


@pytest.mark.parametrize("text", ["👍", "...", " 🎉\n"])
def test_a_reply_without_words_is_one_clause_and_signs_behind_words_are_none(text: str) -> None:
    assert _clauses(text) == [text]
    assert "".join(_clauses(f"Yes. {text}")).strip() == "Yes."
    assert _clauses("  ") == []


def test_a_formula_is_not_cut() -> None:
    text = r"So we get that $x = \frac{a + b}{c} and d$ and that is all of it."
    assert _clauses(text) == [r"So we get that $x = \frac{a + b}{c} and d$", " and that is all of it."]
    assert len(_clauses("My $HOME is set, and it is not a formula, as you can see in what follows here.")) > 1
