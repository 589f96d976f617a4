"""Attachments of a client's event: images, and the sound of a message. They are decoded before the core receives it.

    event ──is_heavy──► decode (on a thread: realtime/decoding.py) ──► Decoded ──keep──► Attachments
                                                                     session core ──image, sound──┘

Decoding takes up to seconds, and the core must not. Light sound is decoded by the core itself, at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vivavoce.realtime.session.images import Pixels, decode_images, images_in
from vivavoce.realtime.session.item_sound import ItemSound, decode_sound
from vivavoce.realtime.session.response_plan import sound_of
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire.client_events import ItemCreate
from vivavoce.realtime.wire.items import InputImage, MessageItem
from vivavoce.realtime.wire.session_config import AudioFormat

LIGHT: Final = 16_384
"""Bytes of sound that take 2 ms at most to decode."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The attachments of one event: pictures by their data URIs, and sound."""

    pixels: Mapping[str, Pixels] = field(default_factory=dict)
    sound: ItemSound | None = None


def is_heavy(event: ClientEvent) -> bool:
    """Whether the attachments of an event take long to decode."""
    return bool(images_in(event)) or sum(map(len, _sounds(event))) > LIGHT


def decode(event: ClientEvent, form: AudioFormat) -> Decoded:
    """Decodes the attachments of an event; `form`: of its sound. Raises `Refused`, with the path of the fault."""
    sounds = _sounds(event)
    return Decoded(decode_images(images_in(event)), decode_sound(sounds, form) if sounds else None)


class Attachments:
    """The decoded attachments of the event that the session core is about to receive."""

    def __init__(self) -> None:
        self._decoded = Decoded()

    def keep(self, decoded: Decoded) -> None:
        """Replaces those of the event before."""
        self._decoded = decoded

    def image(self, image: InputImage, path: str) -> Pixels:
        """Implements `images.Decode`."""
        return self._decoded.pixels[image.image_url]

    def sound(self, sounds: Sequence[bytes], form: AudioFormat) -> ItemSound:
        """Implements `DecodeSound`."""
        return self._decoded.sound or decode_sound(sounds, form)


def _sounds(event: ClientEvent) -> list[bytes]:
    match event:
        case ItemCreate(item=MessageItem() as item):
            return sound_of(item)
    return []
