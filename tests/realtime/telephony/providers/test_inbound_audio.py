"""InboundAudio: a media stream without gaps, by its time stamps."""

from collections.abc import Sequence

import numpy as np
import pytest

from vivavoce.codecs import g711
from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.telephony.providers.media_stream import InboundAudio


def sine(hz: float, seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def packets(samples: Samples) -> list[bytes]:
    """Packets of 20 ms of mu-law, of audio at 8 kHz."""
    coded = g711.encode(samples, "mu")
    return [coded[i : i + 160] for i in range(0, len(coded), 160)]


def received(inbound: InboundAudio, sent: Sequence[tuple[bytes, int | None]]) -> Samples:
    return np.concatenate([samples for payload, at in sent for samples in inbound.receive(payload, at)])


def mulaw() -> InboundAudio:
    return InboundAudio(codecs.decoder("pcmu", 8000), 1)


def test_audio_is_complete_at_once() -> None:
    inbound = mulaw()
    for n, packet in enumerate(packets(sine(300, 1.0, 8000))):
        assert sum(map(len, inbound.receive(packet, 20 * n))) == FRAME
    assert inbound.lost == 0


@pytest.mark.parametrize("offset", [0, 7, 1_000_000])
def test_a_jump_of_the_time_stamps_is_a_loss_and_is_concealed(offset: int) -> None:
    sent = [(packet, offset + 20 * n) for n, packet in enumerate(packets(sine(300, 1.0, 8000)))]
    inbound = mulaw()
    samples = received(inbound, [one for n, one in enumerate(sent) if n not in (10, 20, 21)])
    assert len(samples) == SAMPLE_RATE, "the clock of the caller goes on"
    assert inbound.lost == 3 * FRAME
    for n in (10, 20, 21):
        assert np.abs(samples[n * FRAME : (n + 1) * FRAME]).max() > 0.1, "concealed, not silent"


def test_jitter_of_the_time_stamps_loses_nothing() -> None:
    sent = [(packet, 20 * n + (n * 7) % 9) for n, packet in enumerate(packets(sine(300, 1.0, 8000)))]
    inbound = mulaw()
    assert len(received(inbound, sent)) == SAMPLE_RATE
    assert inbound.lost == 0


def test_audio_without_time_stamps_is_taken_as_it_comes() -> None:
    assert len(received(mulaw(), [(packet, None) for packet in packets(sine(300, 1.0, 8000))])) == SAMPLE_RATE


def test_a_new_count_of_the_time_stamps_is_not_an_hour_of_silence() -> None:
    sent = [
        (packet, at)
        for packet, at in zip(packets(sine(300, 0.1, 8000)), [0, 20, 3_600_000, 3_600_020, 40], strict=True)
    ]
    assert len(received(mulaw(), sent)) == SAMPLE_RATE // 10


def test_packets_out_of_order_do_not_disturb_the_clock() -> None:
    sent = [(packet, 20 * n) for n, packet in enumerate(packets(sine(300, 1.0, 8000)))]
    for n in range(5, 40, 7):
        sent[n], sent[n + 1] = sent[n + 1], sent[n]
    inbound = mulaw()
    assert abs(len(received(inbound, sent)) - SAMPLE_RATE) <= FRAME
    assert inbound.lost <= 5 * FRAME


def test_empty_packets_are_ignored() -> None:
    assert mulaw().receive(b"", 0) == []
