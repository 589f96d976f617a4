"""realtime/peers/resumable.py: clients in memory that are lost and come back, on the virtual clock, around a call whose
model is scripted."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from harness import virtual_time
from harness.fakes import Line, LinePeer, ScriptedEngine
from harness.tones import ToneEngine, spans
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.peers.resumable import NOT_TAKEN, PLAIN, REPLACED, EventLog, ResumableTransport, Since
from vivavoce.realtime.session.opening import SessionRequest, new_session, random_ids
from vivavoce.realtime.transports import Ending, PeerGone
from vivavoce.realtime.transports.queues import Inbox

pytestmark = pytest.mark.integration

CALL = "rtc_1"
TEN = "One two three four five six seven eight nine ten."
WORD = SAMPLE_RATE // 2  # samples of each of the ten words


class Client:
    """A client that counts what it got, over one connection after another."""

    def __init__(self, calls: Calls, plays: bool) -> None:
        self._calls = calls
        self.peer = LinePeer(plays)
        self.events: list[dict[str, Any]] = []  # over connections that were lost

    def token(self) -> str:
        return str(self.peer.of("vivavoce.call.resumable")[-1]["token"])

    def lose(self, arrived: int | None = None, unread: int = 0) -> Since:
        """The connection breaks; of the frames that were pulled `arrived` did arrive, and the last `unread` events did
        not."""
        peer = self.peer
        got = peer.events[: len(peer.events) - unread]
        self.events += got
        peer.break_off(len(peer.played) if arrived is None else arrived)
        return Since(got[-1]["event_id"])

    async def come_back(self, since: Since, token: str | None = None) -> LinePeer:
        found = self._calls.resumable(token or self.token())
        assert found is not None
        self.peer = LinePeer(self.peer.plays)
        self._calls.resume(found, self.peer, since)
        await self.peer.until("vivavoce.call.resumed")
        return self.peer

    async def ask(self, text: str = "Count to ten.") -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.peer.tell(type="conversation.item.create", item=item)
        await self.peer.tell(type="response.create")

    def all_events(self) -> list[dict[str, Any]]:
        return [*self.events, *self.peer.events]

    def all_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.all_events() if event["type"] == kind]


Test = Callable[[Client, Calls], Awaitable[None]]


def call(
    test: Test, plays: bool = True, extras: bool = True, engine: ScriptedEngine | None = None, **settings: float
) -> ScriptedEngine:
    """Runs `test` beside a call, which has to leave nothing behind."""
    engine = engine or ScriptedEngine(lines=[Line(TEN, seconds=5.0), Line("Yes.", seconds=1.0)])

    async def main() -> None:
        async with Calls(engine, ServerConfig(**settings)) as calls:  # type: ignore[arg-type]  # all that is used of it
            client = Client(calls, plays)
            calls.reserve(CALL)
            session = new_session(plays, SessionRequest(extras=extras), random_ids(), 1000)
            calls.start(CALL, client.peer, session)
            await client.peer.until("session.created")
            await test(client, calls)
        assert not len(calls)
        assert len(asyncio.all_tasks()) == 1, "tasks were left behind"

    virtual_time.run(main())
    return engine


def sounding(peer: LinePeer) -> int:
    """Samples of speech that came out of the loudspeaker."""
    return sum(int(np.count_nonzero(frame)) for frame in peer.played)


# --- coming back ---------------------------------------------------------------------------------------------------


def test_a_half_spoken_reply_goes_on_without_a_word_lost_and_at_most_one_said_twice() -> None:
    async def test(client: Client, calls: Calls) -> None:
        first = client.peer
        await client.ask()
        await first.until("output_audio_buffer.started")
        await asyncio.sleep(1.7)
        since = client.lose(arrived=len(first.played) - 40)  # the last 0.8 s went nowhere
        arrived = sum(int(np.count_nonzero(frame)) for frame in first.played[:-40])
        await asyncio.sleep(2.5)
        second = await client.come_back(since)
        told = second.of("vivavoce.call.resumed")[0]
        await second.until("output_audio_buffer.stopped")
        repeated = arrived + sounding(second) - 10 * WORD
        assert 0 <= repeated < WORD
        assert told["audio_end_ms"] == (arrived // WORD) * 500
        assert TEN[: told["heard_chars"]] == " ".join(TEN.split()[: arrived // WORD])

    call(test)


def test_every_event_arrives_once_and_in_its_order() -> None:
    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        await client.peer.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        for unread in (3, 1):
            since = client.lose(unread=unread)
            await asyncio.sleep(1)
            await client.come_back(since)
        await client.peer.until("output_audio_buffer.stopped")
        ids = [event["event_id"] for event in client.all_events()]
        assert len(ids) == len(set(ids))
        kinds = [event["type"] for event in client.all_events()]
        assert kinds.count("session.created") == kinds.count("response.done") == 1
        deltas = [e["delta"] for e in client.all_events() if e["type"] == "response.output_audio_transcript.delta"]
        assert "".join(deltas) == TEN

    call(test)


def test_the_conversation_is_the_same() -> None:
    async def test(client: Client, calls: Calls) -> None:
        await client.ask("My name is Ada.")
        await client.peer.until("output_audio_buffer.stopped")
        await client.come_back(client.lose())
        await client.ask("What is my name?")
        await client.peer.until("output_audio_buffer.stopped")

    engine = call(test)
    (dialogue,) = engine.dialogues
    texts = [getattr(item, "text", "") for item in dialogue.items]
    assert ["My name is Ada." in text or "What is my name?" in text for text in texts].count(True) == 2


def test_nothing_counts_as_heard_while_the_client_is_away_and_the_reply_is_made_meanwhile() -> None:
    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        await client.peer.until("output_audio_buffer.started")
        since = client.lose()
        heard = sounding(client.peer)
        await asyncio.sleep(12)
        peer = await client.come_back(since)
        assert peer.of("response.done")[0]["response"]["status"] == "completed"
        assert not peer.of("output_audio_buffer.stopped")
        await peer.until("output_audio_buffer.stopped")
        assert 0 <= heard + sounding(peer) - 10 * WORD < WORD

    call(test)


def test_a_reply_whose_end_did_not_arrive_is_ended_again_and_can_be_cut() -> None:
    async def test(client: Client, calls: Calls) -> None:
        first = client.peer
        await client.ask()
        await first.until("output_audio_buffer.stopped")
        await asyncio.sleep(1)
        since = client.lose(arrived=50)
        peer = await client.come_back(since)
        await peer.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        await peer.tell(type="output_audio_buffer.clear")
        await peer.until("output_audio_buffer.cleared")
        (cut,) = client.all_of("conversation.item.truncated")
        assert 1500 <= cut["audio_end_ms"] <= 2500

    call(test)


def test_a_client_that_plays_by_itself_is_sent_the_sound_it_missed() -> None:
    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        await client.peer.until("response.output_audio.delta", 3)
        since = client.lose(unread=2)
        await asyncio.sleep(3)
        await client.come_back(since)
        await client.peer.until("response.output_audio.done")
        sound = client.all_of("response.output_audio.delta")
        assert sum(len(base64.b64decode(e["delta"])) for e in sound) == 10 * WORD * 2

    call(test, plays=False)


def test_a_client_that_notices_first_takes_over_from_its_old_connection() -> None:
    async def test(client: Client, calls: Calls) -> None:
        old = client.peer
        since = Since(old.events[-1]["event_id"])
        client.events += old.events
        await client.come_back(since)
        await asyncio.sleep(0.1)
        assert old.closed == REPLACED
        await client.ask()
        await client.peer.until("output_audio_buffer.started")
        assert not old.of("output_audio_buffer.started")

    call(test)


# --- by ear: each word is a tone of its own ------------------------------------------------------------------------

TONES = 20
TONE = 0.3  # seconds of each word


def words(*connections: list[Samples]) -> list[int]:
    """The words that came over connections, one after the other. The stump of one that was begun anew is no word."""
    played = [np.concatenate([np.zeros(0, np.float32), *frames]) for frames in connections]
    return [word for sound in played for word, seconds in spans(sound) if seconds >= 0.1]


@pytest.mark.parametrize("seed", range(12))
def test_no_word_is_lost_and_each_break_has_at_most_one_said_twice(seed: int) -> None:
    chance, breaks = random.Random(seed), seed % 4
    arrived: list[list[Samples]] = []

    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        await client.peer.until("output_audio_buffer.started")
        for _ in range(breaks):
            await asyncio.sleep(chance.uniform(0.1, 2))
            played = client.peer.played
            arrived.append(played[: max(0, len(played) - chance.randrange(60))])
            since = client.lose(len(arrived[-1]))
            await asyncio.sleep(chance.uniform(0, 3))
            await client.come_back(since)
        await client.peer.until("output_audio_buffer.stopped")
        arrived.append(client.peer.played)

    call(test, engine=ToneEngine(TONES, TONE))
    assert sorted(set(words(*arrived))) == list(range(TONES))
    assert len(words(*arrived)) <= TONES + breaks


def test_a_client_that_takes_over_from_a_good_connection_hears_each_word_once() -> None:
    heard: list[Samples] = []

    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        old = client.peer
        await old.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        await client.come_back(Since(old.events[-1]["event_id"]))
        await client.peer.until("output_audio_buffer.stopped")
        heard.extend([*old.played, *client.peer.played])
        assert old.closed == REPLACED

    call(test, engine=ToneEngine(TONES, TONE))
    assert words(heard) == list(range(TONES))


@pytest.mark.parametrize("seed", range(12))
def test_a_cut_is_remembered_at_the_word_at_which_the_voice_was_silent(seed: int) -> None:
    chance = random.Random(seed)

    async def test(client: Client, calls: Calls) -> None:
        await client.ask()
        peer = client.peer
        await peer.until("output_audio_buffer.started")
        await asyncio.sleep(chance.uniform(0.2, 5))
        await peer.tell(type="output_audio_buffer.clear")
        cut = await peer.until("vivavoce.heard")
        await asyncio.sleep(0.5)
        whole = [word for word, seconds in spans(np.concatenate(peer.played)) if seconds > 0.95 * TONE]
        assert whole == list(range(len(whole)))
        assert len(cut["text"][: cut["heard_chars"]].split()) == len(whole)

    call(test, engine=ToneEngine(TONES, TONE))


# --- what the call is told -----------------------------------------------------------------------------------------


class Notes:
    """Implements `Resumption`: notes the calls."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.frames = 0

    def offer(self, token: str, seconds: float) -> list[bytes]:
        self.told.append(f"offer {seconds:g}")
        return [b'{"type":"token","event_id":"t%d","token":"%s"}' % (len(self.told), token.encode())]

    def pulled(self) -> None:
        self.frames += 1

    def unheard(self, frames: int) -> None:
        self.told.append(f"unheard {frames}")

    def lost(self) -> None:
        self.told.append("lost")

    def resumed(self) -> list[bytes]:
        self.told.append("resumed")
        return [b'{"type":"resumed","event_id":"r"}']


