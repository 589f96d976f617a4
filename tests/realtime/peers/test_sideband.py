"""realtime/peers/sideband.py: peers in memory, on the virtual clock, around a call whose model is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness import virtual_time
from harness.fakes import Line, LinePeer, ScriptedEngine
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.call import IDLE, Call, Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.peers.sideband import MAX_SIDEBANDS, TOO_SLOW, TooManySidebands
from vivavoce.realtime.session.opening import SessionRequest, new_session, random_ids
from vivavoce.realtime.transports import CloseReason, Ending, PeerGone

CALL = "rtc_1"
Test = Callable[[LinePeer, Call], Awaitable[None]]


class Sideband(LinePeer):
    """A peer that reads along. `slow`: it takes this many events and then no more."""

    def __init__(self, slow: int | None = None) -> None:
        super().__init__(plays=False)
        self._slow = slow

    def send(self, text: bytes) -> None:
        if self._slow is not None and len(self.events) >= self._slow:
            raise PeerGone("reads too slowly")
        super().send(text)


def call(
    test: Test,
    plays: bool = True,
    engine: ScriptedEngine | None = None,
    make: type[LinePeer] = LinePeer,
    **settings: float,
) -> LinePeer:
    """Runs `test` beside a call; returns the call's own peer."""
    engine = engine or ScriptedEngine(lines=[Line("That is five.", seconds=1.0)])

    async def main() -> LinePeer:
        peer = make(plays)
        # LOUD is no sound that survives an echo canceller's filters.
        config = ServerConfig(echo_cancellation="off", **settings)  # type: ignore[arg-type]  # all that is used of it
        async with Calls(engine, config) as calls:  # type: ignore[arg-type]  # all that is used of it
            calls.reserve(CALL)
            session = new_session(plays, SessionRequest(extras=True), random_ids(), 1000)
            calls.start(CALL, peer, session)
            await peer.until("session.created")
            party = calls.find(CALL)
            assert party is not None
            await test(peer, party)
        assert calls.find(CALL) is None
        assert len(asyncio.all_tasks()) == 1, "tasks were left behind"
        return peer

    return virtual_time.run(main())


async def with_sideband(party: Call, sideband: LinePeer, test: Awaitable[Any], extras: bool = True) -> None:
    """Runs `test` while a sideband reads along; it leaves afterwards."""
    async with asyncio.TaskGroup() as tasks:
        joined = tasks.create_task(party.join(sideband, extras))
        await sideband.until("session.created")
        await test
        sideband.leave()
        await joined


def ours(peer: LinePeer) -> list[str]:
    return [kind for kind in peer.kinds() if kind.startswith("vivavoce.")]


def test_a_sideband_learns_the_settings_of_now_first_and_then_reads_along() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        await peer.tell(type="session.update", session={"type": "realtime", "instructions": "Be brief."})
        await peer.until("session.updated")
        before = len(peer.events)

        async def turn() -> None:
            await peer.say(1)
            await peer.pause(0.8)
            await peer.until("output_audio_buffer.stopped")

        await with_sideband(party, sideband, turn())
        assert sideband.events[1:] == peer.events[before:]

    call(test)
    assert sideband.events[0]["type"] == "session.created"
    assert sideband.events[0]["session"]["instructions"] == "Be brief."
    assert sideband.kinds().count("session.created") == 1


def test_a_sideband_of_a_socket_gets_everything_but_sound() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        async def turn() -> None:
            await peer.say(1)
            await peer.pause(0.8)
            await peer.until("response.done")

        await with_sideband(party, sideband, turn())

    peer = call(test, plays=False)
    assert peer.of("response.output_audio.delta")
    assert not sideband.of("response.output_audio.delta")
    assert sideband.of("response.output_audio.done") == peer.of("response.output_audio.done")


def test_a_sideband_may_send_events_and_all_peers_see_what_follows() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        async def ask() -> None:
            await sideband.tell(type="response.create", response={"output_modalities": ["text"]})
            for reader in (peer, sideband):
                assert (await reader.until("response.done"))["response"]["status"] == "completed"

        await with_sideband(party, sideband, ask())

    call(test)


def test_our_own_events_go_to_those_who_understand_them() -> None:
    strict, ours_too = Sideband(), Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        async def turn() -> None:
            await peer.say(1)
            await peer.pause(0.8)
            await peer.until("vivavoce.turn.latency")

        await with_sideband(party, strict, with_sideband(party, ours_too, turn()), extras=False)

    call(test)
    assert ours(ours_too)
    assert not ours(strict)


