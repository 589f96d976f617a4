"""Findings of the doctor, and their rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "note", "slow", "missing", "broken"]

UNUSABLE: Final = frozenset({"missing", "broken"})
"""States in which no call is possible; one that is slow, or worth a note, is usable."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one test. `advice`: one sentence, where `state` is not "ok"."""

    state: State
    subject: str
    value: str
    advice: str = ""

    @property
    def row(self) -> str:
        """A line of the table, and a second one with the advice."""
        line = f"{self.state:<8} {self.subject:<34} {self.value}".rstrip()
        return f"{line}\n{'':8} -> {self.advice}" if self.advice else line


def sentence(error: Exception) -> str:
    """An error's message, as advice."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
