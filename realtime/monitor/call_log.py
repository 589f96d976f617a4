"""Puts the id of the call into every log line. Pure.

    call_context(id) ──► CALL ──┬──► tasks that are started within, and callbacks of sockets opened within
                                ├──► asyncio.to_thread; the models' threads run each job in a copy of its context
                                └──► CallFilter ──► record.call

The context names the call, not the statement that logs. Code that serves several calls (a sideband, a SIP port) enters
the context of the call for which it works.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

CALL: Final[ContextVar[str]] = ContextVar("call", default="")
"""The id of the call to which the running code belongs; "" outside of calls. A task that serves one call only may set
it without resetting it."""


@contextmanager
def call_context(call_id: str) -> Iterator[None]:
    """Puts `call_id` into the log lines of this code, and of the tasks that it starts."""
    token = CALL.set(call_id)
    try:
        yield
    finally:
        CALL.reset(token)


class CallFilter(logging.Filter):
    """Adds the id of the running call to each record. Install it at the handler, which gets records of all loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if call := CALL.get():
            record.call = call
        return True
