"""A call that goes on over another connection: the real gateway, real peers, and a model of tones.

One proof for each wire and each way, on the virtual clock; test_resumable.py has the many cases, and
tests/web/test_resume_page.py a Chromium in real time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets

from harness import memory_network
from harness.gateway import Running, gateway
from harness.log_lines import log_lines
from harness.peer import Peer
from harness.tones import ToneEngine, spans
from vivavoce.realtime.transports import webrtc

pytestmark = pytest.mark.slow

ASK = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go."}]}
WORDS, WORD = 6, 0.3  # of each reply; seconds of each word
SDP = {"Content-Type": "application/sdp"}


def run(test: Callable[[Running], Awaitable[None]], **settings: object) -> None:
    """Runs `test` against a gateway, which must leave nothing behind and name the call in each log line."""

    async def main() -> None:
        async with gateway(ToneEngine(WORDS, WORD), **settings) as running:  # type: ignore[arg-type]
            await test(running)
            await running.idle()

    with log_lines() as seen:
        memory_network.run(main())
    assert seen.without_call() <= {"ready"}


def offering(running: Running, **query: str) -> Callable[[str], Awaitable[str]]:
    async def post(sdp: str) -> str:
        response = await running.http.post(
            "/v1/realtime/calls", params={"extras": "true", **query}, content=sdp, headers=SDP
        )
        assert response.status_code == 201, response.text
        return response.text

    return post


async def refusal(running: Running, **query: str) -> tuple[int, str]:
    peer = Peer()
    response = await running.http.post("/v1/realtime/calls", params=query, content=await peer.offer(), headers=SDP)
    await peer.close()
    return response.status_code, str(response.json()["error"]["code"])


def begin(peer: Peer) -> None:
    peer.send({"type": "conversation.item.create", "item": ASK})
    peer.send({"type": "response.create"})


def token(peer: Peer) -> str:
    return str([event["token"] for event in peer.events if event["type"] == "vivavoce.call.resumable"][-1])


def heard(*peers: Peer) -> list[int]:
    """Words. The stump of one that was begun anew, or that a lost packet blurred, is no word."""
    return [word for peer in peers for word, seconds in spans(peer.recorded()) if seconds >= 0.1]


def test_a_reply_goes_on_after_the_plug_was_pulled() -> None:
    async def test(running: Running) -> None:
        first, second = Peer(), Peer()
        await first.connect(offering(running))
        await first.event("vivavoce.call.resumable")
        begin(first)
        await first.event("output_audio_buffer.started")
        await asyncio.sleep(0.8)
        await first.vanish()
        await asyncio.sleep(0.5)  # the server goes on sending
        await second.connect(offering(running, resume=token(first), received=first.events[-1]["event_id"]))
        await second.event("vivavoce.call.resumed")
        await second.event("output_audio_buffer.stopped", timeout=20)
        await asyncio.sleep(0.3)
        words = heard(first, second)
        assert sorted(set(words)) == list(range(WORDS)), "no word is lost"
        assert len(words) <= WORDS + 1, "one word is said twice at most"
        ids = [event["event_id"] for event in [*first.events, *second.events]]
        assert len(ids) == len(set(ids))
        await second.close()

    run(test)


def test_a_peer_whose_network_changed_takes_over_and_its_old_connection_is_closed() -> None:
    async def test(running: Running) -> None:
        first, second = Peer(codec="PCMU"), Peer(codec="PCMU")
        await first.connect(offering(running))
        await first.event("vivavoce.call.resumable")
        begin(first)
        await first.event("output_audio_buffer.started")
        await asyncio.sleep(0.6)
        await second.connect(offering(running, resume=token(first), received=first.events[-1]["event_id"]))
        async with asyncio.timeout(20):
            await first.closed.wait()
        await second.event("output_audio_buffer.stopped", timeout=20)
        assert sorted(set(heard(first, second))) == list(range(WORDS))
        assert (await running.http.get("/readyz")).json()["calls"] == 1
        await first.close()
        await second.close()

    run(test)


def test_tokens_that_are_wrong_used_or_for_another_kind_of_connection_are_refused() -> None:
    async def test(running: Running) -> None:
        first, second = Peer(), Peer()
        await first.connect(offering(running))
        await first.event("vivavoce.call.resumable")
        used = token(first)
        assert await refusal(running, resume="nonsense") == (404, "resume_token_unknown")
        assert await refusal(running, resume=used, received="event_never") == (409, "resume_events_lost")
        assert await refusal(running, resume=used, played="soon") == (400, "invalid_value")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{running.websocket}?resume={used}")
        assert refused.value.response.status_code == 409
        await second.connect(offering(running, resume=used))
        await second.event("vivavoce.call.resumed")
        assert await refusal(running, resume=used) == (404, "resume_token_unknown")
        await first.close()
        await second.close()

    run(test)


def test_a_token_does_not_stand_in_for_the_key() -> None:
    async def test(running: Running) -> None:
        assert (await refusal(running, resume="nonsense"))[0] == 401

    run(test, keys=("sesame",))


def test_a_peer_that_never_comes_back_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "SILENT", 1)

    async def test(running: Running) -> None:
        peer = Peer()
        await peer.connect(offering(running))
        begin(peer)
        await peer.event("output_audio_buffer.started")
        await peer.vanish()
        await running.idle(patience=60)

    run(test, resume_window=0.2)


def test_a_socket_that_broke_goes_on_over_another() -> None:
    async def test(running: Running) -> None:
        events: list[dict[str, Any]] = []

        async def until(socket: websockets.ClientConnection, kind: str, count: int = 1) -> None:
            async with asyncio.timeout(20):
                while [event["type"] for event in events].count(kind) < count:
                    events.append(json.loads(await socket.recv()))

        first = await websockets.connect(f"{running.websocket}?extras=true")
        await until(first, "vivavoce.call.resumable")
        await first.send(json.dumps({"type": "conversation.item.create", "item": ASK}))
        await first.send(json.dumps({"type": "response.create"}))
        await until(first, "response.output_audio.delta", 5)
        first.transport.abort()
        await asyncio.sleep(0.5)
        resume = next(event["token"] for event in events if event["type"] == "vivavoce.call.resumable")
        url = f"{running.websocket}?extras=true&resume={resume}&received={events[-1]['event_id']}"
        async with websockets.connect(url) as second:
            await until(second, "vivavoce.call.resumed")
            await until(second, "response.done")
        text = "".join(e["delta"] for e in events if e["type"] == "response.output_audio_transcript.delta")
        assert text == " ".join(f"w{word:02d}" for word in range(WORDS))
        assert len({event["event_id"] for event in events}) == len(events)

    run(test)


def test_a_cut_is_remembered_at_the_word_at_which_the_voice_was_silent() -> None:
    async def test(running: Running) -> None:
        peer = Peer()
        await peer.connect(offering(running))
        begin(peer)
        await peer.event("output_audio_buffer.started")
        await asyncio.sleep(1)
        peer.send({"type": "output_audio_buffer.clear"})
        cut = await peer.event("vivavoce.heard")
        await asyncio.sleep(0.5)
        await peer.close()
        whole = [word for word, seconds in spans(peer.recorded()) if seconds >= 0.8 * WORD]
        remembered = len(cut["text"][: cut["heard_chars"]].split())
        assert abs(remembered - (max(whole, default=-1) + 1)) <= 1

    run(test)
