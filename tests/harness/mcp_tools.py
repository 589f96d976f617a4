"""Tools of every kind for the MCP server of the tests."""

from __future__ import annotations

import asyncio

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel


class Place(BaseModel):
    city: str
    country: str = "FR"


def tools(seen: list[dict[str, str]]) -> MCPServer:
    """Tools of every kind; `seen` collects the headers of calls."""
    server = MCPServer("test")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def weather(place: Place) -> str:
        """The weather in a place."""
        return f"Sunny in {place.city}, {place.country}."

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ValueError("the cable is cut")

    @server.tool()
    async def sleep(seconds: float) -> str:
        """Takes its time."""
        await asyncio.sleep(seconds)
        return "awake"

    @server.tool()
    def flood(chars: int) -> str:
        """Says a lot."""
        return "x" * chars

    @server.tool()
    def numbers() -> list[int]:
        """Structured output."""
        return [1, 2]

    return server
