"""What a session does about the server's tools besides calling them: lists them, takes approvals, lets timers ring.

Calls that the server carries out while a reply waits, and what the model does with the answers.

    model: ToolCall ──► shown: mcp_call item   ┐──CallTool──► … ToolAnswered ──► the model learns call and answer
                    └─► hidden: no item        ┘    │ late                              │
                                                    ▼                                   ▼
                                     "One moment …", spoken as any reply     all answered: the model goes on

It goes on in a new response where clients have seen a call or heard a word, since they expect one message in each;
else in the same one. A call of the client's own, or one that waits for approval, ends the response: then it is the
client's turn.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from msgspec import UNSET, structs

from vivavoce.model import dialogue
from vivavoce.model.dialogue import ReplySpec, ToolCall
from vivavoce.realtime.events import (
    Action,
    Answer,
    CallTool,
    Failure,
    Forget,
    ListedTool,
    ListTools,
    Read,
    Send,
    StartReply,
    StopReply,
    StopTools,
    TimerFired,
    ToolAnswered,
    ToolsListed,
)
from vivavoce.realtime.session.conversation import Entry, called, entry
from vivavoce.realtime.session.mcp_servers import Approved, Served
from vivavoce.realtime.session.model_context import read
from vivavoce.realtime.session.response import ActiveResponse, Waiting
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.state import State, sends
from vivavoce.realtime.tools import OWN_LABEL
from vivavoce.realtime.wire import response_events as ev
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    InputText,
    McpAnswerItem,
    McpAskItem,
    McpListed,
    McpListItem,
    MessageItem,
)
from vivavoce.realtime.wire.server_events import ItemAdded, ItemDone

MAX_NOTICES: Final = 16


class ServerTools:
    """The server's tools in one session. `owes`: there is something to be said as soon as nobody else speaks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._listings: dict[str, str] = {}  # item -> label, while a server is asked
        self._decided: set[str] = set()  # requests for approval that have their answer
        self._notices: deque[TimerFired] = deque(maxlen=MAX_NOTICES)
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

    def ring(self, fact: TimerFired) -> None:
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


MAX_ROUNDS: Final = 4
"""Times that the model may call again upon an answer; then it has to speak."""


