"""Reads SDP offers as RFC 8866, 3264, 8829 and 9143 have them, and writes the answers. Settings of ICE.

    offer ──read──► Offer ──sdp──► aiortc, which gets the sections that are taken, with everything spelled out
                      │                   │ its answer
                      └──────────answer◄──┘ ──► our answer: a section for each of the offer, in its order; the others
                                                rejected (port 0); BUNDLE and names only where the offer has them

What browsers spell out has defaults, and other peers rely on them: directions, attributes of the whole session, static
payload types, transports that bundled sections share. A section that cannot be had is rejected alone. `OfferError`
where there is no call without it; its words are for the author of the client.

Nothing of an offer is copied into another text unless it was understood, so that aiortc never meets what it cannot
read: it would fail in a task from which no error reaches the client.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from aiortc.codecs import CODECS as AIORTC_CODECS
from aiortc.codecs import is_rtx
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.rtp import FORBIDDEN_PAYLOAD_TYPES
from aiortc.sdp import SessionDescription

from vivavoce.realtime.transports import TransportError

MAX_BYTES = 64 << 10
"""Characters of an offer. Browsers send five to ten thousand."""

MAX_SECTIONS = 8
MAX_CANDIDATES = 32
"""Of one section; further ones are not needed."""

CODECS = ("opus", "pcmu", "pcma")
"""Audio codecs that we answer with, the best first."""

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
MEDIA: Final = re.compile(r"(?:RTP/S?AVPF?|(?:UDP|TCP)/(?:TLS|DTLS)/RTP/S?AVPF?)")  # RFC 8829 section 5.1.2
DATA: Final = re.compile(r"(?:(?:UDP|TCP)/)?DTLS/SCTP")  # RFC 8841; alone: browsers of 2016

STATIC: Final = {0: "PCMU", 3: "GSM", 4: "G723", 8: "PCMA", 9: "G722", 13: "CN", 15: "G728", 18: "G729"}
"""Audio payload types of 8 kHz that need no a=rtpmap (RFC 3551 section 6)."""

SUPPORTED: Final = {
    "audio": ("opus/48000", "pcmu/8000", "pcma/8000", "g722/8000"),
    "video": ("vp8/90000", "h264/90000", "rtx/90000"),
}
"""Codecs that aiortc knows."""

HASHES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Of certificates: bytes."""

FEEDBACK: Final = ("nack", "nack pli", "goog-remb", "ccm fir")
EXTENSIONS: Final = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
)
PARAMETERS: Final = re.compile(
    r"(?:apt|packetization-mode|level-asymmetry-allowed|max-fr|max-fs)=\d{1,6}|profile-level-id=[0-9A-Fa-f]{6}"
)
"""Those of video codecs that change whether we can have them."""

DEFAULT_MESSAGE: Final = 64 << 10
"""Bytes of a message that a peer takes which does not say (RFC 8841 section 6.1)."""

