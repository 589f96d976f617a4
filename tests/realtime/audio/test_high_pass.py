"""realtime/audio/high_pass.py: constants and rumble go, voices stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.vowels import db, voice
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.audio.high_pass import HighPass


def tone(hz: float, seconds: float = 1.0) -> Samples:
    return (0.25 * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("offset", [-0.3, -0.06, 0.01, 0.03, 0.09, 0.2, 0.3])
def test_speech_on_a_constant_comes_out_as_speech_alone(offset: float) -> None:
    spoken = voice(2, seed=1)
    assert np.allclose(HighPass().receive(spoken + np.float32(offset)), HighPass().receive(spoken), atol=1e-5)


def test_an_offset_that_begins_in_the_call_is_gone_before_it_could_be_speech() -> None:
    sound = np.zeros(SAMPLE_RATE, np.float32)
    sound[SAMPLE_RATE // 2 :] = 0.3
    out = HighPass().receive(sound)
    begins = SAMPLE_RATE // 2
    assert np.abs(out[begins + SAMPLE_RATE * 35 // 1000 :]).max() < 0.01


@pytest.mark.parametrize(
    ("hz", "least", "most"), [(5, -80, -28), (30, -7, -5), (100, -1, 0), (300, -0.2, 0.1), (3000, -0.1, 0.1)]
)
def test_it_takes_out_what_is_below_speech(hz: float, least: float, most: float) -> None:
    settled = HighPass().receive(tone(hz))[SAMPLE_RATE // 2 :]
    assert least <= db(settled) - db(tone(hz)[SAMPLE_RATE // 2 :]) <= most


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12))
def test_any_chunking_gives_the_same_sound(sizes: list[int]) -> None:
    sound = voice(1, seed=3) + np.float32(0.1)
    whole, filtered = HighPass().receive(sound), HighPass()
    pieces, at = [], 0
    for size in [*sizes, len(sound)]:
        pieces.append(filtered.receive(sound[at : at + size]))
        at += size
    assert np.array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("cancel", [False, True])
def test_it_stands_before_everything_that_listens(cancel: bool) -> None:
    front_end = FrontEnd(cancel=cancel)
    out = np.concatenate([front_end.receive(np.full(480, 0.2, np.float32)) for _ in range(50)])
    assert np.abs(out[-4800:]).max() < 1e-3
