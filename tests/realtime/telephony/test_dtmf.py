"""DTMF as tones in the audio."""

import numpy as np
import pytest

from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.telephony.dtmf import PAUSE, TONE, DtmfTones, tone


def sine(hz: float, seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def level(samples: Samples, hz: float) -> float:
    """Amplitude of one frequency."""
    at = np.arange(len(samples)) / SAMPLE_RATE
    return float(2 * abs(np.dot(samples, np.exp(-2j * np.pi * hz * at))) / len(samples))


@pytest.mark.parametrize(
    ("key", "low", "high"), [("1", 697, 1209), ("5", 770, 1336), ("#", 941, 1477), ("D", 941, 1633)]
)
def test_a_key_is_its_two_tones(key: str, low: int, high: int) -> None:
    samples = tone(key)
    assert len(samples) == TONE + PAUSE
    assert (
        level(samples[:TONE], low)
        == pytest.approx(level(samples[:TONE], high), rel=0.05)
        == pytest.approx(0.25, rel=0.05)
    )
    assert not samples[TONE:].any()


def test_dtmf_survives_g711_and_replaces_speech() -> None:
    tones, encoder, decoder = DtmfTones(), codecs.encoder("pcmu", 8000), codecs.decoder("pcmu", 8000)
    length = tones.add("9")
    speech = sine(440, 1.0).reshape(-1, FRAME)
    samples = np.concatenate([decoder.decode(encoder.encode(tones.mix(frame))) for frame in speech])
    during = samples[:TONE]
    assert min(level(during, 852), level(during, 1477)) > 10 * level(during, 440), "no speech during the tone"
    assert level(samples[length + FRAME :], 440) > 0.3, "and then speech goes on"
