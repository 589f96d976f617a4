"""Our message types against the official client's: the same events, and no required field is missing."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest

from harness.session_line import accepted, official
from vivavoce.realtime.wire import ClientEvent, ServerEvent, items
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire import response_events as re
from vivavoce.realtime.wire import server_events as se

NOT_SENT = {"conversation.item.created"}  # of the protocol before its general availability


def by_type(union: Any) -> dict[str, Any]:
    return {str(event.__struct_config__.tag): event for event in typing.get_args(union)}


def test_the_client_events_are_the_official_ones() -> None:
    from openai.types import realtime

    official = typing.get_args(typing.get_args(realtime.RealtimeClientEvent)[0])
    names = {typing.get_args(model.model_fields["type"].annotation)[0] for model in official}
    assert set(by_type(ClientEvent)) == names


def test_the_server_events_are_the_official_ones_and_ours() -> None:
    ours = set(by_type(ServerEvent))
    assert ours - set(official()) == {
        "vivavoce.heard",
        "vivavoce.transcript.partial",
        "vivavoce.turn.latency",
        "vivavoce.seen",
        "vivavoce.call.resumable",
        "vivavoce.call.resumed",
        "vivavoce.recording.started",
        "vivavoce.closing",
    }
    assert set(official()) - ours == NOT_SENT


@pytest.mark.parametrize("kind", sorted(kind for kind in by_type(ServerEvent) if not kind.startswith("vivavoce.")))
def test_no_field_is_missing(kind: str) -> None:
    needed = {name for name, info in official()[kind].model_fields.items() if info.is_required()}
    assert needed - {"type"} <= set(by_type(ServerEvent)[kind].__struct_fields__)


LISTED = items.McpListItem(
    id="i", server_label="s", tools=[items.McpToolInfo(name="t", description="d", input_schema={})]
)
CALLED = items.McpCallItem(
    id="i", server_label="s", name="n", arguments="{}", error=items.McpHttpError(code=500, message="m")
)
EVENTS: list[Any] = [
    se.ConversationCreated(conversation=se.ConversationRef(id="conv")),
    se.RateLimitsUpdated(rate_limits=[se.RateLimit(name="tokens", limit=10, remaining=5, reset_seconds=1.5)]),
    se.TranscriptionFailed(
        item_id="i", content_index=0, error=se.TranscriptionFault(type="server_error", code="c", message="m")
    ),
    se.TranscriptionSegment(item_id="i", content_index=0, id="s", text="t", speaker="A", start=0.0, end=1.0),
    se.DtmfReceived(event="#", received_at=1),
    se.ItemAdded(previous_item_id=None, item=LISTED),
    se.ItemDone(previous_item_id="a", item=CALLED),
    se.ItemRetrieved(item=items.McpApprovalRequestItem(id="i", server_label="s", name="n", arguments="{}")),
    se.TurnLatency(response_id="r", marks={"endpoint": 200.0}),
    se.PictureSeen(
        response_id="r",
        source="camera",
        at_ms=1500,
        age_ms=-20.5,
        report="photo; 1 cat (centre)",
        things=[se.SeenThing(name="cat", box=(0.1, 0.2, 0.5, 0.75))],
    ),
    se.Closing(reason="idle", message="Nobody spoke."),
    re.McpArgumentsDelta(response_id="r", output_index=0, item_id="i", delta="{", obfuscation=""),
    re.McpArgumentsDone(response_id="r", output_index=0, item_id="i", arguments="{}"),
    re.McpCallStarted(item_id="i", output_index=0),
    re.McpCallCompleted(item_id="i", output_index=0),
    re.McpCallFailed(item_id="i", output_index=0),
    re.McpListStarted(item_id="i"),
    re.McpListCompleted(item_id="i"),
    re.McpListFailed(item_id="i"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.__struct_config__.tag))
def test_events_that_are_rarely_or_never_sent_are_read_by_the_official_client(event: Any) -> None:
    sent = event if isinstance(event, se.DtmfReceived) else msgspec.structs.replace(event, event_id="e")
    assert accepted(wire.encode(sent))["type"] == event.__struct_config__.tag


def test_messages_are_values() -> None:
    event = se.AudioCleared()
    with pytest.raises(AttributeError):
        event.event_id = "x"  # type: ignore[misc]
    assert event == se.AudioCleared()
