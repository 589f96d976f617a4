"""Offers of peers that are no browsers, with a real peer behind each: sound goes both ways, and so do events.

aiortc offers as browsers do; its offer is rewritten as others would write it, and where it reads less than it should,
the answer too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection

from harness.peer import Peer
from harness.tidy import run
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.transports import Ending, Message, PeerGone, Received, Sound
from vivavoce.realtime.transports.webrtc import IceSettings, answer

pytestmark = pytest.mark.slow

VP9 = "m=video 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\n{way}a=mid:2\r\na=rtcp-mux\r\na=rtpmap:98 VP9/90000\r\n"


def without(*names: str) -> Callable[[str], str]:
    """Leaves out lines, in all sections."""
    return lambda sdp: re.sub(rf"^a=(?:{'|'.join(names)})\b.*\r\n", "", sdp, flags=re.MULTILINE)


def to_session(*names: str) -> Callable[[str], str]:
    """Moves lines of the first section up, and leaves those of the others out."""

    def move(sdp: str) -> str:
        lines = [re.findall(rf"^a={name}\b.*\r\n", sdp, re.MULTILINE)[0] for name in names]
        head, first, rest = without(*names)(sdp).partition("m=")
        return head + "".join(lines) + first + rest

    return move


def bundle_only(sdp: str) -> str:
    head, line, data = sdp.partition("m=application")
    data = without("ice-ufrag", "ice-pwd", "fingerprint", "setup", "candidate", "end-of-candidates")(data)
    return head + line + re.sub(r"^ \d+", " 0", data) + "a=bundle-only\r\n"


def with_camera(sdp: str) -> str:
    """A camera with a codec that we do not have, between the two sections."""
    way = "".join(re.findall(r"^a=(?:ice-ufrag|ice-pwd|fingerprint|setup).*\r\n", sdp, re.MULTILINE)[:4])
    head, line, data = sdp.replace("BUNDLE 0 1", "BUNDLE 0 2 1").partition("m=application")
    return head + VP9.format(way=way) + line + data


def without_camera(sdp: str) -> str:
    """aiortc does not know rejected sections."""
    found = re.search(r"m=video 0 .*?(?=m=)", sdp, re.DOTALL)
    assert found
    return sdp.replace(found[0], "")


def with_names(sdp: str) -> str:
    """aiortc needs names in an answer."""
    assert "a=mid" not in sdp
    number = iter(range(9))
    return re.sub(r"(?=a=ice-ufrag)", lambda _: f"a=mid:{next(number)}\r\n", sdp)


def same(sdp: str) -> str:
    return sdp


@pytest.mark.parametrize(
    ("rewritten", "reread", "codec"),
    [
        (without("sendrecv"), same, None),
        (to_session("sendrecv"), same, None),
        (to_session("ice-ufrag", "ice-pwd", "fingerprint", "setup"), same, None),
        (without("rtpmap", "fmtp"), same, "PCMU"),
        (without("rtpmap", "fmtp"), same, "PCMA"),
        (bundle_only, same, None),
        (without("group"), same, None),
        (without("group", "mid"), with_names, None),
        (with_camera, without_camera, None),
        (without("candidate", "end-of-candidates", "msid", "ssrc", "extmap", "max-message-size"), same, None),
    ],
    ids=["no direction", "direction of the session", "transport of the session", "static PCMU", "static PCMA",
         "bundle-only", "no bundle", "no bundle, no names", "unknown camera", "as little as possible"],
)  # fmt: skip
def test_a_peer_that_writes_less_than_a_browser_talks_and_is_heard(
    rewritten: Callable[[str], str], reread: Callable[[str], str], codec: str | None
) -> None:
    async def body() -> None:
        peer = Peer(codec=codec)
        offer = await peer.offer()
        if "BUNDLE" not in rewritten(offer):
            unbundle(peer.peer)
        assert rewritten(offer) != offer
        transport, sdp = await answer(rewritten(offer), IceSettings(loopback=True))
        assert ("a=group:BUNDLE" in sdp) == ("a=group:BUNDLE" in rewritten(offer))
        heard = Heard()
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(heard.listen(transport)), tasks.create_task(transport.speak(tone))]
            await peer.accept(reread(sdp))
            async with asyncio.timeout(20):
                await peer.opened.wait()
            transport.send(b'{"type": "session.created"}')
            await peer.event("session.created")
            peer.send({"type": "session.update"})
            peer.play(np.tile(tone(), 100))
            async with asyncio.timeout(20):
                while not (heard.messages and heard.loud and np.abs(peer.recorded()).max(initial=0) > 0.1):  # noqa: ASYNC110 - both ends
                    await asyncio.sleep(0.02)
            for task in work:
                task.cancel()
        await transport.close(Ending())
        await peer.close()

    run(body())


def unbundle(peer: RTCPeerConnection) -> None:
    """aiortc offers a bundle and each section a transport of its own: so it has those."""
    transports = {transceiver.receiver.transport for transceiver in peer.getTransceivers()}
    assert peer.sctp is not None
    assert peer.sctp.transport not in transports


class Heard:
    """Implements `Intake`."""

    def __init__(self) -> None:
        self.loud = False
        self.messages: list[Any] = []

    def put(self, received: Received) -> None:
        match received:
            case Sound(samples):
                self.loud |= bool(np.abs(samples).max(initial=0) > 0.1)
            case Message(text):
                self.messages.append(text)

    async def deliver(self, received: Received) -> None:
        self.put(received)

    async def listen(self, transport: Any) -> None:
        try:
            await transport.receive(self)
        except PeerGone as gone:
            raise AssertionError(f"the connection ended: {gone}") from gone


def tone() -> Samples:
    """A frame of a steady tone: 500 Hz are ten periods."""
    return (0.4 * np.sin(2 * np.pi * 500 * np.arange(SAMPLE_RATE // 50) / SAMPLE_RATE)).astype(np.float32)
