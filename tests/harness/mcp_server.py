"""A real MCP server on loopback, by the official package, on the test's own loop; and a plain one that misbehaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.requests import Request


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
    from harness.mcp_tools import tools  # takes a second to import

    seen: list[dict[str, str]] = []
    app = tools(seen).streamable_http_app()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(Request(scope).headers))
        await app(scope, receive, send)

    async with serving(watched) as url:
        yield f"{url}/mcp", seen
