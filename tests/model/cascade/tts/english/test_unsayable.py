"""model/cascade/tts/english/unsayable.py."""

import pytest

from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.english.unsayable import SORRY, stand_in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("👍", "thumbs up."),
        ("👍🏽", "thumbs up."),
        ("❤️", "red heart."),
        ("😀😀 🎉", "grinning face, party popper."),
        ("😊🎉👍🔥💪", "smiling face with smiling eyes, party popper, thumbs up."),
        ("👨\u200d👩\u200d👧", "man, woman, girl."),
        ("🇩🇪", "a flag."),
        ("✔️", "check mark."),
        ("→", "rightwards arrow."),
        (":-)", "smiling face."),
        ("你好，我是语音助手。", SORRY),
        ("Καλημέρα.", SORRY),
        ("Привет 👋", SORRY),
        ("...", SORRY),
        ("---", SORRY),
    ],
)
def test_something_is_said_for_every_text(text: str, said: str) -> None:
    assert stand_in(text) == said
    assert speakable(said).text, "and it can be said"


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufe0f"])
def test_nothing_is_said_where_nothing_can_be_seen(text: str) -> None:
    assert stand_in(text) == ""
