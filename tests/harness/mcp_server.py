"""A real MCP server on loopback, by the official package, on the test's own loop; and a plain one that misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.requests import Request


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


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Runs an ASGI application on a free port of 127.0.0.1; gives its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server._serve([listening]))
        while not server.started:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True


@asynccontextmanager
async def mcp_server() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """The URL of a real MCP server, and the headers it gets."""
    seen: list[dict[str, str]] = []
    app = tools(seen).streamable_http_app()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(Request(scope).headers))
        await app(scope, receive, send)

    async with serving(watched) as url:
        yield f"{url}/mcp", seen
