"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from vivavoce.model.store import Store, catalog, default_home


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not look at it again in every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def models() -> Store:
    """The real models, as `make test` has pulled them."""
    return Store(default_home(os.environ, sys.platform), catalog.load())


@pytest.fixture(scope="session")
def web() -> Path:
    """The page's folder."""
    return Path(__file__).parents[1] / "web"
