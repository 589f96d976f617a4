"""Chromium as a client of its own, with offers that the page does not make: it refuses an answer which does not fit."""

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

CALL = """
async ({ policy, camera, edit }) => {
  const pc = new RTCPeerConnection({ bundlePolicy: policy });
  const channel = pc.createDataChannel("oai-events");
  pc.addTransceiver("audio");
  if (camera) {
    const codecs = RTCRtpSender.getCapabilities("video").codecs.filter((c) => camera.includes(c.mimeType));
    pc.addTransceiver("video", { direction: "sendonly" }).setCodecPreferences(codecs);
  }
  const created = new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(JSON.parse(data).type)));
  const offer = await pc.createOffer();
  const sdp = edit === "no bundle" ? offer.sdp.replace(/a=group:BUNDLE.*\\r\\n/, "") : offer.sdp;
  await pc.setLocalDescription({ type: "offer", sdp });
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch("/v1/realtime/calls", { method: "POST", headers, body: pc.localDescription.sdp });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(answer);
  await pc.setRemoteDescription({ type: "answer", sdp: answer });
  const first = await created;
  while (pc.connectionState === "connecting") await new Promise((resolve) => setTimeout(resolve, 20));
  const outcome = {
    first,
    state: pc.connectionState,
    transports: new Set([pc.sctp.transport, ...pc.getReceivers().map((r) => r.transport)].filter(Boolean)).size,
    directions: pc.getTransceivers().map((t) => t.currentDirection), // those that were not rejected
  };
  pc.close();
  return outcome;
}
"""


@pytest.mark.parametrize(
    ("how", "transports", "directions"),
    [
        ({"policy": "max-bundle"}, 1, ["sendrecv"]),
        ({"policy": "max-compat", "edit": "no bundle"}, 2, ["sendrecv"]),
        ({"policy": "max-bundle", "camera": ["video/VP9"]}, 1, ["sendrecv"]),
        ({"policy": "max-compat", "camera": ["video/AV1", "video/VP9"]}, 1, ["sendrecv"]),
        ({"policy": "balanced", "camera": ["video/VP8"]}, 1, ["sendrecv", "sendonly"]),
    ],
    ids=["plain", "no bundle", "camera of VP9", "camera of AV1 and VP9", "camera of VP8"],
)
def test_chromium_gets_a_call_and_loses_what_cannot_be_had(
    how: dict[str, object], transports: int, directions: list[str]
) -> None:
    with site(ScriptedEngine()) as server, calling(server.url) as person:
        outcome = person.page.evaluate(CALL, {"camera": None, "edit": None, **how})
    assert outcome == {
        "first": "session.created",
        "state": "connected",
        "transports": transports,
        "directions": directions,
    }
