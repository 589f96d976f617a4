"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from harness.lanes import HALVES, LANES

if TYPE_CHECKING:
    from harness.scripted_llm import ScriptedLlm
    from harness.speech import Listener, Speaker
    from vivavoce.model.store import Store
    from vivavoce.realtime.engine import Engine

ROOT = Path(__file__).parents[1]

if sys.dont_write_bytecode:
    # Without kept bytecode each run compiles 280 test modules (6 s), and each process that a test starts everything it
    # imports (2 s for a server).
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "pycache")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
settings.load_profile("dev")  # `make test` takes "ci": more examples, the same ones each time


REAL = {"browser", "clients", "asterisk", "sipp", "kamailio", "baresip"}
"""Markers of tests with real peers: other programs, in real time."""

QUICK = 0.25
"""Seconds of CPU time within which a test is quick. Above, without the marker `slow`, a run names it at its end."""

SLOW = 2.0
"""Seconds above which such a test fails: eight times as many, for machines are not equally fast, and `make test` takes
five times as many examples as `make unit`."""

NOT_QUICK = ("slow", "integration")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=LANES, help="only the tests of one lane of harness/lanes.py")
    parser.addoption("--half", choices=HALVES, help="only the tests of every other module")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --half, modules of the other half are not even imported."""
    half = config.getoption("--half")
    if half is None or collection_path not in (modules := _modules()):
        return None
    return HALVES[modules.index(collection_path) % 2] != half or None


@cache
def _modules() -> list[Path]:
    return sorted(Path(__file__).parent.rglob("test_*.py"))


def lane(item: pytest.Item) -> str:
    """The lane of a test."""
    if item.get_closest_marker("peers"):
        return "peers"
    return "models" if item.get_closest_marker("models") else "scripted"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Peers come last; with --lane, only the tests of that lane are left."""
    for item in items:
        if REAL & {mark.name for mark in item.iter_markers()}:
            item.add_marker("peers")
    items.sort(key=lambda item: lane(item) == "peers")
    if chosen := config.getoption("--lane"):
        _keep(config, items, [lane(item) == chosen for item in items])


def _keep(config: pytest.Config, items: list[pytest.Item], kept: list[bool]) -> None:
    config.hook.pytest_deselected(items=[item for item, keep in zip(items, kept, strict=True) if not keep])
    items[:] = [item for item, keep in zip(items, kept, strict=True) if keep]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test that takes long says so by the marker `slow`. Imports do not count."""
    began, loaded = time.process_time(), len(sys.modules)
    yield
    used = time.process_time() - began
    if used > QUICK and not any(map(item.get_closest_marker, NOT_QUICK)) and len(sys.modules) == loaded:
        unmarked.append((used, item.nodeid))
        if used > SLOW:
            pytest.fail(f"took {used:.2f} s of CPU time: above {QUICK} s a test is marked slow", pytrace=False)


unmarked: list[tuple[float, str]] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for used, name in sorted(unmarked, reverse=True):
        terminalreporter.write_line(f"not marked slow: {used:.2f} s of CPU time, {name}")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not look at it again in every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def models() -> Store:
    """The real models, as `make test` has pulled them."""
    from vivavoce.model.store import Store, catalog, default_home

    return Store(default_home(os.environ, sys.platform), catalog.load())


@pytest.fixture(scope="session")
def speaker(models: Store) -> Speaker:
    """A voice. What it has said once is kept for all tests."""
    from harness.speech import Speaker

    return Speaker(models)


@pytest.fixture(scope="session")
def listener(models: Store) -> Listener:
    """An ASR apart from the server's."""
    from harness.speech import Listener

    return Listener(models)


@pytest.fixture(scope="session")
def llm() -> Iterator[ScriptedLlm]:
    """A language model whose answers are written down."""
    from harness.scripted_llm import ScriptedLlm

    with ScriptedLlm() as running:
        yield running


@pytest.fixture(scope="session")
def engine(models: Store, llm: ScriptedLlm) -> Iterator[Engine]:
    """The models of a server, for three calls at a time; `llm` answers."""
    from vivavoce.model.settings import CascadeSettings
    from vivavoce.realtime.engine import Engine

    running = Engine(CascadeSettings(language=llm.url, conversations=3), models.path)
    yield running
    running.close()


@pytest.fixture(scope="session")
def web() -> Path:
    """The page's folder."""
    return ROOT / "web"