class ServerCalls:
    """The calls of one session's replies."""

    def __init__(self, state: State) -> None:
        self._state = state

    def piece(self, reply: ActiveResponse, token: ToolCall) -> Iterator[Action]:
        """The model says more of a call."""
        served = reply.plan.served.get(token.name)
        if served is not None and served.hidden:
            yield from self._hide(reply, token, served)
        else:
            yield from self._show(reply, token, served)

    def approve(self, reply: ActiveResponse, approved: Approved) -> Iterator[Action]:
        """A reply begins with a call that the client has allowed."""
        token = ToolCall(approved.request_id, approved.served.name, approved.arguments, final=True)
        yield from self._show(reply, token, approved.served, approved)

    def answered(self, reply: ActiveResponse, fact: ToolAnswered) -> Iterator[Action]:
        """A call has its outcome; one that nobody waits for any more is dropped."""
        waiting = reply.waiting.pop(fact.call_id, None)
        if waiting is None:
            return
        reply.answered += 1
        said = fact.outcome.text if isinstance(fact.outcome, Answer) else fact.outcome.message
        items = called(fact.call_id, waiting.name, waiting.arguments, said)
        if not waiting.hidden:
            yield from sends(reply.ladder.answered(fact.call_id, fact.outcome))
            entry = self._state.conversation.get(fact.call_id) if reply.plan.joins else None
            if entry is not None:
                entry.read = True
                yield from read(self._state.conversation, entry.id)
        elif reply.plan.spec.context is None:
            yield from (Read(item, None) for item in items)
            reply.shadows += [item.id for item in items]
        if reply.plan.spec.context is not None:
            reply.extra += items

    def late(self, reply: ActiveResponse) -> Iterator[Action]:
        """The calls take long: the assistant says so, once, if it has not said anything yet."""
        words = self._state.servers.filler
        silent = reply.waiting and not reply.making and not reply.ladder.opened
        if words and silent and reply.plan.joins and reply.plan.modality == "audio":
            reply.making = True
            yield StartReply(reply.number, replace(reply.plan.spec, words=words, tools=(), tool_choice="none"))

    def goes_on(self, reply: ActiveResponse) -> bool:
        """The model has stopped, every call is answered, and it has something to say to the answers."""
        return reply.answered > 0 and not reply.handed

    def here(self, reply: ActiveResponse) -> bool:
        """It may go on in the same response."""
        return not reply.shown and not reply.ladder.opened

    def go_on(self, reply: ActiveResponse) -> Iterator[Action]:
        """The model goes on in the same response."""
        reply.plan = _next(reply, reply.item_id)
        reply.answered, reply.making = 0, True
        reply.extra.clear()
        yield StartReply(reply.number, reply.plan.spec)

    def follow_up(self, reply: ActiveResponse) -> Plan:
        """The response in which the model goes on."""
        return _next(reply, self._state.ids.new("item"))

    @staticmethod
    def stop(reply: ActiveResponse) -> Iterator[Action]:
        """Nothing more is made for a reply."""
        if reply.making:
            reply.making = False
            yield StopReply(reply.number)
        yield from ServerCalls.leave(reply)

    @staticmethod
    def leave(reply: ActiveResponse) -> Iterator[Action]:
        """A reply ends: nobody waits for its calls, and the model forgets what clients do not know of."""
        if reply.waiting:
            reply.waiting.clear()
            yield StopTools(reply.number)
        yield from map(Forget, reply.shadows)
        reply.shadows.clear()

    def _show(
        self, reply: ActiveResponse, token: ToolCall, served: Served | None, approved: Approved | None = None
    ) -> Iterator[Action]:
        arguments = ""
        for event in reply.ladder.tool(token, approved):
            yield Send(event)
            match event:
                case ItemDone(item=FunctionCallItem(id=str(call_item), status="completed")):
                    yield from read(self._state.conversation, call_item)
                case ev.CallDone() | ev.OutputItemDone(item=McpAskItem()):
                    reply.handed = True
                case ev.McpArgumentsDone(arguments=arguments):
                    pass
                case ev.McpCallStarted(item_id=item_id) if served is not None:
                    reply.shown = True
                    yield self._call(reply, item_id, served, Waiting(served.name, arguments, hidden=False))

    def _hide(self, reply: ActiveResponse, token: ToolCall, served: Served) -> Iterator[Action]:
        pieces = reply.pieces.setdefault(token.call_id, [])
        pieces.append(token.arguments)
        if token.final:
            del reply.pieces[token.call_id]
            waiting = Waiting(token.name, "".join(pieces), hidden=True)
            yield self._call(reply, self._state.ids.new("item"), served, waiting)

    def _call(self, reply: ActiveResponse, call_id: str, served: Served, waiting: Waiting) -> CallTool:
        reply.waiting[call_id] = waiting
        address = self._state.servers.address(served.label)
        return CallTool(reply.number, call_id, address, served.name, waiting.arguments)


def _next(reply: ActiveResponse, item_id: str) -> Plan:
    plan, spec = reply.plan, reply.plan.spec
    last = plan.round + 1 >= MAX_ROUNDS
    after = ReplySpec(
        id=item_id,
        instructions=spec.instructions,
        voice=spec.voice,
        speed=spec.speed,
        audio=spec.audio,
        tools=() if last else spec.tools,
        tool_choice="none" if last else "auto",
        max_tokens=spec.max_tokens,
        context=None if spec.context is None else (*spec.context, *reply.extra),
    )
    return replace(plan, spec=after, round=plan.round + 1)
