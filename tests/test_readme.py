"""README.md says what is there: its tables, snippets, commands and settings are held against the code."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import structs
from starlette.routing import Mount, Route

from harness.fakes import ScriptedEngine
from vivavoce.model.settings import CascadeSettings
from vivavoce.realtime.__main__ import parser
from vivavoce.realtime.config import ServerConfig, build
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.wire import ClientEvent, ServerEvent
from vivavoce.realtime.wire.session_config import AudioInput, AudioOutput, RealtimeSession

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DEFINED_IN = {"server_events.py", "response_events.py"}
CLIENTS = ("openai", "openai-agents", "@openai/agents-realtime", "livekit-plugins-openai", "pipecat-ai")


def table(heading: str) -> dict[str, str]:
    """Every name in the first column of the table with this heading, and what is said of it."""
    lines = README.splitlines()
    start = lines.index(f"| {heading} | |") + 2
    rows: dict[str, str] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        _, names, words, _ = re.split(r"(?<!\\)\|", line)
        for name in re.findall(r"`([^`]+)`", names):
            assert name not in rows, f"{name} stands in two rows"
            rows[name] = words.strip()
    return rows


def tag(event: Any) -> str:
    return str(event.__struct_config__.tag)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def code() -> list[str]:
    """Everything set as code: blocks, and spans in the text."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL))
    return [*spans, *blocks("sh"), *blocks("toml")]


def test_the_table_of_client_events_is_the_protocols() -> None:
    assert set(table("Client events")) == {tag(event) for event in get_args(ClientEvent)}


def test_the_table_of_server_events_is_the_protocols() -> None:
    assert set(table("Server events")) == {tag(event) for event in get_args(ServerEvent)}


def test_an_event_is_promised_if_and_only_if_the_server_sends_it() -> None:
    said = table("Server events")
    made = set(names_used())
    for event in get_args(ServerEvent):
        refused = said[tag(event)].startswith("no")
        assert refused != (event.__name__ in made), tag(event)


def names_used() -> Iterator[str]:
    """Names used in the code of the call, other than to ask what something is."""
    for file in (ROOT / "realtime").rglob("*.py"):
        if file.name not in DEFINED_IN:
            yield from _used(ast.parse(file.read_text()))


def _used(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Call(func=ast.Name("isinstance")) | ast.MatchClass() | ast.ImportFrom():
                continue
            case ast.Name(name) | ast.Attribute(attr=name):
                yield name
        yield from _used(child)


def test_the_table_of_session_settings_is_the_protocols() -> None:
    known = {f.name for f in structs.fields(RealtimeSession)} - {"audio"}
    known |= {f"audio.input.{f.name}" for f in structs.fields(AudioInput)}
    known |= {f"audio.output.{f.name}" for f in structs.fields(AudioOutput)}
    assert set(table("Session settings")) == known


def test_the_addresses_are_those_of_the_gateway() -> None:
    app = Gateway(ServerConfig(), ScriptedEngine, lambda: 0.0).app  # type: ignore[arg-type]  # it is never started
    (api,) = [route for route in app.routes if isinstance(route, Mount) and route.path == "/v1"]
    there = {
        f"{method} /v1{route.path}"
        for route in api.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    there |= {f"GET /v1{route.path}" for route in api.routes if not isinstance(route, Route)}
    named = {name.partition("?")[0] for name in re.findall(r"^\| `((?:GET|POST) /[^`]+)`", README, re.MULTILINE)}
    assert named
    assert named <= there


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_has_its_snippet(client: str) -> None:
    summaries = re.findall(r"<summary>(.*?)</summary>", README)
    assert any(f"<code>{client}</code>" in summary for summary in summaries)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_snippets_can_be_read(number: int) -> None:
    ast.parse(blocks("python")[number])


@pytest.mark.parametrize("number", range(len(blocks("toml"))))
def test_settings_in_examples_exist(number: int) -> None:
    table = tomllib.loads(blocks("toml")[number])
    (
        table.get("server", {}).pop("tls_certificate", None),
        table.get("server", {}).pop("tls_key", None),
    )  # no such files here
    assert build(table, {"VIVAVOCE_HOME": "/models"}, {}, "linux")


def test_variables_exist() -> None:
    named = set(re.findall(r"VIVAVOCE_\w+", README))
    server = {f"VIVAVOCE_SERVER_{f.name.upper()}" for f in fields(ServerConfig)}
    model = {f"VIVAVOCE_MODEL_{f.name.upper()}" for f in fields(CascadeSettings)}
    phone = {f"VIVAVOCE_PHONE_{f.name.upper()}" for f in fields(PhoneConfig)}
    sip = {f"VIVAVOCE_SIP_{f.name.upper()}" for f in fields(SipConfig)}
    assert named
    assert named <= {"VIVAVOCE_HOME"} | server | model | phone | sip


def commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    found = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: command for action in found for name, command in action.choices.items()}


def options(top: argparse.ArgumentParser) -> set[str]:
    own = {option for action in top._actions for option in action.option_strings}
    return own.union(*(options(command) for command in commands(top).values()))


def test_commands_and_options_exist() -> None:
    lines = [line.split() for text in code() for line in text.splitlines() if line.startswith("vivavoce ")]
    lines = [[word for word in line if word not in ("\\|", "|")] for line in lines]
    assert lines
    top = parser()
    for line in lines:
        words = _without_options(line[1:])
        command = commands(top)[words[0]]
        actions = commands(command)
        assert not actions or set(words[1:]) & set(actions), line
        used = {word for word in line if word.startswith("-")}
        assert used <= options(top), line


def _without_options(words: Iterable[str]) -> list[str]:
    """`--config my.toml serve` without the options and their values."""
    left = re.sub(r"(^| )--?\w[\w-]* \S+", "", " ".join(words))
    return left.split()


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in code() for name in re.findall(r"\bmake (\w[\w-]*)", text)}
    assert named
    assert named <= targets
