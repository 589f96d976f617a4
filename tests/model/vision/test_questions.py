"""model/vision/questions.py: which questions want eyes."""

from __future__ import annotations

import pytest

from vivavoce.model.vision.questions import Hint, Kind, Question, parse


@pytest.mark.parametrize(
    ("text", "kind", "thing", "hint"),
    [
        ("What do you see?", Kind.DESCRIBE, "", Hint.STRONG),
        ("What is in this picture?", Kind.DESCRIBE, "", Hint.STRONG),
        ("Describe this.", Kind.DESCRIBE, "", Hint.MEDIUM),
        ("Is there a dog in the picture?", Kind.THERE, "dog", Hint.STRONG),
        ("Is this a banana?", Kind.THERE, "banana", Hint.MEDIUM),
        ("Can you see me?", Kind.THERE, "", Hint.STRONG),
        ("What am I holding now?", Kind.WHAT, "", Hint.STRONG),
        ("What animal is it?", Kind.WHAT, "", Hint.MEDIUM),
        ("What’s that?", Kind.WHAT, "", Hint.MEDIUM),
        ("What colour is the circle?", Kind.COLOUR, "circle", Hint.WEAK),
        ("What colour do you see?", Kind.COLOUR, "", Hint.STRONG),
        ("What color are the circles on the left?", Kind.COLOUR, "circles", Hint.MEDIUM),
        ("How many red circles can you see?", Kind.COUNT, "red circles", Hint.STRONG),
        ("How many people are there?", Kind.COUNT, "people", Hint.WEAK),
        ("Where is the blue square?", Kind.WHERE, "blue square", Hint.WEAK),
        ("What does the sign say?", Kind.READ, "", Hint.MEDIUM),
        ("read this to me please", Kind.READ, "", Hint.MEDIUM),
        ("What has changed?", Kind.CHANGED, "", Hint.MEDIUM),
        ("Compare these two pictures.", Kind.COMPARE, "", Hint.STRONG),
        ("Is it dark in here?", Kind.LIGHT, "", Hint.MEDIUM),
        ("", Kind.DESCRIBE, "", Hint.WITH),
        ("Was siehst du?", Kind.DESCRIBE, "", Hint.WITH),
    ],
)
def test_a_question_is_parsed(text: str, kind: Kind, thing: str, hint: Hint) -> None:
    assert parse(text) == Question(kind, thing, hint)


@pytest.mark.parametrize(
    "text",
    [
        "How are you?",
        "Tell me a joke.",
        "What is the capital of France?",
        "What is the weather like?",
        "Do you see what I mean?",
        "I see, thank you.",
        "See you later.",
        "Let's see, can you read me a story?",
        "Hi, this is a test of my microphone.",
    ],
)
def test_small_talk_wants_no_eyes(text: str) -> None:
    assert parse(text) is None
