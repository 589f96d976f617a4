"""The server's tools in tests: built-in ones with a clock that stands still, and MCP servers whose answers are written
down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vivavoce.realtime.events import Address, Answer, Failure, ListedTool, Outcome
from vivavoce.realtime.tools.builtin import BuiltIn, Shared
from vivavoce.realtime.tools.notes import Notes
from vivavoce.realtime.tools.runner import ToolRunner

NOON = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)

FORTY_TWO = Answer("42")

LOOK_UP = ListedTool(
    "look_up",
    "Looks something up.",
    {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
    {"readOnlyHint": True},
)
ERASE = ListedTool("erase", "Erases something.", {"type": "object", "properties": {}})


@dataclass(frozen=True)
class Reaction:
    """What a tool does after `seconds`."""

    seconds: float = 0.2
    outcome: Outcome = FORTY_TWO


class ScriptedServers:
    """Implements `McpServers`: every server has the same tools, which do what is written down. `calls` that were made,
    and how many were `cancelled`."""

    def __init__(
        self,
        reactions: Mapping[str, Reaction] | None = None,
        tools: tuple[ListedTool, ...] | Failure = (LOOK_UP, ERASE),
    ) -> None:
        self._reactions = reactions or {}
        self._tools = tools
        self.addresses: list[Address] = []
        self.calls: list[tuple[str, str]] = []
        self.cancelled = 0
        self.running = 0
        self.most = 0  # that ran at the same time

    async def list(self, address: Address) -> tuple[ListedTool, ...] | Failure:
        self.addresses.append(address)
        await asyncio.sleep(0.05)
        return self._tools

    async def call(self, address: Address, name: str, arguments: str) -> Outcome:
        self.calls.append((name, arguments))
        reaction = self._reactions.get(name, Reaction())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(reaction.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return reaction.outcome


def runner(servers: ScriptedServers | None = None, notes: Path = Path("nowhere.json")) -> ToolRunner:
    """The tools of one call; it is always five past twelve."""
    return ToolRunner(BuiltIn(Shared(lambda: NOON, Notes(notes))), servers or ScriptedServers())
