"""The sound of one SIP call as it was agreed upon: the codec in both directions, keys, and who is listened to.

Media ──open_channel──► Channel; agreed anew ──► Channel.change, or a new one where another codec is wanted

Keys that we press: telephone events in the place of sound, at the pace of sound (RFC 4733 section 2.5).

    press("12") ──► next(), every 20 ms ──► Event for this frame, or None: the frame is for sound

One key is eight frames, the last of them said three times since one may be lost, and then four frames of sound. (aiortp
sends a key as one burst of packets, which phones and gateways take for a short click, or for nothing.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from aiortp.dtmf import DTMF_EVENTS, DtmfEvent

from vivavoce.codecs import g711, g722, opus
from vivavoce.codecs.audio import Samples
from vivavoce.codecs.packets import Decoder
from vivavoce.realtime.config.sip import CodecName
from vivavoce.realtime.telephony.sip import rtp
from vivavoce.realtime.telephony.sip.sdp import Media
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver


class Encoder(Protocol):
    """One codec at the sending end."""

    def encode(self, samples: Samples) -> bytes:
        """One packet of a frame."""


@dataclass(slots=True)
class RtpMedia:
    """What one codec needs."""

    media: Media
    incoming: rtp.Incoming
    hearing: AudioReceiver
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


def open_channel(media: Media, heard: Callable[[Samples], None]) -> RtpMedia:
    """A channel for `media`; `heard` gets the sound of the far end. To be made on the event loop."""
    hearing = AudioReceiver(_decoder(media.codec), heard)
    return RtpMedia(media, rtp.Incoming(media), hearing, _encoder(media.codec), Keys(media.keys_hz))


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


FRAMES: Final = 8
"""Frames that a key lasts: 160 ms."""

LASTS: Final = 3
"""Times that its end is said."""

GAP: Final = 4
"""Frames between two keys: 80 ms."""

VOLUME: Final = 10
"""Decibels below full scale."""

MAX_WAITING: Final = 64


@dataclass(frozen=True, slots=True)
class Event:
    """What goes out in the place of a frame. `since`: frames since the key went down; its timestamp stays there."""

    payload: bytes
    since: int
    first: bool


class Keys:
    """The keys that wait to be pressed on one line."""

    def __init__(self, clock_hz: int) -> None:
        self._ticks = clock_hz // 50
        self._waiting: deque[str] = deque()
        self._step = 0  # frames into the key, or into the gap behind it

    @property
    def idle(self) -> bool:
        """Nothing is pressed and nothing waits."""
        return not self._waiting and not self._step

    def press(self, keys: str) -> None:
        """Queues keys. Raises ValueError for what is none, or for more than `MAX_WAITING`."""
        wrong = [key for key in keys if key not in DTMF_EVENTS]
        if wrong or len(self._waiting) + len(keys) > MAX_WAITING:
            raise ValueError(f"at most {MAX_WAITING} keys of 0-9, *, #, A-D")
        self._waiting.extend(keys)

    def next(self) -> Event | None:
        """What the next frame is used for."""
        if self.idle:
            return None
        self._step += 1
        if self._step > FRAMES + LASTS - 1:
            if self._step == FRAMES + LASTS:
                self._waiting.popleft()
            if self._step == FRAMES + LASTS - 1 + GAP:
                self._step = 0
            return None
        lasted = min(self._step, FRAMES)
        event = DtmfEvent(DTMF_EVENTS[self._waiting[0]], self._step >= FRAMES, VOLUME, lasted * self._ticks)
        return Event(event.serialize(), self._step - 1, self._step == 1)
