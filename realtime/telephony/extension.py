"""What the server adds to a call that is a phone call: its tools, rehearsed words, a length of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vivavoce.model.dialogue import Dialogue


class MoreTools(Protocol):
    """Built-in tools that belong to one call."""

    def has(self, name: str) -> bool:
        """Whether it is one of these."""

    async def run(self, name: str, given: dict[str, Any]) -> str:
        """Runs one; the answer is for the model. Raises `ToolError`, and `KeyError` or `TypeError` for arguments that
        do not fit."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Of one call. `longest`: seconds it may last (0: as the server's settings say)."""

    tools: MoreTools
    rehearse: Callable[[Dialogue], Dialogue]
    longest: float = 0.0
