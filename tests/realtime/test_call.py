"""realtime/call.py: places among the calls, and a client that is lost and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from harness import virtual_time
from harness.fakes import LinePeer, ScriptedDialogue, ScriptedEngine
from vivavoce.codecs.audio import FRAME
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.call import PLACES, Busy, Calls, ClientResumption
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.session.opening import NewSession, SessionRequest, new_session, random_ids

pytestmark = pytest.mark.integration

WORDS = 5
WORD = 10  # frames


def speaking() -> tuple[Playout, ClientResumption]:
    """A call that has a reply of five words to play, ten frames each."""
    playout = Playout()
    session = new_session(True, SessionRequest(extras=True), random_ids(), 1000).begin(playout)
    ends = tuple(WordEnd(4 * n, n * WORD * FRAME) for n in range(1, WORDS + 1))
    playout.push(1, AudioToken(np.full(WORDS * WORD * FRAME, 0.1, np.float32), ends))
    return playout, ClientResumption(session, playout)


def pull(playout: Playout, resumption: ClientResumption, frames: int) -> int:
    """Frames of sound, of those pulled."""
    sounding = 0
    for _ in range(frames):
        sounding += bool(playout.take(FRAME).samples.any())
        resumption.pulled()
    return sounding


def test_frames_that_were_not_heard_are_played_again_from_a_words_beginning() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    resumption.unheard(12)  # 23 were heard: two words, and a piece of the third
    assert playout.heard(1) == (2 * WORD * FRAME, 8)
    assert pull(playout, resumption, 100) == 3 * WORD


def test_frames_are_counted_from_where_the_playout_was_rewound_to() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    resumption.unheard(12)
    pull(playout, resumption, 4)
    resumption.unheard(4)  # nothing of the second connection was heard
    assert playout.heard(1) == (2 * WORD * FRAME, 8)
    pull(playout, resumption, 15)
    resumption.unheard(4)
    assert playout.heard(1) == (3 * WORD * FRAME, 12)


def test_frames_further_back_than_is_remembered_are_played_from_the_oldest_on() -> None:
    playout, resumption = speaking()
    resumption.unheard(1)  # before anything was pulled
    pull(playout, resumption, 35)
    resumption.unheard(2 * PLACES)
    assert playout.heard(1) == (0, 0)


def test_while_the_client_is_away_the_playout_knows_it() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    away = []
    resumption.lost()
    away.append(playout.away)
    (event,) = map(json.loads, resumption.resumed())
    away.append(playout.away)
    assert away == [True, False]
    assert event["type"] == "vivavoce.call.resumed"
    (offer,) = map(json.loads, resumption.offer("secret", 30.0))
    assert (offer["type"], offer["token"], offer["seconds"]) == ("vivavoce.call.resumable", "secret", 30.0)


# --- places ------------------------------------------------------------------------------------------------------


class SlowToClose(ScriptedEngine):
    """Models whose dialogues take a second to close, and hold one of `slots` until then."""

    slots = 1

    def open(self) -> ScriptedDialogue:
        if sum(not dialogue.closed for dialogue in self.dialogues) >= self.slots:
            raise DialogueError("All conversations of the model are taken.")
        dialogue = super().open()

        async def close() -> None:
            await asyncio.sleep(1)
            dialogue.closed = True

        dialogue.close = close  # type: ignore[method-assign]
        return dialogue


def session() -> NewSession:
    return new_session(True, SessionRequest(extras=True), random_ids(), 1000)


async def connected(calls: Calls, name: str) -> LinePeer:
    """A call that has its first event."""
    calls.reserve(name)
    peer = LinePeer(plays=True)
    calls.start(name, peer, session())
    await peer.until("session.created")
    return peer


def among_calls(engine: ScriptedEngine, test: Callable[[Calls], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        async with Calls(engine, ServerConfig(**settings)) as calls:  # type: ignore[arg-type]  # all that is used of it
            await test(calls)

    virtual_time.run(main())


def test_a_place_is_free_at_the_goodbye_and_the_next_call_waits_for_the_models_slot() -> None:
    async def test(calls: Calls) -> None:
        (await connected(calls, "first")).leave()
        await asyncio.sleep(0.1)
        assert len(calls) == 0
        began = asyncio.get_running_loop().time()
        await connected(calls, "second")
        assert asyncio.get_running_loop().time() - began < 1.5

    among_calls(SlowToClose(), test, max_sessions=1)


def test_a_slot_that_no_leaving_call_will_free_is_not_waited_for() -> None:
    async def test(calls: Calls) -> None:
        await connected(calls, "first")
        calls.reserve("second")
        peer = LinePeer(plays=True)
        calls.start("second", peer, session())
        told = await peer.until("vivavoce.closing")
        assert told["reason"] == "busy"

    among_calls(SlowToClose(), test, max_sessions=2)


def test_a_call_whose_peer_is_lost_gives_way_to_one_that_would_be_refused() -> None:
    async def test(calls: Calls) -> None:
        lost = await connected(calls, "lost")
        with pytest.raises(Busy):
            calls.reserve("second")
        lost.break_off(0)
        await asyncio.sleep(0.1)
        assert len(calls) == 1, "it is waited for"
        await connected(calls, "second")
        assert len(calls) == 1
        await asyncio.sleep(2)
        assert calls.find("lost") is None

    among_calls(ScriptedEngine(), test, max_sessions=1)


@pytest.mark.parametrize("state", ["talking", "silent for a minute", "lost", "none"])
def test_late_models_refuse_a_call_only_where_another_one_is_talking(state: str) -> None:
    engine = ScriptedEngine()

    async def test(calls: Calls) -> None:
        if state != "none":
            peer = await connected(calls, "first")
            if state == "silent for a minute":
                await asyncio.sleep(60)
            elif state == "lost":
                peer.break_off(0)
                await asyncio.sleep(0.1)
        engine.lateness = 5.0
        if state == "talking":
            with pytest.raises(Busy):
                calls.reserve("second")
        else:
            calls.reserve("second")
            calls.release("second")

    among_calls(engine, test, max_sessions=4)
