"""A word in the URL of each socket: who has it was sent by a webhook that was signed.

    webhook ──issue──► ticket ──► socket: use, once ──► afterwards: where the call goes then

A core; `now` in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 60.0
"""Seconds from the webhook to the socket, and from the end of the stream to the next webhook."""

MAX_TICKETS: Final = 1000


@dataclass(slots=True)
class Ticket:
    """One call that a webhook announced. `call`: the provider's id, "" where it says none. `target`: where the caller
    is to be connected afterwards."""

    word: str
    dialect: str
    call: str
    caller: str = field(repr=False)
    called: str = field(repr=False)
    expires_at: float | None
    """None while its call runs."""
    used: bool = False
    target: str = field(default="", repr=False)


class Tickets:
    """Those that are valid."""

    def __init__(self, new_word: Callable[[], str]) -> None:
        self._new_word = new_word
        self._tickets: dict[str, Ticket] = {}

    def issue(self, dialect: str, call: str, caller: str, called: str, now: float) -> Ticket | None:
        """A ticket for a call; None when there are too many calls that never came."""
        self._tidy(now)
        if len(self._tickets) >= MAX_TICKETS:
            return None
        ticket = Ticket(self._new_word(), dialect, call, caller, called, now + PATIENCE)
        self._tickets[ticket.word] = ticket
        return ticket

    def use(self, word: str, dialect: str, now: float) -> Ticket | None:
        """The ticket of a socket that has just come; once."""
        self._tidy(now)
        ticket = self._tickets.get(word)
        if ticket is None or ticket.used or ticket.dialect != dialect:
            return None
        ticket.used, ticket.expires_at = True, None
        return ticket

    def release(self, ticket: Ticket, now: float) -> None:
        """Its stream is over."""
        ticket.expires_at = now + PATIENCE

    def after(self, word: str, dialect: str, now: float) -> str:
        """Where the call of a ticket goes now; "" for nowhere."""
        self._tidy(now)
        ticket = self._tickets.get(word)
        return ticket.target if ticket is not None and ticket.dialect == dialect else ""

    def _tidy(self, now: float) -> None:
        late = [word for word, one in self._tickets.items() if one.expires_at is not None and one.expires_at <= now]
        for word in late:
            del self._tickets[word]
