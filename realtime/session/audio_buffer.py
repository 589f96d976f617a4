"""Sound on the wire: the user's is decoded, measured and kept to be retrieved, the assistant's is encoded.

    append (bytes in the session's format) ──decode──► samples at 24 kHz, for the floor
    sound of the turn ──keep──► the open turn ──close──► 16-bit sound of the new item

The user's turns are opened and closed by user_turns.py.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.realtime.wire.session_config import AudioFormat, Pcm, Pcmu

MIN_COMMIT_MS: Final = 100
MAX_KEPT: Final = 60 * SAMPLE_RATE  # samples of one turn that can be retrieved later
_SCALE: Final = 32_768


class InputBuffer:
    """Sound of the turn that is open, or that the client will commit."""

    def __init__(self, form: AudioFormat) -> None:
        self._kept: list[bytes] = []
        self._half = b""  # of a sample, at the end of the last append
        self._samples = 0
        self._appended = 0  # samples that came by message; some of them are still under the resampler's filter
        self.retune(form)

    def retune(self, form: AudioFormat) -> None:
        """Sets the format of the sound that is appended from now on."""
        self.form = form
        self._half = b""
        self._resampler = None if isinstance(form, Pcm) else Resampler(g711.CLOCK_HZ, SAMPLE_RATE)

    def decode(self, content: bytes) -> Samples:
        """Decodes one `append`. Clients cut where a pipe or a socket does: half a sample waits for its other half, in
        the next `append`."""
        if self._resampler is None:
            content = self._half + content
            whole = len(content) - len(content) % 2
            content, self._half = content[:whole], content[whole:]
            samples = np.frombuffer(content, "<i2").astype(np.float32) / np.float32(_SCALE)
            self._appended += len(samples)
            return samples
        samples = g711.decode(content, "mu" if isinstance(self.form, Pcmu) else "a")
        self._appended += len(samples) * SAMPLE_RATE // g711.CLOCK_HZ
        return self._resampler.push(samples)

    def rest(self) -> Samples:
        """Ends the client's stream: returns the samples that the resampler still holds. Half a sample is dropped."""
        self._half = b""
        return self._resampler.flush() if self._resampler else np.zeros(0, np.float32)

    @property
    def torn(self) -> bool:
        """Whether the sound so far ends within a sample."""
        return bool(self._half)

    def keep(self, samples: Samples) -> None:
        """Keeps more sound of the turn."""
        if self._samples < MAX_KEPT:
            self._kept.append(pcm16(samples))
        self._samples += len(samples)

    @property
    def ms(self) -> float:
        """Length of the turn so far. With manual turns, sound that was appended counts at once."""
        return self._samples * 1000 / SAMPLE_RATE

    @property
    def ms_appended(self) -> float:
        """Length of the sound appended since the last turn, as the client counts it."""
        return max(self._samples, self._appended) * 1000 / SAMPLE_RATE

    def close(self) -> tuple[bytes, float]:
        """Ends the turn; returns its sound, 16-bit at 24 kHz, and its length in seconds."""
        sound, seconds = b"".join(self._kept)[: 2 * MAX_KEPT], self._samples / SAMPLE_RATE
        self.clear()
        return sound, seconds

    def clear(self) -> None:
        """Forgets the turn."""
        self._kept = []
        self._samples = self._appended = 0


class Encoder:
    """Encodes the assistant's sound: samples at 24 kHz to the bytes of a format, as one stream."""

    def __init__(self, form: AudioFormat) -> None:
        self._law: g711.Law | None = None if isinstance(form, Pcm) else "mu" if isinstance(form, Pcmu) else "a"
        self._resampler = Resampler(SAMPLE_RATE, g711.CLOCK_HZ)
        self.bytes_per_second = 2 * SAMPLE_RATE if self._law is None else g711.CLOCK_HZ

    def push(self, samples: Samples) -> bytes:
        if self._law is None:
            return pcm16(samples)
        return g711.encode(self._resampler.push(samples), self._law)

    def flush(self) -> bytes:
        """Ends the stream; returns its last bytes."""
        return b"" if self._law is None else g711.encode(self._resampler.flush(), self._law)


def pcm16(samples: Samples) -> bytes:
    """Samples as signed 16-bit little-endian, clipped."""
    return np.clip(np.rint(samples * _SCALE), -_SCALE, _SCALE - 1).astype("<i2").tobytes()


def to_format(sound: bytes, form: AudioFormat) -> bytes:
    """Converts kept 16-bit sound to a session's format."""
    encoder = Encoder(form)
    return encoder.push(np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(_SCALE)) + encoder.flush()
