"""What the page shows to the assistant, in Chromium with the real gateway: camera, screen, nothing, changed at will."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from harness import browser
from harness.browser import Caller, calling
from harness.fakes import Line, ScriptedDialogue, ScriptedEngine
from harness.site import site
from vivavoce.model.dialogue import DetectedThing, Observation, ReplySpec, ReplyToken

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: apt-get install chromium"),
]

# Cameras and a screen of one colour each: front red, back blue, the screen lime. `window.shown` has the tracks opened;
# `window.refusal` is what the next one is refused with.
COLOURS = """(facing) => {
  window.shown = [];
  window.refusal = "";
  const painted = (colour, width, height, settings) => {
    if (window.refusal) throw new DOMException("", window.refusal);
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    const paint = () => { context.fillStyle = colour; context.fillRect(0, 0, width, height); };
    paint();
    setInterval(paint, 50);
    const stream = canvas.captureStream(20);
    stream.getTracks()[0].getSettings = () => settings;
    window.shown.push(stream.getTracks()[0]);
    return stream;
  };
  const media = navigator.mediaDevices;
  const camera = (deviceId) => ({ deviceId, groupId: "", kind: "videoinput", label: `The ${deviceId} one` });
  media.enumerateDevices = async () => [camera("front"), camera("back")];
  const real = media.getUserMedia.bind(media);
  media.getUserMedia = async (wanted) => {
    if (wanted.audio) return real(wanted);
    const { deviceId, facingMode } = wanted.video;
    const back = deviceId?.exact === "back" || facingMode === "environment";
    const settings = { deviceId: back ? "back" : "front" };
    if (facing) settings.facingMode = back ? "environment" : "user";
    return painted(back ? "blue" : "red", 320, 240, settings);
  };
  media.getDisplayMedia = async () => painted("lime", 1280, 720, { deviceId: "screen" });
}"""

RED, LIME, BLUE = range(3)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def called(engine: ScriptedEngine) -> Iterator[Caller]:
    """A call is up, and has shown nothing yet."""
    with site(engine) as server, calling(server.url) as person:
        person.page.click("#talk")
        person.until("listening")
        yield person
        person.page.click("#talk")


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def sees(engine: ScriptedEngine, channel: int) -> None:
    """Waits until the model's newest picture is of this colour."""

    def holds() -> bool:
        pictures = engine.dialogues[-1].seen
        if not pictures:
            return False
        mean = pictures[-1].pixels.mean((0, 1))
        return bool(mean[channel] > 150 and np.delete(mean, channel).max() < 100)

    until(holds, f"channel {channel} was not seen")


def pressed(page: Any) -> list[bool]:
    return [page.get_attribute(f"#{name}", "aria-pressed") == "true" for name in ("camera", "screen")]


def running(page: Any) -> list[bool]:
    return list(page.evaluate("window.shown.map((track) => track.readyState === 'live')"))


def test_camera_screen_and_nothing_follow_one_another_in_a_running_call(called: Caller, engine: ScriptedEngine) -> None:
    page = called.page
    page.evaluate(COLOURS, False)
    page.click("#camera")
    sees(engine, RED)
    assert (pressed(page), page.get_attribute("#preview", "data-mirrored")) == ([True, False], "true")
    page.click("#screen")
    sees(engine, LIME)
    assert (pressed(page), page.get_attribute("#preview", "data-mirrored")) == ([False, True], "false")
    assert page.get_attribute("#preview", "aria-label") == "Your screen"
    assert running(page) == [False, True], "one at a time"
    page.click("#camera")
    sees(engine, RED)
    assert pressed(page) == [True, False]
    page.click("#camera")
    assert pressed(page) == [False, False]
    assert not page.is_visible("#preview")
    assert running(page) == [False, False, False]
    assert called.state() == "listening"


def test_stop_sharing_in_the_browsers_own_bar_is_noticed_and_told(called: Caller, engine: ScriptedEngine) -> None:
    page = called.page
    page.evaluate(COLOURS, False)
    page.click("#screen")
    sees(engine, LIME)
    page.evaluate("shown[0].stop(), shown[0].dispatchEvent(new Event('ended'))")
    page.wait_for_selector("#notice[data-kind=screen-ended]")
    assert pressed(page) == [False, False]
    assert not page.is_visible("#preview")
    page.click("#screen")
    page.wait_for_function("document.querySelector('#screen').getAttribute('aria-pressed') === 'true'")


@pytest.mark.parametrize(
    ("refusal", "kind"), [("NotAllowedError", "screen-refused"), ("NotReadableError", "screen-busy")]
)
def test_a_screen_that_the_browser_refuses_is_told_and_the_camera_stays(
    called: Caller, engine: ScriptedEngine, refusal: str, kind: str
) -> None:
    page = called.page
    page.evaluate(COLOURS, False)
    page.click("#camera")
    sees(engine, RED)
    page.evaluate("refusal => { window.refusal = refusal; }", refusal)
    page.click("#screen")
    page.wait_for_selector(f"#notice[data-kind={kind}]")
    assert (pressed(page), running(page)) == ([True, False], [True])


