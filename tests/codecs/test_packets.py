"""codecs/packets.py: every packet codec keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vivavoce.codecs import opus, phone
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket, CodecError
from vivavoce.codecs.packets import Concealment, Decoder, Encoder

CODECS: dict[str, tuple[Callable[[], Encoder], Callable[[], Decoder]]] = {
    "opus": (opus.Encoder, opus.Decoder),
    "pcmu": (lambda: phone.encoder("pcmu", 8000), lambda: phone.decoder("pcmu", 8000)),
    "pcma": (lambda: phone.encoder("pcma", 8000), lambda: phone.decoder("pcma", 8000)),
    "g722": (lambda: phone.encoder("g722", 16000), lambda: phone.decoder("g722", 16000)),
    "l16": (lambda: phone.encoder("l16", 16000), lambda: phone.decoder("l16", 16000)),
}
TONE: Samples = np.asarray(0.3 * np.sin(2 * np.pi * 300 * np.arange(10 * FRAME) / SAMPLE_RATE), np.float32)


@pytest.mark.parametrize("name", CODECS)
def test_a_packet_gives_its_frame_and_a_gap_what_was_asked_for(name: str) -> None:
    encoder, decoder = CODECS[name][0](), CODECS[name][1]()
    for frame in TONE.reshape(-1, FRAME):
        payload = encoder.encode(frame)
        sound = decoder.decode(payload)
        assert (sound.shape, sound.dtype) == ((FRAME,), np.float32)
    assert decoder.clock_hz > 0
    for n in (FRAME, 3 * FRAME):
        assert decoder.conceal(n).shape == (n,)
    recovered = decoder.recover(payload, FRAME)
    assert recovered is None or recovered.shape == (FRAME,)


@pytest.mark.parametrize("name", CODECS)
def test_a_packet_that_is_none_is_a_bad_packet_and_the_stream_goes_on(name: str) -> None:
    encoder, decoder = CODECS[name][0](), CODECS[name][1]()
    with pytest.raises(BadPacket) as raised:
        decoder.decode(b"\xff" * 100_001)
    assert isinstance(raised.value, CodecError)
    assert len(decoder.decode(encoder.encode(TONE[:FRAME]))) == FRAME


@pytest.mark.parametrize("name", CODECS)
def test_decoded_sound_belongs_to_the_caller(name: str) -> None:
    encoder, decoder, untouched = CODECS[name][0](), CODECS[name][1](), CODECS[name][1]()
    payloads = [encoder.encode(frame) for frame in TONE.reshape(-1, FRAME)]
    for payload in payloads:
        untouched.decode(payload)
        decoder.decode(payload)[:] = 9
    np.testing.assert_array_equal(decoder.conceal(FRAME), untouched.conceal(FRAME))


def test_concealment_mirrors_the_last_packet() -> None:
    concealment = Concealment()
    assert not concealment.fill(5).any()
    concealment.remember(np.array([1, 2, 3], np.float32))
    concealment.remember(np.zeros(0, np.float32))
    assert [*concealment.fill(4), *concealment.fill(4)] == [3, 2, 1, 1, 2, 3, 3, 2]
