"""realtime/turns/endpointing.py."""

import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.events import TurnDetection
from vivavoce.realtime.turns.endpointing import CANDIDATES_MS, MAX_SILENCE_MS, AskEndpoint, Endpointing

WINDOW = 768
SEMANTIC = TurnDetection(kind="semantic_vad")


def feed(endpoint: Endpointing, pattern: str, position: int = 0) -> list[bool | AskEndpoint]:
    answers = []
    for mark in pattern:
        position += WINDOW
        answers.append(endpoint.receive(mark == "#", WINDOW, position))
    return answers


def ms(windows: int) -> int:
    return windows * WINDOW * 1000 // SAMPLE_RATE


@pytest.mark.parametrize("silence_ms", [200, 500, 1000])
def test_server_vad_ends_after_its_silence_and_asks_no_model(silence_ms: int) -> None:
    endpoint = Endpointing(TurnDetection(silence_duration_ms=silence_ms))
    answers = feed(endpoint, "##" + "." * 40)
    end = answers.index(True)
    assert ms(end - 2) < silence_ms <= ms(end - 1)
    assert not any(isinstance(answer, AskEndpoint) for answer in answers)


def test_a_voiced_window_begins_the_silence_anew() -> None:
    endpoint = Endpointing(TurnDetection(silence_duration_ms=320))
    assert feed(endpoint, "." * 9 + "#" + "." * 9) == [False] * 19
    assert feed(endpoint, ".") == [True]


def test_the_classifier_is_asked_at_each_candidate_about_the_same_pause() -> None:
    endpoint = Endpointing(TurnDetection(kind="semantic_vad", eagerness="low"))
    answers = feed(endpoint, "#" + "." * 100)
    asked = [ms(place) for place, answer in enumerate(answers) if isinstance(answer, AskEndpoint)]
    assert len(asked) == len(CANDIDATES_MS)
    assert all(0 <= at - due < 32 for at, due in zip(asked, CANDIDATES_MS, strict=True))
    assert {answer.at for answer in answers if isinstance(answer, AskEndpoint)} == {WINDOW}


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_the_longest_silence_ends_a_turn_whatever_the_classifier_says(eagerness: str) -> None:
    endpoint = Endpointing(TurnDetection(kind="semantic_vad", eagerness=eagerness))  # type: ignore[arg-type]  # a Literal
    answers = feed(endpoint, "#" + "." * 200)
    assert 0 <= ms(answers.index(True)) - MAX_SILENCE_MS[eagerness] < 32


def end_ms(detection: TurnDetection, probability: float | None, text: str = "", finished: float | None = None) -> int:
    """Silence after which a turn ends, with all evidence after 96 ms."""
    endpoint = Endpointing(detection)
    feed(endpoint, "#...")
    if probability is not None and endpoint.end_of_turn(WINDOW, probability):
        return ms(3)
    if endpoint.recognized(text, finished):
        return ms(3)
    return ms(4 + feed(endpoint, "." * 200, 4 * WINDOW).index(True))


@pytest.mark.parametrize(
    ("text", "probability", "at_least", "at_most"),
    [
        ("What time is it?", 0.95, 96, 130),
        ("What time is it?", 0.6, 550, 650),
        ("What time is it?", 0.1, 800, 1000),
        ("It was dark,", 0.95, 130, 200),
        ("It was dark,", 0.6, 550, 650),
        ("Yes.", 0.95, 96, 130),
        ("Yes.", 0.1, 1000, 1400),
        ("I have a question.", 0.95, 800, 1100),
        ("Five five five", 0.95, 1500, 1800),
        ("I would like to", 0.99, 1600, 1900),
        ("I would like to", 0.1, 2000, 2030),
        ("", 0.95, 190, 240),
        ("", 0.1, 2000, 2030),
        ("What time is it?", None, 2000, 2030),
    ],
)
def test_the_surer_the_evidence_the_less_silence_is_needed(
    text: str, probability: float | None, at_least: int, at_most: int
) -> None:
    assert at_least <= end_ms(SEMANTIC, probability, text) <= at_most


def test_the_asr_hardly_doubts_that_a_word_or_two_are_finished() -> None:
    assert end_ms(SEMANTIC, 0.8, "Fine.", 0.01) < end_ms(SEMANTIC, 0.8, "The blue one.", 0.01)
    assert end_ms(SEMANTIC, 0.99, "Fine.", 0.99) == end_ms(SEMANTIC, 0.99, "The blue one.", 0.99)


def test_asr_and_classifier_have_to_agree_that_it_sounds_finished() -> None:
    text = "I left my glasses."
    both, one, other, neither = (
        end_ms(SEMANTIC, classifier, text, asr) for classifier, asr in ((0.9, 0.9), (0.9, 0.1), (0.1, 0.9), (0.1, 0.1))
    )
    assert both < 130 < 550 < one < 650
    assert abs(one - other) < 64
    assert neither > 850


def test_the_first_probability_of_the_asr_counts_and_for_that_pause_only() -> None:
    endpoint = Endpointing(SEMANTIC)
    feed(endpoint, "#...")
    endpoint.recognized("I left my glasses.", 0.05)
    endpoint.end_of_turn(WINDOW, 0.95)
    assert not endpoint.recognized("I left my glasses.", 0.99)
    feed(endpoint, "#...", 4 * WINDOW)
    endpoint.end_of_turn(5 * WINDOW, 0.95)
    assert not endpoint.recognized("I left my glasses on the train.", 0.95), "too soon"
    assert True in feed(endpoint, "..", 8 * WINDOW)


@pytest.mark.parametrize("text", ["It was dark,", "I have a question.", "Five five five"])
@pytest.mark.parametrize("probability", [0.6, 0.95])
def test_high_eagerness_waits_less_and_low_more(text: str, probability: float) -> None:
    waits = [
        end_ms(TurnDetection(kind="semantic_vad", eagerness=eagerness), probability, text)
        for eagerness in ("high", "auto", "low")
    ]
    assert waits[0] < waits[1] < waits[2]


def test_words_count_only_for_the_pause_in_which_they_come() -> None:
    endpoint = Endpointing(SEMANTIC)
    feed(endpoint, "#..")
    assert not endpoint.recognized("What time is it?")
    feed(endpoint, "#", 3 * WINDOW)
    assert not endpoint.recognized("What time is it?")
    feed(endpoint, "...", 4 * WINDOW)
    assert not endpoint.end_of_turn(4 * WINDOW, 0.95)
    feed(endpoint, "..", 7 * WINDOW)
    assert endpoint.recognized("What time is it?")


def test_server_vad_ignores_words_and_classifier() -> None:
    endpoint = Endpointing(TurnDetection(silence_duration_ms=500))
    feed(endpoint, "#...")
    assert not endpoint.recognized("What time is it?")
    assert not endpoint.end_of_turn(WINDOW, 1.0)


def test_an_answer_about_an_earlier_pause_does_not_count() -> None:
    endpoint = Endpointing(SEMANTIC)
    feed(endpoint, "#...")
    assert not endpoint.recognized("What time is it?")
    feed(endpoint, "#", 4 * WINDOW)
    assert not endpoint.end_of_turn(WINDOW, 1.0)
    feed(endpoint, "...", 5 * WINDOW)
    endpoint.recognized("What time is it?")
    assert not endpoint.end_of_turn(WINDOW, 1.0)