def test_of_a_call_it_needs_no_more_than_a_resumption_to_report_to() -> None:
    async def main() -> None:
        first, second, notes = LinePeer(plays=True), LinePeer(plays=True), Notes()
        resumable = ResumableTransport(first, 30, notes)
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(resumable.receive(Inbox[int]()))
            speaking = tasks.create_task(resumable.speak(lambda: np.zeros(FRAME, np.float32)))
            await asyncio.sleep(1)
            resumable.send(b'{"type":"unread","event_id":"u"}')
            first.break_off(arrived=43)
            await asyncio.sleep(5)
            assert notes.told == ["offer 30", "lost"]
            assert notes.frames == (pulled := len(first.played))
            resuming = tasks.create_task(resumable.resume(second, Since("t1")))
            await second.until("token")
            assert notes.told == ["offer 30", "lost", f"unheard {pulled - 43}", "resumed", "offer 30"]
            assert second.kinds() == ["unread", "resumed", "token"]
            assert resumable.knows(second.events[-1]["token"])
            assert not resumable.knows(first.events[0]["token"])
            await asyncio.sleep(1)
            assert notes.frames == pulled + len(second.played) > pulled
            await resumable.close(Ending())
            for task in (receiving, speaking, resuming):
                task.cancel()

    virtual_time.run(main())


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_good_once_and_another_follows() -> None:
    async def test(client: Client, calls: Calls) -> None:
        used = client.token()
        await client.come_back(client.lose())
        fresh = (await client.peer.until("vivavoce.call.resumable"))["token"]
        assert fresh != used
        assert calls.resumable(used) is None
        assert calls.resumable("") is None
        found = calls.resumable(fresh)
        assert found is not None
        assert found.id == CALL

    call(test)


