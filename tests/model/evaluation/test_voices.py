"""model/evaluation/voices.py with a voice and ears that are scripted."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts import PLAIN, WHOLE, Part, Speech, Style
from vivavoce.model.evaluation.voices import FEWEST_WORDS, OPENINGS, REPEATS, Measured, line, measure, sentences


class Humming:
    """A voice that hums for half a second, in two chunks."""

    names = ("hum",)

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        self.said.append(text)
        for _ in range(2):
            yield Speech(np.full(SAMPLE_RATE // 4, 0.1, np.float32))


class Ears:
    """Recognizes the same words always."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def open(self) -> Ears:
        return self

    def push(self, samples: Samples) -> None:
        self.heard.append(len(samples))

    def finish(self) -> SimpleNamespace:
        return SimpleNamespace(stable="turn on the", tail="lights")


def test_each_sentence_is_spoken_recognized_and_counted() -> None:
    voice, ears = Humming(), Ears()
    found = measure(voice, "hum", ["Turn on the light.", "Turn on the lights."], ears, None)  # type: ignore[arg-type]
    assert voice.said == [text for text in OPENINGS for _ in range(REPEATS)] + [
        "Turn on the light.",
        "Turn on the lights.",
    ]
    assert found.words == ((1, 4), (0, 4))
    assert len(found.first) == len(OPENINGS) * REPEATS >= 30
    assert found.quality == ()
    assert len(ears.heard) == 2
    assert all(abs(samples - 1.5 * 16_000) < 200 for samples in ears.heard), "half a second of silence on both sides"


def test_a_line_has_medians_rates_and_counts() -> None:
    found = Measured((0.01, 0.02, 0.03), 0.012, ((1, 4), (0, 4)), (3.0, 3.5))
    written = line("heart", found)
    assert written.startswith("heart      first sound 20.0 ms, p95 29.0 (n 3)   work 0.012 s/s   WER 12.5% (")
    assert written.endswith("2 sentences, 8 words)   DNSMOS 3.25")


def test_sentences_are_different_and_not_short() -> None:
    texts = sentences(40)
    assert len(set(texts)) == 40
    assert min(len(text.split()) for text in texts) >= FEWEST_WORDS
