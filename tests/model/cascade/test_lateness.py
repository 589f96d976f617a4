"""model/cascade/threads.py: lateness."""

import time

import pytest

from vivavoce.model.cascade import threads
from vivavoce.model.cascade.threads import Lateness


def test_the_worst_recent_delay_counts() -> None:
    late = Lateness()
    assert late.worst == 0.0
    for seconds in (0.2, 1.5, 0.1):
        late.note(seconds)
    assert late.worst == 1.5


def test_early_work_is_not_late() -> None:
    late = Lateness()
    late.note(-0.3)
    assert late.worst < 0


def test_old_delays_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Lateness()
    late.note(2.0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + threads.REMEMBERED + 1)
    assert late.worst == 0.0
    late.note(0.5)
    assert late.worst == 0.5