def test_a_token_stays_good_when_the_connection_it_was_shown_on_does_not_come_about() -> None:
    class NeverThere(LinePeer):
        async def connected(self) -> None:
            await asyncio.sleep(15)
            raise PeerGone("it did not connect")

    async def test(client: Client, calls: Calls) -> None:
        since, token = client.lose(), client.token()
        found = calls.resumable(token)
        assert found is not None
        attempts = [NeverThere(True), NeverThere(True)]
        for attempt in attempts:
            calls.resume(found, attempt, since)
            await asyncio.sleep(1)
        assert attempts[0].closed == NOT_TAKEN
        await client.come_back(since, token)
        assert attempts[1].closed == NOT_TAKEN

    call(test)


def test_strict_clients_get_no_token_and_their_call_ends_when_they_are_lost() -> None:
    async def test(client: Client, calls: Calls) -> None:
        await asyncio.sleep(1)
        assert not client.peer.of("vivavoce.call.resumable")
        client.lose()
        await asyncio.sleep(1)
        assert calls.find(CALL) is None

    call(test, extras=False)


def test_events_that_are_kept_no_more_cannot_be_sent_again() -> None:
    kept = EventLog(plays=True)
    for number in range(40):
        kept.add(b'{"event_id":"e%d","delta":"%s"}' % (number, b"x" * (PLAIN // 20)))
    assert kept.after("e1") is None
    assert kept.after("unknown") is None
    assert kept.after(None) == []
    assert kept.after("e39") == []
    assert [text[13:16] for text in kept.after("e36") or ()] == [b"e37", b"e38", b"e39"]


# --- leaving -----------------------------------------------------------------------------------------------------


def test_a_goodbye_ends_the_call_at_once() -> None:
    async def test(client: Client, calls: Calls) -> None:
        client.peer.leave()
        await asyncio.sleep(0.1)
        assert calls.find(CALL) is None
        assert calls.resumable(client.token()) is None

    call(test)


@pytest.mark.parametrize("speaking", [False, True])
def test_a_client_that_does_not_come_back_in_time_is_given_up_and_its_place_is_free(speaking: bool) -> None:
    async def test(client: Client, calls: Calls) -> None:
        if speaking:
            await client.ask()
            await client.peer.until("output_audio_buffer.started")
        token = client.token()
        client.lose()
        await asyncio.sleep(29.9)
        assert len(calls) == 1
        assert calls.resumable(token) is not None
        await asyncio.sleep(0.2)
        assert not len(calls)
        assert calls.resumable(token) is None

    call(test)


def test_a_call_that_is_hung_up_while_its_peer_is_away_ends() -> None:
    async def test(client: Client, calls: Calls) -> None:
        client.lose()
        await asyncio.sleep(1)
        assert calls.hang_up(CALL)
        await asyncio.sleep(0.1)
        assert not len(calls)

    call(test)


def test_without_a_window_a_lost_client_is_not_waited_for() -> None:
    async def test(client: Client, calls: Calls) -> None:
        client.lose()
        await asyncio.sleep(0.1)
        assert not len(calls)

    call(test, resume_window=0)
