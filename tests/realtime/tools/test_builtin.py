"""The built-in tools and the rules around them, each alone."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from harness.tools import NOON
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.addresses import check_address, check_url, shown
from vivavoce.realtime.config.errors import BadAddress
from vivavoce.realtime.events import Answer, Failure, Outcome
from vivavoce.realtime.session.tool_settings import Tools, options
from vivavoce.realtime.tools import ToolError
from vivavoce.realtime.tools.arithmetic import CannotCompute, compute, decimal_text
from vivavoce.realtime.tools.builtin import GROUPS, BuiltIn, Shared, listed
from vivavoce.realtime.tools.clock import UnknownPlace, time_in_words, zone_of
from vivavoce.realtime.tools.notes import MAX_CHARS, MAX_NOTES, Notes, NotesError
from vivavoce.realtime.tools.safe_http import Unreachable
from vivavoce.realtime.tools.schemas import SchemaTooComplex, inlined
from vivavoce.realtime.tools.timers import MAX_TIMERS, TimerError, Timers, duration_in_words
from vivavoce.realtime.tools.units import convert

# --- arithmetic ---


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 + 0.2", "0.3"),
        ("17 * (3 + 4.5)", "127.5"),
        ("1/3", "about 0.333333333333333"),
        ("2 ^ 10 =", "1024"),
        ("2**-2", "0.25"),
        ("4**0.5", "2"),
        ("2**0.5", "1.4142135623731"),
        ("2**1.5", "2.82842712474619"),
        ("15% of 80", "12"),
        ("200 + 10%", "200.1"),
        ("1,250,000 / 4", "312500"),
        ("6 × 7", "42"),
        ("3 x 4", "12"),
        ("5²", "25"),
        ("-3 + +5", "2"),
        ("7 // 2 + 7 % 4", "6"),
        ("sqrt(9/16)", "0.75"),
        ("sqrt(2) // 1", "1"),
        ("sqrt(pi) // 1", "1"),
        ("round(2.5) + floor(1.9) + ceil(1.1) + abs(-1)", "7"),
        ("factorial(5)", "120"),
        ("sin(0) + cos(0) + ln(e) + log(100)", "4"),
        ("2 * pi", "6.28318530717959"),
        ("3.14159265358979323846 * 1", "3.14159265358979323846"),
        ("1e3", "1000"),
        ("10**30", "1" + "0" * 30),
        ("2.0**100.5 / 1", "1.79272867119316E+30"),
    ],
)
def test_expressions_have_their_exact_value(expression: str, value: str) -> None:
    assert decimal_text(compute(expression)) == value


@pytest.mark.parametrize(
    "expression",
    [
        "1/0",
        "__import__('os')",
        "().__class__",
        "open",
        "lambda: 1",
        "[1][0]",
        "True + 1",
        "'a' * 9",
        "sqrt(-1)",
        "(-8)**0.5",
        "(-8)**0.3",
        "9**9**9",
        "10**999999",
        "1e999999",
        "exp(99999)",
        "exp(700) * exp(700)",
        "factorial(401)",
        "factorial(1.5)",
        "ln(0)",
        "1 +",
        "",
        "1" * 300,
        "*".join(["9" * 250] * 1) + "**6",
    ],
)
def test_expressions_without_a_value_and_other_code_are_refused(expression: str) -> None:
    with pytest.raises(CannotCompute):
        compute(expression)


def test_a_product_of_large_numbers_is_bounded() -> None:
    with pytest.raises(CannotCompute):
        compute("2**2000 * 2**2000 * 2**2000")


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        ("5", "miles", "km", "8.04672"),
        ("1", "inch", "cm", "2.54"),
        ("100", "Fahrenheit", "degrees celsius", "about 37.7777777777778"),
        ("-40", "c", "f", "-40"),
        ("0", "celsius", "kelvin", "273.15"),
        ("1", "cup", "ml", "236.5882365"),
        ("90", "minutes", "hours", "1.5"),
        ("36", "km/h", "m/s", "10"),
        ("1", "square foot", "m²", "0.09290304"),
        ("1", "GiB", "mib", "1024"),
        ("2", "stone", "lbs", "28"),
        ("6", "feet", "inches", "72"),
    ],
)
def test_units_are_converted_exactly(value: str, source: str, target: str, result: str) -> None:
    assert decimal_text(convert(value, source, target)) == result


@pytest.mark.parametrize(("value", "source", "target"), [("1", "km", "kg"), ("1", "smoot", "m"), ("-1", "k", "c")])
def test_units_that_do_not_fit_are_refused(value: str, source: str, target: str) -> None:
    with pytest.raises(CannotCompute):
        convert(value, source, target)


def test_the_exceptions_of_the_tools_are_one_tree() -> None:
    for kind in (CannotCompute, UnknownPlace, TimerError, NotesError, Unreachable, SchemaTooComplex):
        assert issubclass(kind, ToolError)


# --- time ---


def test_the_time_is_said_here_and_elsewhere() -> None:
    here = NOON.astimezone(timezone(timedelta(hours=1)))
    assert time_in_words(here, "") == "It is 1:05 PM on Sunday, November 22, 2026."
    assert time_in_words(here, "Tokyo") == "It is 9:05 PM in Tokyo on Sunday, November 22, 2026."
    new_year = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    assert time_in_words(new_year, "UTC") == "It is 12:30 AM in UTC on Thursday, January 1, 2026."


def test_places_are_found_by_city_zone_or_common_name() -> None:
    assert zone_of("new york") == "America/New_York"
    assert zone_of("Europe/Paris") == "Europe/Paris"
    assert zone_of("San Francisco") == "America/Los_Angeles"
    assert zone_of("Berlin, Germany") == "Europe/Berlin"
    with pytest.raises(UnknownPlace):
        zone_of("Atlantis")


# --- timers ---


def test_timers_fire_once_in_order() -> None:
    timers = Timers()
    timers.set(60, "", 0.0)
    timers.set(30, " egg  timer ", 0.0)
    assert [str(timer) for timer in timers] == ["timer 2 (egg timer)", "timer 1"]
    assert timers.next_due == 30
    assert timers.fire(29.9) == []
    assert [timer.number for timer in timers.fire(60.0)] == [2, 1]
    assert timers.next_due is None


def test_timers_are_cancelled_by_number_name_or_all() -> None:
    timers = Timers()
    with pytest.raises(TimerError, match="No timer is running"):
        timers.cancel("1")
    for name in ("tea", "egg", "rice"):
        timers.set(60, name, 0.0)
    assert [timer.name for timer in timers.cancel("timer 1")] == ["tea"]
    assert [timer.name for timer in timers.cancel("the egg timer")] == ["egg"]
    timers.set(60, "", 0.0)
    with pytest.raises(TimerError, match="Which one"):
        timers.cancel("timer")
    with pytest.raises(TimerError, match="no such"):
        timers.cancel("pasta")
    assert len(timers.cancel("all")) == 2


def test_timers_are_bounded() -> None:
    timers = Timers()
    for wrong in (0.5, 25 * 3600, float("nan")):
        with pytest.raises(TimerError):
            timers.set(wrong, "", 0.0)
    for _ in range(MAX_TIMERS):
        timers.set(60, "", 0.0)
    with pytest.raises(TimerError):
        timers.set(60, "", 0.0)


def test_durations_are_said_in_words() -> None:
    assert duration_in_words(3661) == "1 hour 1 minute 1 second"
    assert duration_in_words(7200) == "2 hours"
    assert duration_in_words(0.2) == "0 seconds"


# --- notes ---


def test_notes_last_and_are_found_by_words(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "notes.json"
    notes = Notes(file)
    assert notes.all() == []
    notes.add("The gate code is 1234.")
    notes.add("Buy  milk")
    assert Notes(file).all() == ["The gate code is 1234.", "Buy milk"]
    assert notes.remove("GATE code") == ["The gate code is 1234."]
    assert Notes(file).all() == ["Buy milk"]
    assert [path.name for path in file.parent.iterdir()] == ["notes.json"]
    for words in ("gate", ""):
        with pytest.raises(NotesError):
            notes.remove(words)


def test_notes_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text(json.dumps({"notes": ["x"] * MAX_NOTES}))
    for text in ("one more", "", "x" * (MAX_CHARS + 1)):
        with pytest.raises(NotesError):
            Notes(file).add(text)


@pytest.mark.parametrize("content", ["", "[]", '{"notes": 1}', '{"notes": [1]}', "\xff"])
def test_a_damaged_file_of_notes_is_reported_and_not_overwritten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(NotesError):
        Notes(file).add("x")
    assert file.read_text(encoding="latin-1") == content


def test_notes_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for file in (tmp_path / "file" / "notes.json",):
        with pytest.raises(NotesError):
            Notes(file).add("x")
    notes = Notes(tmp_path / "folder")
    with pytest.raises(NotesError):
        notes._write(["x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


# --- all of them, as the model calls them ---


def run(own: BuiltIn, name: str, now: float = 0.0, **arguments: Any) -> Outcome:
    return asyncio.run(own.call(name, json.dumps(arguments), now))


MILES: dict[str, Any] = {"from": "mi", "to": "km"}  # words that Python keeps for itself


def own(tmp_path: Path) -> BuiltIn:
    return BuiltIn(Shared(lambda: NOON, Notes(tmp_path / "notes.json")))


def test_each_tool_answers_in_words(tmp_path: Path) -> None:
    tools = own(tmp_path)
    assert run(tools, "time") == Answer("It is 12:05 PM on Sunday, November 22, 2026.")
    assert run(tools, "calculate", expression="2+2") == Answer("2+2 = 4")
    assert run(tools, "convert_unit", value=5, **MILES) == Answer("5 mi = 8.04672 km")
    assert run(tools, "list_timers") == Answer("No timer is running.")
    assert run(tools, "set_timer", amount=1.5, unit="minutes") == Answer(
        "Set timer 1: it rings in 1 minute 30 seconds."
    )
    assert run(tools, "list_timers", now=30.0) == Answer("timer 1: 1 minute left")
    assert run(tools, "cancel_timer", which="1") == Answer("Cancelled timer 1.")
    assert run(tools, "list_notes") == Answer("There are no notes.")
    assert run(tools, "add_note", text="Buy milk") == Answer("Noted.")
    assert run(tools, "list_notes") == Answer("Buy milk")
    assert run(tools, "remove_note", words="milk") == Answer("Removed: Buy milk")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("time_in", '{"city": "Atlantis"}'),
        ("time_in", '{"city": 7}'),
        ("time", "[]"),
        ("time", "no json"),
        pytest.param("time", "[" * 100_000, id="deep"),
        ("calculate", "{}"),
        ("calculate", '{"expression": "1/0"}'),
        ("set_timer", '{"amount": "x", "unit": "hours"}'),
        ("set_timer", '{"amount": 1, "unit": "moons"}'),
        ("set_timer", '{"amount": 1e999, "unit": "hours"}'),
        ("cancel_timer", '{"which": "1"}'),
        ("remove_note", '{"words": "x"}'),
        ("none", "{}"),
    ],
)
def test_wrong_arguments_are_answered_and_raise_nothing(tmp_path: Path, name: str, arguments: str) -> None:
    outcome = asyncio.run(own(tmp_path).call(name, arguments, 0.0))
    assert isinstance(outcome, Failure)
    assert outcome.kind == "tool_execution_error"


def test_tools_are_switched_on_by_name() -> None:
    assert listed(()) == ()
    assert [tool.name for tool in listed(["time"])] == ["time", "time_in"]
    assert len(listed(["all"])) == sum(map(len, GROUPS.values()))


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("What time is it?", {"time"}),
        ("What time is it in Tokyo?", {"time", "time_in"}),
        ("Set a timer for five minutes.", {"set_timer", "list_timers", "cancel_timer"}),
        ("What is 15 percent of 240?", {"calculate"}),
        ("How many kilometers are 26 miles?", {"convert_unit"}),
        ("Please note the code.", {"add_note", "list_notes", "remove_note"}),
        ("I had a long day at work.", set()),
        ("Why is the sky blue?", set()),
    ],
)
def test_a_cue_matches_requests_for_its_tool(said: str, names: set[str]) -> None:
    assert {tool.name for tool in listed(["all"]) if re.search(tool.cue, said, re.IGNORECASE)} == names


def test_a_session_gets_the_notes_only_if_the_settings_say_so() -> None:
    assert "add_note" not in {tool.name for tool in options(ServerConfig()).askable}
    assert options(ServerConfig()).offered == ()
    assert "add_note" in {tool.name for tool in options(ServerConfig(tools=("notes",))).askable}
    assert Tools(ServerConfig()).runner().calls == {}


# --- addresses of servers ---


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/mcp",
        "http://a.localhost/",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[64:ff9b::7f00:1]/",
        "ftp://example.org/",
        "https://",
        "https://user:pass@example.org/",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://example.org/" + "x" * 2048,
    ],
)
def test_private_and_malformed_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        check_url(url, private=False)


def test_public_addresses_are_allowed() -> None:
    assert check_url("https://example.org:8443/mcp", private=False) == "example.org"
    assert check_url("http://93.184.215.14/", private=False) == "93.184.215.14"
    assert check_url("http://[2606:4700::1111]/", private=False) == "2606:4700::1111"
    assert check_url("http://127.0.0.1:9/", private=True) == "127.0.0.1"
    check_address("fe80::1%eth0", private=True)
    assert shown("https://example.org/mcp?key=1#x") == "https://example.org/mcp"


# --- schemas of MCP servers ---


def test_references_are_replaced_by_their_targets() -> None:
    schema = {
        "$defs": {"City": {"type": "string", "title": "City"}, "a/b": {"type": "null"}},
        "properties": {
            "title": {"$ref": "#/$defs/City"},
            "list": {"type": "array", "items": [{"$ref": "#/$defs/a~1b"}, 1]},
        },
        "title": "noise",
    }
    assert inlined(schema) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "list": {"type": "array", "items": [{"type": "null"}, 1]}},
    }
    assert inlined({}) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}, "properties": {"a": {"$ref": "#/$defs/A"}}},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
        {"properties": {"a": {"$ref": "https://example.org/schema"}}},
        {"properties": {f"p{i}": {"type": "string"} for i in range(2000)}},
    ],
)
def test_schemas_without_end_are_refused(schema: dict[str, Any]) -> None:
    assert inlined(schema) is None
