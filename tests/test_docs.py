"""The documentation agrees with the code: tables, addresses, snippets, commands, settings, paths and links."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import structs
from starlette.routing import Mount, Route, WebSocketRoute

from harness.fakes import ScriptedEngine
from harness.sources import nodes, tree
from vivavoce.model.settings import CascadeSettings
from vivavoce.realtime.__main__ import parser
from vivavoce.realtime.config import ServerConfig, build
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.wire import ClientEvent, ServerEvent
from vivavoce.realtime.wire.session_config import AudioInput, AudioOutput, RealtimeSession

pytestmark = pytest.mark.slow  # whichever is first reads all sources

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "realtime/docs"
EXAMPLES = DOCS / "examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]
CARDS = [ROOT / name for name in ("codecs/CODEC.md", "model/turns/OVERLAP.md", "model/turns/ENDPOINT.md")]
MAX_README = 150
DEFINED_IN = {"server_events.py", "response_events.py"}
CLIENTS = ("openai", "openai-agents", "@openai/agents-realtime", "livekit-plugins-openai", "pipecat-ai")
MADE = ("build/", "dist/")
"""Folders that commands make."""
REFUSALS = {"Denied", "Refused", "WireError"}
"""Calls that refuse something with a code."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text()


def everything() -> str:
    return "\n".join(text_of(page) for page in PAGES)


def table(page: str, heading: str) -> dict[str, str]:
    """Every name in the first column of the table with this heading, and the words beside it."""
    lines = text_of(DOCS / page).splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(f"| {heading} |")]
    rows: dict[str, str] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        _, names, *words, _ = re.split(r"(?<!\\)\|", line)
        for name in re.findall(r"`([^`]+)`", names):
            assert name not in rows, f"{name} stands in two rows"
            rows[name] = words[-1].strip()
    return rows


