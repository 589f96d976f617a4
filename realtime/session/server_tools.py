"""Tools that the server runs, in one session: listed, approved, called, and their outcomes passed to the model.

    model: ToolCall ──► shown: mcp_call item   ┐──CallTool──► … ToolAnswered ──► call and outcome enter its context
                    └─► hidden: no item        ┘    │ late                              │
                                                    ▼                                   ▼
                                     "One moment …", spoken as any reply     all answered: the model goes on

The model goes on in a new response where the client has seen a call or words, since clients expect one message in
each; else in the same one. A call that the client runs or has to approve ends the response.
"""

from __future__ import annotations

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
from vivavoce.realtime.session.conversation import Entry, call_with_result, entry
from vivavoce.realtime.session.mcp_servers import Approved, Served
from vivavoce.realtime.session.model_context import read
from vivavoce.realtime.session.response import ActiveResponse, Handover, PendingCall, Phase, Step
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.state import State, sends
from vivavoce.realtime.tools import OWN_LABEL
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire import response_events as ev
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import (
    FunctionCallItem,
    InputText,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpListItem,
    McpToolInfo,
    MessageItem,
)
from vivavoce.realtime.wire.server_events import ItemAdded, ItemDone

MAX_NOTICES: Final = 16


class ServerTools:
    """Listings, approvals and timers of one session. `pending`: a response is due as soon as neither side speaks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._listings: dict[str, str] = {}  # item -> label, while a server lists its tools
        self._decided: set[str] = set()  # requests for approval that have their answer
        self._notices: deque[TimerFired] = deque(maxlen=MAX_NOTICES)
        self._answered = False

    @property
    def pending(self) -> bool:
        return self._answered or bool(self._notices)

    @property
    def only_notices(self) -> bool:
        """Whether only notices of timers are pending."""
        return bool(self._notices) and not self._answered

    def list_new(self) -> Iterator[Action]:
        """Lists the tools of the servers in the settings that are new."""
        for server in self._state.servers.connect(self._state.settings.tools):
            item = McpListItem(id=self._state.ids.new("item"), server_label=server.label, tools=[])
            item_id = str(item.id)
            yield Send(ev.McpListStarted(item_id=item_id))
            before = self._state.conversation.last
            self._state.conversation.add(Entry(item))
            yield Send(ItemAdded(previous_item_id=before, item=item))
            self._listings = {known: label for known, label in self._listings.items() if label != server.label}
            self._listings[item_id] = server.label
            if server.label == OWN_LABEL:
                yield from self.listed(ToolsListed(item_id, self._state.servers.built_in()))
            else:
                yield ListTools(item_id, server.address)

    def listed(self, fact: ToolsListed) -> Iterator[Action]:
        """Takes the tools that a server has listed, or its failure."""
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

    def decide(self, item: McpApprovalResponseItem, after: str | None) -> Iterator[Action]:
        """Takes the client's decision on a call. Raises `Refused`."""
        request = self._state.conversation.get(item.approval_request_id)
        if request is None or not isinstance(request.item, McpApprovalRequestItem):
            message = f"There is no request for approval with id '{item.approval_request_id}'."
            raise Refused("invalid_value", message, "item.approval_request_id")
        if request.id in self._decided or not _complete(request.item.arguments):
            message = f"The request for approval '{request.id}' cannot be answered any more."
            raise Refused("invalid_value", message, "item.approval_request_id")
        answer = structs.replace(item, id=item.id or self._state.ids.new("item"))
        yield from self._state.insert(Entry(answer, request=request.item), after=after)
        self._decided.add(request.id)
        self._answered = True
        if item.approve:
            label, name = request.item.server_label, request.item.name
            served = Served(label, name, dialogue.Tool(name, "", {}), approval=True)
            self._state.approved.append(Approved(served, request.id, request.item.arguments))

    def timer_fired(self, fact: TimerFired) -> None:
        """Keeps the notice of a timer until the assistant can say it."""
        self._notices.append(fact)

    def settle(self) -> Iterator[Action]:
        """Puts pending notices into the conversation, for the response that begins now."""
        self._answered = False
        while self._notices:
            part = InputText(text=self._notices.popleft().notice)
            item = MessageItem(role="system", content=[part])
            yield from self._state.insert(entry(item, self._state.ids.new("item")))


def _shown(tool: ListedTool) -> McpToolInfo:
    return McpToolInfo(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema,
        annotations=UNSET if tool.annotations is None else tool.annotations,
    )


def _complete(arguments: str) -> bool:
    """Whether the arguments are a JSON object: those of a call that was cut are not."""
    try:
        wire.read_json(arguments, dict)
    except Refused:
        return False
    return True


MAX_ROUNDS: Final = 4
"""Rounds in which the model may call again after a tool's answer; then it has to speak."""


