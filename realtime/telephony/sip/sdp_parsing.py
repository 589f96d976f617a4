"""Reads SDP as peers write it (RFC 8866), into aiosipua's types.

    text ──parse_sdp──► SdpMessage: session, and one section for each m= line

What cannot be read outside of m= lines is passed over: an attribute of one section does not cost the others. So all
sections are there to be answered, each in its place. aiosipua's parser gives up at the first number that is none.
"""

from __future__ import annotations

import re
from typing import Final

from aiosipua import SdpMessage
from aiosipua.sdp import Codec, ConnectionData, MediaDescription

from vivavoce.realtime.telephony.errors import SdpNotAcceptable

MAX_SDP: Final = 16 << 10
"""Characters of a description."""

MAX_MEDIA: Final = 16
"""Sections of a description."""

_STATIC: Final = {
    0: ("PCMU", 8_000),
    3: ("GSM", 8_000),
    4: ("G723", 8_000),
    8: ("PCMA", 8_000),
    9: ("G722", 8_000),
    18: ("G729", 8_000),
}
"""Payload types that need no rtpmap (RFC 3551 section 6)."""

_MEDIA: Final = re.compile(r"(\S+)\s+(\d{1,9})(?:/\d{1,9})?\s+(\S+)\s*(.*)")
_RTPMAP: Final = re.compile(r"(\d{1,3})\s+([^\s/]{1,64})\s*/\s*(\d{1,6})(?:/(\d{1,3}))?\s*")


def parse_sdp(text: str) -> SdpMessage:
    """Raises `SdpNotAcceptable`."""
    if len(text) > MAX_SDP:
        raise SdpNotAcceptable(f"{len(text)} characters of SDP; at most {MAX_SDP}")
    sdp = SdpMessage()
    section: SdpMessage | MediaDescription = sdp
    for line in re.split(r"\r\n|\n|\r", text):
        kind, value = line[:2].lstrip("\ufeff"), line[2:].strip()
        if kind == "v=" and value != "0":
            raise SdpNotAcceptable("SDP of another version than 0")
        if kind == "m=":
            section = _media(value)
            sdp.media.append(section)
            if len(sdp.media) > MAX_MEDIA:
                raise SdpNotAcceptable(f"more than {MAX_MEDIA} m= lines")
        elif kind == "c=" and section.connection is None:
            section.connection = _connection(value)
        elif kind == "a=":
            name, colon, attribute = value.partition(":")
            values = section.attributes.setdefault(name.strip(), [])
            if colon:
                values.append(attribute.strip())
    for media in sdp.media:
        media.codecs = _codecs(media)
    return sdp


def _media(value: str) -> MediaDescription:
    found = _MEDIA.fullmatch(value)
    if found is None:
        raise SdpNotAcceptable("an m= line that cannot be read; expected: m=audio 5004 RTP/AVP 0")
    return MediaDescription(found[1], int(found[2]), found[3], found[4].split())


def _connection(value: str) -> ConnectionData | None:
    parts = value.split()
    return ConnectionData(*parts[:3]) if len(parts) >= 3 else None


def _codecs(media: MediaDescription) -> list[Codec]:
    """The codecs of a section, in the order of its formats; one whose rtpmap cannot be read has no name."""
    named: dict[int, Codec] = {}
    for value in media.attributes.get("rtpmap", []):
        if found := _RTPMAP.fullmatch(value):
            named[int(found[1])] = Codec(int(found[1]), found[2], int(found[3]), int(found[4]) if found[4] else None)
        elif found := re.match(r"[0-9]{1,3}(?=\s)", value):
            named.setdefault(int(found[0]), Codec(int(found[0])))
    codecs: list[Codec] = []
    for number in (int(text) for text in media.formats if re.fullmatch(r"\d{1,3}", text, re.ASCII)):
        name, clock_hz = _STATIC.get(number, ("", 0))
        codecs.append(named.get(number) or Codec(number, name, clock_hz))
    return codecs
