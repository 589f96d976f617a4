"""realtime/transports/webrtc/sdp.py: offers that are answered, and those that are refused in words."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tidy import run
from vivavoce.realtime.transports import Ending, webrtc
from vivavoce.realtime.transports.webrtc import IceServer, IceSettings, OfferError, answer
from vivavoce.realtime.transports.webrtc.sdp import MAX_BYTES, check

LOOPBACK = IceSettings(loopback=True)


async def some_offer(*, audio: bool = True, channel: bool = True, codec: str | None = None) -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if audio:
        transceiver = peer.addTransceiver("audio")
        if codec:
            known = RTCRtpSender.getCapabilities("audio").codecs
            transceiver.setCodecPreferences([c for c in known if c.mimeType == codec])
    if channel:
        peer.createDataChannel("oai-events")
    peer.addTransceiver("video")
    await peer.setLocalDescription(await peer.createOffer())
    offer = str(peer.localDescription.sdp)
    await peer.close()
    return offer


@pytest.fixture(scope="module")
def good_offer() -> str:
    return asyncio.run(some_offer())


def refusal(offer: str) -> str:
    """The words with which `offer` is refused."""
    words = ""

    async def body() -> None:
        nonlocal words
        with pytest.raises(OfferError) as refused:
            await answer(offer, LOOPBACK)
        words = str(refused.value)

    run(body())
    return words


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ("", "not an SDP offer"),
        ("hello", "not an SDP offer"),
        ('{"sdp": "v=0"}', "not an SDP offer"),
        ("v=0\r\n", "no audio section"),
        ("v=0\r\nm=audio x y\r\n", "not valid SDP"),
        ("v=0\r\n" + "a=x\r\n" * MAX_BYTES, "characters long"),
    ],
)
def test_a_body_that_is_no_offer_is_refused(offer: str, words: str) -> None:
    assert words in refusal(offer)


@pytest.mark.parametrize(
    ("pattern", "replacement", "words"),
    [
        (r"a=ice-ufrag.*\r\n", "", "no ICE user name"),
        (r"a=fingerprint.*\r\n", "", "no DTLS certificate"),
        (r"a=setup.*\r\n", "", "no DTLS certificate"),
        (r"a=rtcp-mux\r\n", "", "a=rtcp-mux"),
        (r"a=mid:0\r\n", "", "no a=mid"),
        (r"a=mid:1\r\n", "a=mid:0\r\n", "names of the sections"),
        (r"a=group:BUNDLE 0", "a=group:BUNDLE 7", "those of the bundle 1, 2, 7"),
        (r"a=sendrecv", "a=inactive", "inactive"),
        (r"m=audio", "m=text", 'kind "text"'),
        (r"(VP8|H264)/", "AV1/", "cannot be answered"),
        (r"a=msid:[^\r]*", "a=msid:x ", "cannot be answered"),
        (r"a=ice-pwd:.*\r\n", "a=ice-pwd:short\r\n", "wrong length"),
    ],
)
def test_an_offer_that_lacks_something_is_refused_in_words(
    good_offer: str, pattern: str, replacement: str, words: str
) -> None:
    assert words in refusal(re.sub(pattern, replacement, good_offer))


def test_an_offer_without_audio_is_refused() -> None:
    assert "no audio section" in refusal(asyncio.run(some_offer(audio=False)))


def test_an_offer_without_a_data_channel_is_refused() -> None:
    assert "data channel" in refusal(asyncio.run(some_offer(channel=False)))


def test_an_offer_without_a_common_codec_is_refused() -> None:
    assert "offered g722, expected one of opus, pcma, pcmu" in refusal(asyncio.run(some_offer(codec="audio/G722")))


def test_an_offer_with_a_hundred_sections_is_refused(good_offer: str) -> None:
    section = good_offer[good_offer.index("m=video") : good_offer.index("m=application")]
    assert "media sections" in refusal(good_offer + section * 10)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_offer_with_damaged_lines_is_read_or_refused(good_offer: str, data: st.DataObject) -> None:
    lines = good_offer.split("\r\n")
    for _ in range(data.draw(st.integers(1, 3))):
        n = data.draw(st.integers(1, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[n])))
        lines[n] = lines[n][:cut] + data.draw(st.text(max_size=8))
    with suppress(OfferError):
        assert check("\r\n".join(lines)) in ("opus", "pcmu", "pcma")


def test_the_answer_asks_for_mono_with_fec_and_has_candidates_on_loopback(good_offer: str) -> None:
    async def body() -> None:
        transport, sdp = await answer(good_offer, LOOPBACK)
        assert "a=fmtp:96 minptime=10;useinbandfec=1;stereo=0" in sdp
        assert re.search(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 \d+ typ host", sdp)
        assert f"a=max-message-size:{webrtc.MAX_MESSAGE}" in sdp
        await transport.close(Ending())

    run(body())


def test_no_host_outside_is_asked_and_loopback_is_not_offered_by_default(good_offer: str) -> None:
    async def body() -> None:
        transport, sdp = await answer(good_offer, IceSettings())
        assert "typ srflx" not in sdp
        assert "127.0.0.1" not in sdp
        await transport.close(Ending())

    run(body())


def test_a_wrong_server_address_is_the_servers_error(good_offer: str) -> None:
    async def body() -> None:
        with pytest.raises(ValueError, match="malformed uri"):
            await answer(good_offer, IceSettings((IceServer(("nonsense",)),)))

    run(body())
