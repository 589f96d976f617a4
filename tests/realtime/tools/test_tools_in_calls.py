"""Whole calls on the virtual clock, with tools of the server: dead air, interruption, timers, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from harness import virtual_time
from harness.fakes import Line, LinePeer, ScriptedDialogue, complete, energy
from harness.tools import LOOK_UP, Reaction, ScriptedServers, runner
from vivavoce.model.dialogue import CallResult, ToolCall
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session
from vivavoce.realtime.tools.builtin import listed
from vivavoce.realtime.tools.runner import MAX_CONCURRENT
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

pytestmark = pytest.mark.integration

Test = Callable[[LinePeer], Awaitable[None]]

SERVER = {
    "type": "mcp",
    "server_label": "web",
    "server_url": "https://tools.example/mcp",
    "require_approval": "never",
}


def calls(name: str, arguments: str = "{}") -> Line:
    """The model calls a tool instead of speaking."""
    return Line("", calls=ToolCall(f"call_{name}", name, arguments, final=True))


def call(test: Test, dialogue: ScriptedDialogue, servers: ScriptedServers | None = None) -> LinePeer:
    """Runs `test` as the peer of a WebRTC-like call with all built-in tools, and with a server if there are any."""

    async def main() -> LinePeer:
        peer = LinePeer(plays=True)
        playout, numbers = Playout(), count(1)
        config: dict[str, Any] = {"tools": [SERVER]} if servers else {}
        options = ToolOptions(offered=listed(["all"]))
        ids = Ids(lambda: str(next(numbers)))
        session = new_session(
            True, SessionRequest(config=config, extras=True), ids, 1_000, defaults=SessionDefaults(options)
        ).begin(playout)
        listener = MicrophoneWindows(energy, Floor(None))
        tools = runner(servers)
        parts = Parts(
            Peers(peer),
            dialogue,
            session,
            playout,
            listener,
            Classifiers(complete, listener),
            TurnLatency(),
            tools,
            Watchdog(playout),
        )

        async def scenario() -> None:
            await peer.until("session.created")
            if servers:
                await peer.until("mcp_list_tools.completed")
            await test(peer)
            peer.leave()

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(Pipeline(parts).run())
                tasks.create_task(scenario())
        except* PeerGone:
            pass
        assert len(asyncio.all_tasks()) == 1, "the call left tasks behind"
        return peer

    return virtual_time.run(main())


async def ask(peer: LinePeer) -> None:
    await peer.say(1.0)
    await peer.pause(0.8)


def spoken(peer: LinePeer) -> list[str]:
    return [event["transcript"] for event in peer.of("response.output_audio_transcript.done")]


def test_a_built_in_tool_answers_within_the_turn() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    dialogue = ScriptedDialogue(["what time is it"], [calls("time"), Line("Five past twelve.")])
    peer = call(test, dialogue)
    assert spoken(peer) == ["Five past twelve."]
    assert len(peer.of("response.created")) == 1
    (done,) = peer.of("response.done")
    assert [item["type"] for item in done["response"]["output"]] == ["message"]
    assert dialogue.items == [], "the model keeps nothing that clients do not know of"


def test_a_quick_tool_needs_no_filler() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    servers = ScriptedServers({"look_up": Reaction(seconds=0.7)})
    peer = call(test, ScriptedDialogue(["look it up"], [calls("look_up"), Line("It is 42.")]), servers)
    assert spoken(peer) == ["It is 42."]


def test_a_slow_tool_is_bridged_by_a_filler() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        began = asyncio.get_running_loop().time()
        await peer.until("output_audio_buffer.started")
        silences.append(asyncio.get_running_loop().time() - began)
        await peer.until("output_audio_buffer.stopped", 2)

    silences: list[float] = []
    servers = ScriptedServers({"look_up": Reaction(seconds=8.0)})
    dialogue = ScriptedDialogue(["look it up"], [calls("look_up"), Line("It is 42.")])
    peer = call(test, dialogue, servers)
    assert spoken(peer) == ["One moment, I'm looking that up.", "It is 42."]
    assert silences[0] < 2.0
    assert len(peer.of("response.mcp_call.completed")) == 1
    kinds = peer.kinds()
    assert kinds.index("response.mcp_call.completed") < kinds.index("response.done")
    result = next(item for item in dialogue.items if isinstance(item, CallResult))
    assert result.output == "42"


def test_a_barge_in_stops_the_tool_and_gets_an_answer() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("response.mcp_call.in_progress")
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    servers = ScriptedServers({"look_up": Reaction(seconds=20.0)})
    lines = [calls("look_up"), Line("Never mind, then.")]
    peer = call(test, ScriptedDialogue(["look it up", "never mind"], lines), servers)
    assert servers.cancelled == 1
    first, second = peer.of("response.done")
    assert first["response"]["status_details"]["reason"] == "turn_detected"
    assert second["response"]["status"] == "completed"
    assert spoken(peer)[-1] == "Never mind, then."


def test_cutting_the_filler_keeps_what_was_heard_of_it() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.started")
        await peer.pause(0.7)
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    servers = ScriptedServers({"look_up": Reaction(seconds=20.0)})
    dialogue = ScriptedDialogue(["look it up", "stop"], [calls("look_up"), Line("Fine.")])
    peer = call(test, dialogue, servers)
    (cut,) = dialogue.cuts
    assert 0 < cut.chars < len("One moment, I'm looking that up.")
    assert peer.of("conversation.item.truncated")
    assert servers.cancelled == 1


def test_a_peer_who_leaves_cancels_its_tools() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("response.mcp_call.in_progress")

    servers = ScriptedServers({"look_up": Reaction(seconds=20.0)})
    call(test, ScriptedDialogue(["look it up"], [calls("look_up")]), servers)
    assert servers.cancelled == 1


def test_a_timer_fires_in_silence() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")
        set_at = asyncio.get_running_loop().time()
        await peer.pause(6.0)
        await peer.until("output_audio_buffer.stopped", 2)
        fired.append(asyncio.get_running_loop().time() - set_at)

    fired: list[float] = []
    timer = calls("set_timer", '{"amount": 5, "unit": "seconds", "name": "tea"}')
    lines = [timer, Line("Set.", seconds=0.5), Line("Your tea is ready.", seconds=1.0)]
    dialogue = ScriptedDialogue(["set a timer"], lines)
    peer = call(test, dialogue)
    assert spoken(peer) == ["Set.", "Your tea is ready."]
    notice = [e["item"] for e in peer.of("conversation.item.done") if e["item"].get("role") == "system"]
    assert notice[0]["content"][0]["text"].startswith('The timer "tea" of 5 seconds is over now.')
    assert fired[0] < 7.5
    assert dialogue.specs[-1].tool_choice == "none"


def test_a_cancelled_timer_does_not_fire() -> None:
    async def test(peer: LinePeer) -> None:
        for turn in (1, 2):
            await ask(peer)
            await peer.until("output_audio_buffer.stopped", turn)
        await peer.pause(20.0)

    timer = calls("set_timer", '{"amount": 10, "unit": "seconds"}')
    lines = [timer, Line("Set."), calls("cancel_timer", '{"which": "1"}'), Line("Stopped.")]
    peer = call(test, ScriptedDialogue(["set a timer", "stop it"], lines))
    assert spoken(peer) == ["Set.", "Stopped."]


def test_calls_of_one_reply_wait_for_their_turn() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tools.attach(tasks, facts.append)
            for number in range(MAX_CONCURRENT + 3):
                tools.perform(CallTool(1, f"c{number}", Address("https://x.example"), "look_up", "{}"))
            assert tools.calls
        assert not tools.calls
        tools.detach()

    from vivavoce.realtime.events import Address, CallTool

    facts: list[Any] = []
    servers = ScriptedServers()
    tools = runner(servers)
    virtual_time.run(main())
    assert servers.most == MAX_CONCURRENT
    assert len(facts) == MAX_CONCURRENT + 3


def test_a_bug_in_a_tool_fails_this_tool_call_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("output_audio_buffer.stopped")

    async def broken(self: object, name: str, arguments: str, now: float) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr("vivavoce.realtime.tools.builtin.BuiltIn.call", broken)
    peer = call(test, ScriptedDialogue(["time"], [calls("time"), Line("Sorry.")]))
    assert spoken(peer) == ["Sorry."]


def test_the_tools_of_a_server_are_offered_once_they_are_listed() -> None:
    async def test(peer: LinePeer) -> None:
        await ask(peer)
        await peer.until("response.done")

    servers = ScriptedServers(tools=(LOOK_UP,))
    dialogue = ScriptedDialogue(["hello"])
    call(test, dialogue, servers)
    assert "look_up" in {tool.name for tool in dialogue.specs[0].tools}
    assert servers.addresses[0].url == SERVER["server_url"]
