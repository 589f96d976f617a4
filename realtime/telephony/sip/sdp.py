"""What the two ends of a call agree about its sound: SDP offers and answers (RFC 3264).

    offer of theirs ──answer──► our SDP, Media          our SDP (offer) ──► their answer ──settle──► Media

Sound is one RTP stream of one codec and telephone events (RFC 4733). Everything else that is offered (video, fax,
encryption) is declined, as the answer's form demands. aiosipua parses; its numbers are checked here.

What a call's two ends have agreed upon about its sound, and whose turn it is to say something (RFC 3264, RFC 6337).

request with an offer ──describe──► our answer, `media`          without one ──describe──► our offer; `owed` is True
their answer ──settle──► `media`                                 renew ──► an offer that changes nothing
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from aiosipua import SdpMessage, SipRequest, parse_sdp, serialize_sdp
from aiosipua.sdp import Codec as SdpCodec
from aiosipua.sdp import ConnectionData, MediaDescription, Origin

from vivavoce.realtime.config.sip import CODECS, CodecName
from vivavoce.realtime.telephony.sip import sdp as offers
from vivavoce.realtime.telephony.sip.messages import kind_of

KEYS_TYPE: Final = 101
MAX_SDP: Final = 16 << 10
"""Characters of a description."""

MAX_MEDIA: Final = 16

_FORMS: Final[dict[CodecName, tuple[int, str, int]]] = {
    "pcmu": (0, "PCMU/8000", 8_000),
    "pcma": (8, "PCMA/8000", 8_000),
    "g722": (9, "G722/8000", 8_000),  # sampled at 16 kHz, counted at 8 (RFC 3551 section 4.5.2)
    "opus": (107, "opus/48000/2", 48_000),
}
"""Payload type in our offers, what it is called there, and the rate of its RTP clock."""


class NotAcceptable(ValueError):
    """The two ends have nothing in common, or what came is no description; worth a 488."""


@dataclass(frozen=True, slots=True)
class Media:
    """What was agreed upon. `keys`: payload type of telephone events, None where the far end knows none, `keys_hz`
    their clock. `host`, `port`: where it wants our sound; `reports`: the port for RTCP there. `muxed`: RTCP shares the
    port of the sound. `sends`: it wants to hear us (False: we are on hold); `hears`: it sends us its sound."""

    codec: CodecName
    payload_type: int
    host: str = field(repr=False)
    port: int
    reports: int
    keys: int | None = None
    keys_hz: int = 8_000
    muxed: bool = False
    sends: bool = True
    hears: bool = True

    @property
    def clock_hz(self) -> int:
        """The rate of its RTP timestamps."""
        return _FORMS[self.codec][2]

    @property
    def held(self) -> bool:
        """The far end does not listen."""
        return not self.sends


@dataclass(frozen=True, slots=True)
class LocalSdp:
    """Our end: the address and port in our descriptions, the codecs we speak, best first, and the description's
    number."""

    host: str
    port: int
    codecs: tuple[CodecName, ...] = CODECS
    session: int = 0
    version: int = 0

    def next(self) -> LocalSdp:
        """The same, for the next description of the call."""
        return replace(self, version=self.version + 1)


def offer(own: LocalSdp) -> str:
    """Our offer: all we speak."""
    codecs = [(name, _FORMS[name][0]) for name in own.codecs]
    keys = [(KEYS_TYPE, 8_000)] + ([(KEYS_TYPE + 1, 48_000)] if "opus" in own.codecs else [])
    return _write(own, [_audio(own.port, codecs, keys, "sendrecv", muxed=True)])


def answer(text: str, own: LocalSdp) -> tuple[str, Media]:
    """Our answer to their offer, and what is agreed by it. Of what they offer we take the codec that we like best.
    Raises `NotAcceptable`."""
    theirs = _read(text)
    index, audio = _audio_of(theirs)
    media = _match(theirs, audio, own.codecs)
    direction = {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}
    said = direction.get((media.sends, media.hears), "inactive")
    keys = [] if media.keys is None else [(media.keys, media.keys_hz)]
    ours = _audio(own.port, [(media.codec, media.payload_type)], keys, said, media.muxed)
    ours.proto = audio.proto
    declined = [MediaDescription(m.media, 0, m.proto, list(m.formats) or ["0"]) for m in theirs.media]
    declined[index] = ours
    return _write(own, declined), media


def settle(text: str, own: LocalSdp) -> Media:
    """What is agreed by their answer to our offer. Raises `NotAcceptable`."""
    theirs = _read(text)
    _, audio = _audio_of(theirs)
    return _match(theirs, audio, own.codecs)


# --- reading -----------------------------------------------------------------------------------------------------


def _read(text: str) -> SdpMessage:
    if len(text) > MAX_SDP:
        raise NotAcceptable(f"{len(text)} characters of SDP; at most {MAX_SDP}")
    try:
        sdp = parse_sdp(text)
    except (ValueError, IndexError) as error:
        raise NotAcceptable(f"no readable SDP: {error}") from error
    if len(sdp.media) > MAX_MEDIA or not all(media.media.isalnum() and media.proto for media in sdp.media):
        raise NotAcceptable("SDP with media of no name, or with too many")
    return sdp


def _audio_of(sdp: SdpMessage) -> tuple[int, MediaDescription]:
    for index, media in enumerate(sdp.media):
        if media.media == "audio" and media.port and media.proto.upper() in ("RTP/AVP", "RTP/AVPF"):
            return index, media
    raise NotAcceptable("no sound over plain RTP is offered")


def _match(sdp: SdpMessage, audio: MediaDescription, ours: Iterable[CodecName]) -> Media:
    codec, name = _best(audio.codecs, ours)
    connection = audio.connection or sdp.connection
    if connection is None:
        raise NotAcceptable("no address for the sound")
    try:
        address = ipaddress.ip_address(connection.address.partition("/")[0])
    except ValueError:
        raise NotAcceptable("the address for the sound is no IP address") from None
    if address.is_multicast or not 0 < audio.port < 65536:
        raise NotAcceptable("the address for the sound is none of one machine")
    direction = _direction(sdp, audio)
    nowhere = address.is_unspecified  # how old phones put a call on hold (RFC 2543)
    muxed = "rtcp-mux" in audio.attributes
    keys = _keys(audio.codecs, _FORMS[name][2])
    return Media(
        name,
        codec.payload_type,
        str(address),
        audio.port,
        audio.port if muxed else _reports_port(audio),
        keys.payload_type if keys else None,
        keys.clock_rate if keys else 8_000,
        muxed,
        sends=direction in ("sendrecv", "recvonly") and not nowhere,
        hears=direction in ("sendrecv", "sendonly") and not nowhere,
    )


def _best(offered: list[SdpCodec], ours: Iterable[CodecName]) -> tuple[SdpCodec, CodecName]:
    for name in ours:
        for codec in offered:
            form = f"{codec.encoding_name}/{codec.clock_rate}".lower()
            if _FORMS[name][1].lower().startswith(form) and 0 <= codec.payload_type < 128 and codec.clock_rate:
                return codec, name
    names = ", ".join(codec.encoding_name for codec in offered if codec.encoding_name)
    raise NotAcceptable(f"no codec in common: {len(offered)} offered ({names[:200]})")


def _keys(offered: list[SdpCodec], clock_hz: int) -> SdpCodec | None:
    """Telephone events; those that count as the codec does, if there are such."""
    events = [
        codec
        for codec in offered
        if codec.encoding_name.lower() == "telephone-event" and 0 <= codec.payload_type < 128
        if codec.clock_rate in (8_000, 16_000, 48_000)
    ]
    return next((codec for codec in events if codec.clock_rate == clock_hz), events[0] if events else None)


def _direction(sdp: SdpMessage, audio: MediaDescription) -> str:
    for attributes in (audio.attributes, sdp.attributes):
        for direction in ("sendrecv", "sendonly", "recvonly", "inactive"):
            if direction in attributes:
                return direction
    return "sendrecv"


def _reports_port(audio: MediaDescription) -> int:
    said = (audio.attributes.get("rtcp") or [""])[0].split(" ")[0]
    if said.isascii() and said.isdigit() and 0 < int(said) < 65536:
        return int(said)
    return audio.port + 1 if audio.port < 65535 else audio.port


# --- writing -----------------------------------------------------------------------------------------------------


def _audio(
    port: int, codecs: list[tuple[CodecName, int]], keys: list[tuple[int, int]], direction: str, muxed: bool
) -> MediaDescription:
    maps = [f"{number} {_FORMS[name][1]}" for name, number in codecs]
    maps += [f"{number} telephone-event/{hz}" for number, hz in keys]
    formats = [str(number) for number, _ in (*((number, name) for name, number in codecs), *keys)]
    parameters = [f"{number} useinbandfec=1" for name, number in codecs if name == "opus"]
    parameters += [f"{number} 0-15" for number, _ in keys]
    attributes: dict[str, list[str]] = {"rtpmap": maps}
    if parameters:
        attributes["fmtp"] = parameters
    attributes |= {"ptime": ["20"], direction: []}
    if muxed:
        attributes["rtcp-mux"] = []
    return MediaDescription("audio", port, "RTP/AVP", formats, attributes=attributes)


def _write(own: LocalSdp, media: list[MediaDescription]) -> str:
    kind = "IP6" if ":" in own.host else "IP4"
    origin = Origin("-", str(own.session), str(own.version), "IN", kind, own.host)
    where = ConnectionData("IN", kind, own.host)
    return serialize_sdp(SdpMessage(0, origin, "-", where, media=media))


SDP: Final = "application/sdp"


class Agreement:
    """That of one call. `own`: our end, as we described it last."""

    def __init__(self, own: LocalSdp) -> None:
        self.own = own
        self.media: Media | None = None
        self.owed = False
        """Our offer waits for its answer."""

    def describe(self, request: SipRequest) -> str:
        """What our 200 to `request` says. Raises `NotAcceptable`."""
        if not request.body:
            self.owed = True
            return offers.offer(self.own)
        if kind_of(request) != SDP:
            raise NotAcceptable("the body is no SDP")
        sdp, self.media = offers.answer(request.text, self.own)
        return sdp

    def settle(self, text: str) -> Media:
        """Takes their answer to our offer. Raises `NotAcceptable`."""
        self.owed = False
        self.media = offers.settle(text, self.own)
        return self.media

    def renew(self) -> str:
        """An offer of what there is already."""
        self.own = self.own.next()
        codecs = (self.media.codec,) if self.media else self.own.codecs
        return offers.offer(replace(self.own, codecs=codecs))
