"""realtime/bench/turns/endpointing.py: the measures, and the bars of endpointing on a small set."""

import numpy as np
import pytest

from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import JOE, Synthesizer
from vivavoce.model.training.data.turns import Turn, make_turn
from vivavoce.realtime.bench.turns.endpointing import Outcome, figures, listen, open_parts, report
from vivavoce.realtime.events import TurnDetection

RATE = 24_000


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals need thousands; what is asserted of them here does not."""
    monkeypatch.setattr("vivavoce.realtime.bench.turns.endpointing.RESAMPLES", 200)


def outcome(ended: int | None, kind: str = "questions") -> Outcome:
    turn = Turn(np.zeros(0, np.float32), "What time is it?", JOE, kind, "clean", (), RATE, 2 * RATE)
    return Outcome(turn, True, ended, "")


def test_a_turn_that_ends_before_the_speech_is_premature_and_has_no_delay() -> None:
    early, late, never = outcome(2 * RATE - 1), outcome(2 * RATE + RATE // 4), outcome(None)
    assert (early.premature, late.premature, never.premature) == (True, False, False)
    assert (early.missed, late.missed, never.missed) == (False, False, True)
    assert late.delay == 0.25
    assert np.isnan([early.delay, never.delay]).all()


@pytest.mark.parametrize(
    ("ended", "gap", "audible"), [(0.2, 0.5, False), (0.2, 0.7, True), (0.66, 0.7, False), (0.6, 0.7, True)]
)
def test_a_premature_reply_is_audible_when_it_plays_before_the_user_goes_on(
    ended: float, gap: float, audible: bool
) -> None:
    pause = (RATE, RATE + round(gap * RATE))
    turn = Turn(np.zeros(0, np.float32), "My name is | Bond.", JOE, "hesitation", "clean", (pause,), 0, 3 * RATE)
    assert Outcome(turn, True, RATE + round(ended * RATE), "").audible == audible
    assert not Outcome(turn, True, RATE - 100, "").audible, "a stop within a word is over before any reply can play"
    assert not Outcome(turn, True, 4 * RATE, "").audible


def test_figures_count_premature_turns_and_take_delays_of_the_rest() -> None:
    found = figures([outcome(2 * RATE + delay) for delay in (-10, 2400, 4800, 7200)] + [outcome(None)])
    assert (found.n, found.missed) == (5, 1)
    assert found.premature[0] == 0.2
    assert found.median[0] == pytest.approx(0.2)
    assert found.premature[1] <= 0.2 <= found.premature[2]
    assert figures([outcome(None)]).missed == 1


def test_a_report_tells_complete_sentences_from_turns_with_pauses() -> None:
    lines = list(report([outcome(2 * RATE + 2400), outcome(2 * RATE + 4800, kind="digits")]))
    assert lines[0] == "clean"
    assert [" ".join(line.split()[:2]) for line in lines[1:4]] == ["all turns", "complete sentences", "turns with"]
    assert "100 ms" in lines[2]
    assert "200 ms" in lines[3]


SENTENCES = (
    "What time is it?",
    "Can you help me?",
    "Tell me a joke.",
    "I have lost my credit card.",
    "Where is the station?",
)
PAUSES = (
    "I would like to | order a pizza.",
    "I tried it twice, but | it did not work.",
    "How do I get from | here to the harbour?",
)


@pytest.mark.models
@pytest.mark.slow
def test_complete_sentences_end_soon_and_pauses_are_waited_for(models: Store) -> None:
    parts, studio = open_parts(models), Synthesizer(models)
    semantic = TurnDetection(kind="semantic_vad")
    said = [
        listen(make_turn(studio, text, JOE, "sentences", "clean", seed=4), parts, semantic)
        for text in SENTENCES + PAUSES
    ]
    sentences, pauses = figures(said[: len(SENTENCES)]), said[len(SENTENCES) :]
    assert sentences.missed == 0
    assert sentences.median[0] < 0.35  # 0.24 s
    assert sum(turn.premature for turn in pauses) == 0
