"""The page in Chromium with devices that are of no use: a microphone of zeros, a camera that the server cannot read."""

from __future__ import annotations

import pytest

from harness import browser
from harness.browser import calling
from harness.fakes import ScriptedEngine
from harness.site import site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: apt-get install chromium"),
]

ZEROS = """() => {
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  window.gain = context.createGain();
  const tone = context.createOscillator();
  const out = context.createMediaStreamDestination();
  window.gain.gain.value = 0;
  tone.connect(window.gain).connect(out);
  tone.start();
  window.label = out.stream.getTracks()[0].label;
  return out.stream;
};
}"""

VP9_ONLY = """() => {
const add = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (...how) {
  const transceiver = add.apply(this, how);
  const codecs = RTCRtpSender.getCapabilities("video").codecs.filter((codec) => codec.mimeType === "video/VP9");
  if (transceiver.receiver.track.kind === "video") transceiver.setCodecPreferences(codecs);
  return transceiver;
};
}"""


def test_a_microphone_of_zeros_is_named_and_no_longer_once_it_sounds() -> None:
    with site(ScriptedEngine()) as server, calling(server.url) as person:
        page = person.page
        page.evaluate(ZEROS)
        page.click("#talk")
        person.until("listening")
        page.wait_for_function("document.body.dataset.trouble === 'silent'", timeout=30_000)
        assert page.inner_text("#status") == "No sound from the microphone"
        assert f"“{page.evaluate('window.label')}”" in page.inner_text("#hint")
        page.click("#mute")
        assert page.inner_text("#status") == "Microphone off"
        page.click("#mute")
        page.wait_for_function("document.body.dataset.trouble === 'silent'", timeout=30_000)
        page.evaluate("window.gain.gain.value = 0.001")
        page.wait_for_function("document.body.dataset.trouble === ''", timeout=30_000)
        page.click("#talk")


def test_a_camera_that_the_server_cannot_read_is_told_of_and_the_call_goes_on() -> None:
    with site(ScriptedEngine()) as server, calling(server.url, permissions=["camera"]) as person:
        page = person.page
        page.evaluate(VP9_ONLY)
        page.click("#talk")
        person.until("listening")
        page.click("#camera")
        page.wait_for_function("document.querySelector('#notice h2')?.textContent === 'The camera is not seen'")
        assert person.state() == "listening"
        page.click("#talk")
