"""Tools that the server runs by itself, while a reply waits for them.

    session core ──ListTools, CallTool, StopTools──► ToolRunner ──► builtin.py      time, timers, arithmetic, notes
                 ◄─ToolsListed, ToolAnswered, Rang──      └───────► mcp_client.py   tools of MCP servers, over HTTP

Here stand the values that cross that line; they know no I/O.
"""

from __future__ import annotations

from typing import Any, Final, Protocol


class CallTools(Protocol):
    """Built-in tools that belong to one call."""

    def has(self, name: str) -> bool:
        """Whether it is one of these."""

    async def run(self, name: str, given: dict[str, Any]) -> str:
        """Runs one; the answer is for the model. Raises `ToolError`, and `KeyError` or `TypeError` for arguments that
        do not fit."""


OWN_LABEL: Final = "vivavoce"
"""The server label under which our built-in tools are asked for."""

MAX_TOOLS: Final = 64
"""Tools of one MCP server; the rest of a longer list is left out."""

MAX_SCHEMA: Final = 16_384
"""Characters of one tool's description and schema, as JSON; a tool that has more is left out."""

MAX_OUTPUT: Final = 8_192
"""Characters of a tool's answer; the rest is cut off, and the answer says so."""


class ToolError(Exception):
    """A built-in tool cannot do what it was asked; the message is for the model."""


def bounded(text: str) -> str:
    """At most `MAX_OUTPUT` characters of an answer."""
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n[The answer was longer; the rest is cut off.]"
