"""The page in Chromium when its network goes away in mid-reply: from one moment to the next no packet comes through,
and the call goes on over another connection."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest
import soxr

from harness import browser
from harness.browser import RATE, calling
from harness.site import site
from harness.tones import ToneEngine, spans
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.transports.webrtc import WebRtcTransport

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: apt-get install chromium"),
]

WORDS = 30


def _pull_plug() -> None:
    """Not a packet more in either direction, on all connections there are; nobody is told."""
    for transport in [one for one in gc.get_objects() if type(one) is WebRtcTransport]:
        if transport._peer.sctp is not None:
            for protocol in transport._peer.sctp.transport.transport._connection._protocols:
                protocol.transport = _Nowhere(protocol.transport)
                protocol.datagram_received = lambda *datagram: None


class _Nowhere:
    """A socket whose cable is cut."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def sendto(self, *datagram: object) -> None:
        """Into the void."""


def test_sound_is_back_within_three_seconds_and_no_word_is_lost() -> None:
    with site(ToneEngine(WORDS)) as server, calling(server.url) as person:
        person.page.click("#talk")
        person.until("listening")
        person.page.fill("#message", "Go.")
        person.page.keyboard.press("Enter")
        person.until("speaking")
        person.page.wait_for_timeout(2500)
        broken = person.now()
        server.loop.call_soon_threadsafe(_pull_plug)
        person.until("reconnecting", seconds=5)
        person.until("speaking", seconds=10)
        person.until("listening", seconds=30)
        person.page.wait_for_timeout(300)
        first, heard = person.heard()
        captions = person.captions("assistant")
        person.page.click("#talk")
    assert captions[-1].split()[-1] == f"w{WORDS - 1:02d}"
    cut = broken - first
    sound = np.flatnonzero(np.abs(heard) > 0.02)
    last = sound[sound < cut + RATE // 2][-1]  # what was in the browser's buffer is still played
    back = sound[sound > last + RATE // 4][0]
    gap = (back - cut) / RATE
    words = [word for word, seconds in spans(_slow(heard)) if seconds >= 0.1]
    print(f"sound was back after {gap:.2f} s; {len(words) - WORDS} words twice")
    assert sorted(set(words)) == list(range(WORDS))
    assert len(words) <= WORDS + 1
    assert gap <= 5.0, "3 s on a machine that has nothing else to do"


def _slow(samples: np.ndarray) -> np.ndarray:  # float32 at 48 kHz to 24 kHz
    return np.asarray(soxr.resample(samples, RATE, SAMPLE_RATE), np.float32)