@pytest.mark.parametrize("facing", [True, False], ids=["they say where they face", "they do not"])
def test_the_other_camera_is_one_press_away(called: Caller, engine: ScriptedEngine, facing: bool) -> None:
    page = called.page
    page.evaluate(COLOURS, facing)
    page.click("#camera")
    sees(engine, RED)
    page.click("#turn")
    sees(engine, BLUE)
    assert running(page) == [False, True]
    assert page.input_value("#cameras") == "back"
    assert page.get_attribute("#preview", "data-mirrored") == ("false" if facing else "true")
    page.click("#turn")
    sees(engine, RED)


def test_a_camera_opened_too_late_is_stopped(called: Caller) -> None:
    page = called.page
    page.evaluate(COLOURS, False)
    page.evaluate("""() => {
      const open = navigator.mediaDevices.getUserMedia;
      const gate = new Promise((resolve) => { window.allow = resolve; });
      navigator.mediaDevices.getUserMedia = (wanted) => gate.then(() => open(wanted));
    }""")
    page.click("#camera")
    page.click("#screen")
    page.wait_for_function("document.querySelector('#screen').getAttribute('aria-pressed') === 'true'")
    page.evaluate("window.allow()")
    page.wait_for_function("window.shown.length === 2")
    page.wait_for_function("window.shown[1].readyState === 'ended'")
    assert (pressed(page), running(page)) == ([False, True], [True, False])


def test_what_is_shown_before_the_call_is_seen_in_it_and_stopped_with_it(engine: ScriptedEngine) -> None:
    with site(engine) as server, calling(server.url) as person:
        page = person.page
        page.evaluate(COLOURS, False)
        page.click("#screen")
        page.wait_for_function("document.querySelector('#screen').getAttribute('aria-pressed') === 'true'")
        page.click("#talk")
        person.until("listening")
        sees(engine, LIME)
        page.click("#talk")
        person.until("ended")
        page.wait_for_function("window.shown[0].readyState === 'ended'")
        assert pressed(page) == [False, False]


def test_a_browser_that_cannot_share_its_screen_has_no_button_for_it(engine: ScriptedEngine) -> None:
    with site(engine) as server, calling(server.url) as person:
        person.page.add_init_script("MediaDevices.prototype.getDisplayMedia = undefined")
        assert person.page.is_visible("#screen")
        person.page.reload()
        assert person.page.is_visible("#camera")
        assert not person.page.is_visible("#screen")


class Observant(ScriptedDialogue):
    """Says of each reply that it uses the newest camera picture."""

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        things = (DetectedThing("cup", (0.125, 0.25, 0.375, 0.75)),)
        yield Observation(self.seen[-1].at, True, "photo; a cup (left)", things)
        async with aclosing(super().reply(spec)) as tokens:
            async for token in tokens:
                yield token


class ObservantEngine(ScriptedEngine):
    def open(self) -> Observant:
        self.dialogues.append(dialogue := Observant(["what is this"], [Line("A cup.", seconds=0.3)]))
        return dialogue


def place_of(page: Any) -> dict[str, float]:
    """Of the first box in the self-view, as shares of the video."""
    box, video = page.locator("#boxes div").first.bounding_box(), page.locator("#preview").bounding_box()
    left, top = (box["x"] - video["x"]) / video["width"], (box["y"] - video["y"]) / video["height"]
    return {"left": left, "top": top, "width": box["width"] / video["width"], "height": box["height"] / video["height"]}


@pytest.mark.parametrize(("button", "left"), [("#camera", 0.625), ("#screen", 0.125)], ids=["mirrored", "as it is"])
def test_what_an_answer_saw_is_shown_over_the_self_view_and_in_words(button: str, left: float) -> None:
    engine = ObservantEngine()
    with site(engine) as server, calling(server.url) as person:
        page = person.page
        page.click("#talk")
        person.until("listening")
        page.evaluate(COLOURS, False)
        page.click(button)
        sees(engine, RED if button == "#camera" else LIME)
        page.fill("#message", "What is this?")
        page.keyboard.press("Enter")
        page.wait_for_selector("#boxes div")
        assert page.inner_text("#boxes div") == "cup"
        found = place_of(page)
        assert found == pytest.approx({"left": left, "top": 0.25, "width": 0.25, "height": 0.5}, abs=0.03)
        frame, video = page.locator(".frame").bounding_box(), page.locator("#preview").bounding_box()
        assert frame == pytest.approx(video, abs=1), "boxes are shares of the one, drawn in the other"
        assert page.inner_text("#seen").endswith("photo; a cup (left).")
        page.click(button)
        page.wait_for_function("document.querySelectorAll('#boxes div').length === 0")
        assert not page.is_visible("#seen")
        page.click("#talk")
