"""Checks an SDP offer, and tells the client what is wrong with it. Settings of ICE.

    SDP text ──check──► the audio codec to answer with          or `OfferError`

It finds all that aiortc would fail on later, in a task from which no error reaches the client. It changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiortc.sdp import MediaDescription, SessionDescription

from vivavoce.realtime.transports import TransportError

MAX_BYTES = 64 << 10
"""Characters of an offer. Browsers send five to ten thousand."""

MAX_SECTIONS = 8
CODECS = ("opus", "pcmu", "pcma")
"""Audio codecs that we answer with, the best first."""

_NAME, _PASSWORD = re.compile(r"[a-zA-Z0-9+/]{4,256}"), re.compile(r"[a-zA-Z0-9+/]{22,256}")  # RFC 8839 section 5.4


class OfferError(TransportError):
    """The offer cannot be answered; the message is fit for the client."""


def check(sdp: str) -> str:
    """Returns the codec (of `CODECS`) for the offer's first audio section. Raises `OfferError`."""
    description = _parse(sdp)
    if len(description.media) > MAX_SECTIONS:
        raise OfferError(f"the offer has {len(description.media)} media sections; at most {MAX_SECTIONS} are taken")
    for media in description.media:
        _check_section(media)
    mids = [str(media.rtp.muxId) for media in description.media]
    bundled = [str(mid) for group in description.group if group.semantic == "BUNDLE" for mid in group.items]
    if len(set(mids)) < len(mids) or not set(bundled) <= set(mids):
        raise OfferError(f"the names of the sections are {_list(mids)}, those of the bundle {_list(bundled)}")
    kinds = [media.kind for media in description.media]
    if "audio" not in kinds:
        raise OfferError('the offer has no audio section: add a microphone track, or a "recvonly" audio transceiver')
    if kinds.count("application") != 1:
        raise OfferError(
            'the offer must have one data channel section: create the channel "oai-events" before the offer'
        )
    audio = description.media[kinds.index("audio")]
    if audio.direction == "inactive":
        raise OfferError('the audio section is "inactive": neither side could be heard')
    offered = {codec.name.lower() for codec in audio.rtp.codecs}
    for codec in CODECS:
        if codec in offered:
            return codec
    raise OfferError(f"no common audio codec: offered {_list(offered)}, expected one of {_list(CODECS)}")


def _parse(sdp: str) -> SessionDescription:
    if len(sdp) > MAX_BYTES:
        raise OfferError(f"the offer is {len(sdp)} characters long; at most {MAX_BYTES} are read")
    if not sdp.lstrip().startswith("v=0"):
        raise OfferError('the body is not an SDP offer: it does not begin with "v=0"')
    try:
        return SessionDescription.parse(sdp)
    except Exception as error:  # a parser's border: any failure is the text's fault
        raise OfferError(f"the offer is not valid SDP ({type(error).__name__}: {error})") from error


def _check_section(media: MediaDescription) -> None:
    if media.kind not in ("audio", "video", "application"):
        raise OfferError(f'the offer has a section of kind "{media.kind}"; expected audio, video or application')
    section = f"the {media.kind} section"
    if not media.rtp.muxId:
        raise OfferError(f"{section} has no a=mid")
    name, password = (media.ice.usernameFragment, media.ice.password) if media.ice else (None, None)
    if not name or not password:
        raise OfferError(f"{section} has no ICE user name and password (a=ice-ufrag, a=ice-pwd)")
    if not _NAME.fullmatch(name) or not _PASSWORD.fullmatch(password):
        raise OfferError(f"{section} has an ICE user name or password of the wrong length or characters")
    if media.dtls is None or not media.dtls.fingerprints:
        raise OfferError(f"{section} has no DTLS certificate (a=fingerprint, a=setup)")
    if media.kind != "application" and not media.rtcp_mux:
        raise OfferError(f"{section} does not share its port with RTCP (a=rtcp-mux)")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


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
