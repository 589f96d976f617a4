"""realtime/turns/endpoint.py."""

import pytest

from vivavoce.model.dialogue import SAMPLE_RATE
from vivavoce.realtime.events import TurnDetection
from vivavoce.realtime.turns.endpoint import CANDIDATES_MS, PATIENCE_MS, Ask, Endpoint

WINDOW = 768
SEMANTIC = TurnDetection(kind="semantic_vad")


def feed(endpoint: Endpoint, pattern: str, position: int = 0) -> list[bool | Ask]:
    answers = []
    for mark in pattern:
        position += WINDOW
        answers.append(endpoint.receive(mark == "#", WINDOW, position))
    return answers


def ms(windows: int) -> int:
    return windows * WINDOW * 1000 // SAMPLE_RATE


@pytest.mark.parametrize("silence_ms", [200, 500, 1000])
def test_server_vad_ends_after_its_silence_and_asks_nobody(silence_ms: int) -> None:
    endpoint = Endpoint(TurnDetection(silence_duration_ms=silence_ms))
    answers = feed(endpoint, "##" + "." * 40)
    end = answers.index(True)
    assert ms(end - 2) < silence_ms <= ms(end - 1)
    assert not any(isinstance(answer, Ask) for answer in answers)


def test_a_voiced_window_begins_the_silence_anew() -> None:
    endpoint = Endpoint(TurnDetection(silence_duration_ms=320))
    assert feed(endpoint, "." * 9 + "#" + "." * 9) == [False] * 19
    assert feed(endpoint, ".") == [True]


def test_the_judge_is_asked_at_each_candidate_about_the_same_pause() -> None:
    endpoint = Endpoint(TurnDetection(kind="semantic_vad", eagerness="low"))
    answers = feed(endpoint, "#" + "." * 100)
    asked = [ms(place) for place, answer in enumerate(answers) if isinstance(answer, Ask)]
    assert len(asked) == len(CANDIDATES_MS)
    assert all(0 <= at - due < 32 for at, due in zip(asked, CANDIDATES_MS, strict=True))
    assert {answer.at for answer in answers if isinstance(answer, Ask)} == {WINDOW}


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_patience_ends_a_turn_whatever_the_judge_says(eagerness: str) -> None:
    endpoint = Endpoint(TurnDetection(kind="semantic_vad", eagerness=eagerness))  # type: ignore[arg-type]  # a Literal
    answers = feed(endpoint, "#" + "." * 200)
    assert 0 <= ms(answers.index(True)) - PATIENCE_MS[eagerness] < 32


@pytest.mark.parametrize(("probability", "over"), [(0.49, False), (0.5, True)])
def test_the_turn_is_over_when_the_judge_says_complete(probability: float, over: bool) -> None:
    endpoint = Endpoint(SEMANTIC)
    (ask,) = [answer for answer in feed(endpoint, "#......") if isinstance(answer, Ask)]
    assert endpoint.answer(ask.at, probability) is over


def test_an_answer_about_an_earlier_pause_does_not_count() -> None:
    endpoint = Endpoint(SEMANTIC)
    (ask,) = [answer for answer in feed(endpoint, "#......") if isinstance(answer, Ask)]
    feed(endpoint, "#", 7 * WINDOW)
    assert not endpoint.answer(ask.at, 1.0)
    feed(endpoint, ".", 8 * WINDOW)
    assert not endpoint.answer(ask.at, 1.0)
