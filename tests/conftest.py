"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from vivavoce.model.store import Store

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
def web() -> Path:
    """The page's folder."""
    return ROOT / "web"
