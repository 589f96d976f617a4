"""Decodes the sound of a message: a clip that becomes a turn of its own.

parts (bytes in the session's format) ──► samples at 24 kHz ──► high-pass ──► the ASR
                                               └──► the first minute, 16-bit, kept
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.high_pass import HighPass
from vivavoce.realtime.session.audio_buffer import MAX_KEPT, InputBuffer, pcm16
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import AudioFormat, Pcm

MAX_SECONDS: Final = 240
"""Of one message: the ASR keeps five minutes."""


@dataclass(frozen=True, slots=True)
class ItemSound:
    """`samples`: for the ASR, at 24 kHz. `kept`: 16-bit at 24 kHz."""

    samples: Samples
    kept: bytes
    seconds: float


DecodeSound = Callable[[Sequence[bytes], AudioFormat], ItemSound]
"""Decodes the sound of a message's parts, in their order. Raises `Refused`."""


def decode_sound(sounds: Sequence[bytes], form: AudioFormat) -> ItemSound:
    """Implements `DecodeSound`: takes 0.1 s for a minute."""
    bytes_per_second = 2 * SAMPLE_RATE if isinstance(form, Pcm) else g711.CLOCK_HZ
    if sum(map(len, sounds)) > MAX_SECONDS * bytes_per_second:
        raise _refused(f"the audio lasts longer than {MAX_SECONDS} s")
    buffer = InputBuffer(form)
    decoded = [buffer.decode(sound) for sound in sounds]
    if buffer.torn:
        raise _refused("16-bit audio of an odd number of bytes ends within a sample")
    samples = np.concatenate([*decoded, buffer.rest()])
    return ItemSound(HighPass().receive(samples), pcm16(samples[:MAX_KEPT]), len(samples) / SAMPLE_RATE)


def _refused(why: str) -> Refused:
    return Refused("invalid_value", f"Invalid 'item.content': {why}.", "item.content")
