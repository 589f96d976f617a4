"""Runs the server's tools for one call: at most a few at once, each with a deadline, all cancelled with the call.

perform(ListTools) ──task──► mcp_client ──► ToolsListed
perform(CallTool)  ──task──► mcp_client or builtin ──► ToolAnswered       ToolsLate after a second
perform(StopTools) ──► cancelled; nothing is posted any more
a timer is due     ──► Rang
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
from vivavoce.realtime.tools.timers import Timer, spoken

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Requests of one call that run at the same time; others wait."""

LATE: Final = 1.0
"""Seconds of silence after which the user may take the line for dead."""


class McpServers(Protocol):
    """Tools elsewhere; neither method raises for what a server does."""

    async def list(self, address: Address) -> tuple[ListedTool, ...] | Failure:
        """The tools of a server."""

    async def call(self, address: Address, name: str, arguments: str) -> Outcome:
        """Calls one, with arguments as JSON text."""


class ToolRunner:
    """The tools of one call. `attach` connects it to the call; its tasks end with the group's."""

    def __init__(self, own: BuiltIn, servers: McpServers) -> None:
        self._own = own
        self._servers = servers
        self._room = asyncio.Semaphore(AT_ONCE)
        self._calls: dict[int, set[asyncio.Task[None]]] = {}
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def busy(self) -> bool:
        """A reply waits for a tool."""
        return bool(self._calls)

    def attach(self, tasks: asyncio.TaskGroup, post: Callable[[ToolFact], None]) -> None:
        """Facts go to `post`; the work is done in `tasks`."""
        self._tasks, self._post = tasks, post

    def detach(self) -> None:
        """The call is over: nothing rings any more. (Its tasks are the group's affair.)"""
        self._over = True
        self._wind()
        for handle in self._late.values():
            handle.cancel()

    def perform(self, action: ToolAction) -> None:
        """Carries out an action; returns at once."""
        match action:
            case ListTools():
                self._tasks.create_task(self._list(action))
            case CallTool(number=number):
                if number not in self._calls:
                    loop = asyncio.get_running_loop()
                    self._late[number] = loop.call_later(LATE, lambda: self._post(ToolsLate(number)))
                task = self._tasks.create_task(self._call(action))
                self._calls.setdefault(number, set()).add(task)
                # Not in the task itself: one that is cancelled before its first step runs no line of it.
                task.add_done_callback(lambda task: self._ended(number, task))
            case StopTools(number=number):
                for task in self._calls.get(number, ()):
                    task.cancel()

    async def _list(self, action: ListTools) -> None:
        async with self._room:
            self._post(ToolsListed(action.item_id, await self._servers.list(action.address)))

    async def _call(self, action: CallTool) -> None:
        async with self._room:
            outcome = await self._outcome(action)
        self._post(ToolAnswered(action.number, action.call_id, outcome))

    async def _outcome(self, action: CallTool) -> Outcome:
        if action.address is not None:
            return await self._servers.call(action.address, action.name, action.arguments)
        try:
            return await self._own.call(action.name, action.arguments, asyncio.get_running_loop().time())
        except Exception:  # the border: a tool's bug must not end the call
            log.exception("tool failed", extra={"tool": action.name})
            return Failure("tool_execution_error", "The tool failed.")
        finally:
            self._wind()

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        calls = self._calls[number]
        calls.discard(task)
        if not calls:
            del self._calls[number]
            self._late.pop(number).cancel()

    def _wind(self) -> None:
        """Sets the alarm to the next timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = self._own.timers.next_due
        if due is not None and not self._over:
            self._alarm = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        for timer in self._own.timers.ring(asyncio.get_running_loop().time()):
            self._post(TimerFired(_notice(timer)))
        self._wind()


def _notice(timer: Timer) -> str:
    name = f' "{timer.name}"' if timer.name else ""
    return f"The timer{name} of {spoken(timer.seconds)} is over now. Tell the user, in one short sentence."
