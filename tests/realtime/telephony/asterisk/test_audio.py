"""Audio of Asterisk's wires: conversion of formats, and silence in gaps."""

from __future__ import annotations

import numpy as np
import pytest

from harness.tones import pitch
from vivavoce.codecs import g711
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.telephony.asterisk.audio import MAX_DELAY, AsteriskCodec, SilenceFiller


def tone(hz: float, seconds: float) -> Samples:
    return (0.25 * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000])
def test_audio_survives_the_wire_and_each_frame_is_20_ms(rate: int) -> None:
    codec, samples = AsteriskCodec(rate), tone(440, 1.0)
    wire = [codec.encode(samples[at : at + FRAME]) for at in range(0, len(samples), FRAME)]
    assert {len(one) for one in wire} == {rate // 50 * 2}
    back = np.concatenate([codec.decode(one) for one in wire])
    late = int(np.argmax(np.correlate(back, samples[4800:9600], "valid"))) - 4800
    assert late < 0.005 * SAMPLE_RATE
    assert np.abs(back[4800 + late : 9600 + late] - samples[4800:9600]).max() < 0.01


def test_audio_survives_g711() -> None:
    codec = AsteriskCodec(8_000, "a")
    samples = tone(440, 0.5)
    wire = b"".join(codec.encode(samples[at : at + FRAME]) for at in range(0, len(samples), FRAME))
    assert len(wire) == 4000
    assert pitch(g711.decode(wire, "a"), 8_000) == pytest.approx(440, abs=5)
    assert pitch(codec.decode(wire)) == pytest.approx(440, abs=5)


def test_audio_that_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    codec = AsteriskCodec(24_000)
    pcm = np.frombuffer(codec.encode(np.full(FRAME, 1.5, np.float32)), "<i2")
    assert set(pcm) == {32767}


# --- SilenceFiller -------------------------------------------------------------------------------------------------


def test_audio_in_time_has_no_gaps() -> None:
    filler = SilenceFiller(0.0)
    for number in range(1, 500):
        now = number * 0.02 + (number % 3) * 0.02
        filler.received(FRAME, now)
        assert filler.missing(now) == 0
        assert filler.deadline > now


def test_silence_fills_gaps() -> None:
    filler = SilenceFiller(0.0)
    filler.received(FRAME, 0.02)
    assert filler.deadline == pytest.approx(0.02 + MAX_DELAY)
    assert filler.missing(0.02 + MAX_DELAY) == pytest.approx(MAX_DELAY * SAMPLE_RATE, abs=1)
    assert filler.missing(0.15) == 0
    assert filler.missing(1.12) == pytest.approx(SAMPLE_RATE, abs=1)


def test_a_burst_after_a_stall_does_not_count_ahead() -> None:
    filler = SilenceFiller(0.0)
    filler.missing(0.5)
    for _ in range(25):
        filler.received(FRAME, 0.51)
    assert filler.missing(0.51 + MAX_DELAY + 0.001) == pytest.approx((MAX_DELAY + 0.001) * SAMPLE_RATE, abs=1)
