"""The page in Chromium without a call: looks, words, keys, and what a refusing server makes it say.

A local file server hands out web/ and refuses every call, in a way chosen by the key. A call that works is tested on
the real server, elsewhere.
"""

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from harness import ROOT
from harness.page import LIVE, Fact, answered, message, spoken

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEB = ROOT / "web"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--mute-audio",
    "--use-fake-device-for-media-stream",
]

ANSWERS: dict[str, tuple[int, dict[str, str], str]] = {
    "": (503, {"Retry-After": "20"}, '{"error": {"message": "Both places are taken"}}'),
    "Bearer sesame": (400, {}, '{"error": {"message": "The offer has no audio"}}'),
}


class StaticPage(http.server.SimpleHTTPRequestHandler):
    """web/ as files; a POST is refused, and how depends on the key (an unknown one: 401)."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers.get("Authorization", "")
        status, headers, body = ANSWERS.get(key, (401, {}, ""))
        if self.path.partition("?")[0] != "/v1/realtime/calls":
            status = 404
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        """Silent: the tests read the page, not the log."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(StaticPage, directory=str(WEB))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def one_chromium() -> Iterator[Any]:
    """Without the microphone of other modules' tests."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(one_chromium: Any, site: str) -> Iterator[Any]:
    """A fresh page whose console must stay free of errors, but for failed calls, which Chromium reports there."""
    context = one_chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.goto(site)
    yield page
    context.close()
    assert [line for line in complaints if not line.startswith("Failed to load resource")] == []


def feed(page: Any, facts: list[Fact]) -> None:
    page.evaluate(
        "async (facts) => { const { dispatch } = await import('./main.js'); facts.forEach(dispatch); }", facts
    )


CUT: list[Fact] = [{"type": "vivavoce.heard", "item_id": "a", "text": "It is five, which is prime.", "heard_chars": 11}]
LATENCY: Fact = {
    "type": "vivavoce.turn.latency",
    "response_id": "resp_1",
    "marks": {"speech_end": 0, "endpoint": 210, "transcript": 150, "first_text": 265, "first_audio": 390, "sent": 402},
}
LONG_REPORT = "photo; " + ", ".join(["a cup (left)"] * 40) + '; text: "' + "Donaudampfschiff" * 12 + '"'
SEEN: Fact = {"type": "vivavoce.seen", "source": "message", "age_ms": 200, "report": LONG_REPORT, "things": []}
SPEAKING = [*LIVE, *spoken("u", "Two plus three?"), LATENCY, *answered("a", ["It is five"], "u")]

# Contrast of every element that shows text of its own, against the nearest painted ground (WCAG 2.2, 1.4.3).
CONTRAST = """
() => {
  const light = (rgb) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const below = []; let checked = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(".hidden")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    checked += 1;
    if (ratio < 4.5) below.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return { checked, below };
}
"""


def test_the_page_shows_state_captions_and_the_part_not_heard(page: Any) -> None:
    feed(page, SPEAKING)
    assert page.get_attribute("body", "data-state") == "speaking"
    assert page.inner_text("#status") == "Speaking"
    assert page.inner_text("[data-role=user][data-item=u] .words") == "Two plus three?"
    feed(page, CUT)
    assert "which is prime." in page.inner_text("[data-role=assistant] s")
    assert "Not heard" in page.text_content("[data-role=assistant] s"), "said in words, too"
    assert page.inner_text("#latency [data-mark=endpoint] .number") == "210 ms"


def test_captions_follow_the_talk_unless_the_user_has_scrolled_up(page: Any) -> None:
    feed(page, LIVE)
    turns = [message(f"i{n}", "user", "Words. " * 40, f"i{n - 1}" if n else None) for n in range(12)]
    feed(page, turns)
    distance = "s => s.scrollHeight - s.scrollTop - s.clientHeight"
    assert page.eval_on_selector("#scroller", distance) < 2
    page.evaluate("document.getElementById('scroller').scrollTop = 0")
    feed(page, [message("last", "user", "Words. " * 40, "i11")])
    assert page.evaluate("document.getElementById('scroller').scrollTop") == 0


def test_every_control_has_a_name_and_a_place_in_the_order_of_the_tab_key(page: Any) -> None:
    page.eval_on_selector("details", "d => { d.open = true; }")
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "textbox", "combobox", "checkbox", "meter", "region", "DisclosureTriangle"}
    found = [n for n in tree if n.get("role", {}).get("value") in controls and not n["ignored"]]
    assert len(found) >= 12
    assert [n for n in found if not n["name"]["value"].strip()] == []
    order = []
    for _ in range(14):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert order[:4] == ["talk", "mute", "camera", "screen"]
    assert order[4:8] == ["scroller", "picture", "message", "Send"]
    assert order[9:] == ["microphones", "cameras", "shortcuts", "mirror", "tell"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    notice = {"kind": "x", "title": "T", "advice": "A", "actions": ["retry", "type"]}
    partial_words = {"type": "vivavoce.transcript.partial", "item_id": "v", "stable": "And ", "tail": "then"}
    feed(page, [*SPEAKING, *CUT, SEEN, partial_words, {"type": "page.noticed", "notice": notice}])
    faint = page.evaluate(CONTRAST)
    assert faint["checked"] > 20
    assert faint["below"] == []


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_overflows_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.click("summary")
    feed(page, [*SPEAKING, SEEN, message("x", "user", "Donaudampfschiff" * 12, "a")])
    assert page.locator("#seen").bounding_box()["height"] < 150, "a long report does not push the talk away"
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_controls_are_large_enough_for_a_finger(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for control in ("#talk", "#mute", "#camera", "#screen", "#picture", "#message", "form button.primary"):
        box = page.locator(control).first.bounding_box()
        assert min(box["width"], box["height"]) >= 44


def test_a_state_is_announced_once_it_lasts(page: Any) -> None:
    feed(page, SPEAKING)
    page.wait_for_function("document.getElementById('announcer').textContent === 'Speaking'")
    assert page.get_attribute("#announcer", "aria-live") == "polite"


def test_the_mute_key_works_outside_of_text_and_only_there(page: Any) -> None:
    page.keyboard.press("m")
    assert page.get_attribute("#mute", "aria-pressed") == "true"
    page.keyboard.press("M")
    assert page.get_attribute("#mute", "aria-pressed") == "false"
    page.focus("#message")
    page.keyboard.type("m m")
    assert page.input_value("#message") == "m m"
    assert page.get_attribute("#mute", "aria-pressed") == "false"


def test_the_keys_can_be_switched_off(page: Any) -> None:
    page.click("summary")
    page.uncheck("#shortcuts")
    page.focus("#talk")
    page.keyboard.press("m")
    assert page.get_attribute("#mute", "aria-pressed") == "false"


def test_a_refused_microphone_is_explained_and_typing_is_offered(page: Any) -> None:
    page.click("#talk")
    page.wait_for_selector("#notice[data-kind=refused]")
    assert "Allow it for this page" in page.inner_text("#notice")
    page.click("text=Type instead")
    assert page.evaluate("document.activeElement.id") == "message"


def test_a_full_server_says_when_to_try_again_and_the_typed_words_stay(page: Any) -> None:
    page.fill("#message", "Hello?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice[data-kind=full]")
    assert "Both places are taken. Try again in 20 seconds." in page.inner_text("#notice")
    assert page.inner_text("[data-role=user] .words") == "Hello?"
    page.click("text=Try again")
    page.wait_for_selector("#notice[data-kind=full]")
    assert page.inner_text("[data-role=user] .words") == "Hello?"


def test_a_key_that_is_asked_for_is_sent_and_kept_for_the_tab_only(page: Any) -> None:
    page.evaluate("sessionStorage.setItem('vivavoce.key', 'wrong')")
    page.fill("#message", "Hello?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice[data-kind=key-wrong]")
    page.click("text=Enter key")
    page.fill("#key", "sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice[data-kind=rejected]")
    assert "The offer has no audio." in page.inner_text("#notice")
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]


def test_a_server_that_is_gone_is_named_as_such(page: Any) -> None:
    page.route("**/v1/realtime/calls*", lambda route: route.abort("connectionrefused"))
    page.fill("#message", "Hello?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice[data-kind=gone]")
    assert page.get_attribute("body", "data-state") == "ended"


def test_nothing_is_fetched_from_elsewhere(one_chromium: Any, site: str) -> None:
    page = one_chromium.new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(site)
    page.close()
    assert f"{site}main.js" in fetched
    assert [url for url in fetched if not url.startswith((site, "data:"))] == []
