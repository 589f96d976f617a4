"""Tools that the server runs by itself, while a reply waits for them.

    session core ──ListTools, CallTool, StopTools──► ToolRunner ──► builtin.py      time, timers, arithmetic, notes
                 ◄─ToolsListed, ToolAnswered, Rang──      └───────► mcp_client.py   tools of MCP servers, over HTTP

Here stand the values that cross that line; they know no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

OWN_LABEL: Final = "vivavoce"
"""The server label under which our built-in tools are asked for."""

MAX_TOOLS: Final = 64
"""Tools of one MCP server; the rest of a longer list is left out."""

MAX_SCHEMA: Final = 16_384
"""Characters of one tool's description and schema, as JSON; a tool that has more is left out."""

MAX_OUTPUT: Final = 8_192
"""Characters of a tool's answer; the rest is cut off, and the answer says so."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an MCP server is reached. What it is told in secret appears in no `repr`, so in no log."""

    url: str
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server describes it; `schema` is the JSON schema of its arguments, `cue` that of a model's tool."""

    name: str
    description: str
    schema: dict[str, Any]
    annotations: dict[str, Any] | None = None
    cue: str = ""

    @property
    def read_only(self) -> bool:
        """It says of itself that it changes nothing."""
        return bool(self.annotations and self.annotations.get("readOnlyHint"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool said, as text for the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A tool did not work. `code` is the number of an HTTP or JSON-RPC error; `message` may be shown."""

    kind: Literal["protocol_error", "tool_execution_error", "http_error"]
    message: str
    code: int = 0


Outcome = Answer | Failure


class ToolError(Exception):
    """A built-in tool cannot do what it was asked; the message is for the model."""


def bounded(text: str) -> str:
    """At most `MAX_OUTPUT` characters of an answer."""
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n[The answer was longer; the rest is cut off.]"
