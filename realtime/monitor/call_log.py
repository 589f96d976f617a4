"""The id of the call in every log line. Pure.

    call_context(id) ──► CALL ──┬──► tasks that are started within, and callbacks of sockets opened within
                                ├──► asyncio.to_thread; the models' threads run each job in a copy of its context
                                └──► CallFilter ──► record.call

A log call names no call: the context does. Code that serves several calls from one place (a sideband, a SIP port)
enters the call's context for as long as it acts for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

CALL: Final[ContextVar[str]] = ContextVar("call", default="")
"""The id of the call that the running code belongs to; "" outside of calls. To set it without an end is right in a task
that serves one call only."""


@contextmanager
def call_context(call_id: str) -> Iterator[None]:
    """Log lines of this code, and of the tasks that it starts, carry `call_id`."""
    token = CALL.set(call_id)
    try:
        yield
    finally:
        CALL.reset(token)


class CallFilter(logging.Filter):
    """Adds the id of the running call to each record. To be installed at the handler: that sees all loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if call := CALL.get():
            record.call = call
        return True
