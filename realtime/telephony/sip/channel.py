"""The sound of one SIP call as it was agreed upon: the codec in both directions, keys, and who is listened to.

Media ──open_channel──► Channel; agreed anew ──► Channel.change, or a new one where another codec is wanted
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vivavoce.model.dialogue import Samples
from vivavoce.realtime.telephony.sip import g722, rtp
from vivavoce.realtime.telephony.sip.keys import Keys
from vivavoce.realtime.telephony.sip.offers import Media
from vivavoce.realtime.telephony.sip.settings import CodecName
from vivavoce.realtime.transports import g711, opus
from vivavoce.realtime.transports.microphone import Decoder
from vivavoce.realtime.transports.tracks import Hearing


class Encoder(Protocol):
    """One codec at the sending end."""

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame."""


@dataclass(slots=True)
class Channel:
    """What one codec needs."""

    media: Media
    incoming: rtp.Incoming
    hearing: Hearing
    encoder: Encoder
    keys: Keys

    def change(self, media: Media) -> bool:
        """Takes what was agreed anew; False where that takes another channel."""
        if _needs(self.media) != _needs(media):
            return False
        if (self.media.host, self.media.port) != (media.host, media.port):
            self.incoming.latch = rtp.Latch((media.host, media.port))
        self.media = media
        return True


def open_channel(media: Media, heard: Callable[[Samples], None]) -> Channel:
    """A channel for `media`; `heard` gets the sound of the far end. To be made on the event loop."""
    hearing = Hearing(_decoder(media.codec), heard)
    return Channel(media, rtp.Incoming(media), hearing, _encoder(media.codec), Keys(media.keys_hz))


def _needs(media: Media) -> tuple[object, ...]:
    """What a channel is made for; the rest may change under it."""
    return media.codec, media.payload_type, media.keys, media.keys_hz


def _decoder(codec: CodecName) -> Decoder:
    match codec:
        case "opus":
            return opus.Decoder()
        case "g722":
            return g722.Decoder()
        case "pcma" | "pcmu":
            return g711.Decoder(codec)


def _encoder(codec: CodecName) -> Encoder:
    match codec:
        case "opus":
            return opus.Encoder()
        case "g722":
            return g722.Encoder()
        case "pcma" | "pcmu":
            return g711.Encoder(codec)
