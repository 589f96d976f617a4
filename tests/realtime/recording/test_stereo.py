"""realtime/recording/stereo.py: two sides, one clock."""

from __future__ import annotations

import numpy as np

from vivavoce.realtime.recording.stereo import SLACK, Side, Stereo

FRAME = 480


def pcm(value: int, samples: int = FRAME) -> bytes:
    return np.full(samples, value, "<i2").tobytes()


def pairs(stereo: Stereo) -> np.ndarray:
    return np.frombuffer(stereo.close(), "<i2").reshape(-1, 2)


def test_what_is_heard_and_said_at_the_same_time_stands_side_by_side() -> None:
    stereo, out = Stereo(), b""
    for i in range(1, 101):
        assert stereo.add("left", pcm(i)) == stereo.add("right", pcm(-i)) == (i - 1) * FRAME
        out += stereo.take()
    both = np.frombuffer(out, "<i2").reshape(-1, 2)
    assert len(both) == 100 * FRAME
    assert (both[:, 0] == -both[:, 1]).all()
    assert stereo.close() == b""


def test_stutter_leaves_no_gap() -> None:
    stereo = Stereo()
    for i in range(1, 51):
        stereo.add("right", pcm(i))
        if i % 10 == 0:  # ten packets at once, 0.2 s late
            for _ in range(10):
                stereo.add("left", pcm(7))
    both = pairs(stereo)
    assert (both[:, 0] == 7).all()
    assert (both[:, 1] == np.repeat(np.arange(1, 51), FRAME)).all()


def test_a_microphone_that_was_muted_goes_on_where_the_other_side_is() -> None:
    stereo = Stereo()
    for _ in range(500):
        stereo.add("right", pcm(1))
    assert stereo.add("left", pcm(2)) == 500 * FRAME
    both = pairs(stereo)
    assert not both[: 500 * FRAME, 0].any()
    assert (both[500 * FRAME :, 0] == 2).all()


def test_the_answer_to_a_file_that_came_at_once_stands_behind_it() -> None:
    stereo = Stereo()
    assert stereo.add("left", pcm(2, 240_000)) == 0
    assert stereo.add("right", pcm(1)) == 240_000
    assert len(pairs(stereo)) == 240_000 + FRAME


def test_no_more_waits_than_half_a_second() -> None:
    for side in ("left", "right"):
        stereo, written = Stereo(), 0
        chosen: Side = "left" if side == "left" else "right"
        for i in range(1, 201):
            stereo.add(chosen, pcm(i))
            written += len(stereo.take()) // 4
            assert i * FRAME - written <= SLACK
