"""The tools of the server, by its settings."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Final

from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.events import Address, Failure, ListedTool, Outcome
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.tools import CallTools
from vivavoce.realtime.tools.builtin import GROUPS, BuiltIn, Shared, listed
from vivavoce.realtime.tools.notes import Notes
from vivavoce.realtime.tools.runner import McpServers, ToolRunner

LOUD: Final = ("httpx2", "httpcore2", "mcp")
"""Libraries that log whole URLs, which may hold a key, and the answers of tools. mcp_client.py logs by itself."""


def options(config: ServerConfig) -> ToolOptions:
    """The tools that sessions may use. Notes are written to this machine's disk and shared by all sessions: a session
    gets them only if the settings name them."""
    askable = [name for name in GROUPS if name != "notes" or {"notes", "all"} & set(config.tools)]
    return ToolOptions(listed(config.tools), listed(askable), config.private_tools, config.tool_filler)


class Tools:
    """The tools that the calls of one process share: connections to MCP servers, notes, the wall clock."""

    def __init__(self, config: ServerConfig) -> None:
        self._shared = Shared(lambda: datetime.now().astimezone(), Notes(Path(config.notes)))
        self._servers = ImportedLater(config.private_tools, config.tool_timeout)

    def runner(self, more: CallTools | None = None) -> ToolRunner:
        """The tools of a new call. `more`: those of this call alone."""
        return ToolRunner(BuiltIn(self._shared, more), self._servers)


class ImportedLater:
    """An `McpClient` whose library is imported, on a thread, with the first request: it takes a second, and most calls
    have no such server."""

    def __init__(self, private: bool, deadline: float) -> None:
        self._private = private
        self._deadline = deadline
        self._client: McpServers | None = None

    async def list(self, address: Address) -> tuple[ListedTool, ...] | Failure:
        return await (await self._loaded()).list(address)

    async def call(self, address: Address, name: str, arguments: str) -> Outcome:
        return await (await self._loaded()).call(address, name, arguments)

    async def _loaded(self) -> McpServers:
        if self._client is None:
            self._client = await asyncio.to_thread(self._load)
        return self._client

    def _load(self) -> McpServers:
        from vivavoce.realtime.tools.mcp_client import McpClient

        for library in LOUD:
            logging.getLogger(library).setLevel(logging.CRITICAL)
        return McpClient(self._private, self._deadline)
