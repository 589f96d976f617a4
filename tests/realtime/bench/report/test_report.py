"""realtime/bench: scenarios, options and measures, and reports as JSON, table, page and comparison."""

from __future__ import annotations

import argparse
import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.__main__ import parser
from vivavoce.realtime.bench.caller import scenario
from vivavoce.realtime.bench.caller.caller import Clip
from vivavoce.realtime.bench.caller.link import LinkOptions, Target
from vivavoce.realtime.bench.caller.prepare import NOISES, PreparedScenario, PreparedTurn
from vivavoce.realtime.bench.measure.call_record import CallRecord, Event, Said
from vivavoce.realtime.bench.measure.distribution import describe
from vivavoce.realtime.bench.options import choose
from vivavoce.realtime.bench.report import report, table
from vivavoce.realtime.bench.report.html import page
from vivavoce.realtime.bench.report.report import compare
from vivavoce.realtime.bench.runs import load
from vivavoce.realtime.bench.runs import punctuality as punctual
from vivavoce.realtime.bench.runs.punctuality import Punctual
from vivavoce.realtime.bench.runs.run import Calls, Plan, picture
from vivavoce.realtime.bench.runs.soak import Sample, growth, slopes
from vivavoce.realtime.config import ConfigError

# --- scenarios -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", scenario.names())
def test_every_built_in_scenario_can_be_played(name: str) -> None:
    loaded = scenario.load(name)
    assert loaded.lines
    assert all(cue.say or cue.sound in NOISES for line in loaded.lines for cue in line.cues)
    assert all(tool["name"] in loaded.answers for tool in loaded.tools)
    if loaded.picture:
        assert picture(loaded.picture).shape == (240, 320, 3)


def test_there_are_twenty_different_questions() -> None:
    assert len({line.text for line in scenario.load("single").lines}) >= 20


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"title": "x", "lines": []}, "at least one"),
        ({"title": "x", "lines": [{"say": "hi"}], "speed": 2}, "has no speed"),
        ({"title": "x", "lines": [{"say": ["hi", 0.5]}]}, "begins and ends with a text"),
        ({"title": "x", "lines": [{"say": "hi", "cues": [{"kind": "shout", "after": 1, "say": "ho"}]}]}, "a cue has"),
        ({"title": "x", "lines": [{"say": "hi", "cues": [{"kind": "noise", "after": 1}]}]}, "a cue has"),
    ],
)
def test_a_wrong_scenario_is_refused_with_its_fault(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        scenario.parse(table, "test")


def test_the_refusal_of_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(scenario.ScenarioError, match="single"):
        scenario.load("nonsense")


# --- command line ----------------------------------------------------------------------------------------------


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", *words])


def test_options_choose_what_is_measured() -> None:
    chosen = choose(options("--transport", "all", "--loss", "0,0.05", "--calls", "1,2", "--model", "fast"))
    assert chosen.transports == ("webrtc", "websocket", "g711", "g711-websocket")
    assert [line.loss for line in chosen.lines] == [0.0, 0.05]
    assert (chosen.calls, chosen.language, chosen.only_load) == ((1, 2), "smollm2-135m", True)


@pytest.mark.parametrize(
    "words",
    [
        ["--loss", "2"],
        ["--loss", "x"],
        ["--transport", "fax"],
        ["--calls", "0"],
        ["--punctual", "100"],
        ["--turns", "-1"],
        ["--soak", "5", "--url", "http://x"],
        ["--long", "5", "--url", "http://x"],
        ["--long", "-1"],
    ],
)
def test_wrong_options_are_named(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=words[0]):
        choose(options(*words))


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8790", "http://127.0.0.1:8790/v1/realtime?model=vivavoce"),
        ("https://api.example.org/v1/", "https://api.example.org/v1/realtime?model=vivavoce"),
    ],
)
def test_the_url_of_a_server_may_end_in_its_version(url: str, address: str) -> None:
    assert Target(url).address("/realtime") == address


