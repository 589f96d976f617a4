"""The MCP servers of one session, and the tools of them that the model may call.

    session.tools ──check, connect──► listing ──listed──► known tools ──serve──► Served: tools for the model

The built-in tools are the server "vivavoce", which is known from the start. Credentials of a server stay in its
`Address`; they never come back to a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vivavoce.model import dialogue
from vivavoce.realtime.config.addresses import check_url
from vivavoce.realtime.config.errors import BadAddress
from vivavoce.realtime.events import Address, ListedTool
from vivavoce.realtime.tools import OWN_LABEL
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import (
    ChosenFunction,
    ChosenMcp,
    FunctionTool,
    McpApproval,
    McpTool,
    McpTools,
    Tool,
    ToolChoice,
)

MAX_SERVERS: Final = 8
MAX_HEADERS: Final = 16


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """Tools in the server's settings.

    `offered`: built-in tools of every session, whose calls no client sees. `askable`: built-in tools that a session may
    name as server "vivavoce". `private`: servers on private addresses are reached. `filler`: spoken when a call takes
    long."""

    offered: tuple[ListedTool, ...] = ()
    askable: tuple[ListedTool, ...] = ()
    private: bool = False
    filler: str = "One moment, I'm looking that up."


@dataclass(frozen=True, slots=True)
class Served:
    """A tool that the server runs. The model calls it `tool.name`, its MCP server `name`. `approval`: the client has to
    approve each call. `hidden`: clients do not see its calls."""

    label: str
    name: str
    tool: dialogue.Tool
    approval: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Approved:
    """A call that the client has approved, in answer to the item `request_id`."""

    served: Served
    request_id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class NewServer:
    """A server whose tools are to be listed."""

    label: str
    address: Address


class Servers:
    """The servers of one session."""

    def __init__(self, options: ToolOptions) -> None:
        self._options = options
        self._addresses: dict[str, Address] = {}
        self._tools: dict[str, tuple[ListedTool, ...]] = {}

    def check(self, tools: Sequence[Tool], path: str, fixed: bool = False) -> None:
        """Raises `Refused` for tools of servers that cannot be used. `fixed`: only servers known already."""
        labels: set[str] = set()
        for i, tool in enumerate(tools):
            if isinstance(tool, McpTool):
                where = f"{path}[{i}]"
                if tool.server_label in labels:
                    message = f"Invalid '{path}': two servers are called '{tool.server_label}'."
                    raise Refused("invalid_value", message, f"{where}.server_label")
                labels.add(tool.server_label)
                self._check_server(tool, where, fixed)
        if len(labels | set(self._addresses)) > MAX_SERVERS:
            raise Refused("too_many_servers", f"A session knows at most {MAX_SERVERS} MCP servers.", path)

    def check_choice(self, choice: ToolChoice, tools: Sequence[Tool], path: str) -> None:
        """Raises `Refused` for a choice that none of these tools can meet, as far as their servers are known."""
        match choice:
            case "required" if not tools:
                raise Refused("invalid_value", f"Invalid '{path}': 'required' needs tools, and there are none.", path)
            case ChosenFunction(name=name):
                if not any(isinstance(tool, FunctionTool) and tool.name == name for tool in tools):
                    raise _not_there(name, path)
            case ChosenMcp(server_label=label, name=name):
                server = next(
                    (tool for tool in tools if isinstance(tool, McpTool) and tool.server_label == label), None
                )
                if server is None:
                    raise _not_there(label, path)
                known = self._known_tools(server)
                if isinstance(name, str) and known is not None and name not in known:
                    raise _not_there(name, path)

    def connect(self, tools: Iterable[Tool]) -> list[NewServer]:
        """Takes a checked list; returns the servers that are new, or have a new address."""
        new = []
        for tool in tools:
            if not isinstance(tool, McpTool):
                continue
            address = self._address(tool)
            if self._addresses.get(tool.server_label) != address:
                self._addresses[tool.server_label] = address
                self._tools.pop(tool.server_label, None)
                new.append(NewServer(tool.server_label, address))
        return new

    def listed(self, label: str, tools: tuple[ListedTool, ...]) -> None:
        """Takes the tools of a server."""
        self._tools[label] = tools

    @property
    def filler(self) -> str:
        """Spoken when a call takes long; "" for nothing."""
        return self._options.filler

    def built_in(self) -> tuple[ListedTool, ...]:
        """The built-in tools that a session may name."""
        return self._options.askable

    def address(self, label: str) -> Address | None:
        """The address of a server; None for the built-in tools."""
        return self._addresses.get(label) if label != OWN_LABEL else None

    def serve(self, tools: Sequence[Tool], hidden: bool) -> dict[str, Served]:
        """The tools of the servers in `tools`, and, if `hidden`, the built-in ones, by their names for the model."""
        taken = {tool.name for tool in tools if isinstance(tool, FunctionTool)}
        served: dict[str, Served] = {}
        for tool in tools:
            if isinstance(tool, McpTool):
                for one in self._tools.get(tool.server_label, ()):
                    if _allowed(tool, one):
                        approval = _needs_approval(tool, one)
                        _offer(served, taken, Served(tool.server_label, one.name, _as_seen(one), approval))
        for one in self._options.offered if hidden else ():
            if one.name not in {known.name for known in served.values() if known.label == OWN_LABEL}:
                _offer(served, taken, Served(OWN_LABEL, one.name, _as_seen(one), hidden=True))
        return served

    def _known_tools(self, server: McpTool) -> set[str] | None:
        """The tools that a session may call of a server; None until it has listed them."""
        listed = self._tools.get(server.server_label)
        if server.server_label == OWN_LABEL:
            listed = self._options.askable
        elif self._addresses.get(server.server_label) != self._address(server):
            listed = None
        return None if listed is None else {one.name for one in listed if _allowed(server, one)}

    def _check_server(self, tool: McpTool, where: str, fixed: bool) -> None:
        label = tool.server_label
        if tool.connector_id or tool.tunnel_id:
            kind = "connector_id" if tool.connector_id else "tunnel_id"
            raise Refused(
                "unsupported_parameter", f"'{kind}' is not supported; give a 'server_url'.", f"{where}.{kind}"
            )
        if label == OWN_LABEL:
            if tool.server_url:
                message = f"'{OWN_LABEL}' stands for the built-in tools and has no URL."
                raise Refused("invalid_value", message, f"{where}.server_url")
            return
        known = self._addresses.get(label)
        if not tool.server_url and known is None:
            message = f"Missing required parameter: '{where}.server_url'."
            raise Refused("missing_required_parameter", message, f"{where}.server_url")
        if fixed and self._address(tool) != known:
            message = f"The server '{label}' is new here: name it in 'session.tools' first."
            raise Refused("invalid_value", message, f"{where}.server_label")
        _check_secrets(tool, where)
        try:
            check_url(self._address(tool).url, self._options.private)
        except BadAddress as error:
            raise Refused("invalid_value", f"Invalid '{where}.server_url': {error}", f"{where}.server_url") from None

    def _address(self, tool: McpTool) -> Address:
        known = self._addresses.get(tool.server_label)
        if not tool.server_url and known is not None:
            return known
        headers = tool.headers or {}
        return Address(tool.server_url or "", tool.authorization or "", tuple(sorted(headers.items())))


def _not_there(name: str, path: str) -> Refused:
    return Refused("invalid_value", f"Invalid '{path}': it names '{name}', which is not among the tools.", path)


def _check_secrets(tool: McpTool, where: str) -> None:
    """Raises `Refused` for credentials that are no HTTP headers; the message does not repeat them."""
    headers = tool.headers or {}
    if len(headers) > MAX_HEADERS:
        raise Refused("invalid_value", f"At most {MAX_HEADERS} headers are sent.", f"{where}.headers")
    for name, value in headers.items():
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not _printable(value):
            raise Refused("invalid_value", f"Invalid '{where}.headers': not an HTTP header.", f"{where}.headers")
    if tool.authorization and not _printable(tool.authorization):
        raise Refused("invalid_value", "Invalid 'authorization': not an HTTP header.", f"{where}.authorization")


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= 8_192


def _as_seen(one: ListedTool) -> dialogue.Tool:
    return dialogue.Tool(one.name, one.description, one.schema, one.cue)


def _offer(served: dict[str, Served], taken: set[str], one: Served) -> None:
    """Under its own name, or with its server's name before it where that is taken."""
    for name in (one.name, f"{one.label}_{one.name}"):
        if name not in taken:
            taken.add(name)
            tool = replace(one.tool, name=name)
            served[name] = replace(one, tool=tool)
            return


def _allowed(tool: McpTool, one: ListedTool) -> bool:
    match tool.allowed_tools:
        case list() as names:
            return one.name in names
        case McpTools() as tools:
            return _matches(tools, one)
    return True


def _needs_approval(tool: McpTool, one: ListedTool) -> bool:
    """Whether the client has to approve calls: the default for MCP servers, but not for the built-in tools."""
    match tool.require_approval:
        case McpApproval(never=never, always=always):
            if isinstance(never, McpTools):
                return not _matches(never, one)
            return isinstance(always, McpTools) and _matches(always, one)
        case str() as rule:
            return rule == "always"
    return tool.server_label != OWN_LABEL


def _matches(tools: McpTools, one: ListedTool) -> bool:
    named = not isinstance(tools.tool_names, list) or one.name in tools.tool_names
    return named and (not isinstance(tools.read_only, bool) or one.read_only == tools.read_only)