def tag(event: Any) -> str:
    return str(event.__struct_config__.tag)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """Code within the prose."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def code() -> list[str]:
    """Everything set as code: blocks, and spans in the text."""
    return [*spans(everything()), *blocks(everything(), "sh"), *blocks(everything(), "toml")]


# --- form ----------------------------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= MAX_README


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{name_of(page)} links to {target}"


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=name_of)
def test_paths_of_the_repository_exist(page: Path) -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".git", ".venv"}
    for span in spans(text_of(page)):
        if re.fullmatch(r"[\w./*-]+", span) and span.partition("/")[0] in tops and "/" in span:
            assert span.startswith(MADE) or list(ROOT.glob(span.rstrip("/"))), f"{name_of(page)}: {span}"


def test_modules_exist() -> None:
    named = set(re.findall(r"python -m vivavoce\.([\w.]+)", "\n".join(text_of(page) for page in [*PAGES, *CARDS])))
    assert named
    for module in named:
        path = ROOT / module.rstrip(".").replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_every_page_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\(realtime/docs/([\w-]+\.md)", text_of(ROOT / "README.md"))
    assert {page.name for page in DOCS.glob("*.md")} == set(linked)


# --- architecture --------------------------------------------------------------------------------------------------


def rooms(name: str) -> list[str]:
    """The rooms of the call that a tuple of test_architecture.py names."""
    tests = tree(ROOT / "tests/test_architecture.py")
    (named,) = [
        ast.literal_eval(node.value)
        for node in tests.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    ]
    return [room.removeprefix("realtime/") for room in named if room.startswith("realtime/")]


def test_the_list_of_rooms_is_the_one_that_the_imports_keep() -> None:
    told = {name.removesuffix("/").removesuffix(".py"): pure for name, pure in table("architecture.md", "Room").items()}
    assert list(told) == [room for room in rooms("ROOMS") if room not in ("__main__", "docs")]
    assert [room for room, pure in told.items() if pure.startswith("yes")] == [
        room for room in told if room in rooms("PURE")
    ]


# --- protocol ------------------------------------------------------------------------------------------------------


def test_the_table_of_client_events_is_the_protocols() -> None:
    assert set(table("protocol.md", "Client events")) == {tag(event) for event in get_args(ClientEvent)}


def test_the_table_of_server_events_is_the_protocols() -> None:
    assert set(table("protocol.md", "Server events")) == {tag(event) for event in get_args(ServerEvent)}


def test_an_event_is_promised_if_and_only_if_the_server_sends_it() -> None:
    said = table("protocol.md", "Server events")
    made = set(names_used())
    for event in get_args(ServerEvent):
        refused = said[tag(event)].startswith("no")
        assert refused != (event.__name__ in made), tag(event)


@cache
def sources() -> tuple[Path, ...]:
    """The code of the call."""
    files = (file for file in (ROOT / "realtime").rglob("*.py") if DOCS not in file.parents)
    return tuple(file for file in files if file.name not in DEFINED_IN)


def names_used() -> Iterator[str]:
    """Names used in the code of the call, other than to ask what something is."""
    for file in sources():
        yield from _used(tree(file))


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
    assert set(table("protocol.md", "Session settings")) == known


def test_every_code_of_an_error_is_listed() -> None:
    listed = {**table("protocol.md", "HTTP errors"), **table("protocol.md", "Error events")}
    used = {found for file in sources() for node in nodes(file) for found in _codes(node)}
    assert len(used) > 30
    assert used - set(listed) == set()


def test_every_listed_code_is_in_the_source() -> None:
    written = {node.value for file in sources() for node in nodes(file) if isinstance(node, ast.Constant)}
    made = {"string_above_max_length"}  # out of kind, bound and measure
    listed = {**table("protocol.md", "HTTP errors"), **table("protocol.md", "Error events")}
    assert set(listed) - made - written == set()


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
        for argument in node.args[:2]:
            for part in ast.walk(argument):
                value = part.value if isinstance(part, ast.Constant) else None
                if isinstance(value, str) and re.fullmatch("[a-z]+(_[a-z]+)+", value):
                    yield value


def test_the_addresses_are_those_of_the_gateway() -> None:
    app = Gateway(ServerConfig(), ScriptedEngine, lambda: 0.0).app  # type: ignore[arg-type]  # it is never started
    (api,) = [route for route in app.routes if isinstance(route, Mount) and route.path == "/v1"]
    routes: list[tuple[str, Route]] = [(f"/v1{route.path}", route) for route in api.routes if isinstance(route, Route)]
    routes += [(route.path, route) for route in app.routes if isinstance(route, Route)]
    there = {f"{method} {path}" for path, route in routes for method in route.methods or ()}
    there |= {f"GET /v1{route.path}" for route in api.routes if isinstance(route, WebSocketRoute)}
    rows = re.findall(r"^\| (`(?:GET|POST) /.+?) \|", text_of(DOCS / "protocol.md"), re.MULTILINE)
    named = {name.partition("?")[0] for row in rows for name in re.findall(r"`((?:GET|POST) /[^`]+)`", row)}
    assert named
    assert named <= there


# --- snippets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_has_its_snippet(client: str) -> None:
    headings = re.findall(r"^## (.+)$", text_of(DOCS / "clients.md"), re.MULTILINE)
    assert any(f"`{client}`" in heading for heading in headings)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_snippets_are_the_examples(page: Path) -> None:
    """Each Python or JavaScript block is the file that was linked last before it."""
    for before, language, block in _snippets(text_of(page)):
        file = EXAMPLES / re.findall(r"examples/([\w.]+)\)", before)[-1]
        assert file.suffix == {"python": ".py", "js": ".mjs"}[language]
        assert block == text_of(file), f"{name_of(page)}: {file.name}"


def test_every_example_stands_in_a_page() -> None:
    shown = {block for page in PAGES for _, _, block in _snippets(text_of(page))}
    files = [file for file in EXAMPLES.iterdir() if file.suffix in (".py", ".mjs")]
    assert [file.name for file in files if text_of(file) not in shown] == []


def _snippets(text: str) -> Iterator[tuple[str, str, str]]:
    for found in re.finditer(r"^```(python|js)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text[: found.start()], found[1], found[2]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_examples_can_be_read(file: Path) -> None:
    assert ast.get_docstring(tree(file))


# --- settings and commands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(blocks(everything(), "toml"))))
def test_settings_in_examples_exist(number: int) -> None:
    table = tomllib.loads(blocks(everything(), "toml")[number])
    (
        table.get("server", {}).pop("tls_certificate", None),
        table.get("server", {}).pop("tls_key", None),
    )  # no such files here
    assert build(table, {"VIVAVOCE_HOME": "/models"}, {}, "linux")


SECTIONS: dict[str, type[Any]] = {
    "server": ServerConfig,
    "model": CascadeSettings,
    "phone": PhoneConfig,
    "phone.sip": SipConfig,
}
NOT_SET = {"conversations", "sip"}
"""Fields that no setting of their section sets: the one follows from others, the other is a section."""


@pytest.mark.parametrize("section", SECTIONS)
def test_the_tables_of_settings_are_complete(section: str) -> None:
    assert set(table("configuration.md", f"`[{section}]`")) == {f.name for f in fields(SECTIONS[section])} - NOT_SET


def test_variables_exist() -> None:
    prefixes = {section: f"VIVAVOCE_{section.rpartition('.')[2].upper()}_" for section in SECTIONS}
    known = {prefixes[section] + f.name.upper() for section, kind in SECTIONS.items() for f in fields(kind)}
    named = set(re.findall(r"VIVAVOCE_\w+", everything()))
    assert named
    assert named <= {"VIVAVOCE_HOME", "VIVAVOCE_"} | set(prefixes.values()) | known


def commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    found = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: command for action in found for name, command in action.choices.items()}


def options(top: argparse.ArgumentParser) -> set[str]:
    own = {option for action in top._actions for option in action.option_strings}
    return own.union(*(options(command) for command in commands(top).values()))


def test_commands_and_options_exist() -> None:
    texts = [line.partition("#")[0] for text in code() for line in text.splitlines() if line.startswith("vivavoce ")]
    lines = [[word for word in text.split() if word not in ("\\|", "|")] for text in texts]
    assert lines
    top = parser()
    for line in lines:
        words = _without_options(line[1:])
        used = {word for word in line if word.startswith("-")}
        assert used <= options(top), line
        if not words:  # `vivavoce --version`
            continue
        command = commands(top)[words[0]]
        actions = commands(command)
        assert not actions or set(words[1:]) & set(actions), line


def _without_options(words: Iterable[str]) -> list[str]:
    """`--config my.toml serve` without the options and their values."""
    left = re.sub(r"(^| )--?\w[\w-]*( \S+|$)", "", " ".join(words))
    return left.split()


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in code() for name in re.findall(r"\bmake (\w[\w-]*)", text)}
    assert named
    assert named <= targets


# --- the workflow --------------------------------------------------------------------------------------------------


def test_the_hosted_workflow_runs_the_checks_with_pinned_actions() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert {"make check", "make test"} <= set(re.findall(r"- run: (.+)", workflow))
    for action in re.findall(r"uses: (\S+)", workflow):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
