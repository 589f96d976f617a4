"""SDP offers of peers that are no browsers, as RFC 8866, 3264 and 8829 allow them, and what is to be answered."""

from __future__ import annotations

import re

PRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\n"
ICE = "a=ice-ufrag:abcd1234\na=ice-pwd:abcdefghijklmnopqrstuvwx\n"
WAY = ICE + PRINT + "a=setup:actpass\n"
OTHER = WAY.replace("abcd1234", "efgh5678")
HEAD = "v=0\no=- 42 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
BUNDLED = HEAD + "a=group:BUNDLE 0 1\n"
OPUS = "a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n"


def audio(types: str = "111", maps: str = OPUS, more: str = "a=sendrecv\n", way: str = WAY, port: str = "9") -> str:
    return f"m=audio {port} UDP/TLS/RTP/SAVPF {types}\nc=IN IP4 0.0.0.0\n{way}a=mid:0\na=rtcp-mux\n{maps}{more}"


def data(port: str = "9", way: str = WAY, more: str = "", mid: str = "1") -> str:
    line = f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel"
    return f"{line}\nc=IN IP4 0.0.0.0\n{way}a=mid:{mid}\na=sctp-port:5000\n{more}"


def video(codec: str, more: str = "", port: str = "9", way: str = WAY) -> str:
    line = f"m=video {port} UDP/TLS/RTP/SAVPF 98"
    return f"{line}\nc=IN IP4 0.0.0.0\n{way}a=mid:2\na=rtcp-mux\na=sendonly\na=rtpmap:98 {codec}/90000\n{more}"


def unnamed(offer: str) -> str:
    return re.sub(r"a=mid:.*\n", "", offer)


