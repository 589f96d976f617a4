"""realtime/turns/background_speech.py: speech behind the user's."""

from itertools import pairwise
from random import Random

from vivavoce.realtime.turns.background_speech import BackgroundSpeech
from vivavoce.realtime.turns.vad import Vad

SECOND = 31  # windows


def crowd_of(vad: Vad, seconds: float, draw: Random) -> list[bool]:
    """A crowd at -38 dBFS, louder and softer by some dB, voiced by the VAD."""
    return [vad.receive(0.9, -38 + draw.gauss(0, 2.5)) for _ in range(round(seconds * SECOND))]


def words(vad: Vad, seconds: float, draw: Random, level: float = -21.0) -> list[bool]:
    """Syllables of four windows, the last one soft."""
    return [
        vad.receive(0.9, (level if place % 4 else level - 12) + draw.gauss(0, 2))
        for place in range(round(seconds * SECOND))
    ]


def test_a_turn_begins_and_ends_in_a_crowd_that_goes_on_talking() -> None:
    vad, draw = Vad(0.5), Random(1)
    assert sum(crowd_of(vad, 6, draw)[2 * SECOND :]) < 6
    assert all(words(vad, 3, draw)[1:])
    after = crowd_of(vad, 6, draw)
    assert not any(after[6:40]), "0.2 s later it is over"
    assert sum(after) < 16


def test_a_crowd_alone_is_hardly_ever_taken_for_the_user() -> None:
    """Its level swings within a second by 6 dB to both sides of the median, as babble of twenty does."""
    vad, draw, swing = Vad(0.5), Random(6), 0.0
    voiced = []
    for _ in range(120 * SECOND):
        swing += 0.12 * (draw.gauss(0, 5.5) - swing)
        voiced.append(vad.receive(0.9, -38 + 2 * swing + draw.gauss(0, 1.5)))
    begun = sum(a and not b for a, b in pairwise(voiced[3 * SECOND :][::-1]))
    assert begun < 8


def test_a_crowd_that_grows_louder_stays_background() -> None:
    vad, draw = Vad(0.5), Random(7)
    crowd_of(vad, 6, draw)
    louder = [vad.receive(0.9, -26 + draw.gauss(0, 2.5)) for _ in range(20 * SECOND)]
    assert sum(louder[10 * SECOND :]) < 6


def test_nothing_is_learned_of_a_crowd_while_its_echo_is_cancelled() -> None:
    vad, draw = Vad(0.5), Random(8)
    crowd_of(vad, 6, draw)
    voiced = []
    for place in range(10 * SECOND):  # the assistant speaks: the canceller silences every other half a second
        level = -80 if place // 16 % 2 else -38 + draw.gauss(0, 2.5)
        voiced.append(vad.receive(0.9, level, audible=True))
    assert sum(voiced) < 6
    assert sum(crowd_of(vad, 6, draw)) < 6
    assert all(words(vad, 2, draw)[2:])


def test_speech_over_the_assistant_is_the_users_in_a_crowd_too() -> None:
    vad, draw = Vad(0.5), Random(9)
    crowd_of(vad, 6, draw)
    assert all(vad.receive(0.9, -22 + draw.gauss(0, 2), audible=True) for _ in range(SECOND))


def test_a_noise_gate_between_words_makes_no_background_speech() -> None:
    """Digital silence, and then speech without a break."""
    vad, draw = Vad(0.5), Random(10)
    for _ in range(3):
        for _ in range(SECOND):
            vad.receive(0.01, -100.0)
        assert all(words(vad, 3, draw)[1:])


def test_in_quiet_and_in_unvoiced_noise_every_word_counts() -> None:
    for background in (-65.0, -37.0):
        vad, draw = Vad(0.5), Random(2)
        for _ in range(3 * SECOND):
            assert not vad.receive(0.05, background + draw.gauss(0, 1))
        assert all(words(vad, 3, draw, level=-30.0))


def test_speech_from_the_first_moment_on_is_the_users() -> None:
    vad, draw = Vad(0.5), Random(3)
    for _ in range(5):
        assert all(words(vad, 0.8, draw)[1:])
        for _ in range(6):  # a short breath
            vad.receive(0.1, -60 + draw.gauss(0, 2))


def test_a_crowd_that_has_gone_is_forgotten() -> None:
    vad, draw = Vad(0.5), Random(4)
    crowd_of(vad, 6, draw)
    for _ in range(8 * SECOND):
        vad.receive(0.02, -62 + draw.gauss(0, 1))
    assert all(words(vad, 2, draw, level=-45.0)[1:])


def test_a_voice_that_never_changes_becomes_background() -> None:
    speech = BackgroundSpeech()
    background = [speech.receive(True, -20.0) for _ in range(10 * SECOND)]
    assert not any(background[:10])
    assert background[-1]