UNLIMITED: Final = 1 << 30
DEFAULT_PORT: Final = "5000"
"""Of SCTP."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,64}")  # RFC 8866 section 9
_MEDIA_LINE: Final = re.compile(
    r"([0-9A-Za-z.+-]{1,32}) (\d{1,5})(?:/\d{1,5})? ([0-9A-Za-z/.+-]{1,64})((?: [!-~]{1,64})+)"
)
_NAME, _PASSWORD = re.compile(r"[a-zA-Z0-9+/]{4,256}"), re.compile(r"[a-zA-Z0-9+/]{22,256}")  # RFC 8839 section 5.4
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([!-.0-~]{1,64})/(\d{1,6})(?:/(\d{1,2}))?")
_SSRC: Final = re.compile(r"(\d{1,10}) ")
_CANDIDATE: Final = re.compile(
    r"([A-Za-z0-9+/]{1,32}) 1 udp (\d{1,10}) ([0-9A-Fa-f.:]{2,45}|[0-9A-Za-z-]{1,63}\.local) (\d{1,5})"
    r" typ (host|srflx|prflx|relay)(?: .*)?",
    re.IGNORECASE,
)


class OfferError(TransportError):
    """The offer cannot be answered; the message is fit for the client."""


class _Rejected(Exception):
    """A section cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class _Section:
    """One m= line and what belongs to it. `attributes` in their order, names in lower case; `mid` may be made up."""

    kind: str
    port: int
    proto: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    mid: str = ""
    named: bool = False

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.attributes if known == name]

    def has(self, name: str) -> bool:
        return any(known == name for known, _ in self.attributes)

    def value(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    @property
    def label(self) -> str:
        return f"the {self.kind} section"


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. `codec`: of `CODECS`, for the first audio section that is taken, with the peer's
    `payload_type`. `sdp`: for aiortc."""

    codec: str
    payload_type: int
    sdp: str
    taken: frozenset[str] = field(repr=False)
    sections: tuple[_Section, ...] = field(repr=False)
    bundle: tuple[str, ...] | None = field(repr=False)

    def answer(self, sdp: str) -> str:
        """Our answer, made of aiortc's."""
        session, *answered = _split(sdp)
        lines = [line for line in session if not line.startswith("a=group:")]
        mids = [mid for mid in self.bundle or () if mid in self.taken]
        if mids:
            lines.append(f"a=group:BUNDLE {' '.join(mids)}")
        theirs = iter(answered)
        for section in self.sections:
            lines += _answered(section, next(theirs)) if section.mid in self.taken else _rejected(section)
        return "\r\n".join([*lines, ""])


def read(sdp: str) -> Offer:
    """Reads an offer. Raises `OfferError`."""
    session, sections = _parse(sdp)
    bundle = _bundle(session, sections)
    tagged = _tagged(sections, bundle)
    taken: dict[str, list[str]] = {}
    refused: list[str] = []
    codec: _Codec | None = None
    for section in sections:
        try:
            _check_port(section, bundle)
            if section.kind == "audio" and codec is None:
                codec, taken[section.mid] = _first_audio(section, tagged)
            elif section.kind != "application":
                taken[section.mid] = _media(section, tagged, _codecs(section))
            elif not any(other.kind == "application" and other.mid in taken for other in sections):
                taken[section.mid] = _data(section, tagged)
        except _Rejected as why:
            refused.append(f"{section.label} cannot be answered: {why}")
    _check_needed(sections, taken, refused)
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    lines += ["a=ice-lite"] if any(section.has("ice-lite") for section in sections) else []
    mids = [mid for mid in bundle or () if mid in taken]
    lines += [f"a=group:BUNDLE {' '.join(mids)}"] if mids else []
    lines += [line for rewritten in taken.values() for line in rewritten]
    assert codec is not None  # audio was needed
    rewritten_sdp = "\r\n".join([*lines, ""])
    return Offer(codec.name, codec.type, rewritten_sdp, frozenset(taken), tuple(sections), bundle)


# --- the text ------------------------------------------------------------------------------------------------------


def _split(sdp: str) -> list[list[str]]:
    """The lines of the session, and those of each section."""
    groups: list[list[str]] = [[]]
    for line in sdp.split("\n"):
        line = line.rstrip("\r")
        if line.startswith("m="):
            groups.append([])
        if line:
            groups[-1].append(line)
    return groups


def _parse(sdp: str) -> tuple[list[tuple[str, str]], list[_Section]]:
    """The attributes of the session, and its sections, which have inherited them. Raises `OfferError`."""
    if len(sdp) > MAX_BYTES:
        raise OfferError(f"the offer is {len(sdp)} characters long; at most {MAX_BYTES} are read")
    sdp = sdp.lstrip("\ufeff \t\r\n")
    if not sdp.startswith("v=0"):
        raise OfferError('the body is not an SDP offer: it does not begin with "v=0"')
    head, *groups = _split(sdp)
    if len(groups) > MAX_SECTIONS:
        raise OfferError(f"the offer has {len(groups)} media sections; at most {MAX_SECTIONS} are taken")
    for line in (line for group in (head, *groups) for line in group):
        if not re.match("[a-z]=", line):
            raise OfferError(f"the offer is not valid SDP: expected a line such as a=mid:0, got {_shown(line)}")
    session = list(_attributes(head))
    sections = []
    for first, *rest in groups:
        found = _MEDIA_LINE.fullmatch(" ".join(first[2:].split()))
        if found is None or int(found[2]) > 65535:
            expected = "a media line such as m=audio 9 UDP/TLS/RTP/SAVPF 111"
            raise OfferError(f"the offer is not valid SDP: expected {expected}, got {_shown(first)}")
        own = list(_attributes(rest))
        section = _Section(
            found[1].lower(), int(found[2]), found[3], tuple(found[4].split()), tuple(_inherit(own, session))
        )
        sections.append(replace(section, mid=section.value("mid"), named=section.has("mid")))
        if section.has("mid") and not _TOKEN.fullmatch(section.value("mid")):
            raise OfferError(f"{section.label} has a name that is none: a=mid:{_shown(section.value('mid'))}")
    return session, _with_mids(sections)


def _attributes(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            yield name.strip().lower(), value.strip()


def _inherit(own: list[tuple[str, str]], session: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The attributes of a section, and those of the session that hold for it where it says nothing itself."""
    yield from own
    names = {name for name, _ in own}
    directed = bool(names & set(DIRECTIONS))
    for name, value in session:
        general = name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "ice-lite", "rtcp-mux")
        if (general and name not in names) or (name in DIRECTIONS and not directed):
            yield name, value


def _with_mids(sections: list[_Section]) -> list[_Section]:
    """Gives a name to sections without one: they are known by their place. Raises `OfferError`."""
    given = {section.mid for section in sections if section.named}
    if len(given) < sum(section.named for section in sections):
        raise OfferError(f"the names of the sections are {_list(section.mid for section in sections)}: one twice")
    free = (f"section{n}" for n in range(2 * MAX_SECTIONS) if f"section{n}" not in given)
    return [section if section.named else replace(section, mid=next(free)) for section in sections]


def _bundle(session: list[tuple[str, str]], sections: list[_Section]) -> tuple[str, ...] | None:
    """The names in the first BUNDLE group; None without one. Raises `OfferError`."""
    groups = [value.split() for name, value in session if name == "group"]
    bundled = next((tuple(mids) for semantic, *mids in filter(None, groups) if semantic.upper() == "BUNDLE"), None)
    named = {section.mid for section in sections if section.named}
    if bundled is None or set(bundled) <= named:
        return bundled
    unnamed = next((section for section in sections if not section.named), None)
    if unnamed is not None:
        raise OfferError(f"{unnamed.label} has no a=mid, and the bundle names {_list(bundled)}")
    raise OfferError(f"the names of the sections are {_list(named)}, those of the bundle {_list(bundled)}")


def _tagged(sections: list[_Section], bundle: tuple[str, ...] | None) -> dict[str, _Section]:
    """For each bundled section the one whose transport it shares (RFC 9143 section 7.2): the first of the group."""
    known = {section.mid: section for section in sections}
    first = known[bundle[0]] if bundle else None
    return {mid: first for mid in bundle or () if first is not None}


# --- sections ------------------------------------------------------------------------------------------------------


def _check_port(section: _Section, bundle: tuple[str, ...] | None) -> None:
    """Raises `_Rejected` for a section that is switched off."""
    shares = section.has("bundle-only") and section.mid in (bundle or ())
    if section.port == 0 and not shares:
        raise _Rejected("it is switched off (port 0)")


def _first_audio(section: _Section, tagged: dict[str, _Section]) -> tuple[_Codec, list[str]]:
    """The codec to answer with, and the section for aiortc. Raises `_Rejected`."""
    if _direction(section) == "inactive":
        raise _Rejected('it is "inactive": neither side could be heard')
    offered = _codecs(section)
    for name in CODECS:
        for codec in offered:
            if codec.name == name and codec.key in SUPPORTED["audio"]:
                return codec, _media(section, tagged, [replace(codec, main=True)])
    names = _list({codec.name for codec in offered})
    raise _Rejected(f"no common audio codec: offered {names}, expected one of {_list(CODECS)}")


def _media(section: _Section, tagged: dict[str, _Section], codecs: list[_Codec]) -> list[str]:
    """A section of sound or pictures for aiortc, with those of `codecs` that it knows. Raises `_Rejected`."""
    if section.kind not in SUPPORTED:
        raise _Rejected(f'sections of kind "{section.kind}" are not taken; expected audio, video or application')
    if not MEDIA.fullmatch(section.proto):
        raise _Rejected(f"its protocol is {section.proto}; expected UDP/TLS/RTP/SAVPF")
    if not (section.has("rtcp-mux") or section.has("rtcp-mux-only")):
        raise _Rejected("it does not share its port with RTCP (a=rtcp-mux)")
    transport = _transport(section, tagged)
    known = [codec for codec in codecs if codec.key in SUPPORTED[section.kind] and codec.has_usual_type]
    lines = [
        f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(str(codec.type) for codec in known) or 0}",
        *transport,
        f"a={_direction(section)}",
        "a=rtcp-mux",
        *(line for codec in known for line in _codec_lines(section, codec)),
        *_extensions(section),
        *_sources(section),
    ]
    (read_back,) = SessionDescription.parse("\r\n".join(lines)).media
    if all(is_rtx(codec) for codec in find_common_codecs(AIORTC_CODECS[section.kind], read_back.rtp.codecs)):
        raise _Rejected(f"no common codec: offered {_list({codec.name for codec in codecs})}")
    return lines


def _data(section: _Section, tagged: dict[str, _Section]) -> list[str]:
    """The section of data channels for aiortc. Raises `_Rejected`."""
    if not DATA.fullmatch(section.proto):
        raise _Rejected(f"its protocol is {section.proto}; expected UDP/DTLS/SCTP")
    size = section.value("max-message-size")
    limit = int(size) if re.fullmatch(r"\d{1,10}", size) else DEFAULT_MESSAGE
    limits = [f"a=max-message-size:{limit or UNLIMITED}"]  # RFC 8841 section 6: 0 is no limit
    if section.proto == "DTLS/SCTP":
        port = _port(section.formats[0])
        return [
            f"m=application 9 DTLS/SCTP {port}",
            *_transport(section, tagged),
            f"a=sctpmap:{port} webrtc-datachannel 256",
            *limits,
        ]
    if section.formats[0].lower() != "webrtc-datachannel":
        raise _Rejected(f"it is for {section.formats[0]}; expected webrtc-datachannel")
    port = _port(section.value("sctp-port") or DEFAULT_PORT)
    first = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
    return [first, *_transport(section, tagged), f"a=sctp-port:{port}", *limits]


def _port(text: str) -> int:
    """Raises `_Rejected`."""
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise _Rejected(f"expected a port of SCTP, got {_shown(text)}")
    return int(text)


def _transport(section: _Section, tagged: dict[str, _Section]) -> list[str]:
    """How to reach the peer: the section's own transport, or that of the section it is bundled with. Raises
    `_Rejected`."""
    own = section if section.has("ice-ufrag") else tagged.get(section.mid, section)
    name, password = own.value("ice-ufrag"), own.value("ice-pwd")
    if not name or not password:
        raise _Rejected("it has no ICE user name and password (a=ice-ufrag, a=ice-pwd)")
    if not _NAME.fullmatch(name) or not _PASSWORD.fullmatch(password):
        raise _Rejected("it has an ICE user name or password of the wrong length or characters")
    proof = own if own.has("fingerprint") else tagged.get(section.mid, own)
    prints, setup = list(_fingerprints(proof)), proof.value("setup").lower()
    if not prints or not setup:
        raise _Rejected("it has no DTLS certificate (a=fingerprint with SHA-256 or longer, a=setup)")
    if setup not in ("actpass", "active", "passive"):
        raise _Rejected(f"it has a=setup:{_shown(setup)}; expected actpass, active or passive")
    candidates = [f"a=candidate:{text}" for text in filter(None, map(_candidate, own.values("candidate")))]
    return [
        "c=IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        *candidates[:MAX_CANDIDATES],
        *(["a=end-of-candidates"] if own.has("end-of-candidates") and candidates else []),
        f"a=ice-ufrag:{name}",
        f"a=ice-pwd:{password}",
        *prints,
        f"a=setup:{setup}",
    ]


def _fingerprints(section: _Section) -> Iterator[str]:
    for value in section.values("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        octets = digest.strip().split(":")
        if len(octets) == HASHES.get(algorithm.lower()) and all(re.fullmatch("[0-9A-Fa-f]{2}", one) for one in octets):
            yield f"a=fingerprint:{algorithm.lower()} {digest.strip().upper()}"


def _candidate(value: str) -> str:
    """A candidate as aiortc reads it; "" for one that it cannot use (TCP, host names, a component of its own)."""
    found = _CANDIDATE.fullmatch(value)
    if found is None or int(found[4]) > 65535 or int(found[2]) >= 1 << 32:
        return ""
    if not found[3].endswith(".local"):
        try:
            ipaddress.ip_address(found[3])
        except ValueError:
            return ""
    return f"{found[1]} 1 udp {found[2]} {found[3]} {found[4]} typ {found[5].lower()}"


def _direction(section: _Section) -> str:
    return next((name for name, _ in section.attributes if name in DIRECTIONS), "sendrecv")  # RFC 8866 section 6.7


@dataclass(frozen=True, slots=True)
class _Codec:
    """One payload type: `name` in lower case, `written` as the peer writes it."""

    type: int
    written: str
    clock_hz: int
    channels: int
    main: bool = False

    @property
    def has_usual_type(self) -> bool:
        """aiortc answers with the offer's payload type if that is dynamic, else with its own, which is the static one;
        that of the main codec is corrected."""
        return self.main or self.type >= 96 or STATIC.get(self.type, "").lower() == self.name

    @property
    def name(self) -> str:
        return self.written.lower()

    @property
    def key(self) -> str:
        return f"{self.name}/{self.clock_hz}"


def _codecs(section: _Section) -> list[_Codec]:
    """What the section offers, the peer's favourite first; static payload types need no line of their own."""
    mapped = {int(found[1]): found for found in map(_RTPMAP.fullmatch, section.values("rtpmap")) if found}
    codecs = []
    for text in section.formats:
        if not re.fullmatch(r"\d{1,3}", text):
            continue
        payload_type = int(text)
        found = mapped.get(payload_type)
        if found is not None:
            codecs.append(_Codec(payload_type, found[2], int(found[3]), int(found[4] or 1)))
        elif section.kind == "audio" and payload_type in STATIC:
            codecs.append(_Codec(payload_type, STATIC[payload_type], 8000, 1))
    return [codec for codec in codecs if codec.type < 128 and codec.type not in FORBIDDEN_PAYLOAD_TYPES]


def _codec_lines(section: _Section, codec: _Codec) -> Iterator[str]:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    yield f"a=rtpmap:{codec.type} {codec.written}/{codec.clock_hz}{channels}"
    if section.kind != "video":
        return
    for value in section.values("rtcp-fb"):
        whose, _, what = value.partition(" ")
        if whose in ("*", str(codec.type)) and what.strip() in FEEDBACK:
            yield f"a=rtcp-fb:{codec.type} {what.strip()}"
    for value in section.values("fmtp"):
        whose, _, what = value.partition(" ")
        parameters = [one.strip() for one in what.split(";")]
        if whose == str(codec.type) and (kept := [one for one in parameters if PARAMETERS.fullmatch(one)]):
            yield f"a=fmtp:{codec.type} {';'.join(kept)}"


def _extensions(section: _Section) -> Iterator[str]:
    """Extensions of RTP headers. One that may be sent in one direction only is not taken: the answer would promise
    both."""
    for value in section.values("extmap"):
        number, _, uri = value.partition(" ")
        if re.fullmatch(r"\d{1,2}(?:/sendrecv)?", number) and uri.strip() in EXTENSIONS:
            yield f"a=extmap:{number.partition('/')[0]} {uri.strip()}"


def _sources(section: _Section) -> list[str]:
    """The senders of RTP that the offer names: the one of the media, and that of what it sends again."""
    numbers = [found[1] for found in map(_SSRC.match, section.values("ssrc")) if found and int(found[1]) < 1 << 32]
    return [f"a=ssrc:{number} cname:peer" for number in dict.fromkeys(numbers)][:16]


def _check_needed(sections: list[_Section], taken: dict[str, list[str]], refused: list[str]) -> None:
    """Raises `OfferError` where sound or the event channel is missing."""
    kinds = {section.kind for section in sections if section.mid in taken}
    needed = {
        "audio": 'the offer has no audio section: add a microphone track, or a "recvonly" audio transceiver',
        "application": (
            'the offer must have one data channel section: create the channel "oai-events" before the offer'
        ),
    }
    for kind, missing in needed.items():
        if kind not in kinds:
            reasons = [reason for reason in refused if reason.startswith(f"the {kind} section")]
            others = f" ({'; '.join(refused)})" if refused else ""
            raise OfferError(reasons[0] if reasons else missing + others)


# --- the answer ----------------------------------------------------------------------------------------------------


def _answered(section: _Section, lines: list[str]) -> Iterator[str]:
    """aiortc's answer to a section, in the offer's terms."""
    first, *rest = lines
    kind, port, _, formats = first.split(" ", 3)
    yield f"{kind} {port} {section.proto} {formats}"
    for line in rest:
        if section.named or not line.startswith("a=mid:"):  # RFC 5888 section 9.1: no names that the offer has not
            yield line


def _rejected(section: _Section) -> Iterator[str]:
    """RFC 3264 section 6: the same line, with port 0."""
    yield f"m={section.kind} 0 {section.proto} {' '.join(section.formats)}"
    yield "c=IN IP4 0.0.0.0"
    if section.kind in SUPPORTED:
        yield "a=inactive"
    if section.named:
        yield f"a=mid:{section.mid}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


def _shown(text: str) -> str:
    """A piece of the offer, fit for a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, such as urls=("turn:example.org:3478?transport=udp",)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class IceSettings:
    """How peers find us: ICE (RFC 8445). No servers: direct connections only, and no host outside is asked.

    `loopback`: offer 127.0.0.1 too, for a server that listens there."""

    servers: tuple[IceServer, ...] = ()
    loopback: bool = False