class ServerCalls:
    """Calls of the server's tools in the responses of one session."""

    def __init__(self, state: State) -> None:
        self._state = state

    def piece(self, response: ActiveResponse, token: ToolCall) -> Iterator[Action]:
        """Takes more of a call from the model."""
        served = response.plan.served.get(token.name)
        if served is not None and served.hidden:
            yield from self._hide(response, token, served)
        else:
            yield from self._show(response, token, served)

    def approve(self, response: ActiveResponse, approved: Approved) -> Iterator[Action]:
        """Begins a response with a call that the client has allowed."""
        token = ToolCall(approved.request_id, approved.served.name, approved.arguments, final=True)
        yield from self._show(response, token, approved.served, approved)

    def answered(self, response: ActiveResponse, fact: ToolAnswered) -> Iterator[Action]:
        """Takes the outcome of a call; one of a call that was given up is dropped."""
        waiting = response.calls.waiting.pop(fact.call_id, None)
        if waiting is None:
            return
        response.calls.answered += 1
        output = fact.outcome.text if isinstance(fact.outcome, Answer) else fact.outcome.message
        items = call_with_result(fact.call_id, waiting.name, waiting.arguments, output)
        if not waiting.hidden:
            yield from sends(response.emitter.answered(fact.call_id, fact.outcome))
            entry = self._state.conversation.get(fact.call_id) if response.plan.joins else None
            if entry is not None:
                entry.read = True
                yield from read(self._state.conversation, entry.id)
        elif response.plan.spec.context is None:
            yield from (Read(item, None) for item in items)
            response.calls.shadows += [item.id for item in items]
        if response.plan.spec.context is not None:
            response.calls.extra += items

    def late(self, response: ActiveResponse) -> Iterator[Action]:
        """The calls take long: the assistant says so, once, if it has not spoken yet."""
        words = self._state.servers.filler
        silent = response.calls.waiting and response.phase is Phase.PAUSED and not response.emitter.opened
        if words and silent and response.plan.joins and response.plan.modality == "audio":
            response.move(Step.RESUME)
            yield StartReply(response.number, replace(response.plan.spec, words=words, tools=(), tool_choice="none"))

    def goes_on(self, response: ActiveResponse) -> bool:
        """Whether the model has to go on: every call is answered, and none is the client's."""
        return response.calls.answered > 0 and response.calls.handover is not Handover.CLIENT

    def here(self, response: ActiveResponse) -> bool:
        """Whether it may go on in the same response."""
        return response.calls.handover is Handover.HIDDEN and not response.emitter.opened

    def go_on(self, response: ActiveResponse) -> Iterator[Action]:
        """Lets the model go on in the same response."""
        response.plan = _next(response, response.item_id)
        response.calls.answered = 0
        response.move(Step.RESUME)
        response.calls.extra.clear()
        yield StartReply(response.number, response.plan.spec)

    def follow_up(self, response: ActiveResponse) -> Plan:
        """Plans the response in which the model goes on."""
        return _next(response, self._state.ids.new("item"))

    @staticmethod
    def stop(response: ActiveResponse) -> Iterator[Action]:
        """Stops the model and the calls of a response."""
        if response.pause():
            yield StopReply(response.number)
        yield from ServerCalls.leave(response)

    @staticmethod
    def leave(response: ActiveResponse) -> Iterator[Action]:
        """Gives up the calls of a response that ends; the model forgets the hidden ones."""
        if response.calls.waiting:
            response.calls.waiting.clear()
            yield StopTools(response.number)
        yield from map(Forget, response.calls.shadows)
        response.calls.shadows.clear()

    def _show(
        self, response: ActiveResponse, token: ToolCall, served: Served | None, approved: Approved | None = None
    ) -> Iterator[Action]:
        arguments = ""
        for event in response.emitter.tool(token, approved):
            yield Send(event)
            match event:
                case ItemDone(item=FunctionCallItem(id=str(call_item), status="completed")):
                    yield from read(self._state.conversation, call_item)
                case ev.CallDone() | ev.OutputItemDone(item=McpApprovalRequestItem()):
                    response.calls.handover = Handover.CLIENT
                case ev.McpArgumentsDone(arguments=arguments):
                    pass
                case ev.McpCallStarted(item_id=item_id) if served is not None:
                    response.calls.handover = max(response.calls.handover, Handover.SHOWN)
                    yield self._call(response, item_id, served, PendingCall(served.name, arguments, hidden=False))

    def _hide(self, response: ActiveResponse, token: ToolCall, served: Served) -> Iterator[Action]:
        pieces = response.calls.pieces.setdefault(token.call_id, [])
        pieces.append(token.arguments)
        if token.final:
            del response.calls.pieces[token.call_id]
            waiting = PendingCall(token.name, "".join(pieces), hidden=True)
            yield self._call(response, self._state.ids.new("item"), served, waiting)

    def _call(self, response: ActiveResponse, call_id: str, served: Served, waiting: PendingCall) -> CallTool:
        response.calls.waiting[call_id] = waiting
        address = self._state.servers.address(served.label)
        return CallTool(response.number, call_id, address, served.name, waiting.arguments)


def _next(response: ActiveResponse, item_id: str) -> Plan:
    plan, spec = response.plan, response.plan.spec
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
        context=None if spec.context is None else (*spec.context, *response.calls.extra),
    )
    return replace(plan, spec=after, round=plan.round + 1)
