"""realtime/audio/headset.py."""

import numpy as np

from vivavoce.codecs.audio import Samples
from vivavoce.realtime.audio.headset import DOUBT, FRAME, GOES_ON, LONGEST, MOSTLY, SURE, VOICE, Headset

SPEECH, NOTHING = 0.05, 0.0001


def sound(level: float, frames: int) -> Samples:
    return np.full(frames * FRAME, level, np.float32)


def hear(headset: Headset, played: float, heard: float, frames: int) -> None:
    headset.receive(sound(played, frames), sound(heard, frames))


def test_at_first_an_echo_is_expected() -> None:
    assert not Headset().on


def test_quiet_while_the_assistant_speaks_means_that_there_is_no_echo() -> None:
    headset = Headset()
    hear(headset, SPEECH, NOTHING, MOSTLY + SURE - 2)
    assert not headset.on
    hear(headset, SPEECH, NOTHING, 1)
    assert headset.on


def test_quiet_in_quiet_means_nothing() -> None:
    headset = Headset()
    hear(headset, NOTHING, NOTHING, 1000)
    assert not headset.on


def test_an_echo_is_no_headset_though_it_comes_late() -> None:
    headset = Headset()
    hear(headset, SPEECH, NOTHING, LONGEST)
    for _ in range(20):
        hear(headset, SPEECH, SPEECH / 20, 1)  # faint: a peak in every syllable
        hear(headset, SPEECH, NOTHING, SURE - 1)
        assert not headset.on


def test_a_user_who_speaks_is_believed_for_a_while_and_an_echo_found_out() -> None:
    headset = Headset()
    hear(headset, SPEECH, NOTHING, 1000)
    hear(headset, SPEECH, SPEECH, DOUBT)
    assert headset.on
    hear(headset, SPEECH, SPEECH, 1)
    assert not headset.on


def test_with_a_headset_what_is_loud_is_the_user_and_what_is_faint_may_be_an_echo() -> None:
    headset = Headset()
    hear(headset, SPEECH, SPEECH, 1)
    assert not headset.user
    hear(headset, SPEECH, NOTHING, 1000)
    assert not headset.user
    hear(headset, SPEECH, VOICE / 1.1, 1)
    assert not headset.user
    hear(headset, SPEECH, SPEECH, 1)
    assert headset.user
    hear(headset, SPEECH, NOTHING, GOES_ON - 1)
    assert headset.user
    hear(headset, SPEECH, NOTHING, 1)
    assert not headset.user


def test_any_chunking_comes_to_the_same() -> None:
    headset, other = Headset(), Headset()
    hear(headset, SPEECH, NOTHING, 100)
    for _ in range(100):
        hear(other, SPEECH, NOTHING, 1)
    hear(other, SPEECH, NOTHING, 0)
    assert headset.on == other.on
