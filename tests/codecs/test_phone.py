"""Codecs of media streams: no clipped words, no aliases."""

import numpy as np
import pytest

from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.phone import Encoding

CODECS: list[tuple[Encoding, int]] = [
    ("pcmu", 8000),
    ("pcma", 8000),
    ("g722", 16000),
    ("l16", 8000),
    ("l16", 16000),
    ("l16", 24000),
]


def sine(hz: float, seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def level(samples: Samples, hz: float) -> float:
    """Amplitude of one frequency."""
    at = np.arange(len(samples)) / SAMPLE_RATE
    return float(2 * abs(np.dot(samples, np.exp(-2j * np.pi * hz * at))) / len(samples))


@pytest.mark.parametrize(("encoding", "rate"), CODECS)
def test_there_and_back_sound_keeps_its_length_and_its_pitch(encoding: Encoding, rate: int) -> None:
    encoder, decoder = codecs.encoder(encoding, rate), codecs.decoder(encoding, rate)
    pieces = [encoder.encode(frame) for frame in sine(1000, 1.0).reshape(-1, FRAME)]
    assert {len(piece) for piece in pieces} == {codecs.width(encoding) * decoder.clock_hz // 50}
    heard = [decoder.decode(piece) for piece in pieces]
    assert {len(one) for one in heard} == {FRAME}, "to the sample, from the first frame on"
    assert level(np.concatenate(heard)[SAMPLE_RATE // 2 :], 1000) == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize(("encoding", "rate"), [one for one in CODECS if one[1] == 8000])
def test_what_a_telephone_cannot_carry_does_not_come_back_as_something_else(encoding: Encoding, rate: int) -> None:
    encoder, decoder = codecs.encoder(encoding, rate), codecs.decoder(encoding, rate)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in sine(5000, 1.0).reshape(-1, FRAME)])
    assert np.abs(heard[SAMPLE_RATE // 4 :]).max() < 0.01, "5 kHz would alias to 3 kHz"


def test_linear_sound_that_is_none_is_refused() -> None:
    with pytest.raises(BadPacket):
        codecs.decoder("l16", 8000).decode(b"\x00")
