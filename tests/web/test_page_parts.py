"""The page's modules that decide, in Node without a browser: what is shown, said, retried and measured.

One Node process serves the whole file; it imports the modules of web/ as they are.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import ROOT
from harness.page import LIVE, Fact, answered, finished, message, spoken

WEB = ROOT / "web"
# Answers each line {code, data} with {value} or {error}; `code` sees the page's modules by name.
NODE_PROGRAM = """
import { createInterface } from "node:readline";
import { mock } from "node:test";
const names = ["state", "conversation", "errors", "waterfall", "meter", "microphone", "call", "view", "seen"];
const modules = Object.fromEntries(await Promise.all(names.map(async (n) => [n, await import(`./${n}.js`)])));
const AsyncFunction = (async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  const { code, data } = JSON.parse(line);
  let reply;
  try {
    const run = new AsyncFunction(...names, "mock", "data", code);
    reply = { value: (await run(...names.map((n) => modules[n]), mock, data)) ?? null };
  } catch (error) {
    reply = { error: String(error.stack) };
  }
  console.log(JSON.stringify(reply));
}
"""

Node = Callable[..., Any]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Runs JavaScript next to the page's modules: node(code, data) -> what it returns."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    folder = tmp_path_factory.mktemp("page")
    for module in WEB.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "run.js").write_text(NODE_PROGRAM)
    with subprocess.Popen(
        [program, "run.js"], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(code: str, data: object = None) -> Any:
            print(json.dumps({"code": code, "data": data}), file=process.stdin, flush=True)
            assert process.stdout is not None
            reply = json.loads(process.stdout.readline())
            assert "error" not in reply, reply["error"]
            return reply["value"]

        yield run
        process.stdin.close()


def fold(node: Node, facts: list[Fact]) -> Any:
    """The state after these facts, with the floor after each in `floors`."""
    return node(
        """let s = state.INITIAL; const floors = [];
           for (const fact of data) { s = state.reduce(Object.freeze(s), fact); floors.push(state.floor(s)); }
           return { ...s, floors };""",
        facts,
    )


def captions(state: Any) -> list[tuple[str, str]]:
    return [(caption["id"], caption["text"]) for caption in state["talk"]["captions"]]


# The floor and the captions.


def test_a_turn_passes_through_hearing_thinking_and_speaking_back_to_listening(node: Node) -> None:
    said = answered("a", ["It is ", "five."], "u")
    state = fold(node, [*LIVE, *spoken("u", "Two plus three?"), *said, *finished("a", "It is five.", "u")])
    floors = [floor for floor, before in zip(state["floors"], ["", *state["floors"]], strict=False) if floor != before]
    assert floors == ["connecting", "listening", "hearing", "listening", "thinking", "speaking", "listening"]
    assert captions(state) == [("u", "Two plus three?"), ("a", "It is five.")]
    assert [caption["live"] for caption in state["talk"]["captions"]] == [False, False]


def test_only_what_was_spoken_in_this_call_can_be_heard_again(node: Node) -> None:
    typed = {"type": "page.typed", "id": "u", "text": "Hi"}
    assert not fold(node, [*LIVE, typed])["spoken"]
    talked = [*LIVE, *spoken("u", "Two plus three?")]
    assert fold(node, talked)["spoken"]
    assert fold(node, [*talked, {"type": "page.paused", "attempt": 1, "of": 5}, {"type": "page.resumed"}])["spoken"]
    assert not fold(node, [*talked, *LIVE])["spoken"]


def test_the_live_caption_becomes_the_item_it_is_committed_as(node: Node) -> None:
    partial_words = {"type": "vivavoce.transcript.partial", "item_id": None, "stable": "Two plus ", "tail": "tea"}
    turn = spoken("u", "Two plus three?")
    state = fold(node, [*LIVE, turn[0], partial_words])
    assert state["talk"]["draft"] == {"id": "u", "text": "Two plus ", "tail": "tea"}
    state = fold(node, [*LIVE, turn[0], partial_words, *turn[1:4]])
    assert state["talk"]["draft"] is None
    assert [(c["id"], c["text"], c["tail"]) for c in state["talk"]["captions"]] == [("u", "Two plus ", "tea")]
    late = {"type": "vivavoce.transcript.partial", "item_id": "u", "stable": "Two", "tail": ""}
    assert captions(fold(node, [*LIVE, turn[0], partial_words, *turn[1:], late])) == [("u", "Two plus three?")]


def test_transcription_deltas_are_shown_only_when_no_live_caption_shows_the_words_already(node: Node) -> None:
    delta = {"type": "conversation.item.input_audio_transcription.delta", "item_id": "u", "delta": "Two "}
    turn = spoken("u", "Two plus three?")
    assert captions(fold(node, [*LIVE, *turn[:5], delta])) == [("u", "Two ")]
    partial_words = {"type": "vivavoce.transcript.partial", "item_id": "u", "stable": "Two ", "tail": ""}
    assert captions(fold(node, [*LIVE, turn[0], partial_words, *turn[1:5], delta])) == [("u", "Two ")]


def test_an_answer_cut_in_on_shows_what_was_heard_and_what_was_not(node: Node) -> None:
    heard = {"type": "vivavoce.heard", "item_id": "a", "text": "Grüße 👋 aus Bern, der Stadt.", "heard_chars": 9}
    cut: list[Fact] = [
        {"type": "input_audio_buffer.speech_started", "item_id": "u2"},
        {"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}},
        {"type": "output_audio_buffer.cleared", "response_id": "resp_1"},
        {"type": "conversation.item.truncated", "item_id": "a", "audio_end_ms": 700},
        heard,
        {"type": "response.output_audio_transcript.done", "item_id": "a", "transcript": "Grüße"},
        message("a", "assistant", "Grüße", "u", "done"),
    ]
    state = fold(node, [*LIVE, *spoken("u", "Sag etwas."), *answered("a", ["Grüße 👋 aus Bern"], "u"), *cut])
    assert state["floors"][-1] == "hearing"
    halves = node("return conversation.split(data)", state["talk"]["captions"][1])
    assert halves == ["Grüße 👋 a", "us Bern, der Stadt."], "counted in characters, not in UTF-16 units"


def test_an_answer_truncated_by_a_server_that_does_not_say_where_is_marked_as_cut(node: Node) -> None:
    truncated = {"type": "conversation.item.truncated", "item_id": "a", "audio_end_ms": 700}
    state = fold(node, [*LIVE, *spoken("u", "Hi"), *answered("a", ["Hello there"], "u"), truncated])
    assert state["talk"]["captions"][1]["flaw"] == "cut"
    assert state["talk"]["captions"][1]["text"] == "Hello there"


def test_items_stand_in_the_order_of_the_server_not_of_their_arrival(node: Node) -> None:
    first = message("u", "user", "one", None)
    third = message("v", "user", "three", "tool")
    tool = {
        "type": "conversation.item.added",
        "previous_item_id": "u",
        "item": {"id": "tool", "type": "function_call"},
    }
    second = message("a", "assistant", "two", "u")
    state = fold(node, [*LIVE, first, tool, third, second])
    assert captions(state) == [("u", "one"), ("a", "two"), ("tool", ""), ("v", "three")]


def test_a_deleted_item_disappears_and_an_unknown_event_changes_nothing(node: Node) -> None:
    facts = [*LIVE, *spoken("u", "Hi"), {"type": "conversation.item.deleted", "item_id": "u"}]
    assert captions(fold(node, facts)) == []
    assert node("return state.reduce(state.INITIAL, {type: 'toString'}) === state.INITIAL") is True


def test_an_out_of_band_response_does_not_take_the_floor(node: Node) -> None:
    state = fold(node, [*LIVE, {"type": "response.created", "response": {"id": "r", "conversation_id": None}}])
    assert state["floors"][-1] == "listening"


def test_a_turn_that_nobody_answers_is_given_up(node: Node) -> None:
    turn = spoken("u", "")
    assert fold(node, [*LIVE, *turn])["floors"][-1] == "thinking"
    assert fold(node, [*LIVE, *turn, {"type": "page.waited"}])["floors"][-1] == "listening"
    answering = answered("a", [], "u")[:1]
    assert fold(node, [*LIVE, *turn, *answering, {"type": "page.waited"}])["floors"][-1] == "thinking"


def test_noise_that_is_never_committed_leaves_no_caption(node: Node) -> None:
    state = fold(node, [*LIVE, *spoken("u", "")[:2]])
    assert state["talk"]["draft"] is None
    assert state["floors"][-1] == "listening"


def test_a_failed_response_is_told_in_words(node: Node) -> None:
    error = {"type": "server_error", "code": None, "message": "The language model is down."}
    done = {
        "type": "response.done",
        "response": {"id": "resp_1", "status": "failed", "status_details": {"error": error}},
    }
    state = fold(node, [*LIVE, *spoken("u", "Hi"), *answered("a", [], "u")[:1], done])
    assert state["notice"]["advice"] == "The language model is down."
    assert state["floors"][-1] == "listening"


def test_errors_that_answer_the_pages_own_precautions_are_not_shown(node: Node) -> None:
    for error in (
        {"code": "response_cancel_not_active", "message": "Cancellation failed", "event_id": None},
        {"code": "invalid_value", "message": "no such item", "event_id": "replay_item_1"},
    ):
        assert fold(node, [*LIVE, {"type": "error", "error": error}])["notice"] is None
    serious = {"code": "session_expired", "message": "The session is an hour old.", "event_id": None}
    assert fold(node, [*LIVE, {"type": "error", "error": serious}])["notice"]["advice"] == serious["message"]


def test_speech_that_could_not_be_transcribed_is_marked(node: Node) -> None:
    failed = {"type": "conversation.item.input_audio_transcription.failed", "item_id": "u", "error": {}}
    state = fold(node, [*LIVE, *spoken("u", "")[:5], failed])
    assert state["talk"]["captions"][0]["flaw"] == "unclear"


def test_an_hour_of_captions_stays_within_its_bound(node: Node) -> None:
    facts = [message(f"i{n}", "user", f"{n}", f"i{n - 1}" if n else None) for n in range(520)]
    shown = captions(fold(node, [*LIVE, *facts]))
    assert len(shown) == 500
    assert shown[-1] == ("i519", "519")


# Reconnecting.

LOST: Fact = {"type": "page.lost", "attempt": 1, "of": 5}


def test_a_call_that_is_recorded_says_so_as_long_as_it_lasts(node: Node) -> None:
    program = "return data.map((e, i) => data.slice(0, i + 1).reduce(state.reduce, state.INITIAL).recorded)"
    facts: list[Fact] = [
        {"type": "page.connecting"},
        {"type": "page.connected"},
        {"type": "vivavoce.recording.started"},
    ]
    facts += [{"type": "page.lost", "attempt": 1, "of": 5}, {"type": "page.ended"}]
    assert node(program, facts) == [False, False, True, True, False]


def test_captions_survive_a_lost_connection_and_new_ones_come_after_them(node: Node) -> None:
    partial_words = {"type": "vivavoce.transcript.partial", "item_id": "v", "stable": "And ", "tail": "then"}
    talk = [*LIVE, *spoken("u", "Hi"), *answered("a", ["Hello"], "u"), spoken("v", "")[0], partial_words]
    state = fold(node, [*talk, LOST])
    assert state["floors"][-1] == "reconnecting"
    assert captions(state) == [("u", "Hi"), ("a", "Hello"), ("v", "And then")]
    back = [{"type": "session.created"}, {"type": "page.connected"}, message("w", "user", "Again", None)]
    state = fold(node, [*talk, LOST, *back])
    assert [item for item, _ in captions(state)] == ["u", "a", "v", "w"]
    assert state["floors"][-1] == "listening"


def test_a_new_connection_is_told_what_was_said_as_far_as_it_was_heard(node: Node) -> None:
    heard = {"type": "vivavoce.heard", "item_id": "a", "text": "One two three", "heard_chars": 7}
    state = fold(node, [*LIVE, *spoken("u", "Count"), *answered("a", ["One two three"], "u"), heard, LOST])
    told = node("return conversation.replay(data)", state["talk"])
    assert [(e["item"]["id"], e["item"]["role"], e["item"]["content"]) for e in told] == [
        ("u", "user", [{"type": "input_text", "text": "Count"}]),
        ("a", "assistant", [{"type": "output_text", "text": "One two"}]),
    ]


def test_a_new_connection_is_told_no_more_than_the_last_twenty_captions(node: Node) -> None:
    facts = [message(f"i{n}", "user", f"{n}", f"i{n - 1}" if n else None) for n in range(30)]
    told = node("return conversation.replay(data)", fold(node, [*LIVE, *facts])["talk"])
    assert [event["item"]["id"] for event in told] == [f"i{n}" for n in range(10, 30)]


def test_a_question_left_open_is_answered_by_the_new_connection(node: Node) -> None:
    asked = fold(node, [*LIVE, *spoken("u", "Are you there?"), LOST])["talk"]
    broken_off = fold(node, [*LIVE, *spoken("u", "Hi"), *answered("a", ["Hello"], "u"), LOST])["talk"]
    assert node("return conversation.unanswered(data)", asked) is True
    assert node("return conversation.unanswered(data)", broken_off) is False


# Runs a Call with scripted connections: data.replies holds, for each dial, null (works) or a Failure kind.
CALL = """
mock.timers.enable({ apis: ["setTimeout"] });
try {
  const facts = [], waits = [], tickets = [], sent = []; let lost = null, dials = 0, now = 0;
  const talk = conversation.EMPTY;
  const dial = async (tracks, signal, onLost, ticket) => {
    const kind = data.replies[dials++];
    waits.push(now);
    tickets.push(ticket);
    if (kind) throw new errors.Failure(kind);
    lost = onLost;
    const tell = (type) => () => facts.push({ type });
    return { send: (event) => sent.push(event.type), hangUp: tell("hung up"), tellGoodbye: tell("said goodbye") };
  };
  const one = new call.Call({ dial, dispatch: (f) => facts.push(f), talk: () => talk, tracks: () => ({}) });
  const settle = async () => { for (let i = 0; i < 20; i++) await Promise.resolve(); };
  await one.start({ typing: false, keep: false, prepare: async () => {} });
  if (data.closing) one.expectClosing();
  if (lost) { lost(data.ticket); lost = null; }
  if (data.typed) one.send({ type: data.typed });
  await settle();
  for (let step = 0; step < 80; step++) {
    if (data.cancelAt !== undefined && now === data.cancelAt) one.end();
    now += 0.5; mock.timers.tick(500); await settle();
  }
  return { facts, waits, dials, tickets, sent };
} finally { mock.timers.reset(); }
"""


def test_a_lost_call_is_redialled_five_times_within_thirty_seconds_then_given_up(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, *["gone"] * 9]})
    assert outcome["waits"] == [0, 0.5, 1.5, 5.5, 14.5, 29.5]
    assert outcome["dials"] == 6
    assert outcome["facts"][-1]["notice"]["kind"] == "lost"


TICKET = {"token": "t", "received": "event_7", "played": 960}


def test_a_lost_call_goes_on_where_it_was_and_is_told_what_was_typed_meanwhile(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, "no-path", None], "ticket": TICKET, "typed": "response.create"})
    types = [fact["type"] for fact in outcome["facts"]]
    assert types == ["page.connecting", "page.connected", "page.paused", "page.paused", "page.resumed"]
    assert outcome["tickets"] == [None, TICKET, TICKET]
    assert outcome["sent"] == ["response.create"]


def test_a_call_that_does_not_go_on_is_begun_anew(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, "rejected", None], "ticket": TICKET, "typed": "response.create"})
    types = [fact["type"] for fact in outcome["facts"]]
    assert types == ["page.connecting", "page.connected", "page.paused", "page.lost", "page.connected"]
    assert outcome["tickets"] == [None, TICKET, None]
    assert outcome["sent"] == [], "what was typed is told with all that was said"


def test_captions_of_a_call_that_goes_on_stay_as_they_are(node: Node) -> None:
    before = [*LIVE, *spoken("u", "Hi"), *answered("a", ["Hello"], "u")]
    paused, resumed = {"type": "page.paused", "attempt": 1, "of": 5}, {"type": "page.resumed"}
    assert fold(node, [*before, paused, resumed])["talk"] == fold(node, before)["talk"]
    assert fold(node, [*before, paused])["phase"] == "reconnecting"


def test_a_call_that_is_ended_while_it_is_redialled_is_ended_on_the_server_too(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, *["gone"] * 9], "ticket": TICKET, "cancelAt": 3})
    assert outcome["facts"][-2:] == [{"type": "said goodbye"}, {"type": "page.ended", "notice": None}]


def test_a_call_that_went_on_is_ended_once(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, None], "ticket": TICKET, "cancelAt": 3})
    assert [fact["type"] for fact in outcome["facts"]][-3:] == ["page.resumed", "hung up", "page.ended"]


def test_a_redialled_call_goes_on(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, "gone", "full", None]})
    types = [fact["type"] for fact in outcome["facts"]]
    assert types == ["page.connecting", "page.connected", "page.lost", "page.lost", "page.lost", "page.connected"]


def test_the_user_can_cancel_redialling(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, *["gone"] * 9], "cancelAt": 3})
    assert outcome["dials"] == 3
    assert outcome["facts"][-1] == {"type": "page.ended", "notice": None}


def test_a_missing_key_ends_redialling_at_once(node: Node) -> None:
    outcome = node(CALL, {"replies": [None, "key-needed"]})
    assert outcome["facts"][-1]["notice"]["kind"] == "key-needed"


def test_a_call_that_the_server_announced_to_close_is_not_redialled(node: Node) -> None:
    outcome = node(CALL, {"replies": [None], "closing": True})
    assert [fact["type"] for fact in outcome["facts"]] == ["page.connecting", "page.connected", "page.ended"]
    closing = {"type": "vivavoce.closing", "reason": "idle", "message": "Nobody spoke for five minutes."}
    assert fold(node, [*LIVE, closing, {"type": "page.ended"}])["notice"]["advice"] == closing["message"]


# Words for what went wrong.


@pytest.mark.parametrize(
    ("status", "headers", "body", "key", "kind", "says"),
    [
        (401, {}, "", False, "key-needed", "Enter the key"),
        (401, {}, "", True, "key-wrong", "enter it again"),
        (503, {"Retry-After": "20"}, '{"error":{"message":"2 of 2 places are taken"}}', False, "full", "20 seconds"),
        (503, {}, "<html>", False, "full", "in a minute"),
        (400, {}, '{"error":{"message":"The offer has no audio"}}', False, "rejected", "The offer has no audio."),
        (500, {}, "", False, "broken", "its log"),
        (502, {}, "", False, "gone", "is running"),
    ],
)
def test_each_refusal_of_the_server_becomes_words_with_advice(
    node: Node, status: int, headers: dict[str, str], body: str, key: bool, kind: str, says: str
) -> None:
    notice = node(
        """const reply = new Response(data.body, { status: data.status, headers: data.headers });
           return errors.explain(await errors.replyFailure(reply, data.key));""",
        {"status": status, "headers": headers, "body": body, "key": key},
    )
    assert notice["kind"] == kind
    assert says in notice["advice"]
    assert notice["actions"]


@pytest.mark.parametrize(
    ("name", "device", "kind"),
    [
        ("NotAllowedError", "microphone", "refused"),
        ("NotFoundError", "microphone", "no-microphone"),
        ("NotReadableError", "microphone", "busy"),
        ("NotAllowedError", "camera", "camera-refused"),
        ("OverconstrainedError", "camera", "no-camera"),
        ("NotReadableError", "camera", "camera-busy"),
        ("NotAllowedError", "screen", "screen-refused"),
        ("InvalidStateError", "screen", "screen-refused"),
        ("NotReadableError", "screen", "screen-busy"),
    ],
)
def test_each_refusal_of_a_device_becomes_words_with_advice(node: Node, name: str, device: str, kind: str) -> None:
    code = "return errors.explain(errors.mediaFailure(new DOMException('', data.name), data.device));"
    notice = node(code, {"name": name, "device": device})
    assert notice["kind"] == kind
    assert notice["title"] != "Something went wrong"


# Time.


def test_the_waterfall_follows_time_even_when_work_ran_ahead_of_the_end_of_the_turn(node: Node) -> None:
    marks = {"speech_end": 0, "endpoint": 210, "transcript": -40, "first_text": 150, "first_audio": 390, "sent": 400}
    latency = {"turn": 1, "marks": marks, "heard": {"ms": 480, "since": "mouth"}}
    stages = node("return waterfall.stages(data)", latency)
    assert [(stage["name"], stage["from"], stage["to"]) for stage in stages] == [
        ("transcript", -40, -40),
        ("first_text", 0, 150),
        ("endpoint", 150, 210),
        ("first_audio", 210, 390),
        ("sent", 390, 400),
        ("heard", 400, 480),
    ]
    assert "480 ms" in node("return waterfall.summary(data)", latency)


def test_a_measure_taken_from_the_servers_verdict_gets_the_time_of_that_verdict_added(node: Node) -> None:
    turn = [*LIVE, *spoken("u", "Hi")]
    heard = {"type": "page.heard", "ms": 300, "since": "stopped"}
    marks: Fact = {"type": "vivavoce.turn.latency", "response_id": "resp_1", "marks": {"endpoint": 200, "sent": 450}}
    for order in ([heard, marks], [marks, heard]):
        assert node("return state.heardMs(data)", fold(node, [*turn, *order])["latency"]) == 500
    next_turn = fold(node, [*turn, heard, *spoken("v", "Ho", "u"), marks])["latency"]
    assert next_turn["heard"] is None, "the last turn's sound says nothing about this one"


# data: [[seconds, microphone, voice] or [seconds, "ended"]...]; gives what the clock measured.
CLOCK = """
const clock = new meter.TurnClock(), measured = [];
for (const [time, mic, voice] of data) {
  if (mic === "ended") clock.turnEnded(time, voice !== "typed");
  else { const heard = clock.receive({ time, mic, voice }); if (heard) measured.push(heard); }
}
return measured;
"""


def levels(start: float, end: float, mic: float, voice: float) -> list[list[Any]]:
    return [[start + n / 100, mic, voice] for n in range(round((end - start) * 100))]


def test_the_clock_measures_from_the_last_loud_moment_to_the_first_sound(node: Node) -> None:
    talk = [*levels(0, 1, 0.001, 0), *levels(1, 2, 0.1, 0), *levels(2, 2.3, 0.001, 0), [2.3, "ended", ""]]
    answer = [*levels(2.3, 2.6, 0.001, 0), *levels(2.6, 4, 0.001, 0.1)]
    [heard] = node(CLOCK, [*talk, *answer])
    assert heard["since"] == "mouth"
    assert heard["ms"] == pytest.approx(610, abs=15)


def test_the_clock_does_not_take_a_noisy_room_or_the_old_answer_for_a_turn(node: Node) -> None:
    noisy = [*levels(0, 2, 0.1, 0.1), [2, "ended", ""], *levels(2, 2.5, 0.1, 0.1), *levels(2.5, 3, 0.1, 0)]
    [heard] = node(CLOCK, [*noisy, *levels(3, 3.2, 0.1, 0.1)])
    assert heard["since"] == "stopped"
    assert heard["ms"] == pytest.approx(1000, abs=15), "the old answer still sounding is not the new one"
    [typed] = node(CLOCK, [*levels(0, 1, 0.1, 0), [1.2, "ended", "typed"], *levels(1.2, 2, 0, 0.1)])
    assert typed["since"] == "stopped"
    assert node(CLOCK, levels(0, 2, 0.1, 0.1)) == [], "no turn, no measure"


# The microphone.

WINDOW = 512 / 48_000  # seconds between two levels

Heard = tuple[float, float, float]  # seconds, RMS, peak


def troubles(node: Node, parts: list[Heard], muted: int = -1) -> list[tuple[float, str | None]]:
    """What was wrong, and from when, while the microphone gives `parts`; in part `muted` it is off."""
    levels: list[tuple[float, float, bool]] = []
    for n, (seconds, mic, peak) in enumerate(parts):
        levels += [(mic, peak, n != muted)] * round(seconds / WINDOW)
    found = node(
        """const check = new microphone.MicrophoneCheck();
           return data.levels.map(([mic, peak, on], n) => check.receive({ time: n * data.window, mic, peak }, on));""",
        {"levels": levels, "window": WINDOW},
    )
    changes: list[tuple[float, str | None]] = []
    for n, trouble in enumerate(found):
        if trouble != (changes[-1][1] if changes else None):
            changes.append((round(n * WINDOW, 1), trouble))
    return changes


ZEROS, ROOM = (0.0, 0.0), (0.0004, 0.001)  # a quiet room is not zeros


def speech(mic: float, peak: float, seconds: float) -> list[Heard]:
    """Syllables: three quarters of each third of a second, and the room between them."""
    return [(0.25, mic, peak), (0.08, *ROOM)] * round(seconds * 3)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(30, *ROOM)], []),
        ([(4.9, *ZEROS), (5, *ROOM)], []),
        ([(12, *ZEROS)], [(5.0, "silent")]),
        ([(8, *ZEROS), (5, *ROOM)], [(5.0, "silent"), (8.0, None)]),
        ([(3, *ROOM), (8, *ZEROS), *speech(0.05, 0.3, 3)], [(8.0, "silent"), (11.0, None)]),
        ([(1, *ROOM), (20, 0.0016, 0.005)], []),  # a fan is switched on
        ([(20, 0.3, 0.8)], []),  # loud noise
        ([(1, *ROOM), *speech(0.05, 0.4, 20)], []),
        ([(1, *ROOM), *speech(0.3, 1.0, 1), (30, *ROOM)], [(1.4, "clipping"), (7.0, None)]),
        ([(1, *ROOM), *speech(0.3, 1.0, 0.33), *speech(0.1, 0.6, 9)], []),  # one shout
    ],
    ids=["a quiet room", "zeros for less than five seconds", "zeros", "zeros that end", "a switch", "a fan", "noise",
         "speech", "clipping", "a shout"],
)  # fmt: skip
def test_what_is_wrong_with_the_microphone_is_told_and_no_longer_when_it_is_over(
    node: Node, parts: list[Heard], expected: list[tuple[float, str | None]]
) -> None:
    assert [(pytest.approx(at, abs=0.5), what) for at, what in expected] == troubles(node, parts)


def test_a_microphone_that_hardly_hears_the_speaker_is_called_quiet_until_it_does(node: Node) -> None:
    weak = [(1, 0.0002, 0.0006), *[(0.25, 0.002, 0.006), (0.08, 0.0002, 0.0006)] * 15]
    found = troubles(node, [*weak, *speech(0.05, 0.3, 3)])
    assert [what for _, what in found] == ["quiet", None]
    assert 3 < found[0][0] < 6
    assert found[1][0] < 6.5  # with the first loud word


def test_a_microphone_that_was_muted_is_not_called_silent(node: Node) -> None:
    assert troubles(node, [(2, *ROOM), (30, *ZEROS), (3, *ROOM)], muted=1) == []
    found = troubles(node, [(30, *ZEROS), (8, *ZEROS)], muted=0)
    assert found == [(pytest.approx(35.0, abs=0.1), "silent")]  # five seconds from when it was switched on again


def test_the_page_names_the_microphone_and_where_another_can_be_chosen(node: Node) -> None:
    fact = {"type": "page.microphone", "kind": "silent", "name": "OBS Virtual Mic"}
    code = "let s = state.INITIAL; for (const f of data) s = state.reduce(s, f); return view.words(s);"
    title, hint = node(code, [*LIVE, fact])
    assert title == "No sound from the microphone"
    assert (
        hint
        == "“OBS Virtual Mic” gives only silence. Check its switch, or choose another under “Devices and settings”."
    )
    assert node(code, [*LIVE, fact, {"type": "page.muted", "on": True}])[0] == "Microphone off"
    assert node(code, [*LIVE, fact, {**fact, "kind": None}])[0] == "Listening"
    assert "turn it up" in node(code, [*LIVE, {**fact, "kind": "quiet"}])[1]
    assert "distorts" in node(code, [*LIVE, {**fact, "kind": "clipping", "name": ""}])[1]


# Pictures that the user sends.


def pictured(item_id: str, picture: str = "data:image/jpeg;base64,AA==") -> Fact:
    return {"type": "page.pictured", "id": item_id, "picture": picture}


def test_a_picture_is_a_caption_that_the_servers_item_does_not_empty(node: Node) -> None:
    echo = message("p", "user", None, None)
    state = fold(node, [*LIVE, pictured("p"), echo, message("p", "user", None, None, "done")])
    (caption,) = state["talk"]["captions"]
    assert (caption["picture"], caption["text"], caption["live"]) == ("data:image/jpeg;base64,AA==", "", False)
    assert state["floors"][-1] == "listening", "it asks for no answer"


def test_a_picture_is_told_to_a_new_connection_and_asks_for_no_answer(node: Node) -> None:
    state = fold(node, [*LIVE, pictured("p")])
    told, asks = node("return [conversation.replay(data), conversation.unanswered(data)]", state["talk"])
    assert told[0]["item"]["content"] == [{"type": "input_image", "image_url": "data:image/jpeg;base64,AA=="}]
    assert told[0]["event_id"] == "picture_p"
    assert not asks


def test_a_picture_that_the_server_refuses_leaves_the_conversation_and_is_told_of(node: Node) -> None:
    error = {"type": "error", "error": {"event_id": "picture_p", "message": "No more.", "code": "invalid_value"}}
    state = fold(node, [*LIVE, pictured("p"), pictured("q"), error])
    assert [caption["id"] for caption in state["talk"]["captions"]] == ["q"]
    assert (state["notice"]["kind"], state["notice"]["advice"]) == ("picture-refused", "No more.")


def test_only_the_newest_pictures_are_kept(node: Node) -> None:
    shown = fold(node, [*LIVE, *(pictured(f"p{n}") for n in range(15))])["talk"]["captions"]
    assert [bool(caption["picture"]) for caption in shown] == [False] * 3 + [True] * 12
    assert {caption["text"] for caption in shown[:3]} == {"(a picture)"}


# What an answer was based on.

SEEN: Fact = {
    "type": "vivavoce.seen",
    "response_id": "resp_1",
    "source": "camera",
    "at_ms": 5000,
    "age_ms": 230.4,
    "report": "photo; a cup (centre)",
    "things": [{"name": "cup", "box": [0.1, 0.2, 0.5, 0.7]}],
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "Seen 0.2 s before you finished asking: photo; a cup (centre)."),
        ({"age_ms": -40}, "Seen just after you asked: photo; a cup (centre)."),
        ({"source": "message", "age_ms": 9000}, "In your picture: photo; a cup (centre)."),
    ],
)
def test_what_was_seen_is_told_with_its_age(node: Node, changed: Fact, words: str) -> None:
    state = fold(node, [*LIVE, {**SEEN, **changed}])
    assert node("return seen.seenWords(data)", state["seen"]) == words


@pytest.mark.parametrize(
    ("fact", "kept"),
    [
        ({"type": "input_audio_buffer.speech_started", "item_id": "u"}, False),
        ({"type": "page.typed", "id": "u", "text": "Hi"}, False),
        ({"type": "page.showed"}, False),
        ({"type": "page.ended"}, False),
        ({"type": "output_audio_buffer.started", "response_id": "resp_1"}, True),
    ],
)
def test_what_was_seen_is_shown_until_the_next_question(node: Node, fact: Fact, kept: bool) -> None:
    assert (fold(node, [*LIVE, SEEN, fact])["seen"] is not None) == kept


def test_another_source_of_video_says_nothing_against_a_picture_that_was_sent(node: Node) -> None:
    assert fold(node, [*LIVE, {**SEEN, "source": "message"}, {"type": "page.showed"}])["seen"]["source"] == "message"
