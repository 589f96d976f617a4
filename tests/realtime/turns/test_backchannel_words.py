"""realtime/turns/backchannel_words.py: the words said over the assistant."""

from __future__ import annotations

import pytest

from vivavoce.realtime.turns.backchannel_words import BackchannelReading, read

READINGS = {
    BackchannelReading.NOTHING: ("", " ... ", "?"),
    BackchannelReading.AGREES: (
        *("Mm-hmm.", "Mhm", "Uh-huh,", "Yeah.", "Right, right.", "Oh, okay.", "I see.", "Yes, of course.", "Got it!"),
        *("That\u2019s right.", "嗯", "对对。", "好的", "Genau.", "Ach so.", "Sí, claro.", "D'accord.", "はい", "да"),
    ),
    BackchannelReading.BEGINS: ("I", "Got", "That's", "Yeah, makes"),
    BackchannelReading.STOPS: (
        *("Stop.", "Wait", "No, no.", "Hold on.", "Okay, stop.", "Yeah, but what", "What about", "Hey!", "Can you"),
        *("等一下", "不是", "别说了", "Nein, warte", "Espera", "Attends", "Oh, wait."),
    ),
    BackchannelReading.WORD: ("Monday.", "Emily"),
    BackchannelReading.WORDS: ("The blue one", "Yesterday you said", "Right now please"),
}


@pytest.mark.parametrize(
    ("text", "reading"), [(text, reading) for reading, texts in READINGS.items() for text in texts]
)
def test_words_are_read(text: str, reading: BackchannelReading) -> None:
    assert read(text) is reading
