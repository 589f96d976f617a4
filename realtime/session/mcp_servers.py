"""The tools that the server runs, as one session may use them: what was asked for, listed, and offered to the model.

    session.tools ──check, want──► listing ──listed──► known tools ──serve──► Served: what the model may call

Our built-in tools are the server "vivavoce", which is known from the start. What a server is told in secret stays in
its `Address`; it never comes back to a client.
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
    """What the server's settings say of its tools.

    `offered`: built-in tools of every session, whose calls no client sees. `askable`: those a session may ask for as
    server "vivavoce". `private`: servers on private addresses are reached. `filler`: said when a call takes long."""

    offered: tuple[ListedTool, ...] = ()
    askable: tuple[ListedTool, ...] = ()
    private: bool = False
    filler: str = "One moment, I'm looking that up."


@dataclass(frozen=True, slots=True)
class Served:
    """A tool that the server runs. The model calls it by `tool.name`, its server knows it as `name`. `approval`: the
    client is asked first. `hidden`: clients are not told of its calls."""

    label: str
    name: str
    tool: dialogue.Tool
    approval: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Approved:
    """A call that the client has allowed, in answer to the item `request_id`."""

    served: Served
    request_id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Wanted:
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

    def want(self, tools: Iterable[Tool]) -> list[Wanted]:
        """The servers of a checked list that are new or reached otherwise than before."""
        wanted = []
        for tool in tools:
            if not isinstance(tool, McpTool):
                continue
            address = self._address(tool)
            if self._addresses.get(tool.server_label) != address:
                self._addresses[tool.server_label] = address
                self._tools.pop(tool.server_label, None)
                wanted.append(Wanted(tool.server_label, address))
        return wanted

    def listed(self, label: str, tools: tuple[ListedTool, ...]) -> None:
        """A server told which tools it has."""
        self._tools[label] = tools

    @property
    def filler(self) -> str:
        """Said when a call takes long; "" for nothing."""
        return self._options.filler

    def own(self) -> tuple[ListedTool, ...]:
        """The built-in tools that a session may ask for."""
        return self._options.askable

    def address(self, label: str) -> Address | None:
        """Where a server is reached; None for ourselves."""
        return self._addresses.get(label) if label != OWN_LABEL else None

    def serve(self, tools: Sequence[Tool], hidden: bool) -> dict[str, Served]:
        """The tools of servers among `tools`, and, if `hidden`, our own, by the name the model calls them by."""
        taken = {tool.name for tool in tools if isinstance(tool, FunctionTool)}
        served: dict[str, Served] = {}
        for tool in tools:
            if isinstance(tool, McpTool):
                for one in self._tools.get(tool.server_label, ()):
                    if _allowed(tool, one):
                        _offer(served, taken, Served(tool.server_label, one.name, _as_seen(one), _asks(tool, one)))
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
    """What would not be an HTTP header; the value is not repeated."""
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
        case McpTools() as wanted:
            return _fits(wanted, one)
    return True


def _asks(tool: McpTool, one: ListedTool) -> bool:
    """The client wants to approve of its calls: always, unless it said otherwise. (Our own tools ask when told to.)"""
    match tool.require_approval:
        case McpApproval(never=never, always=always):
            if isinstance(never, McpTools):
                return not _fits(never, one)
            return isinstance(always, McpTools) and _fits(always, one)
        case str() as said:
            return said == "always"
    return tool.server_label != OWN_LABEL


def _fits(wanted: McpTools, one: ListedTool) -> bool:
    named = not isinstance(wanted.tool_names, list) or one.name in wanted.tool_names
    return named and (not isinstance(wanted.read_only, bool) or one.read_only == wanted.read_only)
