"""Errors of the protocol: one exception, and one value.

    Exception
    └── Refused      raised by validation.py and the session core: the message is well formed and cannot be done

    WireError        returned by `parsing.parse`, never raised: the message could not be read

Both end as an `error` event; the session goes on, and a refused message has changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """A client's message cannot be done. Client programs match `code`; `message` is for people; `param` is the path of
    the field at fault."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class WireError:
    """A message that could not be read; `event_id` is the client's own, where it was legible."""

    code: str
    message: str
    param: str | None
    event_id: str | None
