"""realtime/turns/phrases.py: the evidence of the words for the end of a turn."""

import pytest

from vivavoce.realtime.turns.phrases import More, Phrase, dictated, read


@pytest.mark.parametrize(
    "text",
    [
        "I would like to",
        "Could you tell me the",
        "I tried it twice, but",
        "It's, uh,",
        "Um",
        "How do I get from",
        "What is the capital of",
        "What kind of",
        "What do you think of",
        "When do you go to",
        "She said that she would",
        "Do you know where",
        "If it rains tomorrow,",
        "As soon as he arrives",
        "In case of fire",
        "My name is",
        "I'm",
        "Could you",
        "My address is called",
        "I need a",
        "We need",
        "a big",
        "Okay. And then",
        "Is it possible to?",
    ],
)
def test_an_incomplete_phrase_is_open(text: str) -> None:
    assert read(text) is Phrase.OPEN


@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "Turn it on.",
        "Where are you from?",
        "What are you looking for?",
        "What are you up to?",
        "What is the box made of?",
        "Can you tell me what it is for?",
        "Do you know where the exit is?",
        "Could you repeat that?",
        "I don't want to.",
        "I would like a glass of water,",
        "The light in the kitchen does not work any more.",
        "I think so.",
        "Is the doctor in?",
        "Yes I do",
        "If it rains tomorrow, can we move the meeting?",
        "When is the next train?",
        "Tell me a joke.",
        "I don't know why",
    ],
)
def test_a_sentence_with_all_its_parts_is_not_open(text: str) -> None:
    assert read(text) in (Phrase.COMPLETE, Phrase.NEUTRAL, Phrase.SUSPENDED)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Yes.", Phrase.NEUTRAL),
        ("The blue one", Phrase.NEUTRAL),
        ("Play some music", Phrase.COMPLETE),
        ("It was dark,", Phrase.SUSPENDED),
        ("What was the title of them?", Phrase.SUSPENDED),
        ("That's W. E.", Phrase.DICTATION),
        ("The plate is kt", Phrase.DICTATION),
        ("Hello.", Phrase.LOOSE),
        ("I have a question.", Phrase.LOOSE),
        ("Well, I've got another small problem", Phrase.LOOSE),
        ("My number is five five five", Phrase.DICTATION),
        ("My number is 555-1234.", Phrase.LOOSE),
        ("The code is 1472.", Phrase.NEUTRAL),
        ("I'd like soup, salad", Phrase.DICTATION),
        ("I'd like soup, salad, and bread", Phrase.COMPLETE),
        ("", Phrase.UNKNOWN),
        ("...", Phrase.UNKNOWN),
    ],
)
def test_other_phrases_are_known_by_their_form(text: str, phrase: Phrase) -> None:
    assert read(text) is phrase


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("我想去北京因为", Phrase.OPEN),
        ("嗯", Phrase.OPEN),
        ("今天天气怎么样？", Phrase.UNKNOWN),
        ("Wie spät ist es?", Phrase.UNKNOWN),
        ("Ich möchte äh", Phrase.OPEN),
        ("Сколько это стоит?", Phrase.UNKNOWN),
    ],
)
def test_of_other_languages_only_their_fillers_and_particles_are_known(text: str, phrase: Phrase) -> None:
    assert read(text) is phrase


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("my number is five five five", More.LIKELY),
        ("my number is five five five one two three four", More.POSSIBLE),
        ("my number is 555 1234", More.POSSIBLE),
        ("two one two seven three six five thousand", More.POSSIBLE),
        ("the code is nine two eight six", More.NONE),
        ("the pin is three", More.LIKELY),
        ("my zip code is nine oh two one oh", More.NONE),
        ("the card number is four nine one six", More.LIKELY),
        ("it's spelled s m", More.LIKELY),
        ("h a n", More.LIKELY),
        ("the number is 88", More.LIKELY),
        ("five", More.POSSIBLE),
        ("h", More.LIKELY),
        ("i have two", None),
        ("a table for two", None),
        ("meet me at ten", None),
        ("what do you want to", None),
        ("in 1984", None),
        ("", None),
    ],
)
def test_dictation_expects_as_many_digits_as_such_a_number_has(text: str, more: More | None) -> None:
    assert dictated(text.split()) is more
