"""What goes wrong on the peer's side, as one exception and one value.

    Refused      raised inside the session core: the message was understood and cannot be done
    WireError    returned by wire.py: the message was not understood

Both end as an `error` event; the session goes on, and a refused message has changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """A client asked for something that cannot be. `code` is what client programs match on; `message` is for people;
    `param` is the path of the field at fault."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class WireError:
    """A message that could not be read; `event_id` is the client's own, where it could be made out."""

    code: str
    message: str
    param: str | None
    event_id: str | None
