"""realtime/turns/vad.py."""

from vivavoce.realtime.turns.vad import Vad


def test_speech_begins_at_the_threshold_and_ends_below_the_hysteresis() -> None:
    vad = Vad(0.5)
    assert [vad.receive(p) for p in (0.49, 0.5, 0.36, 0.35, 0.34, 0.49)] == [False, True, True, True, False, False]


def test_a_window_30_db_below_the_words_before_it_is_silence_whatever_the_network_says() -> None:
    vad = Vad(0.5)
    assert [vad.receive(0.9, level) for level in (-20, -45, -52, -45)] == [True, True, False, True]


def test_soft_words_after_loud_ones_count_once_the_loud_ones_are_forgotten() -> None:
    vad = Vad(0.5)
    vad.receive(0.9, -10)
    voiced = [vad.receive(0.9, -45) for _ in range(20)]
    assert not voiced[0]
    assert voiced[-1]
