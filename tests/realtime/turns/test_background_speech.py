"""realtime/turns/background_speech.py: voices behind the user's."""

from itertools import pairwise
from random import Random

from vivavoce.realtime.turns.background_speech import BackgroundSpeech
from vivavoce.realtime.turns.vad import Vad

SECOND = 31  # windows


def crowd_of(vad: Vad, seconds: float, draw: Random) -> list[bool]:
    """People at -38 dBFS, louder and softer by some dB, heard as voice."""
    return [vad.receive(0.9, -38 + draw.gauss(0, 2.5)) for _ in range(round(seconds * SECOND))]


def words(vad: Vad, seconds: float, draw: Random, level: float = -21.0) -> list[bool]:
    """Syllables of four windows, the last one soft."""
    return [
        vad.receive(0.9, (level if place % 4 else level - 12) + draw.gauss(0, 2))
        for place in range(round(seconds * SECOND))
    ]


def test_a_turn_begins_and_ends_among_people_who_go_on_talking() -> None:
    vad, draw = Vad(0.5), Random(1)
    assert sum(crowd_of(vad, 6, draw)[2 * SECOND :]) < 6
    assert all(words(vad, 3, draw)[1:])
    after = crowd_of(vad, 6, draw)
    assert not any(after[6:40]), "0.2 s later it is over"
    assert sum(after) < 16


def test_people_alone_hardly_ever_sound_like_a_user() -> None:
    """Their level swings within a second by 6 dB to both sides of its middle, as babble of twenty does."""
    vad, draw, swing = Vad(0.5), Random(6), 0.0
    heard = []
    for _ in range(120 * SECOND):
        swing += 0.12 * (draw.gauss(0, 5.5) - swing)
        heard.append(vad.receive(0.9, -38 + 2 * swing + draw.gauss(0, 1.5)))
    begun = sum(a and not b for a, b in pairwise(heard[3 * SECOND :][::-1]))
    assert begun < 8


def test_a_crowd_that_grows_louder_is_still_one() -> None:
    vad, draw = Vad(0.5), Random(7)
    crowd_of(vad, 6, draw)
    louder = [vad.receive(0.9, -26 + draw.gauss(0, 2.5)) for _ in range(20 * SECOND)]
    assert sum(louder[10 * SECOND :]) < 6


def test_what_the_echo_canceller_leaves_of_a_crowd_is_not_taken_for_it() -> None:
    vad, draw = Vad(0.5), Random(8)
    crowd_of(vad, 6, draw)
    heard = []
    for place in range(10 * SECOND):  # the assistant speaks: every other half a second is all but silenced
        level = -80 if place // 16 % 2 else -38 + draw.gauss(0, 2.5)
        heard.append(vad.receive(0.9, level, audible=True))
    assert sum(heard) < 6
    assert sum(crowd_of(vad, 6, draw)) < 6
    assert all(words(vad, 2, draw)[2:])


def test_who_speaks_over_the_assistant_among_people_is_heard() -> None:
    vad, draw = Vad(0.5), Random(9)
    crowd_of(vad, 6, draw)
    assert all(vad.receive(0.9, -22 + draw.gauss(0, 2), audible=True) for _ in range(SECOND))


def test_a_microphone_that_is_silent_between_words_has_no_crowd() -> None:
    """A noise gate: nothing at all, and then speech without a break."""
    vad, draw = Vad(0.5), Random(10)
    for _ in range(3):
        for _ in range(SECOND):
            vad.receive(0.01, -100.0)
        assert all(words(vad, 3, draw)[1:])


def test_where_it_is_quiet_or_the_noise_is_no_voice_every_word_counts() -> None:
    for background in (-65.0, -37.0):
        vad, draw = Vad(0.5), Random(2)
        for _ in range(3 * SECOND):
            assert not vad.receive(0.05, background + draw.gauss(0, 1))
        assert all(words(vad, 3, draw, level=-30.0))


def test_who_speaks_from_the_first_moment_on_is_no_crowd() -> None:
    vad, draw = Vad(0.5), Random(3)
    for _ in range(5):
        assert all(words(vad, 0.8, draw)[1:])
        for _ in range(6):  # a short breath
            vad.receive(0.1, -60 + draw.gauss(0, 2))


def test_it_is_forgotten_that_there_were_people_when_they_are_gone() -> None:
    vad, draw = Vad(0.5), Random(4)
    crowd_of(vad, 6, draw)
    for _ in range(8 * SECOND):
        vad.receive(0.02, -62 + draw.gauss(0, 1))
    assert all(words(vad, 2, draw, level=-45.0)[1:])


def test_a_voice_that_never_changes_becomes_background() -> None:
    crowd = BackgroundSpeech()
    hidden = [crowd.hides(True, -20.0) for _ in range(10 * SECOND)]
    assert not any(hidden[:10])
    assert hidden[-1]
