"""Sound of media streams: no gaps, no clipped words, no aliases; keys as tones."""

from collections.abc import Sequence

import numpy as np
import pytest

from vivavoce.codecs import g711 as companding
from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket
from vivavoce.codecs.phone import Encoding
from vivavoce.realtime.telephony.dtmf import PAUSE, TONE, Tones, tone
from vivavoce.realtime.telephony.providers.line import Inbound

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


def pieces(samples: Samples) -> list[bytes]:
    """Frames of 20 ms of mu-law, of sound at 8 kHz."""
    coded = companding.encode(samples, "mu")
    return [coded[i : i + 160] for i in range(0, len(coded), 160)]


def heard(inbound: Inbound, said: Sequence[tuple[bytes, int | None]]) -> Samples:
    return np.concatenate([samples for payload, at in said for samples in inbound.receive(payload, at)])


def mulaw() -> Inbound:
    return Inbound(codecs.decoder("pcmu", 8000), 1)


def test_sound_is_heard_at_once() -> None:
    inbound = mulaw()
    for n, piece in enumerate(pieces(sine(300, 1.0, 8000))):
        assert sum(map(len, inbound.receive(piece, 20 * n))) == FRAME
    assert inbound.lost == 0


@pytest.mark.parametrize("offset", [0, 7, 1_000_000])
def test_a_jump_of_the_time_is_a_loss_and_is_concealed(offset: int) -> None:
    said = [(piece, offset + 20 * n) for n, piece in enumerate(pieces(sine(300, 1.0, 8000)))]
    inbound = mulaw()
    sound = heard(inbound, [one for n, one in enumerate(said) if n not in (10, 20, 21)])
    assert len(sound) == SAMPLE_RATE, "the clock of the caller goes on"
    assert inbound.lost == 3 * FRAME
    for n in (10, 20, 21):
        assert np.abs(sound[n * FRAME : (n + 1) * FRAME]).max() > 0.1, "no hole to be heard"


def test_times_that_wobble_lose_nothing() -> None:
    said = [(piece, 20 * n + (n * 7) % 9) for n, piece in enumerate(pieces(sine(300, 1.0, 8000)))]
    inbound = mulaw()
    assert len(heard(inbound, said)) == SAMPLE_RATE
    assert inbound.lost == 0


def test_sound_without_times_is_taken_as_it_comes() -> None:
    assert len(heard(mulaw(), [(piece, None) for piece in pieces(sine(300, 1.0, 8000))])) == SAMPLE_RATE


def test_a_new_count_of_the_time_is_no_hour_of_silence() -> None:
    said = [
        (piece, at) for piece, at in zip(pieces(sine(300, 0.1, 8000)), [0, 20, 3_600_000, 3_600_020, 40], strict=True)
    ]
    assert len(heard(mulaw(), said)) == SAMPLE_RATE // 10


def test_pieces_in_the_wrong_order_do_not_upset_the_clock() -> None:
    said = [(piece, 20 * n) for n, piece in enumerate(pieces(sine(300, 1.0, 8000)))]
    for n in range(5, 40, 7):
        said[n], said[n + 1] = said[n + 1], said[n]
    inbound = mulaw()
    assert abs(len(heard(inbound, said)) - SAMPLE_RATE) <= FRAME
    assert inbound.lost <= 5 * FRAME


def test_empty_pieces_are_nothing() -> None:
    assert mulaw().receive(b"", 0) == []


@pytest.mark.parametrize(
    ("key", "low", "high"), [("1", 697, 1209), ("5", 770, 1336), ("#", 941, 1477), ("D", 941, 1633)]
)
def test_a_key_is_its_two_tones(key: str, low: int, high: int) -> None:
    sound = tone(key)
    assert len(sound) == TONE + PAUSE
    assert (
        level(sound[:TONE], low) == pytest.approx(level(sound[:TONE], high), rel=0.05) == pytest.approx(0.25, rel=0.05)
    )
    assert not sound[TONE:].any()


def test_keys_survive_the_telephone() -> None:
    tones, encoder, decoder = Tones(), codecs.encoder("pcmu", 8000), codecs.decoder("pcmu", 8000)
    length = tones.press("9")
    speech = sine(440, 1.0).reshape(-1, FRAME)
    sound = np.concatenate([decoder.decode(encoder.encode(tones.mix(frame))) for frame in speech])
    during = sound[:TONE]
    assert min(level(during, 852), level(during, 1477)) > 10 * level(during, 440), "while keys sound nothing else does"
    assert level(sound[length + FRAME :], 440) > 0.3, "and then speech goes on"
