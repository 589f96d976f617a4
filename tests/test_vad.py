"""realtime/turns/vad.py."""

import pytest

from vivavoce.realtime.turns.vad import Vad


def test_speech_begins_at_the_threshold_and_ends_below_the_hysteresis() -> None:
    vad = Vad(0.5)
    assert [vad.receive(p) for p in (0.49, 0.5, 0.36, 0.35, 0.34, 0.49)] == [False, True, True, True, False, False]


@pytest.mark.parametrize("probabilities", [[0.9] * 3, [0.1] * 3, [0.1, 0.9, 0.9, 0.9]])
def test_run_counts_windows_since_the_last_change(probabilities: list[float]) -> None:
    vad = Vad(0.5)
    for probability in probabilities:
        vad.receive(probability)
    assert vad.run == 3
