"""codecs/media.py."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from vivavoce.codecs import media as module
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.media import read_picture, read_sound


def write_wave(path: Path, seconds: float, rate: int = SAMPLE_RATE, channels: int = 1) -> Path:
    """A tone of 440 Hz, half as loud as can be."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((tone * 32767).astype("<i2"), channels).tobytes())
    return path


def write_picture(path: Path, codec: str, pixels: np.ndarray) -> Path:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "rgb24"
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (16_000, 1), (48_000, 2), (44_100, 2), (8_000, 1)])
def test_sound_of_any_rate_comes_as_ours(tmp_path: Path, rate: int, channels: int) -> None:
    sound = read_sound(write_wave(tmp_path / "a.wav", 1.0, rate, channels))
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert abs(len(sound) - SAMPLE_RATE) < 0.01 * SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.05)


def test_a_picture_comes_as_rgb(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8, 0] = 200
    assert np.array_equal(read_picture(write_picture(tmp_path / "a.png", "png", pixels)), pixels)


def test_of_a_film_the_first_picture_counts_and_it_need_not_have_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        for value in (10, 250):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert set(read_picture(tmp_path / "a.mkv").flat) == {10}
    with pytest.raises(Unreadable, match=r"a\.mkv holds no sound"):
        read_sound(tmp_path / "a.mkv")


def test_sound_without_samples_is_no_question(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"a\.wav holds no sound"):
        read_sound(write_wave(tmp_path / "a.wav", 0.0))


def test_sound_that_lasts_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 2)
    assert len(read_sound(write_wave(tmp_path / "a.wav", 2.0))) == 2 * SAMPLE_RATE
    with pytest.raises(Unreadable, match=r"a\.wav lasts too long; expected at most 2 s"):
        read_sound(write_wave(tmp_path / "a.wav", 2.1))


def test_sound_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"a\.wav holds no picture"):
        read_picture(write_wave(tmp_path / "a.wav", 0.1))


@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 1000, b"RIFF\x00\x00\x00\x00WAVE"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a.data"
    if content is not None:
        file.write_bytes(content)
    for read in (read_sound, read_picture):
        with pytest.raises(Unreadable, match=r"a\.data"):
            read(file)
    with pytest.raises(Unreadable, match="cannot be read"):
        read_sound(tmp_path)
