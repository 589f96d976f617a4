"""One output item of a response, and what clients are told of a call among them.

function_call           the client runs it          function_call_arguments.delta* .done
mcp_call                the server runs it          mcp_call_arguments.delta* .done, in_progress, completed | failed
mcp_approval_request    the server would run it     mcp_call_arguments.delta* .done
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from msgspec import UNSET

from vivavoce.model.dialogue import ToolCall
from vivavoce.realtime.conversation import ConversationItem
from vivavoce.realtime.protocol import response_events as ev
from vivavoce.realtime.protocol.items import (
    FunctionCallItem,
    McpAskItem,
    McpCallItem,
    McpExecutionError,
    McpHttpError,
    McpProtocolError,
)
from vivavoce.realtime.protocol.mcp_servers import Served
from vivavoce.realtime.tools import Answer, Failure, Outcome


@dataclass(slots=True)
class Output:
    """An output item: its place in the response, and what it will contain. A call has `call`; one that the server runs
    has `served`, the `request_id` that asked for approval, and in the end an `outcome`."""

    index: int
    item_id: str
    call: ToolCall | None = None
    served: Served | None = None
    request_id: str = ""
    outcome: Outcome | None = None
    text: list[str] = field(default_factory=list)  # words of a message, or arguments of a call
    done: ConversationItem | None = None

    @property
    def runs(self) -> bool:
        """The server runs it, without having to ask any more."""
        return self.served is not None and (not self.served.approval or bool(self.request_id))

    @property
    def arguments(self) -> str:
        return "".join(self.text)


def call_item(
    output: Output, status: Literal["completed", "incomplete", "in_progress"]
) -> FunctionCallItem | McpCallItem | McpAskItem:
    """A call as it stands."""
    assert output.call is not None
    if output.served is None:
        return FunctionCallItem(
            id=output.item_id,
            object="realtime.item",
            status=status,
            call_id=output.call.call_id,
            name=output.call.name,
            arguments=output.arguments,
        )
    label, name = output.served.label, output.served.name
    if not output.runs:
        return McpAskItem(id=output.item_id, server_label=label, name=name, arguments=output.arguments)
    return McpCallItem(
        id=output.item_id,
        server_label=label,
        name=name,
        arguments=output.arguments,
        approval_request_id=output.request_id or UNSET,
        output=output.outcome.text if isinstance(output.outcome, Answer) else UNSET,
        error=_error(output.outcome) if isinstance(output.outcome, Failure) else UNSET,
    )


def more_arguments(response_id: str, output: Output, delta: str) -> ev.CallDelta | ev.McpArgumentsDelta:
    """A piece of a call's arguments."""
    assert output.call is not None
    where = ev.OutputPlace(response_id=response_id, output_index=output.index, item_id=output.item_id)
    if output.served is None:
        return ev.CallDelta(**where, call_id=output.call.call_id, delta=delta)
    return ev.McpArgumentsDelta(**where, delta=delta, obfuscation="")


def all_arguments(response_id: str, output: Output) -> ev.CallDone | ev.McpArgumentsDone:
    """A call's arguments are complete."""
    assert output.call is not None
    where = ev.OutputPlace(response_id=response_id, output_index=output.index, item_id=output.item_id)
    if output.served is None:
        return ev.CallDone(**where, call_id=output.call.call_id, name=output.call.name, arguments=output.arguments)
    return ev.McpArgumentsDone(**where, arguments=output.arguments)


def started(output: Output) -> ev.McpCallStarted:
    """The server runs the call."""
    return ev.McpCallStarted(item_id=output.item_id, output_index=output.index)


def ended(output: Output) -> ev.McpCallCompleted | ev.McpCallFailed:
    """The call has its outcome."""
    kind = ev.McpCallCompleted if isinstance(output.outcome, Answer) else ev.McpCallFailed
    return kind(item_id=output.item_id, output_index=output.index)


def _error(failure: Failure) -> McpProtocolError | McpExecutionError | McpHttpError:
    match failure.kind:
        case "protocol_error":
            return McpProtocolError(code=failure.code, message=failure.message)
        case "http_error":
            return McpHttpError(code=failure.code, message=failure.message)
        case _:
            return McpExecutionError(message=failure.message)
