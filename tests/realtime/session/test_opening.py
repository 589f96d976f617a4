"""What a client asks for while it connects, held against what there is."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.realtime.session.opening import SessionRequest, new_session, random_ids
from vivavoce.realtime.wire.errors import Refused


def opened(**config: Any) -> Any:
    return new_session(True, SessionRequest(config=config), random_ids(), 1_000)


def test_a_session_that_cannot_be_written_as_json_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(50_000):
        nested = [nested]
    for config in ({"instructions": "\ud800"}, {"\udfff": 1}, {"tracing": {"metadata": {"a": nested}}}):
        with pytest.raises(Refused) as refused:
            opened(**config)
        assert refused.value.param == "session"