def test_sound_is_retrieved_on_the_sideband_and_not_on_the_data_channel() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        async def turn() -> None:
            await peer.say(1)
            await peer.pause(0.8)
            item_id = (await peer.until("input_audio_buffer.committed"))["item_id"]
            await peer.until("output_audio_buffer.stopped")
            await sideband.tell(type="conversation.item.retrieve", item_id=item_id)
            await sideband.tell(
                type="conversation.item.create",
                item={"type": "function_call", "name": "f", "arguments": "{}", "id": "f"},
            )
            await sideband.tell(type="conversation.item.retrieve", item_id="f")
            await sideband.until("conversation.item.retrieved", count=2)

        await with_sideband(party, sideband, turn())

    peer = call(test)
    (whole, named), (bare, same) = (reader.of("conversation.item.retrieved") for reader in (sideband, peer))
    assert whole["item"]["content"][0].pop("audio")
    assert whole == bare
    assert named == same


@pytest.mark.parametrize("takes", [0, 1, 3])
def test_a_slow_sideband_is_dropped_and_the_call_goes_on(takes: int) -> None:
    sideband = Sideband(slow=takes)

    async def test(peer: LinePeer, party: Call) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(party.join(sideband, extras=True))
            await peer.say(1)
            await peer.pause(0.8)
            await peer.until("output_audio_buffer.stopped")

    call(test)
    assert sideband.closed == TOO_SLOW
    assert len(sideband.events) == takes


def test_when_the_call_ends_its_sidebands_are_told_why() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        await party.join(sideband, extras=True)  # until the call has been idle for too long

    peer = call(test, idle_timeout=5.0)
    assert sideband.closed == peer.closed
    assert sideband.closed == IDLE
    assert sideband.kinds()[-1] == "vivavoce.closing"


def test_a_sideband_that_joins_a_call_that_is_ending_is_sent_away() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        peer.leave()
        while not peer.closed:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0)
        await party.join(sideband, extras=True)

    call(test)
    assert sideband.closed == Ending()


def test_a_session_that_is_too_old_says_so_to_all_peers_before_it_closes() -> None:
    sideband = Sideband()

    async def test(peer: LinePeer, party: Call) -> None:
        await party.join(sideband, extras=False)

    peer = call(test, max_duration=10.0)
    for reader in (peer, sideband):
        (error,) = reader.of("error")
        assert error["error"]["code"] == "session_expired"
        assert reader.closed is not None
        assert reader.closed.reason is CloseReason.EXPIRED


def test_room_for_sidebands_is_limited_and_is_given_back() -> None:
    async def test(peer: LinePeer, party: Call) -> None:
        reserved = [party.peers.reserve() for _ in range(MAX_SIDEBANDS)]
        for one in reserved:
            one.__enter__()
        with pytest.raises(TooManySidebands, match=str(MAX_SIDEBANDS)), party.peers.reserve():
            pass
        reserved[0].__exit__(None, None, None)
        with party.peers.reserve():
            pass

    call(test)


def test_an_asr_that_fails_is_reported_and_the_call_goes_on() -> None:
    async def test(peer: LinePeer, party: Call) -> None:
        transcription = {"model": "whisper-1"}
        session = {"type": "realtime", "audio": {"input": {"transcription": transcription}}}
        await peer.tell(type="session.update", session=session)
        for count, kind in enumerate(("failed", "completed"), 1):
            await peer.say(1)
            await peer.pause(0.8)
            await peer.until(f"conversation.item.input_audio_transcription.{kind}")
            await peer.until("response.done", count)

    engine = ScriptedEngine([DialogueError("What you said could not be recognised."), "hello"])
    peer = call(test, engine=engine)
    (failed,) = peer.of("conversation.item.input_audio_transcription.failed")
    assert failed["error"] == {
        "type": "server_error",
        "code": "transcription_failed",
        "message": "What you said could not be recognised.",
    }


def test_a_peer_that_cannot_even_be_closed_ends_its_own_call_only() -> None:
    async def test(peer: LinePeer, party: Call) -> None:
        peer.leave()

    class Stuck(LinePeer):
        async def close(self, ending: Ending) -> None:
            raise OSError("the connection is in a strange state")

    assert call(test, make=Stuck).closed is None
