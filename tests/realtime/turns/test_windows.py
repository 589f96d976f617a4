"""realtime/turns/windows.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.events import TurnDetection, TurnSound
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import END_OF_TURN, NET_RATE, MicrophoneWindows


def quiet(window: Samples) -> float:
    assert window.shape == (512,)
    return 0.0


def loud(window: Samples) -> float:
    return 0.9 if np.abs(window).mean() > 0.1 else 0.0


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_any_chunking_gives_the_same_sound_without_gaps(sizes: list[int]) -> None:
    stream = np.sin(np.arange(sum(sizes), dtype=np.float32))
    windows = MicrophoneWindows(quiet, Floor(None))
    given: list[Samples] = []
    at = 0
    for size in sizes:
        facts = windows.receive(stream[at : at + size], audible=False, busy=False)
        given += [fact.samples for fact in facts if isinstance(fact, TurnSound)]
        at += size
    given += [fact.samples for fact in windows.flush()]
    assert np.array_equal(np.concatenate([np.zeros(0, np.float32), *given]), stream)
    assert windows.floor.position == len(stream)
    assert windows.flush() == []


def test_the_end_of_turn_classifier_gets_the_turn_and_nothing_from_before_it() -> None:
    windows = MicrophoneWindows(loud, Floor(TurnDetection(kind="semantic_vad", prefix_padding_ms=320)))
    before = np.full(4 * SAMPLE_RATE, 0.05, np.float32)
    windows.receive(before, audible=False, busy=False)
    windows.receive(np.full(SAMPLE_RATE, 0.5, np.float32), audible=False, busy=False)
    turn = windows.recent()
    assert len(turn) / NET_RATE == pytest.approx(1.32, abs=0.04)
    assert np.abs(turn[-NET_RATE // 2 :]).mean() == pytest.approx(0.5, abs=0.01)


def test_the_end_of_turn_classifier_gets_at_most_eight_seconds() -> None:
    windows = MicrophoneWindows(loud, Floor(TurnDetection(kind="semantic_vad")))
    windows.receive(np.full(20 * SAMPLE_RATE, 0.5, np.float32), audible=False, busy=False)
    assert len(windows.recent()) == END_OF_TURN


def test_without_sound_there_is_nothing_to_classify() -> None:
    assert len(MicrophoneWindows(quiet, Floor(None)).recent()) == 0
