"""Log records as the handler of `vivavoce serve` sees them: with the id of their call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vivavoce.realtime.monitor.call_log import CallFilter


class Lines(logging.Handler):
    """Keeps all records, as the handler of `vivavoce serve` sees them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.addFilter(CallFilter())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def without_call(self) -> set[str]:
        """Messages of records that carry no id."""
        return {record.getMessage() for record in self.records if not hasattr(record, "call")}

    def calls(self, message: str) -> list[str | None]:
        """The ids that the records of this message carry."""
        return [getattr(record, "call", None) for record in self.records if record.getMessage() == message]


@contextmanager
def log_lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger("vivavoce")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
