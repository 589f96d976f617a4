"""Tools that the server runs while a reply waits for them.

    session core ──ListTools, CallTool, StopTools──────► ToolRunner ──► builtin.py      time, timers, arithmetic, notes
                 ◄─ToolsListed, ToolAnswered, TimerFired──    └───────► mcp_client.py   tools of MCP servers, over HTTP

This file holds the types and limits that both kinds share, without I/O, and the root of the package's exceptions:

    ToolError              a tool cannot do what the model asked; the message is for the model
    ├── CannotCompute      arithmetic.py, units.py: the expression has no value
    ├── UnknownPlace       clock.py: no such time zone
    ├── TimerError         timers.py: no such timer, or no room for it
    ├── NotesError         notes.py: the notes cannot be read or kept
    ├── Unreachable        safe_http.py: a server cannot be reached, or sends too much (also a TransportError of httpx2)
    └── SchemaTooComplex   schemas.py: a schema that cannot be inlined; not raised beyond that file

The built-in tools run in this process, not as an MCP server beside it. A round trip to one would add two to three
requests to each call, their cues (`CUES`) have no place in MCP, timers need the call's own clock and have to post
`TimerFired` into it, and the whole of them is 500 lines without a dependency.
"""

from __future__ import annotations

from typing import Any, Final, Protocol


class CallTools(Protocol):
    """Built-in tools that belong to one call."""

    def has(self, name: str) -> bool:
        """Whether `name` is one of them."""

    async def run(self, name: str, given: dict[str, Any]) -> str:
        """Runs one; the answer is text for the model. Raises `ToolError`, and `KeyError` or `TypeError` for arguments
        that do not fit the schema."""


OWN_LABEL: Final = "vivavoce"
"""The server label of the built-in tools."""

MAX_TOOLS: Final = 64
"""Tools of one MCP server; the rest of a longer list is dropped."""

MAX_SCHEMA: Final = 16_384
"""Characters of one tool's description and schema, as JSON; a tool with more is dropped."""

MAX_OUTPUT: Final = 8_192
"""Characters of a tool's answer; a longer one is truncated, and says so."""


class ToolError(Exception):
    """A tool cannot do what the model asked; the message is for the model."""


def bounded(text: str) -> str:
    """Truncates an answer to `MAX_OUTPUT` characters."""
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n[The answer was longer; the rest is cut off.]"
