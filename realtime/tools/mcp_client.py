"""Call tools of MCP servers over streamable HTTP, with the official client.

    list, call ──► connect ──► negotiate ──► tools/list | tools/call ──► close

Each request has a connection of its own: a failure of one, a hanging server included, ends with it. The price is two or
three more round trips for a call, and servers that keep state between calls keep it for one call only.

The client library takes 2 s to import, so this module is imported when the first server is asked (`ImportedLater` of
session/tool_settings.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

import mcp_types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from vivavoce.model.tool_schemas import check_tool
from vivavoce.realtime.config.addresses import shown
from vivavoce.realtime.events import Address, Answer, Failure, ListedTool, Outcome
from vivavoce.realtime.tools import MAX_SCHEMA, MAX_TOOLS, bounded
from vivavoce.realtime.tools.safe_http import CheckedTransport, Resolve, http_client, resolve
from vivavoce.realtime.tools.schemas import inlined

log = logging.getLogger(__name__)

MAX_PAGES: Final = 16
STAND_IN_MESSAGES: Final = ("Server returned an error response", "Not Found", "Session terminated")
"""Messages of the client library in place of an HTTP status."""


class McpClient:
    """A client of MCP servers. `private`: also on private addresses; `deadline`: seconds for a whole request."""

    def __init__(self, private: bool, deadline: float, resolve: Resolve = resolve) -> None:
        self._private = private
        self._deadline = deadline
        self._resolve = resolve

    async def list(self, address: Address) -> tuple[ListedTool, ...] | Failure:
        """Lists the tools of a server, without those that cannot be offered to a model. Never raises but for
        cancellation."""
        checked = CheckedTransport(self._private, self._tls, self._resolve)
        try:
            async with self._connect(address, checked) as client:
                tools: list[ListedTool] = []
                cursor: str | None = None
                for _ in range(MAX_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    tools += [tool for one in page.tools if (tool := _listed(one)) is not None]
                    cursor = page.next_cursor
                    if cursor is None or len(tools) >= MAX_TOOLS:
                        break
                return tuple(tools[:MAX_TOOLS])
        except Exception as error:  # the border: a server may break the client library in unknown ways
            return self._failure(address, checked, error)

    async def call(self, address: Address, name: str, arguments: str) -> Outcome:
        """Calls a tool with arguments as JSON text. Never raises but for cancellation."""
        checked = CheckedTransport(self._private, self._tls, self._resolve)
        try:
            given = json.loads(arguments or "{}")
            async with self._connect(address, checked) as client:
                return _outcome(await client.call_tool(name, given))
        except Exception as error:  # the border: as above
            return self._failure(address, checked, error)

    @asynccontextmanager
    async def _connect(self, address: Address, checked: CheckedTransport) -> AsyncIterator[Client]:
        """Raises the errors of the client library, in groups, and TimeoutError."""
        info = mcp_types.Implementation(name="vivavoce", version=version("vivavoce"))
        async with (
            asyncio.timeout(self._deadline),
            http_client(address, checked, self._deadline) as http,
            Client(streamable_http_client(address.url, http_client=http), client_info=info, cache=None) as client,
        ):
            yield client

    def _failure(self, address: Address, checked: CheckedTransport, error: BaseException) -> Failure:
        causes = list(_leaves(error))
        mcp_error = next((cause for cause in causes if isinstance(cause, MCPError)), None)
        if checked.failure:
            failure = Failure("http_error", checked.failure, 502)
        elif checked.status >= 400 and (mcp_error is None or mcp_error.message in STAND_IN_MESSAGES):
            failure = Failure("http_error", f"The server answered with status {checked.status}.", checked.status)
        elif mcp_error is not None:
            failure = Failure("protocol_error", mcp_error.message[:1000], mcp_error.code)
        elif any(isinstance(cause, TimeoutError) for cause in causes):
            failure = Failure("tool_execution_error", f"The tool took longer than {self._deadline:g} s.")
        elif any(isinstance(cause, ValidationError | ValueError) for cause in causes):
            failure = Failure("protocol_error", "The server's answer does not follow the protocol.", -32603)
        else:
            failure = Failure("http_error", "The connection to the server broke.", 502)
        kinds = sorted({type(cause).__name__ for cause in causes})
        log.warning("MCP request failed", extra={"url": shown(address.url), "kind": failure.kind, "causes": kinds})
        return failure

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One for all requests, since reading the certificates takes 30 ms."""
        return ssl.create_default_context()


def _listed(one: mcp_types.Tool) -> ListedTool | None:
    schema = inlined(one.input_schema)
    description = one.description or one.title or ""
    if len(one.name) > 128 or schema is None or len(json.dumps(schema)) + len(description) > MAX_SCHEMA:
        return None
    if problem := check_tool(schema):
        log.warning("MCP tool cannot be called", extra={"tool": one.name, "path": problem.path})
        return None
    annotations = one.annotations.model_dump(by_alias=True, exclude_none=True) if one.annotations else None
    return ListedTool(one.name, description, schema, annotations)


def _outcome(result: mcp_types.CallToolResult) -> Outcome:
    text = "\n".join(part for block in result.content if (part := _text(block)))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    if result.is_error:
        return Failure("tool_execution_error", bounded(text or "The tool failed without saying why."))
    return Answer(bounded(text or "Done."))


def _text(block: Any) -> str:
    match block:
        case mcp_types.TextContent(text=text):
            return text
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents(text=text)):
            return text
    return f"[{block.type}]"  # images, audio: the model cannot take them


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
