"""One Chromium for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import browser


@pytest.fixture(scope="module", autouse=True)
def one_chromium(request: pytest.FixtureRequest) -> Iterator[None]:
    """For modules with tests of a browser."""
    tests = [item for item in request.session.items if item.path == request.path]
    if browser.chromium() is None or not any(item.get_closest_marker("browser") for item in tests):
        yield
        return
    with browser.kept():
        yield
