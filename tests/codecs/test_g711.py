"""G.711 against the recommendation's own numbers, and against itself."""

from __future__ import annotations

from typing import get_args

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vivavoce.codecs.g711 import Law, decode, encode

LAWS: tuple[Law, ...] = get_args(Law)
BYTES = bytes(range(256))


@pytest.mark.parametrize(
    ("law", "byte", "level"),
    [
        ("mu", 0xFF, 0),
        ("mu", 0x7F, 0),
        ("mu", 0x80, 32124),
        ("mu", 0x00, -32124),
        ("mu", 0xFE, 8),
        ("a", 0xD5, 8),
        ("a", 0x55, -8),
        ("a", 0xAA, 32256),
        ("a", 0x2A, -32256),
    ],
)
def test_levels_are_those_of_the_recommendation(law: Law, byte: int, level: int) -> None:
    assert decode(bytes([byte]), law)[0] * 32768 == level


@pytest.mark.parametrize(("law", "name"), [("mu", "pcm_mulaw"), ("a", "pcm_alaw")])
def test_every_byte_sounds_as_in_another_decoder(law: Law, name: str) -> None:
    context = av.CodecContext.create(name, "r")
    context.sample_rate = 8000  # type: ignore[attr-defined]
    context.layout = "mono"  # type: ignore[attr-defined]
    (frame,) = context.decode(av.Packet(BYTES))  # type: ignore[attr-defined]
    assert (decode(BYTES, law) * 32768 == frame.to_ndarray()[0]).all()


@pytest.mark.parametrize("law", LAWS)
def test_every_level_is_encoded_as_itself(law: Law) -> None:
    again = encode(decode(BYTES, law), law)
    assert (decode(again, law) == decode(BYTES, law)).all()
    changed = [byte for byte in range(256) if again[byte] != byte]
    assert changed == ([0x7F] if law == "mu" else []), "only mu-law has two zeros"


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_becomes_the_nearest_level(law: Law) -> None:
    samples = np.arange(-32768, 32768, dtype=np.float32) / np.float32(32768)
    levels = np.unique(decode(BYTES, law))
    nearest = np.abs(samples[::7, None] - levels[None, :]).min(axis=1)
    assert (np.abs(decode(encode(samples[::7], law), law) - samples[::7]) == nearest).all()


@pytest.mark.parametrize("law", LAWS)
def test_loud_sound_is_clipped(law: Law) -> None:
    loud = np.array([-9.0, -1.0, 1.0, 9.0], np.float32)
    heard = decode(encode(loud, law), law)
    assert heard[0] == heard[1] == -heard[2] == -heard[3] == decode(BYTES, law).min()


@pytest.mark.parametrize("law", LAWS)
def test_speech_survives(law: Law) -> None:
    t = np.arange(8000) / 8000
    tone: NDArray[np.float32] = np.asarray(0.3 * np.sin(2 * np.pi * 440 * t), np.float32)
    noise = decode(encode(tone, law), law) - tone
    assert 10 * np.log10((tone**2).mean() / (noise**2).mean()) > 35
