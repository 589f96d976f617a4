"""Run the server's tools for one call: a few at once, each with a deadline, all cancelled with the call.

perform(ListTools) ──task──► mcp_client ──► ToolsListed
perform(CallTool)  ──task──► mcp_client or builtin ──► ToolAnswered       ToolsLate after a second
perform(StopTools) ──► cancelled; no fact is posted any more
a timer fires      ──► TimerFired
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from vivavoce.realtime.events import (
    Address,
    CallTool,
    Failure,
    ListedTool,
    ListTools,
    Outcome,
    StopTools,
    TimerFired,
    ToolAction,
    ToolAnswered,
    ToolFact,
    ToolsLate,
    ToolsListed,
)
from vivavoce.realtime.tools.builtin import BuiltIn
from vivavoce.realtime.tools.timers import Timer, duration_in_words

log = logging.getLogger(__name__)

MAX_CONCURRENT: Final = 4
"""Requests of one call that run at the same time; others wait."""

LATE_AFTER: Final = 1.0
"""Seconds of silence after which the user may take the line for dead."""


class McpServers(Protocol):
    """Tools of MCP servers; neither method raises for a fault of a server."""

    async def list(self, address: Address) -> tuple[ListedTool, ...] | Failure:
        """Lists the tools of a server."""

    async def call(self, address: Address, name: str, arguments: str) -> Outcome:
        """Calls a tool, with arguments as JSON text."""


class ToolRunner:
    """The tools of one call. `attach` connects it to the call; its tasks end with the task group."""

    def __init__(self, builtin: BuiltIn, servers: McpServers) -> None:
        self._builtin = builtin
        self._servers = servers
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self.calls: dict[int, set[asyncio.Task[None]]] = {}
        """Tool calls under way, by the number of the reply that waits for them."""
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._next_timer: asyncio.TimerHandle | None = None
        self._detached = False

    def attach(self, tasks: asyncio.TaskGroup, post: Callable[[ToolFact], None]) -> None:
        """Runs the work in `tasks` and posts facts to `post`."""
        self._tasks, self._post = tasks, post

    def detach(self) -> None:
        """Ends timers with the call. (The task group ends the tasks.)"""
        self._detached = True
        self._schedule()
        for handle in self._late.values():
            handle.cancel()

    def perform(self, action: ToolAction) -> None:
        """Carries out an action; returns at once."""
        match action:
            case ListTools():
                self._tasks.create_task(self._list(action))
            case CallTool(number=number):
                if number not in self.calls:
                    loop = asyncio.get_running_loop()
                    self._late[number] = loop.call_later(LATE_AFTER, lambda: self._post(ToolsLate(number)))
                task = self._tasks.create_task(self._call(action))
                self.calls.setdefault(number, set()).add(task)
                # Not in the task itself: one that is cancelled before its first step runs no line of it.
                task.add_done_callback(lambda task: self._ended(number, task))
            case StopTools(number=number):
                for task in self.calls.get(number, ()):
                    task.cancel()

    async def _list(self, action: ListTools) -> None:
        async with self._slots:
            self._post(ToolsListed(action.item_id, await self._servers.list(action.address)))

    async def _call(self, action: CallTool) -> None:
        async with self._slots:
            outcome = await self._outcome(action)
        self._post(ToolAnswered(action.number, action.call_id, outcome))

    async def _outcome(self, action: CallTool) -> Outcome:
        if action.address is not None:
            return await self._servers.call(action.address, action.name, action.arguments)
        try:
            return await self._builtin.call(action.name, action.arguments, asyncio.get_running_loop().time())
        except Exception:  # the border: a tool's bug must not end the call
            log.exception("tool failed", extra={"tool": action.name})
            return Failure("tool_execution_error", "The tool failed.")
        finally:
            self._schedule()

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        calls = self.calls[number]
        calls.discard(task)
        if not calls:
            del self.calls[number]
            self._late.pop(number).cancel()

    def _schedule(self) -> None:
        """Schedules the next timer."""
        if self._next_timer is not None:
            self._next_timer.cancel()
            self._next_timer = None
        due = self._builtin.timers.next_due
        if due is not None and not self._detached:
            self._next_timer = asyncio.get_running_loop().call_at(due, self._fire)

    def _fire(self) -> None:
        for timer in self._builtin.timers.fire(asyncio.get_running_loop().time()):
            self._post(TimerFired(_notice(timer)))
        self._schedule()


def _notice(timer: Timer) -> str:
    name = f' "{timer.name}"' if timer.name else ""
    return f"The timer{name} of {duration_in_words(timer.seconds)} is over now. Tell the user, in one short sentence."