def test_a_session_sets_its_audio_format_only_where_audio_travels_in_messages() -> None:
    assert "audio" not in LinkOptions().session(None)
    assert LinkOptions().session("audio/pcm")["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}}


# --- report ----------------------------------------------------------------------------------------------------


def made_run(delays: list[float | None], name: str = "single") -> dict[str, Any]:
    """A run of one call, whose turns have replies after so many seconds, or none."""
    sound = np.zeros((len(delays) * 10 + 2) * SAMPLE_RATE, np.float32)
    said, events = [], []
    for n, delay in enumerate(delays):
        end = n * 10 + 2.0
        said.append(Said("turn", n, f"<question {n}>", end - 1, end))
        if delay is not None:
            start = round((end + delay) * SAMPLE_RATE)
            sound[start : start + SAMPLE_RATE] = 0.2 * np.sin(np.arange(SAMPLE_RATE) * 0.2 + 0.5)
            marks = {"speech_end": 0.0, "endpoint": 200.0, "sent": delay * 1000 - 40}
            events.append(Event(end + delay, {"type": "vivavoce.turn.latency", "marks": marks}))
            answer = {"type": "response.output_audio_transcript.done", "transcript": "<b>Yes</b> & no"}
            events.append(Event(end + delay, answer))
    record = CallRecord("webrtc", name, tuple(said), sound, tuple(events))
    turn = PreparedTurn(Clip("", sound[:1], 0, 1), expect=("yes",))
    play = PreparedScenario(scenario.load(name), (turn,), None, 0.0)
    return report.describe_run(play, Plan(Target(""), turns=len(delays)), Calls((record,), refused=1))


def made_report(*runs: dict[str, Any]) -> dict[str, Any]:
    machine = {"cpu": "a <processor>", "cores": 2, "flags": [], "load_before": [0.1], "versions": {}}
    settings = {"server": {"own": True}, "models": {"language": "small"}, "seed": 1, "turns": 0}
    return {
        "schema": report.SCHEMA,
        "made": "2026-01-01T00:00:00",
        "machine": machine,
        "settings": settings,
        "runs": list(runs),
    }


def test_missed_turns_stay_in_the_percentiles() -> None:
    measures = made_run([0.3, 0.3, 0.3, None])["measures"]
    assert measures["v2v"]["n"] == 4
    assert measures["v2v"]["most"] == 5000
    assert measures["answered"]["most"] == pytest.approx(300, abs=2)
    assert (measures["missed"]["count"], measures["missed"]["n"]) == (1, 4)


def test_latency_beyond_the_servers_marks_is_reported_as_unexplained() -> None:
    waterfall = made_run([0.5, 0.7, 0.9])["measures"]["waterfall"]
    assert [(stage["name"], stage["took"], stage["until"]) for stage in waterfall["stages"]] == [
        ("endpoint", 200, 200),
        ("sent", pytest.approx(460, abs=2), pytest.approx(660, abs=2)),
    ]
    assert waterfall["unexplained"]["p50"]["value"] == pytest.approx(40, abs=2)


def test_replies_with_an_expected_word_are_counted() -> None:
    assert made_run([0.5, 0.5])["measures"]["expected"]["count"] == 2


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = made_report(made_run([0.4, None]))
    report.write(made, tmp_path / "report.json")
    assert report.read(tmp_path / "report.json") == json.loads(json.dumps(made))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "vivavoce.bench/0"}'])
def test_a_file_that_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(report.ReportError):
        report.read(tmp_path / "x.json")


def test_the_table_marks_few_observations_and_failures() -> None:
    words = table.run_block(made_run([0.4, None]))
    assert "50 %" in words
    assert "(?)" in words
    assert re.search(r"calls refused +1", words)
    assert "(?)" not in table.run_block(made_run([0.4] * 10)).replace("calls refused", "")


def test_the_page_is_complete_and_runs_no_text_of_a_server() -> None:
    levels = [load.Level(n, 0, 0, (), describe([300.0 * n]), 0, 0, 0, 0.4 * n, 10**9) for n in (1, 2, 4)]
    made = made_report(made_run([0.3, 0.5, None]), made_run([0.4], "noise"))
    made["load"] = report.describe_load(levels, "webrtc")
    made["soak"] = {"calls": 20, "failed": 0, "refused": 0, "silent": 0, "slopes": {"resident": 0.0},
                    "samples": [{"calls": 10, "resident": 10**9}, {"calls": 20, "resident": 10**9}]}  # fmt: skip
    made["long"] = {"minutes": 1.0, "turns": 2, "missed": 1, "failure": "<b>gone", "early": None, "late": None,
                    "slopes": {"resident": 0.0},
                    "samples": [{"seconds": 30, "resident": 10**9}, {"seconds": 60, "resident": 10**9}]}  # fmt: skip
    quiet = Punctual(10, 15_000, (0.012, 0.0), 1.0, 9.0, 27.5, 0.0, 0.6, 3.0)
    made["punctual"] = punctual.values([quiet])
    html = page(made)
    assert "27.5 ms" in html
    assert "1.2 %" in html
    assert "1.2 % over 20, 0 % over 60 ms" in table.punctual_line(quiet)
    assert "<b>gone" not in html
    assert "<b>Yes" not in html
    assert "<question" not in html
    assert "<script" not in html
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(plots) == 5  # distributions, waterfall, load, memory over calls, and over time
    for plot in plots:
        ElementTree.fromstring(plot)


# --- load and soak ---------------------------------------------------------------------------------------------


