"""Pictures that the user gives to the page, in Chromium with the real gateway: chosen, pasted, dropped, a still."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import browser
from harness.browser import Caller, calling
from harness.fakes import ScriptedEngine
from harness.site import site
from vivavoce.model.dialogue import Message

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed: apt-get install chromium"),
]

# Gives files to the page as a paste or a drop does.
TRANSFER = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const { name, type, data } of files) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.getElementById("captions").dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def caller(engine: ScriptedEngine) -> Iterator[Caller]:
    with site(engine) as server, calling(server.url, permissions=["camera"]) as person:
        person.page.click("#talk")
        person.until("listening")
        yield person
        person.page.click("#talk")


def picture(colour: str = "red", size: tuple[int, int] = (60, 40), kind: str = "PNG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind)
    return file.getvalue()


def given(data: bytes, name: str = "a.png", mime: str = "image/png") -> dict[str, str]:
    return {"name": name, "type": mime, "data": base64.b64encode(data).decode()}


def chosen(page: Any, data: bytes, name: str = "a.png", mime: str = "image/png") -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#picture")
    chooser.value.set_files([{"name": name, "mimeType": mime, "buffer": data}])


def received(caller: Caller, engine: ScriptedEngine, count: int) -> list[np.ndarray[Any, Any]]:
    """Waits for so many pictures; pixels as the model gets them."""
    caller.page.wait_for_function(
        "count => document.querySelectorAll('#captions img.thumbnail').length === count", arg=count
    )
    items = engine.dialogues[-1].items
    for _ in range(200):
        if sum(isinstance(item, Message) and bool(item.pictures) for item in items) >= count:
            break
        time.sleep(0.05)
    return [shot.pixels for item in items if isinstance(item, Message) for shot in item.pictures]


def notice(page: Any, kind: str) -> str:
    page.wait_for_selector(f"#notice[data-kind={kind}]")
    return str(page.inner_text("#notice"))


def test_a_chosen_pasted_or_dropped_picture_reaches_the_model_and_is_shown(
    caller: Caller, engine: ScriptedEngine
) -> None:
    page = caller.page
    chosen(page, picture("red"))
    received(caller, engine, 1)
    assert page.evaluate(TRANSFER, ["paste", [given(picture("blue"))]])
    received(caller, engine, 2)
    assert page.evaluate(TRANSFER, ["dragover", [given(picture())]])
    assert page.get_attribute("#talk-panel", "data-dropping") == "true"
    assert page.evaluate(TRANSFER, ["drop", [given(picture("lime", (40, 90), "JPEG"), "b.jpg", "image/jpeg")]])
    pixels = received(caller, engine, 3)
    assert page.get_attribute("#talk-panel", "data-dropping") == "false"
    assert [shot.shape for shot in pixels] == [(40, 60, 3), (40, 60, 3), (90, 40, 3)]
    assert [int(np.argmax(shot.mean((0, 1)))) for shot in pixels] == [0, 2, 1]
    widths = page.eval_on_selector_all("img.thumbnail", "all => all.map((e) => e.naturalWidth)")
    assert widths == [60, 60, 40], "shown, not only there"
    assert engine.dialogues[-1].specs == [], "the user asks about it, the picture does not"
    assert caller.state() == "listening"


def test_a_large_picture_is_reduced_to_what_a_message_can_carry_and_the_newest_is_in_sight(
    caller: Caller, engine: ScriptedEngine
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2400, 3200, 3), np.uint8)  # what JPEG can make least of
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=80)
    chosen(caller.page, file.getvalue(), "noise.jpg", "image/jpeg")
    (pixels,) = received(caller, engine, 1)
    assert 320 <= pixels.shape[1] <= 1600
    assert abs(pixels.shape[1] / pixels.shape[0] - 4 / 3) < 0.02
    page = caller.page
    chosen(page, picture("red", (300, 900)))
    received(caller, engine, 2)
    page.set_viewport_size({"width": 360, "height": 500})
    page.evaluate("document.getElementById('scroller').scrollTop = 1e6")
    chosen(page, picture("blue", (300, 900)))
    received(caller, engine, 3)
    page.wait_for_function("[...document.querySelectorAll('img.thumbnail')].every((e) => e.complete)")
    page.wait_for_function(
        "(s => s.scrollHeight - s.scrollTop - s.clientHeight < 2)(document.getElementById('scroller'))"
    )


def test_transparency_is_white_and_a_thin_line_is_still_a_picture(caller: Caller, engine: ScriptedEngine) -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(clear, "PNG")
    chosen(caller.page, clear.getvalue())
    chosen(caller.page, picture("red", (4000, 1)))
    pixels = received(caller, engine, 2)
    assert pixels[0].min() > 250
    assert pixels[1].shape == (1, 1600, 3)


def test_what_is_no_picture_is_told_in_words_and_the_call_goes_on(caller: Caller, engine: ScriptedEngine) -> None:
    page = caller.page
    chosen(page, b"%PDF-1.7", "paper.pdf", "application/pdf")
    assert "“paper.pdf”" in notice(page, "no-picture")
    chosen(page, picture()[:60], "torn.png")
    assert "“torn.png”" in notice(page, "picture-unreadable")
    chosen(page, b"", "empty.png")
    assert "“empty.png”" in notice(page, "picture-unreadable")
    page.evaluate(TRANSFER, ["drop", [given(picture()) for _ in range(5)]])
    assert "four" in notice(page, "many-pictures")
    assert len(received(caller, engine, 4)) == 4
    assert caller.state() == "listening"


def test_pasted_text_goes_into_the_text_box(caller: Caller, engine: ScriptedEngine) -> None:
    assert not caller.page.evaluate(TRANSFER, ["paste", []])


def test_a_still_is_the_picture_that_the_camera_shows(caller: Caller, engine: ScriptedEngine) -> None:
    page = caller.page
    assert not page.is_visible("#still")
    page.click("#camera")
    page.wait_for_function("document.querySelector('#preview').videoWidth > 0")
    page.click("#still")
    (pixels,) = received(caller, engine, 1)
    assert (pixels.shape[1], pixels.shape[0]) == tuple(
        page.evaluate("[document.querySelector('#preview').videoWidth, document.querySelector('#preview').videoHeight]")
    )
    assert pixels.std() > 10, "Chromium's fake camera is not of one colour"


def test_a_picture_before_the_call_begins_a_call_and_is_sent_once() -> None:
    engine = ScriptedEngine()
    with site(engine) as server, calling(server.url, permissions=[]) as person:
        chosen(person.page, picture("blue"))
        person.until("listening")
        (pixels,) = received(person, engine, 1)
        assert int(np.argmax(pixels.mean((0, 1)))) == 2
        person.page.fill("#message", "What is it?")
        person.page.keyboard.press("Enter")
        person.page.wait_for_selector("li[data-role=assistant]")
        assert len(received(person, engine, 1)) == 1
        person.page.click("#talk")
