"""Offers as peers write them: what cannot be had is rejected alone, in its place, and the call goes on."""

from __future__ import annotations

import pytest

from vivavoce.realtime.telephony.errors import SdpNotAcceptable
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, accept_answer, create_answer, create_offer

LOCAL = LocalSdp("192.0.2.1", 40_000)
LOCAL_6 = LocalSdp("2001:db8::1", 40_000)
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
AUDIO = "m=audio 5004 RTP/AVP 0\r\n"

SECTIONS = {
    "video": ("m=video 6000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n", "m=video 0 RTP/AVP 96"),
    "video with an unreadable map": ("m=video 6000 RTP/AVP 96\r\na=rtpmap:96 VP8/x\r\n", "m=video 0 RTP/AVP 96"),
    "unreadable numbers": ("m=video 6000 RTP/AVP 96\r\nb=AS:much\r\na=rtpmap:x y/z\r\n", "m=video 0 RTP/AVP 96"),
    "fax": ("m=image 6002 udptl t38\r\n", "m=image 0 udptl t38"),
    "a media type of tomorrow": ("m=x-smell 6002 RTP/AVP 96\r\n", "m=x-smell 0 RTP/AVP 96"),
    "slides": ("m=application 9 TCP/TLS/BFCP *\r\n", "m=application 0 TCP/TLS/BFCP *"),
    "encrypted audio": ("m=audio 6004 RTP/SAVP 0\r\na=crypto:1 x\r\n", "m=audio 0 RTP/SAVP 0"),
    "audio that is off": ("m=audio 0 RTP/AVP 0\r\n", "m=audio 0 RTP/AVP 0"),
    "audio at an impossible port": ("m=audio 70000 RTP/AVP 0\r\n", "m=audio 0 RTP/AVP 0"),
    "audio without a common codec": ("m=audio 6006 RTP/AVP 18\r\n", "m=audio 0 RTP/AVP 18"),
    "audio at a name": ("m=audio 6006 RTP/AVP 0\r\nc=IN IP4 pbx.example.org\r\n", "m=audio 0 RTP/AVP 0"),
    "audio over IPv6": ("m=audio 6006 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\n", "m=audio 0 RTP/AVP 0"),
    "no formats": ("m=text 6006 RTP/AVP\r\n", "m=text 0 RTP/AVP 0"),
}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("first", [True, False])
def test_a_section_that_cannot_be_had_is_rejected_alone(section: str, first: bool) -> None:
    offered, rejected = SECTIONS[section]
    text, media = create_answer(HEAD + (offered + AUDIO if first else AUDIO + offered), LOCAL)
    lines = [line for line in text.split("\r\n") if line.startswith("m=")]
    assert lines == ([rejected, "m=audio 40000 RTP/AVP 0"] if first else ["m=audio 40000 RTP/AVP 0", rejected])
    assert (media.host, media.port, media.codec) == ("192.0.2.9", 5004, "pcmu")


@pytest.mark.parametrize(
    "audio",
    [
        "m=audio 5004/1 RTP/AVP 0\r\n",
        "m=audio  5004  RTP/AVP  0 \n",
        "m=audio 5004 rtp/avp 0 x 999\r\na=rtpmap:0 pcmu/8000/1\r\n",
        "m=audio 5004 RTP/AVPF 0\r\na=rtcp-fb:* nack\r\na=ptime:x\r\na=\r\na=:\r\n",
        "m=audio 5004 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/x\r\n",
        "m=audio 5004 RTP/AVP 96 0\r\na=rtpmap:96\r\na=rtpmap:9999 opus/48000/2\r\na=fmtp:x y\r\n",
        "m=audio 5004 RTP/AVP 0\r\nc=IN IP4 192.0.2.9/127\r\nc=IN IP4 192.0.2.10\r\nb=x\r\nk=clear:y\r\nz\r\n",
        "m=audio 5004 RTP/AVP 0\r\na=sendrecv \r\na=rtcp:x IN IP4 192.0.2.9\r\n",
    ],
)
def test_audio_is_read_as_peers_write_it(audio: str) -> None:
    media = create_answer(HEAD + audio, LOCAL)[1]
    assert (media.codec, media.host, media.port, media.rtcp_port) == ("pcmu", "192.0.2.9", 5004, 5005)
    assert media.can_send
    assert media.can_receive


@pytest.mark.parametrize("address", ["2001:db8::9", "::1", "2001:DB8:0:0:0:0:0:9", "[2001:db8::9]"])
def test_addresses_of_ipv6_are_read_and_written(address: str) -> None:
    offer = HEAD.replace("IN IP4 192.0.2.9", f"IN IP6 {address}") + AUDIO
    text, media = create_answer(offer, LOCAL_6)
    assert media.host in ("2001:db8::9", "::1")
    assert "c=IN IP6 2001:db8::1\r\n" in text
    assert accept_answer(create_offer(LOCAL_6), LOCAL_6).host == "2001:db8::1"


@pytest.mark.parametrize(
    ("sdp", "words"),
    [
        (HEAD + AUDIO.replace("5004", "x"), "an m= line that cannot be read"),
        (HEAD, "no audio over plain RTP"),
        ("", "no audio over plain RTP"),
        (HEAD.replace("v=0", "v=1") + AUDIO, "another version"),
        (HEAD.replace("192.0.2.9", "x") + AUDIO, "not an IP address"),
        (HEAD + "m=audio 5004 RTP/AVP 18\r\n", "no codec in common"),
        (HEAD + AUDIO * 17, "more than 16"),
        (HEAD.replace("IP4 192.0.2.9", "IP6 ::1") + AUDIO, "IPv6, and ours is not"),
    ],
)
def test_what_is_refused_is_refused_in_words(sdp: str, words: str) -> None:
    with pytest.raises(SdpNotAcceptable, match=words) as refused:
        create_answer(sdp, LOCAL)
    assert "invalid literal" not in str(refused.value)
    assert "Error" not in str(refused.value)