def level(calls: int, p95: float, **rest: Any) -> load.Level:
    fields = {
        "refused": 0,
        "polite": 0,
        "failures": (),
        "missed": 0,
        "underruns": 0,
        "stalls": 0,
        "cpu": 0.5,
        "resident": 1,
    }
    return load.Level(calls, v2v=describe([p95]), **{**fields, **rest})


@pytest.mark.parametrize(
    ("latencies", "knee"),
    [([400, 700, 900], 2), ([400, 900, 700], 1), ([900], None), ([400, 500], 2)],
)
def test_the_knee_is_the_last_level_with_a_good_latency(latencies: list[float], knee: int | None) -> None:
    levels = [level(n, latency) for n, latency in enumerate(latencies, 1)]
    assert load.knee(levels) == knee


def test_refused_calls_count_neither_as_served_nor_as_failed() -> None:
    assert load.knee([level(2, 300), level(8, 500, refused=4)]) == 4


def test_a_level_with_broken_calls_is_past_the_knee() -> None:
    assert load.knee([level(1, 300), level(2, 300, failures=("gone",))]) == 1


def test_slopes_leave_out_the_warm_up() -> None:
    samples = [Sample(n * 10, n, 1000 + (5000 if n > 1 else 0) + 2 * n, 20, 9, {"tasks": 4.0}) for n in range(1, 21)]
    assert slopes(samples) == {"resident": 200.0, "descriptors": 0.0, "threads": 0.0, "tasks": 0.0}


def test_growth_of_a_long_call_is_per_hour() -> None:
    samples = [Sample(n, 30.0 * n, 1000 + n, 20, 9, {}) for n in range(1, 241)]
    assert growth(samples, lambda sample: sample.seconds, 3600.0)["resident"] == 120.0


# --- comparison ------------------------------------------------------------------------------------------------


def test_a_change_is_told_from_chance() -> None:
    slow, quick = made_report(made_run([0.9, 0.91, 0.92] * 4)), made_report(made_run([0.4, 0.41, 0.42] * 4))
    assert "better" in compare(slow, quick)
    assert "WORSE" in compare(quick, slow)
    assert "no clear difference" in compare(slow, copy.deepcopy(slow))
    assert "WORSE" not in compare(slow, slow)


def test_pacing_is_compared_level_by_level() -> None:
    def paced(*late: tuple[int, float]) -> dict[str, Any]:
        levels = [Punctual(calls, 30_000, (share, 0.0), 1.0, 9.0, 27.5, 0.0, 0.6, 3.0) for calls, share in late]
        return made_report() | {"punctual": punctual.values(levels)}

    told = compare(paced((3, 0.0), (10, 0.30)), paced((10, 0.01), (20, 0.2)))
    assert "pacing of 10 quiet calls" in told
    assert re.search(r"more than 20 ms late +30 % -> +1 %  better", told)
    assert re.search(r"more than 60 ms late +0 % -> +0 %  no clear difference", told)
    assert "of 3" not in told
    assert "of 20 quiet" not in told
    assert "no clear difference" in compare(paced((10, 0.010)), paced((10, 0.014))), "bursts"
    assert "WORSE" in compare(paced((10, 0.01)), paced((10, 0.3)))


def test_figures_of_a_busy_machine_are_marked() -> None:
    quiet, busy = made_run([0.4]), made_run([0.4])
    quiet["neighbours"] = {"cores": 0.05, "stolen": 0.0, "quiet": True}
    busy["neighbours"] = {"cores": 0.8, "stolen": 0.0, "quiet": False}
    assert "CAUTION" not in table.run_block(quiet) + table.run_block(made_run([0.4]))
    assert "took 0.8 of this machine's cores: these figures are not to be trusted" in table.run_block(busy)
    assert "took 0.8 of this machine's cores" in page(made_report(busy))
    assert "CAUTION" not in compare(made_report(quiet), made_report(quiet))
    assert "CAUTION: in the second run other programs took 0.8" in compare(made_report(quiet), made_report(busy))


def test_a_comparison_reports_a_different_setup() -> None:
    one = made_report(made_run([0.4]))
    other = copy.deepcopy(one)
    other["machine"]["cpu"] = "another"
    assert "another" in compare(one, other)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (level(4, 300, refused=2, busy=0.5), "the limit of 2 calls"),
        (level(4, 900, busy=0.97), "the processor (busy 97 %"),
        (level(4, 900, busy=0.5, stalls=3), "callers themselves"),
        (level(4, 900, busy=0.5), "not the processor"),
        (level(4, 900, cpu=None), "elsewhere"),
    ],
)
def test_the_saturated_resource_is_named(found: load.Level, words: str) -> None:
    assert words in load.saturated(found)
