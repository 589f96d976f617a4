"""realtime/audio/self_echo.py, on made-up voices."""

import numpy as np
import pytest

from harness.vowels import db, voice
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.self_echo import FRAME, SelfEcho

DELAY = SAMPLE_RATE // 10


def late(sound: Samples, by: int, level_db: float = -20) -> Samples:
    """The echo of `sound`."""
    return np.concatenate((np.zeros(by, np.float32), sound[: len(sound) - by])) * np.float32(10 ** (level_db / 20))


def silenced(played: Samples, heard: Samples, own: SelfEcho | None = None) -> Samples:
    """The microphone as it goes on."""
    own = own or SelfEcho()
    n = len(played) // FRAME * FRAME
    pairs = zip(played[:n].reshape(-1, 2 * FRAME), heard[:n].reshape(-1, 2 * FRAME), strict=True)
    return np.concatenate([own.silence(p, h, h) for p, h in pairs])


@pytest.mark.parametrize("delay_ms", [0, 37, 300, 580])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_echo_is_all_but_gone_after_half_a_second(delay_ms: int, seed: int) -> None:
    played = voice(3, seed)
    delay = delay_ms * SAMPLE_RATE // 1000
    echo = late(played, delay)
    rest = silenced(played, echo)
    begun = delay + SAMPLE_RATE // 2
    assert db(rest[begun:]) < db(echo[begun:]) - 15


@pytest.mark.parametrize("seed", range(6))
def test_somebody_else_is_never_touched(seed: int) -> None:
    user = voice(4, 100 + seed)
    assert np.array_equal(silenced(voice(4, seed), user), user)
    assert np.array_equal(silenced(np.zeros_like(user), user), user)


def test_whoever_speaks_louder_than_the_echo_is_heard() -> None:
    played, user = voice(4, 1), voice(4, 2, level_db=-30)
    user[: 2 * SAMPLE_RATE] = 0  # they speak when the echo's delay has long been known
    both = late(played, DELAY) + user
    rest = silenced(played, both)
    assert db(rest[2 * SAMPLE_RATE :]) > db(user[2 * SAMPLE_RATE :]) - 1


def test_an_echo_whose_delay_wanders_is_followed() -> None:
    played = voice(6, 4)
    echo = np.concatenate([late(played, DELAY + n * 60)[n * 14_400 : (n + 1) * 14_400] for n in range(10)])  # 2.5 ms
    rest = silenced(played, echo)
    assert db(rest[SAMPLE_RATE // 2 :]) < db(echo[SAMPLE_RATE // 2 :]) - 12


def test_an_echo_that_comes_from_elsewhere_is_found_again() -> None:
    played = voice(6, 5)
    echo = np.concatenate((late(played, DELAY)[: 3 * SAMPLE_RATE], late(played, 4 * DELAY)[3 * SAMPLE_RATE :]))
    rest = silenced(played, echo)
    assert db(rest[4 * SAMPLE_RATE :]) < db(echo[4 * SAMPLE_RATE :]) - 15


def test_what_is_inaudible_is_not_looked_at() -> None:
    played = voice(2, 6)
    own = SelfEcho()
    silenced(played, late(played, DELAY, level_db=-60), own)
    assert own.delay is None
