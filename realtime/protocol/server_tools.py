"""What a session does about the server's tools besides calling them: lists them, takes approvals, lets timers ring."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET, structs

from vivavoce.model import dialogue
from vivavoce.realtime.conversation import Entry, entry
from vivavoce.realtime.events import Action, ListTools, Rang, Send, ToolsListed
from vivavoce.realtime.protocol import response_events as ev
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.items import InputText, McpAnswerItem, McpAskItem, McpListed, McpListItem, MessageItem
from vivavoce.realtime.protocol.mcp_servers import Approved, Served
from vivavoce.realtime.protocol.server_events import ItemAdded, ItemDone
from vivavoce.realtime.protocol.state import State
from vivavoce.realtime.tools import OWN_LABEL, Failure, ListedTool

MAX_NOTICES: Final = 16


class ServerTools:
    """The server's tools in one session. `owes`: there is something to be said as soon as nobody else speaks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._listings: dict[str, str] = {}  # item -> label, while a server is asked
        self._decided: set[str] = set()  # requests for approval that have their answer
        self._notices: deque[Rang] = deque(maxlen=MAX_NOTICES)
        self._answered = False

    @property
    def owes(self) -> bool:
        return self._answered or bool(self._notices)

    @property
    def rings(self) -> bool:
        """All that there is to say is that something has happened."""
        return bool(self._notices) and not self._answered

    def list_new(self) -> Iterator[Action]:
        """Asks the servers in the settings for their tools, where they are new."""
        for wanted in self._state.servers.want(self._state.settings.tools):
            item = McpListItem(id=self._state.ids.new("item"), server_label=wanted.label, tools=[])
            item_id = str(item.id)
            yield Send(ev.McpListStarted(item_id=item_id))
            before = self._state.conversation.last
            self._state.conversation.add(Entry(item))
            yield Send(ItemAdded(previous_item_id=before, item=item))
            self._listings = {known: label for known, label in self._listings.items() if label != wanted.label}
            self._listings[item_id] = wanted.label
            if wanted.label == OWN_LABEL:
                yield from self.listed(ToolsListed(item_id, self._state.servers.own()))
            else:
                yield ListTools(item_id, wanted.address)

    def listed(self, fact: ToolsListed) -> Iterator[Action]:
        """A server has answered, or has not."""
        label = self._listings.pop(fact.item_id, None)
        failed = isinstance(fact.tools, Failure)
        tools = () if isinstance(fact.tools, Failure) else fact.tools
        if label is not None:
            self._state.servers.listed(label, tools)
        yield Send((ev.McpListFailed if failed else ev.McpListCompleted)(item_id=fact.item_id))
        known = self._state.conversation.get(fact.item_id)
        if known is not None and isinstance(known.item, McpListItem):  # else the client has deleted it meanwhile
            known.item = structs.replace(known.item, tools=[_shown(tool) for tool in tools])
            before = self._state.conversation.before(fact.item_id)
            yield Send(ItemDone(previous_item_id=before, item=known.item))

    def decide(self, item: McpAnswerItem, after: str | None) -> Iterator[Action]:
        """The client allows a call, or does not. Raises `Refused`."""
        request = self._state.conversation.get(item.approval_request_id)
        if request is None or not isinstance(request.item, McpAskItem):
            message = f"There is no request for approval with id '{item.approval_request_id}'."
            raise Refused("invalid_value", message, "item.approval_request_id")
        if request.id in self._decided or not _complete(request.item.arguments):
            message = f"The request for approval '{request.id}' cannot be answered any more."
            raise Refused("invalid_value", message, "item.approval_request_id")
        answer = structs.replace(item, id=item.id or self._state.ids.new("item"))
        yield from self._state.insert(Entry(answer, asked=request.item), after=after)
        self._decided.add(request.id)
        self._answered = True
        if item.approve:
            label, name = request.item.server_label, request.item.name
            served = Served(label, name, dialogue.Tool(name, "", {}), approval=True)
            self._state.approved.append(Approved(served, request.id, request.item.arguments))

    def ring(self, fact: Rang) -> None:
        """Something has happened that the user must be told of."""
        self._notices.append(fact)

    def settle(self) -> Iterator[Action]:
        """A reply begins that says what was owed; it finds the notices in the conversation."""
        self._answered = False
        while self._notices:
            part = InputText(text=self._notices.popleft().notice)
            item = MessageItem(role="system", content=[part])
            yield from self._state.insert(entry(item, self._state.ids.new("item")))


def _shown(tool: ListedTool) -> McpListed:
    return McpListed(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema,
        annotations=UNSET if tool.annotations is None else tool.annotations,
    )


def _complete(arguments: str) -> bool:
    """Arguments that were cut in the middle are no JSON object."""
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