SECOND = audio("97", "a=rtpmap:97 SPEEX/16000\n").replace("a=mid:0", "a=mid:2")
THREE = BUNDLED.replace("0 1", "0 1 2")
CHANNEL, SOUND = "application 9 UDP/DTLS/SCTP webrtc-datachannel", "audio 9 UDP/TLS/RTP/SAVPF 111 sendrecv"
CAMERA = "video 9 UDP/TLS/RTP/SAVPF 98 recvonly"
SECOND_OFF = "audio 0 UDP/TLS/RTP/SAVPF 97 inactive"
OFF = "video 0 UDP/TLS/RTP/SAVPF 98 inactive"
WITH_CAMERA = BUNDLED + audio() + data()
ODD_LINES = (
    "a=sendrecv\na=msid:x \na=ssrc:1\na=ssrc:9999999999 a\na=extmap:1 x y z\na=candidate:1 1 tcp 1 h 9 typ host\n"
    "a=rtcp-fb:111\na=maxptime\n"
)
LEGAL: dict[str, tuple[str, str, list[str]]] = {
    "plain": (BUNDLED + audio() + data(), "0 1", [SOUND, CHANNEL]),
    "CRLF": ((BUNDLED + audio() + data()).replace("\n", "\r\n"), "0 1", [SOUND, CHANNEL]),
    "no direction": (BUNDLED + audio(more="") + data(), "0 1", [SOUND, CHANNEL]),
    "direction of the session": (
        BUNDLED + "a=recvonly\n" + audio(more="") + data(),
        "0 1",
        [SOUND.replace("sendrecv", "sendonly"), CHANNEL],
    ),
    "own direction first": (BUNDLED + "a=inactive\n" + audio() + data(), "0 1", [SOUND, CHANNEL]),
    "transport of the session": (BUNDLED + WAY + audio(way="") + data(way=""), "0 1", [SOUND, CHANNEL]),
    "static payload types": (
        BUNDLED + audio("0 8", "") + data(),
        "0 1",
        ["audio 9 UDP/TLS/RTP/SAVPF 0 sendrecv", CHANNEL],
    ),
    "static and unknown ones": (
        BUNDLED + audio("3 18 8 110", "") + data(),
        "0 1",
        ["audio 9 UDP/TLS/RTP/SAVPF 8 sendrecv", CHANNEL],
    ),
    "payload type below 96": (
        BUNDLED + audio("63", OPUS.replace("111", "63")) + data(),
        "0 1",
        ["audio 9 UDP/TLS/RTP/SAVPF 63 sendrecv", CHANNEL],
    ),
    "mapped, but not offered": (
        BUNDLED + audio("8", OPUS) + data(),
        "0 1",
        ["audio 9 UDP/TLS/RTP/SAVPF 8 sendrecv", CHANNEL],
    ),
    "codec in capitals, and twice": (
        BUNDLED + audio("109 111", "a=rtpmap:109 OPUS/48000/2\n" + OPUS) + data(),
        "0 1",
        [SOUND.replace("111", "109"), CHANNEL],
    ),
    "other profile": (
        BUNDLED + audio().replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP") + data(),
        "0 1",
        [SOUND.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), CHANNEL],
    ),
    "data channel of old browsers": (
        BUNDLED + audio() + data().replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"),
        "0 1",
        [SOUND, "application 9 DTLS/SCTP 5000"],
    ),
    "bundle-only": (BUNDLED + audio() + data("0", "", "a=bundle-only\n"), "0 1", [SOUND, CHANNEL]),
    "bundle-only, in front": (
        HEAD + "a=group:BUNDLE 1 0\n" + audio(way="", port="0", more="a=sendrecv\na=bundle-only\n") + data(),
        "1 0",
        [SOUND, CHANNEL],
    ),
    "no bundle": (HEAD + audio() + data(way=OTHER), "", [SOUND, CHANNEL]),
    "no bundle, no names": (unnamed(HEAD + audio() + data(way=OTHER)), "", [SOUND, CHANNEL]),
    "other group": (HEAD + "a=group:LS 0 1\n" + audio() + data(way=OTHER), "", [SOUND, CHANNEL]),
    "in part bundled": (WITH_CAMERA + video("VP8", way=OTHER), "0 1", [SOUND, CHANNEL, CAMERA]),
    "video switched off": (WITH_CAMERA + video("VP8", port="0"), "0 1", [SOUND, CHANNEL, OFF]),
    "switched off, without a way": (WITH_CAMERA + video("VP8", port="0", way=""), "0 1", [SOUND, CHANNEL, OFF]),
    "bundle-only in no bundle": (
        WITH_CAMERA + video("VP8", "a=bundle-only\n", "0", ""),
        "0 1",
        [SOUND, CHANNEL, OFF],
    ),
    **{
        f"camera of {codec}": (THREE + audio() + data() + video(codec), "0 1", [SOUND, CHANNEL, OFF])
        for codec in ("VP9", "AV1", "H265", "rtx")
    },
    "camera with H.264 that we cannot read": (
        THREE + audio() + data() + video("H264", "a=fmtp:98 profile-level-id=640034;packetization-mode=1\n"),
        "0 1",
        [SOUND, CHANNEL, OFF],
    ),
    "camera in front, which all share": (
        HEAD + "a=group:BUNDLE 2 0 1\n" + video("AV1") + audio(way="") + data(way=""),
        "0 1",
        [OFF, SOUND, CHANNEL],
    ),
    "second microphone": (THREE + audio() + data() + SECOND, "0 1", [SOUND, CHANNEL, SECOND_OFF]),
    "second microphone in front": (
        THREE + SECOND + audio() + data(),
        "0 1",
        [SECOND_OFF, SOUND, CHANNEL],
    ),
    "second data channel": (
        THREE + audio() + data() + data(mid="2"),
        "0 1",
        [SOUND, CHANNEL, "application 0 UDP/DTLS/SCTP webrtc-datachannel"],
    ),
    "other kinds": (
        BUNDLED + audio() + data() + "m=text 9 UDP/TLS/RTP/SAVPF 98\na=mid:2\nm=message 9 TCP/MSRP *\n",
        "0 1",
        [SOUND, CHANNEL, "text 0 UDP/TLS/RTP/SAVPF 98", "message 0 TCP/MSRP *"],
    ),
    "lines of no interest": (
        BUNDLED + "b=AS:500\nk=prompt\na=ice-lite\n" + audio(more=ODD_LINES) + data(more="a=max-message-size:0\n"),
        "0 1",
        [SOUND, CHANNEL],
    ),
}
"""Offers by what is special about them: the text, the bundle of the answer, and its sections (see `outline`)."""


def outline(sdp: str) -> list[str]:
    """Each section of a description: its m= line with port 9 for any, and its direction."""
    sections = []
    for section in re.split(r"^m=", sdp, flags=re.MULTILINE)[1:]:
        line = re.sub(r" [1-9]\d* ", " 9 ", section.split("\r\n")[0], count=1)
        found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\r$", section, re.MULTILINE)
        sections.append(f"{line} {found[1]}" if found else line)
    return sections
