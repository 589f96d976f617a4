"""realtime/session/rate_limit.py, through the session that uses it."""

from __future__ import annotations

import pytest

from harness.session_line import SessionLine, kinds
from vivavoce.realtime.session.rate_limit import Bucket


def test_after_each_response_the_client_is_told_what_is_left() -> None:
    line = SessionLine(responses=Bucket(10))
    line.tell("response.create")
    told = line.finish(1)
    assert kinds(told)[-2:] == ["response.done", "rate_limits.updated"]
    assert told[-1]["rate_limits"] == [{"name": "requests", "limit": 10, "remaining": 9, "reset_seconds": 6.0}]


def test_a_response_that_was_cut_is_reported_too() -> None:
    line = SessionLine(responses=Bucket(10))
    line.tell("response.create")
    told = kinds(line.tell("response.cancel"))
    assert told.index("rate_limits.updated") == told.index("response.done") + 1


def test_one_response_too_many_is_refused_until_time_has_passed() -> None:
    line = SessionLine(responses=Bucket(1))
    line.tell("response.create")
    line.finish(1)
    error = line.refused("response.create")
    assert error["code"] == "rate_limit_exceeded"
    assert "60.0 s" in error["message"]
    line.now = 60.0
    assert kinds(line.tell("response.create")) == ["response.created"]


def test_a_spoken_turn_beyond_the_limit_is_kept_and_its_silence_is_explained() -> None:
    line = SessionLine(responses=Bucket(1))
    line.turn()
    line.finish(1)
    told = line.turn(600, 1100)
    assert kinds(told)[-2:] == ["conversation.item.done", "error"]
    assert told[-1]["error"]["code"] == "rate_limit_exceeded"


def test_a_response_that_cannot_be_made_costs_nothing() -> None:
    bucket = Bucket(1)
    line = SessionLine(responses=bucket)
    line.refused("response.create", response={"input": [{"type": "item_reference", "id": "nobody"}]})
    assert bucket.remaining(0) == 1


@pytest.mark.parametrize("plays", [True, False])
def test_without_a_limit_nothing_is_told(plays: bool) -> None:
    line = SessionLine(plays)
    line.tell("response.create")
    line.finish(1)
    assert not line.of("rate_limits.updated")
