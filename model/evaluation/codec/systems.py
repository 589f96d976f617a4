"""The compared systems: from a clip of speech, or its words, to speech that says the same.

    original    the clip itself: the reference of all others
    g711        a telephone line, 8 kHz, 64 kbit/s
    opus6       Opus at 6 kbit/s, its lowest rate
    joe         the clip's words spoken by Piper: the codec's voice, without quantising
    joe-codec   the same through codes: text -> latents -> codes -> speech. Against joe: the cost of quantising
    codec       the clip through encoder and decoder

A system is opened once and used for every clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, Samples
from vivavoce.codecs.files import decode_whole, encode_whole
from vivavoce.codecs.opus import Decoder, Encoder, OpusSettings
from vivavoce.codecs.phone import Encoding
from vivavoce.codecs.tokenizer import WEIGHTS, AudioTokenizer, Codes
from vivavoce.model.cascade.tts import Tts, open_tts
from vivavoce.model.cascade.tts.names import CODED, JOE
from vivavoce.model.errors import BrokenTts, MissingSystem
from vivavoce.model.evaluation.codec.material import Clip
from vivavoce.model.store import Store

ORIGINAL: Final = "original"
CODEC: Final = "codec"


@dataclass(frozen=True, slots=True)
class Rendering:
    """Output of a system: `samples` at 24 kHz, (n,); its codes, if any; transmitted `bits`, 0 if unknown."""

    samples: Samples
    codes: Codes | None = None
    bits: int = 0


class System(Protocol):
    """One system. `about` identifies its weights: it changes when the results do."""

    about: str

    def render(self, clip: Clip) -> Rendering: ...


class Original:
    """The clip, unchanged."""

    about = ""

    def render(self, clip: Clip) -> Rendering:
        return Rendering(clip.samples, bits=16 * len(clip.samples))


class TelephoneLine:
    """The clip through a telephone codec."""

    about = ""

    def __init__(self, encoding: Encoding, rate: int) -> None:
        self._encoding, self._rate = encoding, rate

    def render(self, clip: Clip) -> Rendering:
        encoder, decoder = codecs.encoder(self._encoding, self._rate), codecs.decoder(self._encoding, self._rate)
        packets = [encoder.encode(frame) for frame in _frames(clip.samples)]
        return Rendering(np.concatenate([decoder.decode(packet) for packet in packets]), bits=_bits(packets))


class OpusLine:
    """The clip through Opus as in calls, at another bit rate."""

    about = ""

    def __init__(self, bitrate: int) -> None:
        self._settings = OpusSettings(bitrate=bitrate, loss=0, complexity=10)

    def render(self, clip: Clip) -> Rendering:
        encoder, decoder = Encoder(self._settings), Decoder()
        packets = [encoder.encode(frame) for frame in _frames(clip.samples)]
        return Rendering(np.concatenate([decoder.decode(packet) for packet in packets]), bits=_bits(packets))


class SpokenText:
    """The words of the clip in a TTS voice."""

    def __init__(self, voice: Tts, name: str, about: str = "") -> None:
        self._voice, self._name = voice, name
        self.about = about

    def render(self, clip: Clip) -> Rendering:
        return Rendering(np.concatenate([part.samples for part in self._voice.speak(clip.text, name=self._name)]))


class TokenizedSpeech:
    """The clip to codes, and the codes to speech."""

    def __init__(self, about: str, threads: int) -> None:
        self._tokenizer = AudioTokenizer(WEIGHTS, threads)
        self.about = about

    def render(self, clip: Clip) -> Rendering:
        coded = encode_whole(self._tokenizer, clip.samples)
        per_code = (self._tokenizer.cardinality - 1).bit_length()
        return Rendering(decode_whole(self._tokenizer, coded), coded.codes, per_code * coded.codes.size)


SYSTEMS: Final = (ORIGINAL, "g711", "opus6", JOE, CODED, CODEC)


def open_system(name: str, store: Store, threads: int = 1) -> System:
    """Opens a system by name. Raises `MissingSystem`, `ModelError`, and `KeyError` for an unknown name."""
    makers: dict[str, Callable[[], System]] = {
        ORIGINAL: Original,
        "g711": lambda: TelephoneLine("pcmu", 8000),
        "opus6": lambda: OpusLine(6000),
        JOE: lambda: SpokenText(open_tts(JOE, store.path, threads), JOE),
        CODED: lambda: SpokenText(open_tts(CODED, store.path, threads), CODED, weights_digest("latents", "decoder")),
        CODEC: lambda: TokenizedSpeech(weights_digest("encoder", "decoder"), threads),
    }
    try:
        return makers[name]()
    except BrokenTts as error:
        raise MissingSystem(str(error)) from error


def weights_digest(*names: str) -> str:
    """Fingerprint of weights, twelve digits. Raises `MissingSystem`."""
    digest = hashlib.sha256()
    for name in names:
        try:
            digest.update((WEIGHTS / f"{name}.onnx").read_bytes())
        except OSError as error:
            raise MissingSystem(f"the codec's weights {name}.onnx are missing: {error.strerror}") from error
    return digest.hexdigest()[:12]


def _frames(samples: Samples) -> Samples:
    """Splits into frames of 20 ms, (n, FRAME), the last padded with silence."""
    return np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)


def _bits(packets: list[bytes]) -> int:
    return 8 * sum(map(len, packets))
