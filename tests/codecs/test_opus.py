"""The codecs of calls: Opus with loss, G.711 against PyAV's."""

from __future__ import annotations

import av
import numpy as np
import pytest

from vivavoce.codecs import g711, opus
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket

FRAME = SAMPLE_RATE // 50


def tone(hz: float, seconds: float, level: float = 0.4) -> Samples:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def frames(samples: Samples) -> list[Samples]:
    return [samples[i : i + FRAME] for i in range(0, len(samples), FRAME)]


def pitch(samples: Samples) -> float:
    """The strongest frequency, in hertz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * SAMPLE_RATE / len(samples))


def test_opus_brings_a_tone_across() -> None:
    encoder, decoder = opus.Encoder(), opus.Decoder()
    packets = [encoder.encode(frame) for frame in frames(tone(440, 1))]
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert len(heard) == SAMPLE_RATE
    assert pitch(heard) == 440
    assert sum(map(len, packets)) * 8 < 40_000


def test_aiortc_understands_our_opus() -> None:
    encoder = opus.Encoder()
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    heard = []
    for frame in frames(tone(440, 1)):
        for out in decoder.decode(av.Packet(encoder.encode(frame))):
            heard.append(out.to_ndarray()[0][::4])  # stereo at 48 kHz
    assert pitch(np.concatenate(heard)[-SAMPLE_RATE // 2 :]) == 440


def chirps(seed: int) -> Samples:
    """Something like voiced speech: harmonics that glide, with pauses of nothing between them."""
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    glide = 2 * np.pi * np.cumsum(140 + 60 * np.sin(2 * np.pi * (1.3 + seed * 0.1) * t)) / SAMPLE_RATE
    voice = sum(np.sin(k * glide) / k for k in range(1, 12))
    return (0.15 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def test_a_lost_packet_recovered_from_the_next_is_closer_than_a_guess() -> None:
    speech = chirps(0)
    encoder = opus.Encoder(opus.OpusSettings(loss=30))
    packets = [encoder.encode(frame) for frame in frames(speech)]
    errors = {"recovered": 0.0, "guessed": 0.0}
    whole = opus.Decoder()
    truth = np.concatenate([whole.decode(packet) for packet in packets])
    for way in errors:
        decoder = opus.Decoder()
        for n, packet in enumerate(packets):
            if n % 5 == 4 and n + 1 < len(packets):
                fill = decoder.recover(packets[n + 1], FRAME) if way == "recovered" else decoder.conceal(FRAME)
                assert fill is not None
                errors[way] += float(np.sum((fill - truth[n * FRAME : (n + 1) * FRAME]) ** 2))
            else:
                decoder.decode(packet)
    assert errors["recovered"] < 0.6 * errors["guessed"]


def test_silence_with_dtx_is_not_sent() -> None:
    encoder = opus.Encoder(opus.OpusSettings(dtx=True))
    sizes = [len(encoder.encode(np.zeros(FRAME, np.float32))) for _ in range(50)]
    assert sum(size <= 2 for size in sizes) > 30


def test_long_silence_is_one_packet_again_and_again_and_speech_after_it_is_whole() -> None:
    encoder, decoder = opus.Encoder(), opus.Decoder()
    sound = np.concatenate([tone(440, 0.2), np.zeros(2 * SAMPLE_RATE, np.float32), tone(440, 0.4)])
    packets = [encoder.encode(frame) for frame in frames(sound)]
    assert len(set(packets[:60])) > 10
    assert len(set(packets[65:110])) == 1
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert np.abs(heard[SAMPLE_RATE // 2 : 2 * SAMPLE_RATE]).max() < 1e-4
    assert pitch(heard[-SAMPLE_RATE // 4 :]) == 440
    assert np.std(heard[-SAMPLE_RATE // 4 :]) == pytest.approx(0.4 / np.sqrt(2), rel=0.05)


def test_silence_in_frames_of_another_length_is_made_for_them() -> None:
    encoder, decoder = opus.Encoder(), opus.Decoder()
    for _ in range(100):
        packet = encoder.encode(np.zeros(FRAME, np.float32))
    assert len(decoder.decode(packet)) == FRAME
    assert len(decoder.decode(encoder.encode(np.zeros(FRAME // 2, np.float32)))) == FRAME // 2


def test_garbage_is_a_bad_packet() -> None:
    decoder = opus.Decoder()
    with pytest.raises(BadPacket):
        decoder.decode(b"\xff\xff\xff")
    assert len(decoder.conceal(FRAME)) == FRAME


def test_opus_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="Opus: invalid argument"):
        opus.Encoder(opus.OpusSettings(loss=200))


@pytest.mark.parametrize(("law", "codec"), [("pcmu", "pcm_mulaw"), ("pcma", "pcm_alaw")])
def test_g711_levels_are_those_of_ffmpeg(law: g711.Encoding, codec: str) -> None:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8000, "mono"  # type: ignore[attr-defined]
    reference = context.decode(av.Packet(bytes(range(256))))[0].to_ndarray()[0] / 32768  # type: ignore[attr-defined]
    assert np.array_equal(g711.decode(bytes(range(256)), g711.LAWS[law]), reference.astype(np.float32))


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_g711_brings_a_tone_across(law: g711.Encoding) -> None:
    encoder, decoder = g711.Encoder(law), g711.Decoder(law)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames(tone(440, 1))])
    settled = heard[SAMPLE_RATE // 2 :]
    residue = np.abs(np.fft.rfft(settled * np.hanning(len(settled))))
    assert pitch(settled) == 440
    assert np.max(np.abs(settled)) == pytest.approx(0.4, rel=0.05)
    assert residue[400:].max() < 0.02 * residue.max()  # no images above 800 Hz


@pytest.mark.parametrize("length", [3, 240, 480, 1200])
def test_g711_gives_the_same_sound_for_any_frame_length(length: int) -> None:
    sound = tone(440, 0.1)
    whole = g711.Encoder("pcmu").encode(sound)
    encoder = g711.Encoder("pcmu")
    parts = b"".join(encoder.encode(sound[i : i + length]) for i in range(0, len(sound), length))
    assert parts == whole


def test_g711_guesses_without_a_jump() -> None:
    decoder = g711.Decoder("pcmu")
    encoder = g711.Encoder("pcmu")
    heard = [decoder.decode(encoder.encode(frame)) for frame in frames(tone(300, 0.1))]
    joined = np.concatenate([*heard, decoder.conceal(FRAME), decoder.conceal(FRAME), decoder.conceal(FRAME)])
    assert np.max(np.abs(np.diff(joined))) < 0.05


def test_g711_with_nothing_in_the_packet_and_nothing_before_is_silence() -> None:
    decoder = g711.Decoder("pcmu")
    assert len(decoder.decode(b"")) == 0
    assert not decoder.conceal(FRAME).any()


def test_a_g711_packet_of_a_second_is_bad() -> None:
    with pytest.raises(BadPacket, match="8000 bytes"):
        g711.Decoder("pcma").decode(bytes(8000))
