"""Opus at 24 kHz, with forward error correction (FEC) and loss concealment.

    Samples (mono, 24 kHz) ──Encoder.encode──► payload of one RTP packet ──Decoder.decode──► Samples

libopus works at 24 kHz by itself, so nothing is resampled. PyAV's Opus codec can neither decode FEC nor conceal, and
requires 48 kHz; so the C library is called directly: the copy that PyAV brings along, or the system's. This module
knows no RTP and no clock.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import weakref
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import BadPacket, OpusMissing

CLOCK_HZ = 48_000
"""RTP timestamps of Opus count 48 kHz, whatever the codec does inside (RFC 7587 section 4.1)."""

_MAX_SAMPLES = SAMPLE_RATE * 120 // 1000  # longest packet, RFC 6716 section 2.1.4
_MAX_BYTES = 1276  # a 20 ms frame and its header, RFC 6716 section 3.4
_SETTLED = SAMPLE_RATE
"""Samples (1 s) of silence after which every packet decodes like the one before, so that the last one is sent again: a
listening assistant costs next to nothing."""
_VOIP = 2048
_SET_BITRATE, _SET_COMPLEXITY, _SET_FEC, _SET_LOSS, _SET_DTX = 4002, 4010, 4012, 4014, 4016


@dataclass(frozen=True, slots=True)
class OpusSettings:
    """Settings of an encoder. 32 kbit/s is transparent for mono speech at 24 kHz; FEC costs nothing while `loss` is 0.

    `bitrate` in bit/s; `loss`: percent of lost packets to prepare for; `dtx`: discontinuous transmission, which leaves
    out pauses."""

    bitrate: int = 32_000
    loss: int = 10
    dtx: bool = False
    complexity: int = 5  # half the processor time of 10, not audible in speech


class Encoder:
    """Speech to Opus payloads; implements `packets.Encoder`."""

    def __init__(self, settings: OpusSettings | None = None) -> None:
        settings = settings or OpusSettings()
        self._lib = _libopus()
        error = ctypes.c_int()
        self._state = self._lib.opus_encoder_create(SAMPLE_RATE, 1, _VOIP, ctypes.byref(error))
        _check(self._lib, error.value)
        weakref.finalize(self, self._lib.opus_encoder_destroy, self._state)
        self._out = ctypes.create_string_buffer(_MAX_BYTES)
        self._sends_pauses = not settings.dtx
        self._silent = 0  # samples since the last sound
        self._last = b"", 0  # the last packet, and its samples
        for request, value in (
            (_SET_BITRATE, settings.bitrate),
            (_SET_COMPLEXITY, settings.complexity),
            (_SET_FEC, int(settings.loss > 0)),
            (_SET_LOSS, settings.loss),
            (_SET_DTX, int(settings.dtx)),
        ):
            _check(self._lib, self._lib.opus_encoder_ctl(self._state, request, ctypes.c_int(value)))

    def encode(self, samples: Samples) -> bytes:
        """Encodes one frame of 10, 20, 40 or 60 ms, shape (n,). With DTX, do not send payloads of up to two bytes."""
        self._silent = 0 if samples.any() else self._silent + len(samples)
        payload, n = self._last
        if self._sends_pauses and self._silent > _SETTLED and n == len(samples):
            return payload
        payload = self._encode(np.ascontiguousarray(samples, np.float32))
        self._last = payload, len(samples)
        return payload

    def _encode(self, pcm: Samples) -> bytes:
        size = self._lib.opus_encode_float(self._state, pcm.ctypes.data, len(pcm), self._out, _MAX_BYTES)
        return self._out.raw[: _check(self._lib, size)]


class Decoder:
    """Opus payloads to speech; implements `packets.Decoder`."""

    clock_hz = CLOCK_HZ

    def __init__(self) -> None:
        self._lib = _libopus()
        error = ctypes.c_int()
        self._state = self._lib.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        _check(self._lib, error.value)
        weakref.finalize(self, self._lib.opus_decoder_destroy, self._state)
        self._out = np.zeros(_MAX_SAMPLES, np.float32)
        self._address = self._out.ctypes.data

    def decode(self, payload: bytes) -> Samples:
        """Decodes one packet; shape (n,). Raises `BadPacket`."""
        return self._run(payload, _MAX_SAMPLES, fec=False)

    def recover(self, payload: bytes, n: int) -> Samples | None:
        """Decodes the `n` samples lost before `payload` from its FEC; conceals them if it carries none. Shape (n,)."""
        return self._run(payload, n, fec=True) if n <= _MAX_SAMPLES else None

    def conceal(self, n: int) -> Samples:
        """Continues the last decoded sound; shape (n,), n a multiple of 2.5 ms."""
        return self._run(None, n, fec=False)

    def _run(self, payload: bytes | None, n: int, fec: bool) -> Samples:
        size = len(payload) if payload else 0
        samples = self._lib.opus_decode_float(self._state, payload, size, self._address, n, int(fec))
        if samples < 0:
            raise BadPacket(self._lib.opus_strerror(samples).decode())
        return self._out[:samples].copy()


def _check(lib: ctypes.CDLL, code: int) -> int:
    if code < 0:
        raise ValueError(f"Opus: {lib.opus_strerror(code).decode()}")
    return code


@cache
def _libopus() -> ctypes.CDLL:
    lib = ctypes.CDLL(_find())
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    # The last two calls take more arguments than are declared: that tells ctypes that they are variadic.
    for name, result, arguments in (
        ("opus_encoder_create", pointer, [integer, integer, integer, pointer]),
        ("opus_encoder_destroy", None, [pointer]),
        ("opus_encode_float", integer, [pointer, pointer, integer, ctypes.c_char_p, integer]),
        ("opus_decoder_create", pointer, [integer, integer, pointer]),
        ("opus_decoder_destroy", None, [pointer]),
        ("opus_decode_float", integer, [pointer, ctypes.c_char_p, integer, pointer, integer, integer]),
        ("opus_strerror", ctypes.c_char_p, [integer]),
        ("opus_encoder_ctl", integer, [pointer, integer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def _find() -> str:
    """Finds libopus: in PyAV's wheel (Linux and Windows beside the package, macOS inside), else the system's."""
    spec = find_spec("av")
    for location in spec.submodule_search_locations or [] if spec else []:
        package = Path(location)
        for folder in (package.with_name("av.libs"), package / ".dylibs"):
            for path in sorted(folder.glob("*opus*")):
                return str(path)
    if found := ctypes.util.find_library("opus"):
        return found
    raise OpusMissing("libopus was not found: install PyAV from a wheel, or the system package (libopus0, opus)")
