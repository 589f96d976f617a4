"""SDP offers and answers: the two ends of a call negotiate their audio (RFC 3264).

    their offer ──create_answer──► our answer, NegotiatedMedia     create_offer ──► their answer ──accept_answer──► …

    request with an offer ──describe──► our answer, `media`      without one ──describe──► our offer; `answer_pending`
    their answer ──accept_answer──► `media`                      reoffer ──► an offer that changes nothing

Audio is one RTP stream of one codec and telephone-events (RFC 4733). Other media in an offer (video, fax, encryption)
are rejected in the answer, each in its place with port 0; so are audio sections that cannot be had, as long as one can.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from aiosipua import SdpMessage, SipRequest, SipResponse, serialize_sdp
from aiosipua.sdp import Codec as SdpCodec
from aiosipua.sdp import ConnectionData, MediaDescription, Origin

from vivavoce.realtime.config.sip import CODECS, CodecName
from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip.body import session_description
from vivavoce.realtime.telephony.sip.sdp_parsing import parse_sdp

TELEPHONE_EVENT: Final = 101
"""Payload type of telephone-events in our offers; 102 for those with the clock of Opus."""

_CODECS: Final[dict[CodecName, tuple[int, str, int]]] = {
    "pcmu": (0, "PCMU/8000", 8_000),
    "pcma": (8, "PCMA/8000", 8_000),
    "g722": (9, "G722/8000", 8_000),  # sampled at 16 kHz, counted at 8 (RFC 3551 section 4.5.2)
    "opus": (107, "opus/48000/2", 48_000),
}
"""Payload type in our offers, rtpmap, and rate of the RTP clock."""


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """The result of offer and answer. `host`, `port`: where the far end receives RTP; `rtcp_port`: where RTCP.
    `event_type`: payload type of telephone-events, None where the far end does not support them; `event_clock_hz`:
    their clock. `rtcp_mux`: RTCP shares the port of RTP (RFC 5761). `can_send`: the far end wants our audio (False: it
    holds the call); `can_receive`: it sends us its own."""

    codec: CodecName
    payload_type: int
    host: str = field(repr=False)
    port: int
    rtcp_port: int
    event_type: int | None = None
    event_clock_hz: int = 8_000
    rtcp_mux: bool = False
    can_send: bool = True
    can_receive: bool = True

    @property
    def clock_hz(self) -> int:
        """The rate of RTP timestamps."""
        return _CODECS[self.codec][2]


@dataclass(frozen=True, slots=True)
class LocalSdp:
    """Our side of a description: address and port, codecs in order of preference, session id and version."""

    host: str
    port: int
    codecs: tuple[CodecName, ...] = CODECS
    session: int = 0
    version: int = 0

    def next(self) -> LocalSdp:
        """The same, for the next description in the call."""
        return replace(self, version=self.version + 1)


class OfferAnswer:
    """The offer/answer state of one dialog (RFC 3264, RFC 6337). `local`: our side, as described last."""

    def __init__(self, local: LocalSdp) -> None:
        self.local = local
        self.media: NegotiatedMedia | None = None
        self.answer_pending = False
        """Our offer was in a 200, and its answer comes in the ACK."""

    def describe(self, request: SipRequest) -> str:
        """The SDP of our 200 to `request`: an answer, or an offer where the request has none. Raises
        `SdpNotAcceptable`."""
        offer = session_description(request)
        if offer is None:
            self.answer_pending = True
            return create_offer(self.local)
        sdp, self.media = create_answer(offer, self.local)
        return sdp

    def accept_answer(self, message: SipRequest | SipResponse) -> NegotiatedMedia:
        """Takes their answer to our offer. Raises `SdpNotAcceptable`."""
        self.answer_pending = False
        self.media = accept_answer(session_description(message) or "", self.local)
        return self.media

    def reoffer(self) -> str:
        """An offer of what is negotiated already."""
        self.local = self.local.next()
        codecs = (self.media.codec,) if self.media else self.local.codecs
        return create_offer(replace(self.local, codecs=codecs))


def create_offer(local: LocalSdp) -> str:
    """Our offer: all codecs of `local`."""
    codecs = [(name, _CODECS[name][0]) for name in local.codecs]
    events = [(TELEPHONE_EVENT, 8_000)] + ([(TELEPHONE_EVENT + 1, 48_000)] if "opus" in local.codecs else [])
    return _write(local, [_audio(local.port, codecs, events, "sendrecv", rtcp_mux=True)])


def create_answer(text: str, local: LocalSdp) -> tuple[str, NegotiatedMedia]:
    """Our answer to their offer, and its result: the offered codec that `local` prefers. Raises `SdpNotAcceptable`."""
    offer = parse_sdp(text)
    index, media = _first_audio(offer, local)
    audio = offer.media[index]
    directions = {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}
    direction = directions.get((media.can_send, media.can_receive), "inactive")
    events = [] if media.event_type is None else [(media.event_type, media.event_clock_hz)]
    ours = _audio(local.port, [(media.codec, media.payload_type)], events, direction, media.rtcp_mux)
    ours.proto = audio.proto
    answers = [MediaDescription(m.media, 0, m.proto, list(m.formats) or ["0"]) for m in offer.media]
    answers[index] = ours
    return _write(local, answers), media


def accept_answer(text: str, local: LocalSdp) -> NegotiatedMedia:
    """The result of their answer to our offer. Raises `SdpNotAcceptable`."""
    return _first_audio(parse_sdp(text), local)[1]


# --- reading -----------------------------------------------------------------------------------------------------


def _first_audio(sdp: SdpMessage, local: LocalSdp) -> tuple[int, NegotiatedMedia]:
    """The first audio section that can be had. Raises `SdpNotAcceptable` with the fault of the first that cannot."""
    fault: SdpNotAcceptable | None = None
    for index, media in enumerate(sdp.media):
        if media.media.lower() == "audio" and media.port and media.proto.upper() in ("RTP/AVP", "RTP/AVPF"):
            try:
                return index, _negotiate(sdp, media, local)
            except SdpNotAcceptable as error:
                fault = fault or error
    raise fault or SdpNotAcceptable("no audio over plain RTP")


def _negotiate(sdp: SdpMessage, audio: MediaDescription, local: LocalSdp) -> NegotiatedMedia:
    codec, name = _preferred(audio.codecs, local.codecs)
    connection = audio.connection or sdp.connection
    if connection is None:
        raise SdpNotAcceptable("no address for the audio")
    try:
        address = ipaddress.ip_address(connection.address.partition("/")[0].strip("[]"))
    except ValueError:
        raise SdpNotAcceptable("the address for the audio is not an IP address") from None
    if address.is_multicast or not 0 < audio.port < 65536:
        raise SdpNotAcceptable("the address for the audio is not that of one machine")
    if (address.version == 6) != (":" in local.host):
        raise SdpNotAcceptable(f"the address for the audio is IPv{address.version}, and ours is not")
    direction = _direction(sdp, audio)
    zeros = address.is_unspecified  # how old phones hold a call (RFC 2543)
    rtcp_mux = "rtcp-mux" in audio.attributes
    events = _telephone_event(audio.codecs, _CODECS[name][2])
    return NegotiatedMedia(
        name,
        codec.payload_type,
        str(address),
        audio.port,
        audio.port if rtcp_mux else _rtcp_port(audio),
        events.payload_type if events else None,
        events.clock_rate if events else 8_000,
        rtcp_mux,
        can_send=direction in ("sendrecv", "recvonly") and not zeros,
        can_receive=direction in ("sendrecv", "sendonly") and not zeros,
    )


def _preferred(offered: list[SdpCodec], ours: Iterable[CodecName]) -> tuple[SdpCodec, CodecName]:
    for name in ours:
        for codec in offered:
            rtpmap = f"{codec.encoding_name}/{codec.clock_rate}".lower()
            if _CODECS[name][1].lower().startswith(rtpmap) and 0 <= codec.payload_type < 128 and codec.clock_rate:
                return codec, name
    names = ", ".join(codec.encoding_name for codec in offered if codec.encoding_name)
    raise SdpNotAcceptable(f"no codec in common: {len(offered)} offered ({names[:200]})")


def _telephone_event(offered: list[SdpCodec], clock_hz: int) -> SdpCodec | None:
    """Telephone-events, preferably with the clock of the codec."""
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


def _rtcp_port(audio: MediaDescription) -> int:
    attribute = (audio.attributes.get("rtcp") or [""])[0].split(" ")[0]  # RFC 3605
    if attribute.isascii() and attribute.isdigit() and 0 < int(attribute) < 65536:
        return int(attribute)
    return audio.port + 1 if audio.port < 65535 else audio.port


# --- writing -----------------------------------------------------------------------------------------------------


def _audio(
    port: int, codecs: list[tuple[CodecName, int]], events: list[tuple[int, int]], direction: str, rtcp_mux: bool
) -> MediaDescription:
    maps = [f"{number} {_CODECS[name][1]}" for name, number in codecs]
    maps += [f"{number} telephone-event/{hz}" for number, hz in events]
    formats = [str(number) for number, _ in (*((number, name) for name, number in codecs), *events)]
    parameters = [f"{number} useinbandfec=1" for name, number in codecs if name == "opus"]
    parameters += [f"{number} 0-15" for number, _ in events]
    attributes: dict[str, list[str]] = {"rtpmap": maps}
    if parameters:
        attributes["fmtp"] = parameters
    attributes |= {"ptime": ["20"], direction: []}
    if rtcp_mux:
        attributes["rtcp-mux"] = []
    return MediaDescription("audio", port, "RTP/AVP", formats, attributes=attributes)


def _write(local: LocalSdp, media: list[MediaDescription]) -> str:
    family = "IP6" if ":" in local.host else "IP4"
    origin = Origin("-", str(local.session), str(local.version), "IN", family, local.host)
    connection = ConnectionData("IN", family, local.host)
    return serialize_sdp(SdpMessage(0, origin, "-", connection, media=media))
