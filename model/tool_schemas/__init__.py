"""Reads the JSON schemas of tools, which strangers write: what a call can fit, what a grammar can say of it.

    parameters ─┬─read────────► ToolSchema: keywords that llguidance knows, bounded in every way ──► a grammar
                ├─checkable───► the schema itself, for a JSON schema library: calls are checked afterwards
                └─check_tool──► SchemaProblem: what can never work, with its path

Schemas become grammars, which native code compiles: a number with nine zeros in one could take all memory of the
machine. So everything is bounded here first: bytes, nesting, parts, alternatives, counts, patterns. Keywords that a
grammar cannot say are left out of it alone. What no call could ever fit is refused, with the path of the field; the
same bounds hold for the tools of clients and of MCP servers. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vivavoce.model.errors import InvalidTool
from vivavoce.model.tool_schemas.checkable import checkable
from vivavoce.model.tool_schemas.schemas import ToolSchema, read

__all__ = ["SchemaProblem", "ToolSchema", "check_tool", "checkable", "read"]


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Why a tool cannot be called. `path`: of the field, behind the name of the parameters (".properties.city.type"; ""
    for the whole); `message` goes on from there ("is no type of a JSON schema: 'nonsense'")."""

    path: str
    message: str


def check_tool(parameters: Any) -> SchemaProblem | None:
    """Checks the parameters of a tool: None where calls can be made that fit them. Takes milliseconds at most."""
    try:
        read(parameters)
    except InvalidTool as problem:
        return SchemaProblem(problem.path, str(problem))
    return None
