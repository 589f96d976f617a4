"""Tools that the server runs, as the session core handles them: listing, calls, approval, what is said meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from harness.session_line import SessionLine, kinds
from harness.tools import ERASE, LOOK_UP
from vivavoce.model.dialogue import Call, CallResult, Message, ToolCall, Usage
from vivavoce.realtime.events import (
    Address,
    Answer,
    CallTool,
    Failure,
    Forget,
    ListedTool,
    ListTools,
    Read,
    Replied,
    StartReply,
    StopReply,
    StopTools,
    TimerFired,
    ToolAnswered,
    ToolsLate,
    ToolsListed,
    TurnEnded,
    TurnStarted,
)
from vivavoce.realtime.session.conversation import MAX_ITEMS
from vivavoce.realtime.session.mcp_servers import MAX_SERVERS, ToolOptions
from vivavoce.realtime.session.server_tools import MAX_ROUNDS
from vivavoce.realtime.tools.builtin import listed

URL = "https://tools.example/mcp"
SERVER: dict[str, Any] = {"type": "mcp", "server_label": "web", "server_url": URL, "require_approval": "never"}
CLOCK = listed(["time"])[:1]


def equipped(plays: bool = False, **server: Any) -> SessionLine:
    """A session that knows the tools of a server, `look_up` and `erase`."""
    line = SessionLine(plays)
    line.update(tools=[{**SERVER, **server}])
    (asked,) = line.did(ListTools)
    line.fact(ToolsListed(asked.item_id, (LOOK_UP, ERASE)))
    return line


def calling(line: SessionLine, name: str = "look_up", number: int = 1, call_id: str = "c1") -> list[dict[str, Any]]:
    """The model calls a tool, in two pieces."""
    told = line.fact(Replied(number, ToolCall(call_id, name, '{"what": ', final=False)))
    return told + line.fact(Replied(number, ToolCall(call_id, name, '"x"}', final=True)))


def waiting(line: SessionLine, name: str = "look_up") -> CallTool:
    """A response waits for its call, and the model stands still."""
    line.tell("response.create")
    calling(line, name)
    line.finish(1)
    (call,) = line.did(CallTool)
    assert isinstance(call, CallTool)
    return call


def answer(line: SessionLine, call: CallTool, text: str = "42") -> list[dict[str, Any]]:
    return line.fact(ToolAnswered(call.number, call.call_id, Answer(text)))


# --- listing ---


def test_the_tools_of_a_server_are_listed_after_the_update() -> None:
    line = SessionLine()
    told = line.update(tools=[SERVER])
    assert kinds(told) == ["session.updated", "mcp_list_tools.in_progress", "conversation.item.added"]
    item_id = told[1]["item_id"]
    assert told[2]["item"] == {"id": item_id, "type": "mcp_list_tools", "server_label": "web", "tools": []}
    assert line.did(ListTools) == [ListTools(item_id, Address(URL))]
    told = line.fact(ToolsListed(item_id, (LOOK_UP, ERASE)))
    assert kinds(told) == ["mcp_list_tools.completed", "conversation.item.done"]
    first, second = told[1]["item"]["tools"]
    assert first == {
        "name": "look_up",
        "description": "Looks something up.",
        "input_schema": LOOK_UP.schema,
        "annotations": {"readOnlyHint": True},
    }
    assert "annotations" not in second
    assert line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["tools"] == [first, second]


def test_a_server_that_cannot_be_listed_is_said_to_have_failed_and_offers_nothing() -> None:
    line = SessionLine()
    line.update(tools=[SERVER])
    told = line.fact(ToolsListed(line.did(ListTools)[0].item_id, Failure("http_error", "No.", 500)))
    assert kinds(told) == ["mcp_list_tools.failed", "conversation.item.done"]
    line.tell("response.create")
    assert line.did(StartReply)[0].spec.tools == ()


def test_a_session_that_begins_with_servers_lists_them_at_once() -> None:
    from vivavoce.realtime.wire.session_config import McpTool, RealtimeSession

    line = SessionLine(config=RealtimeSession(tools=[McpTool(server_label="web", server_url=URL)]))
    assert kinds(line.told) == ["session.created", "mcp_list_tools.in_progress", "conversation.item.added"]


def test_the_same_server_is_listed_once_and_again_when_it_is_reached_otherwise() -> None:
    line = equipped()
    assert kinds(line.update(tools=[SERVER])) == ["session.updated"]
    assert kinds(line.update(tools=[{**SERVER, "authorization": "new"}]))[1] == "mcp_list_tools.in_progress"
    assert line.did(ListTools)[-1].address.authorization == "new"


def test_the_older_of_two_listings_is_passed_over() -> None:
    line = SessionLine()
    line.update(tools=[SERVER])
    line.update(tools=[{**SERVER, "headers": {"X-Team": "blue"}}])
    first, second = line.did(ListTools)
    line.fact(ToolsListed(second.item_id, (ERASE,)))
    line.fact(ToolsListed(first.item_id, (LOOK_UP,)))
    line.tell("response.create")
    assert [tool.name for tool in line.did(StartReply)[0].spec.tools] == ["erase"]


def test_a_listing_that_was_deleted_meanwhile_still_counts() -> None:
    line = SessionLine()
    line.update(tools=[SERVER])
    item_id = line.did(ListTools)[0].item_id
    line.tell("conversation.item.delete", item_id=item_id)
    assert kinds(line.fact(ToolsListed(item_id, (LOOK_UP,)))) == ["mcp_list_tools.completed"]
    line.tell("response.create")
    assert len(line.did(StartReply)[0].spec.tools) == 1


def test_secrets_are_not_echoed() -> None:
    secret = {"server_url": f"{URL}?key=hush", "authorization": "hush", "headers": {"X-Key": "hush"}}
    line = SessionLine()
    told = line.update(tools=[{**SERVER, **secret}])
    assert "hush" not in str(told)
    assert told[0]["session"]["tools"][0]["server_url"] == URL
    (asked,) = line.did(ListTools)
    assert asked.address == Address(f"{URL}?key=hush", "hush", (("X-Key", "hush"),))
    assert "authorization" not in repr(asked)
    assert "X-Key" not in repr(asked)


@pytest.mark.parametrize(
    ("tools", "code", "param"),
    [
        ([{"type": "mcp", "server_label": "x"}], "missing_required_parameter", "session.tools[0].server_url"),
        ([{**SERVER, "connector_id": "connector_gmail"}], "unsupported_parameter", "session.tools[0].connector_id"),
        ([{**SERVER, "tunnel_id": "t"}], "unsupported_parameter", "session.tools[0].tunnel_id"),
        ([{**SERVER, "server_url": "http://127.0.0.1/mcp"}], "invalid_value", "session.tools[0].server_url"),
        ([{**SERVER, "server_url": "http://[::ffff:10.0.0.1]/"}], "invalid_value", "session.tools[0].server_url"),
        ([{**SERVER, "server_url": "file:///etc/passwd"}], "invalid_value", "session.tools[0].server_url"),
        ([SERVER, SERVER], "invalid_value", "session.tools[1].server_label"),
        ([{**SERVER, "server_label": "vivavoce"}], "invalid_value", "session.tools[0].server_url"),
        ([{**SERVER, "headers": {"X": "a\r\nb"}}], "invalid_value", "session.tools[0].headers"),
        ([{**SERVER, "headers": {f"X-{i}": "" for i in range(17)}}], "invalid_value", "session.tools[0].headers"),
        ([{**SERVER, "authorization": "a\nb"}], "invalid_value", "session.tools[0].authorization"),
        ([{**SERVER, "server_label": f"s{i}"} for i in range(MAX_SERVERS + 1)], "too_many_servers", "session.tools"),
    ],
)
def test_servers_that_cannot_be_used_are_refused(tools: list[Any], code: str, param: str) -> None:
    line = SessionLine()
    error = line.refused("session.update", session={"type": "realtime", "tools": tools})
    assert (error["code"], error["param"]) == (code, param)
    assert not line.did(ListTools)


# --- what is offered ---


def offered(line: SessionLine, **response: Any) -> list[str]:
    line.tell("response.create", response={"conversation": "none", **response})
    return [tool.name for tool in line.did(StartReply)[-1].spec.tools]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["look_up", "erase"]),
        (["erase"], ["erase"]),
        ({"read_only": True}, ["look_up"]),
        ({"tool_names": ["erase"], "read_only": True}, []),
    ],
)
def test_only_allowed_tools_are_offered(allowed: Any, names: list[str]) -> None:
    assert offered(equipped(allowed_tools=allowed)) == names


def test_a_known_server_may_be_named_in_a_response_without_its_url() -> None:
    line = equipped()
    assert offered(line, tools=[]) == []
    assert offered(line, tools=[{"type": "mcp", "server_label": "web", "allowed_tools": ["erase"]}]) == ["erase"]
    error = line.refused("response.create", response={"tools": [{**SERVER, "server_label": "new"}]})
    assert error["param"] == "response.tools[0].server_label"


def test_a_tool_whose_name_is_taken_is_offered_under_its_server_s_name() -> None:
    line = equipped()
    line.update(tools=[{"type": "function", "name": "erase"}, SERVER])
    assert offered(line) == ["erase", "look_up", "web_erase"]
    line.update(tools=[{"type": "function", "name": name} for name in ("erase", "web_erase")] + [SERVER])
    assert offered(line) == ["erase", "web_erase", "look_up"]


def test_a_choice_of_a_server_s_tool_is_kept() -> None:
    line = equipped()
    assert offered(line, tool_choice={"type": "mcp", "server_label": "web", "name": "erase"}) == ["erase"]
    assert line.did(StartReply)[-1].spec.tool_choice == "required"
    assert offered(line, tool_choice={"type": "mcp", "server_label": "web"}) == ["look_up", "erase"]
    gone = {"type": "mcp", "server_label": "web", "name": "gone"}
    error = line.refused("response.create", response={"tool_choice": gone})
    assert (error["code"], error["param"]) == ("invalid_value", "response.tool_choice")


# --- a call, as clients see it ---


def test_a_call_is_carried_out_within_the_response_and_the_model_goes_on_in_the_next() -> None:
    line = equipped()
    line.tell("response.create", response={"metadata": {"a": "b"}})
    told = calling(line)
    assert kinds(told) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
    ]
    assert told[2]["obfuscation"] == ""
    (call,) = line.did(CallTool)
    assert call == CallTool(1, told[0]["item"]["id"], Address(URL), "look_up", '{"what": "x"}')
    retrieved = line.tell("conversation.item.retrieve", item_id=call.call_id)[0]["item"]
    assert retrieved["arguments"] == '{"what": "x"}'
    assert line.finish(1) == []
    told = answer(line, call)
    assert kinds(told) == [
        "response.mcp_call.completed",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "response.created",
    ]
    assert told[1]["item"] == {
        "id": call.call_id,
        "type": "mcp_call",
        "server_label": "web",
        "name": "look_up",
        "arguments": '{"what": "x"}',
        "output": "42",
    }
    assert told[3]["response"]["output"] == [told[1]["item"]]
    assert told[4]["response"]["metadata"] == {"a": "b"}
    reads = [action.item for action in line.did(Read)]
    assert reads == [
        Call(f"{call.call_id}.call", call.call_id, "look_up", '{"what": "x"}'),
        CallResult(call.call_id, call.call_id, "42"),
    ]
    assert line.did(StartReply)[-1].spec.tool_choice == "auto"
    line.words(2, "It is 42.")
    assert line.finish(2)[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure("http_error", "No.", 500), {"type": "http_error", "code": 500, "message": "No."}),
        (Failure("protocol_error", "No.", -32602), {"type": "protocol_error", "code": -32602, "message": "No."}),
        (Failure("tool_execution_error", "No."), {"type": "tool_execution_error", "message": "No."}),
    ],
)
def test_a_call_that_failed_says_how_and_the_model_may_explain(failure: Failure, error: dict[str, Any]) -> None:
    line = equipped()
    call = waiting(line)
    told = line.fact(ToolAnswered(1, call.call_id, failure))
    assert kinds(told)[0] == "response.mcp_call.failed"
    assert told[1]["item"]["error"] == error
    assert "output" not in told[1]["item"]
    assert line.did(Read)[-1].item.output == "No."
    assert kinds(told)[-1] == "response.created"


def test_an_answer_that_comes_before_the_model_has_stopped_waits_for_it() -> None:
    line = equipped()
    line.tell("response.create")
    calling(line)
    told = answer(line, line.did(CallTool)[0])
    assert kinds(told) == ["response.mcp_call.completed", "response.output_item.done", "conversation.item.done"]
    assert kinds(line.finish(1)) == ["response.done", "response.created"]


def test_several_calls_are_all_waited_for() -> None:
    line = equipped()
    line.tell("response.create")
    calling(line, call_id="c1")
    calling(line, "erase", call_id="c2")
    line.finish(1)
    first, second = line.did(CallTool)
    assert "response.done" not in kinds(answer(line, second))
    assert "response.done" in kinds(answer(line, first))


def test_a_client_s_own_call_beside_a_server_s_hands_over_to_the_client() -> None:
    line = equipped()
    line.update(tools=[SERVER, {"type": "function", "name": "look"}])
    line.tell("response.create")
    calling(line)
    line.call(1, "{}", call_id="c2")
    line.finish(1)
    assert kinds(answer(line, line.did(CallTool)[0]))[-1] == "response.done"


def test_the_tokens_of_the_follow_up_are_counted_in_its_own_response() -> None:
    line = equipped()
    line.tell("response.create")
    calling(line)
    line.finish(1, usage=Usage(input_text=10, output_text=5))
    told = answer(line, line.did(CallTool)[0])
    assert told[3]["response"]["usage"]["total_tokens"] == 15


def test_a_model_that_calls_on_and_on_must_speak_at_last() -> None:
    line = equipped()
    line.tell("response.create")
    for number in range(1, MAX_ROUNDS + 1):
        assert (line.did(StartReply)[-1].spec.tools == ()) is (number > MAX_ROUNDS)
        calling(line, number=number, call_id=f"c{number}")
        line.finish(number)
        answer(line, line.did(CallTool)[-1])
    spec = line.did(StartReply)[-1].spec
    assert (spec.tools, spec.tool_choice) == ((), "none")


def test_a_call_deleted_while_it_runs_is_not_told_to_the_model() -> None:
    line = equipped()
    call = waiting(line)
    line.tell("conversation.item.delete", item_id=call.call_id)
    assert "conversation.item.done" not in kinds(answer(line, call))
    assert not line.did(Read)


def test_a_finished_call_that_is_deleted_is_forgotten_with_its_result() -> None:
    line = equipped()
    call = waiting(line)
    answer(line, call)
    line.tell("conversation.item.delete", item_id=call.call_id)
    assert [action.item_id for action in line.did(Forget)] == [f"{call.call_id}.call", call.call_id]


def test_out_of_band_the_follow_up_knows_its_own_context_and_the_call() -> None:
    line = equipped()
    line.tell("response.create", response={"conversation": "none", "input": []})
    calling(line)
    line.finish(1)
    (call,) = line.did(CallTool)
    told = answer(line, call)
    assert kinds(told) == [
        "response.mcp_call.completed",
        "response.output_item.done",
        "response.done",
        "response.created",
    ]
    context = line.did(StartReply)[-1].spec.context
    assert [type(item) for item in context] == [Call, CallResult]
    assert not line.did(Read)


def test_a_client_that_asks_for_the_follow_up_is_given_the_one_that_runs() -> None:
    line = equipped()
    answer(line, waiting(line))
    assert line.tell("response.create") == []
    assert line.refused("response.create")["code"] == "conversation_already_has_active_response"


def test_a_call_under_way_is_not_dropped_for_want_of_room() -> None:
    line = equipped()
    call = waiting(line)
    for i in range(MAX_ITEMS + 2):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": str(i)}]}
        line.tell("conversation.item.create", item=item)
    assert "conversation.item.done" in kinds(answer(line, call))


# --- while a tool runs ---


def test_the_assistant_says_once_that_it_is_looking_and_the_answer_follows() -> None:
    line = equipped(plays=True)
    call = waiting(line)
    line.fact(ToolsLate(1))
    filler = line.did(StartReply)[-1]
    assert filler.number == 1
    assert filler.spec.words == "One moment, I'm looking that up."
    line.fact(ToolsLate(1))
    assert len(line.did(StartReply)) == 2
    line.words(1, filler.spec.words)
    line.voice(1, 900, (len(filler.spec.words), 900))
    line.play(400)
    assert kinds(answer(line, call)) == [
        "response.mcp_call.completed",
        "response.output_item.done",
        "conversation.item.done",
    ]
    told = line.finish(1)
    assert kinds(told)[-2:] == ["response.done", "response.created"]
    assert [item["type"] for item in told[-2]["response"]["output"]] == ["mcp_call", "message"]
    assert "output_audio_buffer.stopped" in kinds(line.play(600))


def test_there_is_no_filler_where_nobody_listens_or_words_were_said() -> None:
    line = equipped()
    line.tell("response.create", response={"output_modalities": ["text"]})
    calling(line)
    line.finish(1)
    line.fact(ToolsLate(1))
    assert len(line.did(StartReply)) == 1
    line = equipped()
    line.tell("response.create")
    line.words(1, "Let me see.")
    calling(line)
    line.finish(1)
    line.fact(ToolsLate(1))
    assert len(line.did(StartReply)) == 1
    line.fact(ToolsLate(7))


def test_a_user_who_cuts_in_cancels_the_tool() -> None:
    line = equipped()
    call = waiting(line)
    told = line.fact(TurnStarted(0))
    assert line.did(StopTools) == [StopTools(1)]
    assert not line.did(StopReply), "the model stood still"
    assert kinds(told) == [
        "input_audio_buffer.speech_started",
        "response.mcp_call.failed",
        "response.output_item.done",
        "response.done",
    ]
    assert told[2]["item"]["error"] == {"type": "tool_execution_error", "message": "The call was cancelled."}
    assert answer(line, call) == []


def test_a_user_who_cuts_the_filler_leaves_only_what_was_heard() -> None:
    line = equipped(plays=True)
    waiting(line)
    line.fact(ToolsLate(1))
    line.words(1, "One moment, I'm looking that up.")
    line.voice(1, 900, (11, 400), (32, 900))
    line.play(500)
    told = line.fact(TurnStarted(0))
    assert "conversation.item.truncated" in kinds(told)
    assert {type(action) for action in line.batch} >= {StopReply, StopTools}
    assert [e for e in line.told if e["type"] == "vivavoce.heard"][-1]["heard_chars"] == 11


@pytest.mark.parametrize("plays", [False, True])
def test_a_client_that_cancels_the_response_cancels_the_tool(plays: bool) -> None:
    line = equipped(plays)
    waiting(line)
    told = line.tell("response.cancel")
    assert told[-1]["response"]["status"] == "cancelled"
    assert line.did(StopTools) == [StopTools(1)]


def test_a_call_cut_in_the_middle_is_never_carried_out() -> None:
    line = equipped()
    line.tell("response.create")
    line.fact(Replied(1, ToolCall("c", "look_up", '{"wh', final=False)))
    line.finish(1)
    assert not line.did(CallTool)


def test_a_model_that_fails_beside_its_call_ends_both() -> None:
    from vivavoce.realtime.events import ReplyFailed

    line = equipped()
    line.tell("response.create")
    calling(line)
    told = line.fact(ReplyFailed(1, "no"))
    assert told[-1]["response"]["status"] == "failed"
    assert line.did(StopTools) == [StopTools(1)]


# --- approval ---


def asked(line: SessionLine) -> str:
    """The model wants to call `erase`, and the client is asked."""
    line.tell("response.create")
    told = calling(line, "erase")
    assert kinds(told)[-3:] == [
        "response.mcp_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
    ]
    item = told[-1]["item"]
    assert item["type"] == "mcp_approval_request"
    assert (item["server_label"], item["name"], item["arguments"]) == ("web", "erase", '{"what": "x"}')
    assert kinds(line.finish(1)) == ["response.done"]
    assert not line.did(CallTool)
    return str(item["id"])


def decide(line: SessionLine, request: str, approve: bool, **more: Any) -> list[dict[str, Any]]:
    item = {"type": "mcp_approval_response", "approval_request_id": request, "approve": approve, **more}
    return line.tell("conversation.item.create", item=item)


def test_an_approved_call_is_carried_out_in_a_response_of_its_own() -> None:
    line = equipped(require_approval="always")
    request = asked(line)
    told = decide(line, request, approve=True)
    assert kinds(told) == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
    ]
    assert told[3]["item"]["approval_request_id"] == request
    assert len(line.did(StartReply)) == 1, "the model waits for the answer"
    assert line.tell("response.create") == [], "what the client asks for has begun"
    (call,) = line.did(CallTool)
    told = answer(line, call)
    assert kinds(told)[-2:] == ["response.done", "response.created"]
    assert told[1]["item"]["approval_request_id"] == request


def test_a_call_that_is_not_allowed_is_not_made_and_the_model_is_told() -> None:
    line = equipped(require_approval="always")
    told = decide(line, asked(line), approve=False, reason="Too risky.")
    assert kinds(told) == ["conversation.item.added", "conversation.item.done", "response.created"]
    assert not line.did(CallTool)
    assert line.did(Read)[-1].item.output == "The user did not allow this call. Too risky."


@pytest.mark.parametrize(
    ("required", "asks"),
    [
        (None, {"look_up", "erase"}),
        ("always", {"look_up", "erase"}),
        ("never", set()),
        ({"never": {"read_only": True}}, {"erase"}),
        ({"always": {"tool_names": ["look_up"]}}, {"look_up"}),
        ({"always": {"read_only": False}, "never": {"read_only": True}}, {"erase"}),
    ],
)
def test_approval_is_asked_for_as_the_client_wants_it(required: Any, asks: set[str]) -> None:
    for name in ("look_up", "erase"):
        line = equipped(require_approval=required)
        line.tell("response.create")
        calling(line, name)
        assert (not line.did(CallTool)) is (name in asks)


def test_a_request_is_answered_once() -> None:
    line = equipped(require_approval="always")
    request = asked(line)
    decide(line, request, approve=True)
    for other in (request, "none"):
        error = line.refused(
            "conversation.item.create",
            item={"type": "mcp_approval_response", "approval_request_id": other, "approve": True},
        )
        assert error["param"] == "item.approval_request_id"


def test_a_request_cut_in_the_middle_cannot_be_allowed() -> None:
    line = equipped(require_approval="always")
    line.tell("response.create")
    line.fact(Replied(1, ToolCall("c", "erase", '{"wh', final=False)))
    line.finish(1)
    request = [e for e in line.told if e["type"] == "response.output_item.done"][-1]["item"]["id"]
    error = line.refused(
        "conversation.item.create",
        item={"type": "mcp_approval_response", "approval_request_id": request, "approve": True},
    )
    assert "any more" in error["message"]


def test_an_approval_given_while_somebody_speaks_waits() -> None:
    line = equipped(require_approval="always")
    request = asked(line)
    line.fact(TurnStarted(0))
    assert kinds(decide(line, request, approve=True)) == ["conversation.item.added", "conversation.item.done"]
    line.fact(TurnEnded(24_000))
    assert len(line.did(CallTool)) == 1, "the answer to the turn begins with it"


# --- built-in tools ---


def with_own(offered: tuple[ListedTool, ...] = (), askable: tuple[ListedTool, ...] = CLOCK) -> SessionLine:
    return SessionLine(tools=ToolOptions(offered, askable))


def test_a_session_may_ask_for_built_in_tools_as_a_server_of_ours() -> None:
    line = with_own()
    told = line.update(tools=[{"type": "mcp", "server_label": "vivavoce"}])
    assert kinds(told)[1:] == [
        "mcp_list_tools.in_progress",
        "conversation.item.added",
        "mcp_list_tools.completed",
        "conversation.item.done",
    ]
    line.tell("response.create")
    calling(line, "time")
    line.finish(1)
    (call,) = line.did(CallTool)
    assert call.address is None
    assert kinds(answer(line, call))[0] == "response.mcp_call.completed"


def test_built_in_tools_of_the_server_s_settings_work_without_a_word_to_the_client() -> None:
    line = with_own(offered=CLOCK)
    line.tell("response.create")
    assert [tool.name for tool in line.did(StartReply)[0].spec.tools] == ["time"]
    assert calling(line, "time") == []
    assert line.finish(1) == []
    (call,) = line.did(CallTool)
    assert answer(line, call, "It is noon.") == []
    assert [type(action.item) for action in line.did(Read)] == [Call, CallResult]
    again = line.did(StartReply)[-1]
    assert (again.number, again.spec.id) == (1, line.did(StartReply)[0].spec.id)
    line.words(1, "Noon.")
    told = line.finish(1)
    assert kinds(told)[-1] == "response.done"
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["message"]
    assert [action.item_id for action in line.did(Forget)] == [f"{call.call_id}.call", call.call_id]


def test_hidden_tools_are_offered_only_where_the_model_is_free_to_choose() -> None:
    line = with_own(offered=CLOCK)
    line.update(tools=[{"type": "function", "name": "look"}])
    assert offered(line) == ["look", "time"]
    assert offered(line, tool_choice="required") == ["look"]
    assert offered(line, tool_choice={"type": "function", "name": "look"}) == ["look"]
    assert offered(line, tool_choice="none") == ["look"]
    line.update(tools=[{"type": "mcp", "server_label": "vivavoce"}])
    assert offered(line) == ["time"], "once, and shown"


def test_a_hidden_call_out_of_band_stays_in_its_own_context() -> None:
    line = with_own(offered=CLOCK)
    line.tell("response.create", response={"conversation": "none", "input": []})
    calling(line, "time")
    line.finish(1)
    answer(line, line.did(CallTool)[0])
    assert not line.did(Read)
    assert len(line.did(StartReply)[-1].spec.context) == 2


def test_an_interrupted_hidden_call_leaves_no_trace() -> None:
    line = with_own(offered=CLOCK)
    line.tell("response.create")
    calling(line, "time")
    line.finish(1)
    answer(line, line.did(CallTool)[0])
    told = line.fact(TurnStarted(0))
    assert kinds(told) == ["input_audio_buffer.speech_started", "response.done"]
    assert len(line.did(Forget)) == 2


# --- something rings ---


def test_when_a_timer_rings_the_assistant_speaks_by_itself() -> None:
    line = SessionLine()
    told = line.fact(TimerFired("The timer is over."))
    assert kinds(told) == ["conversation.item.added", "conversation.item.done", "response.created"]
    assert told[0]["item"]["role"] == "system"
    assert line.did(Read)[0].item == Message(told[0]["item"]["id"], "system", "The timer is over.")
    assert line.did(StartReply)[0].spec.tool_choice == "none"


def test_a_timer_does_not_cut_in() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    assert line.fact(TimerFired("The timer is over.")) == []
    line.fact(TurnEnded(24_000))
    assert line.session.response_id(1), "the answer to the turn comes first"
    line.words(1, "Yes.")
    told = line.finish(1)
    assert kinds(told)[-3:] == ["conversation.item.added", "conversation.item.done", "response.created"]
