"""A person with a browser: real Chromium, our page, a voice for its microphone, and ears at its loudspeaker.

The page's `getUserMedia` is given a WebAudio stream, so that the test speaks when it wants to; the remote track is
tapped before it is played. Both are on one clock, the AudioContext's: `heard` and `say` count its samples.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RATE = 48_000
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
)

EARS_AND_MOUTH = """
(() => {
  const tap = `registerProcessor('tap', class extends AudioWorkletProcessor {
    process([[channel]]) { if (channel) this.port.postMessage([currentFrame, channel.slice()]); return true; } })`;
  const ctx = new AudioContext({ sampleRate: 48000 });
  const mouth = ctx.createMediaStreamDestination();
  mouth.channelCount = 1;
  const heard = [];
  const loaded = ctx.audioWorklet?.addModule(URL.createObjectURL(new Blob([tap], { type: 'text/javascript' })));
  const listen = async (track, peer) => {
    await ctx.resume();
    await loaded;
    const node = new AudioWorkletNode(ctx, 'tap', { channelCount: 1, channelCountMode: 'explicit' });
    node.port.onmessage = ({ data }) => peer === window.test.peers.at(-1) && heard.push(data);
    ctx.createMediaStreamSource(new MediaStream([track])).connect(node).connect(ctx.destination);
  };
  if (navigator.mediaDevices) {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      await ctx.resume();
      if (!wanted.audio) return real(wanted);
      return new MediaStream([mouth.stream.getAudioTracks()[0].clone()]);
    };
  }
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...args) {
      super(...args);
      window.test.peers.push(this);
      this.addEventListener('track', ({ track }) => track.kind === 'audio' && listen(track, this));
    }
  };
  window.test = {
    peers: [],
    now: () => Math.round(ctx.currentTime * 48000),
    say(text, rate) {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const samples = new Float32Array(bytes.buffer);
      const buffer = ctx.createBuffer(1, samples.length, rate);
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(ctx, { buffer });
      source.connect(mouth);
      const at = ctx.currentTime + 0.05;
      source.start(at);
      return Math.round(at * 48000);
    },
    take() {
      const first = heard.length ? heard[0][0] : 0;
      const all = new Float32Array(heard.length ? heard.at(-1)[0] - first + 128 : 0);
      heard.forEach(([at, samples]) => all.set(samples, at - first)); // silence between two connections
      let text = '';
      const bytes = new Uint8Array(all.buffer);
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return [first, btoa(text)];
    },
  };
})();
"""


def chromium() -> str | None:
    """Where the machine's Chromium is, if it has one."""
    names = (
        "chromium",
        "chromium-browser",
        "google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    )
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Caller:
    """A person at the page. Positions are samples at `RATE` on the page's clock."""

    page: Page

    def another_tab(self) -> Caller:
        """The same address in another tab."""
        page = self.page.context.new_page()
        page.add_init_script(EARS_AND_MOUTH)
        page.goto(self.page.url)
        return Caller(page)

    def say(self, samples: Samples) -> int:
        """Speaks into the microphone (24 kHz); returns at once, with the position at which it begins."""
        text = base64.b64encode(samples.astype("<f4").tobytes()).decode()
        return int(self.page.evaluate("([text, rate]) => window.test.say(text, rate)", [text, SAMPLE_RATE]))

    def now(self) -> int:
        return int(self.page.evaluate("window.test.now()"))

    def heard(self) -> tuple[int, Samples]:
        """All that came out of the loudspeaker: the position of its first sample, and the samples at `RATE`."""
        first, text = self.page.evaluate("window.test.take()")
        return int(first), np.frombuffer(base64.b64decode(text), np.float32)

    def state(self) -> str:
        return str(self.page.evaluate("document.body.dataset.state"))

    def until(self, *states: str, seconds: float = 30.0) -> None:
        """Waits until the page shows one of these states."""
        wanted = "states => states.includes(document.body.dataset.state)"
        self.page.wait_for_function(wanted, arg=list(states), timeout=seconds * 1000)

    def captions(self, role: str) -> list[str]:
        return self.page.locator(f"li[data-role={role}]").all_inner_texts()


_kept: Browser | None = None


@contextmanager
def kept() -> Iterator[None]:
    """Within it, all calls are of one Chromium, which takes 1.5 s to start. No event loop may run in this thread."""
    global _kept
    with _started() as _kept:
        try:
            yield
        finally:
            _kept = None


@contextmanager
def calling(url: str, **options: Any) -> Iterator[Caller]:
    """Opens the page in a fresh profile of Chromium. The call itself begins with `page.click("#talk")`."""
    problems: list[str] = []
    with nullcontext(_kept) if _kept else _started() as browser:
        context = browser.new_context(bypass_csp=True, **options)
        try:
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.add_init_script(EARS_AND_MOUTH)
            page.goto(url)
            yield Caller(page)
        finally:
            context.close()
    assert not problems


@contextmanager
def _started() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
