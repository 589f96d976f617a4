"""The built-in tools of a voice assistant: time, timers, arithmetic and units, notes.

    server.tools = ["time", "timers", "arithmetic", "notes"]     offered to every session
    {"type": "mcp", "server_label": "vivavoce"}                  requested by a session itself

Few tools with few parameters, offered to the model only after a cue: small models choose better among few, and call
any tool they see. Arguments arrive as JSON of the tool's schema; not every model keeps to it, so each is checked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from vivavoce.realtime.events import Answer, Failure, ListedTool, Outcome
from vivavoce.realtime.tools import CallTools, ToolError
from vivavoce.realtime.tools.arithmetic import compute, decimal_text
from vivavoce.realtime.tools.clock import time_in_words
from vivavoce.realtime.tools.notes import Notes
from vivavoce.realtime.tools.timers import Timers, duration_in_words
from vivavoce.realtime.tools.units import convert

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number", "minimum": 0}


def _tool(name: str, description: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> ListedTool:
    schema = {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}
    return ListedTool(
        name, description, schema, {"readOnlyHint": name in ("time", "time_in", "calculate", "convert_unit")}
    )


GROUPS: Final[dict[str, tuple[ListedTool, ...]]] = {
    "time": (
        _tool("time", "The current time and date here.", {}),
        _tool("time_in", "The current time and date in a city.", {"city": _TEXT}),
    ),
    "timers": (
        _tool(
            "set_timer",
            "Start a timer that rings when it is over.",
            {"amount": _NUMBER, "unit": {"enum": ["seconds", "minutes", "hours"]}},
            {"name": _TEXT},
        ),
        _tool("list_timers", "The running timers and the time they have left.", {}),
        _tool("cancel_timer", "Stop a timer, by its number or name, or all.", {"which": _TEXT}),
    ),
    "arithmetic": (
        _tool("calculate", "Compute an expression such as 17 * (3 + 4.5) or 15% of 80.", {"expression": _TEXT}),
        _tool("convert_unit", "Convert between units.", {"value": {"type": "number"}, "from": _TEXT, "to": _TEXT}),
    ),
    "notes": (
        _tool("add_note", "Remember something for later conversations.", {"text": _TEXT}),
        _tool("list_notes", "Everything that was noted.", {}),
        _tool("remove_note", "Forget the notes that contain these words.", {"words": _TEXT}),
    ),
}
"""The tools by the name of their setting."""


_TIMER = r"\b(timers?|alarm|countdown|count down|wake me)\b"
_NOTE = r"\b(notes?|noted|remember|forget|write (it |this |that )?down)\b"
CUES: Final = {
    "time": r"\b(what|which|the|current|today's) (time|date|day|month|year)\b|\btime is it\b|\btoday\b",
    "time_in": r"\btime\b.*\bin\b",
    "set_timer": _TIMER,
    "list_timers": _TIMER,
    "cancel_timer": _TIMER,
    "calculate": r"\d\D+\d|\b(plus|minus|times|divided|multiply|percent|square root|calculat\w*)\b",
    "convert_unit": r"\bconvert|\bhow (many|much) .*\d|\d.* \b(in|to|into) ",
    "add_note": _NOTE,
    "list_notes": _NOTE,
    "remove_note": _NOTE,
}
"""The English words after which a tool is offered."""


def listed(groups: Iterable[str]) -> tuple[ListedTool, ...]:
    """The tools of some groups, with their cues; "all" stands for every group."""
    chosen_groups = set(groups)
    chosen = [tool for name, tools in GROUPS.items() if chosen_groups & {name, "all"} for tool in tools]
    return tuple(replace(tool, cue=CUES[tool.name]) for tool in chosen)


@dataclass(frozen=True, slots=True)
class Shared:
    """Shared by all calls of one process: the wall clock (aware, in the server's zone) and the notes."""

    clock: Callable[[], datetime]
    notes: Notes


class BuiltIn:
    """The built-in tools of one call."""

    def __init__(self, shared: Shared, more: CallTools | None = None) -> None:
        """`more`: further tools, of this call only."""
        self._shared = shared
        self._more = more
        self.timers = Timers()

    async def call(self, name: str, arguments: str, now: float) -> Outcome:
        """Runs a tool; `now` in seconds on the call's clock. Never raises for arguments of the model."""
        try:
            given = json.loads(arguments or "{}")
            if not isinstance(given, dict):
                raise TypeError
            return Answer(await self._run(name, given, now))
        except ToolError as error:
            return Failure("tool_execution_error", str(error))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return Failure("tool_execution_error", f"The arguments do not fit the tool '{name}'.")

    async def _run(self, name: str, given: dict[str, Any], now: float) -> str:
        if self._more is not None and self._more.has(name):
            return await self._more.run(name, given)
        match name:
            case "time":
                return time_in_words(self._shared.clock(), "")
            case "time_in":
                return time_in_words(self._shared.clock(), _text(given["city"]))
            case "set_timer":
                seconds = float(given["amount"]) * _UNITS[given["unit"]]
                timer = self.timers.set(seconds, _text(given.get("name") or ""), now)
                return f"Set {timer}: it rings in {duration_in_words(seconds)}."
            case "list_timers":
                left = [f"{timer}: {duration_in_words(timer.due - now)} left" for timer in self.timers]
                return "; ".join(left) or "No timer is running."
            case "cancel_timer":
                return f"Cancelled {', '.join(map(str, self.timers.cancel(_text(given['which']))))}."
            case "calculate":
                return f"{_text(given['expression'])} = {decimal_text(compute(_text(given['expression'])))}"
            case "convert_unit":
                value, source, target = str(given["value"]), _text(given["from"]), _text(given["to"])
                return f"{value} {source} = {decimal_text(convert(value, source, target))} {target}"
            case _:
                return await asyncio.to_thread(self._note, name, given)

    def _note(self, name: str, given: dict[str, Any]) -> str:
        notes = self._shared.notes
        match name:
            case "add_note":
                notes.add(_text(given["text"]))
                return "Noted."
            case "list_notes":
                return "\n".join(notes.all()) or "There are no notes."
            case "remove_note":
                return f"Removed: {'; '.join(notes.remove(_text(given['words'])))}"
        raise KeyError(name)


_UNITS: Final = {"hours": 3600, "minutes": 60, "seconds": 1}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
