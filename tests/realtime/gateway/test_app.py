"""The gateway with real peers and real models: turns over both transports, and what it does with bad input.

After each test the gateway must be idle again, tasks and threads back to where they were.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets
from starlette.testclient import TestClient

from harness.gateway import Running, gateway
from harness.peer import Peer
from harness.scripted_llm import FIVE, ScriptedLlm
from harness.speech import Listener, Speaker, agrees, silence
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.app import Gateway

pytestmark = [pytest.mark.models, pytest.mark.slow]

SEMANTIC = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}


def run(engine: Engine, test: Callable[[Running], Awaitable[None]], **settings: Any) -> None:
    """Runs `test` against a gateway, and checks that it leaves nothing behind."""

    async def main() -> None:
        async with gateway(engine, **settings) as running:
            await test(running)
            await running.idle()

    asyncio.run(main())


def pcm(samples: Samples) -> str:
    return base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()


class Socket:
    """A WebSocket client that sends sound and collects events."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self._connection = connection
        self.events: list[dict[str, Any]] = []

    async def send(self, **event: Any) -> None:
        await self._connection.send(json.dumps(event))

    async def say(self, samples: Samples) -> None:
        for start in range(0, len(samples), SAMPLE_RATE // 10):
            await self.send(type="input_audio_buffer.append", audio=pcm(samples[start : start + SAMPLE_RATE // 10]))

    async def until(self, kind: str, seconds: float = 30) -> dict[str, Any]:
        """Waits for the next event of this type."""
        async with asyncio.timeout(seconds):
            while True:
                event: dict[str, Any] = json.loads(await self._connection.recv())
                self.events.append(event)
                if event["type"] == kind:
                    return event

    def sound(self) -> Samples:
        """All sound of the responses so far."""
        parts = [base64.b64decode(e["delta"]) for e in self.events if e["type"] == "response.output_audio.delta"]
        return np.frombuffer(b"".join(parts), "<i2").astype(np.float32) / np.float32(32768)


def test_a_spoken_question_over_webrtc_is_answered_aloud(
    engine: Engine, llm: ScriptedLlm, speaker: Speaker, listener: Listener
) -> None:
    async def test(running: Running) -> None:
        peer = Peer()
        await peer.connect(running.offer)
        await peer.event("session.created")
        peer.send({"type": "session.update", "session": SEMANTIC})
        await peer.event("session.updated")
        peer.play(np.concatenate([silence(0.3), speaker.say("What is two plus three?"), silence(1)]))
        await peer.event("output_audio_buffer.stopped", timeout=30)
        await asyncio.sleep(0.3)
        answer = (await peer.event("response.output_audio_transcript.done"))["transcript"]
        assert agrees(llm.messages()[-1][1], "What is two plus three?")
        assert answer == FIVE
        assert agrees(listener.understand(peer.recorded()), FIVE)
        latency = await peer.event("vivavoce.turn.latency")
        assert 0 < latency["marks"]["endpoint"] < latency["marks"]["sent"]
        await peer.close()

    run(engine, test)


def test_a_camera_is_always_drained_and_its_freshest_picture_reaches_the_model(engine: Engine) -> None:
    async def test(running: Running) -> None:
        peer = Peer(camera=np.full((240, 320, 3), 120, np.uint8))
        await peer.connect(running.offer)
        await peer.event("session.created")
        await asyncio.sleep(2)
        await peer.close()

    run(engine, test)


def test_a_conversation_over_websocket_keeps_its_first_turn_for_the_model(
    engine: Engine, llm: ScriptedLlm, speaker: Speaker, listener: Listener
) -> None:
    questions = ("My name is Peter, by the way.", "Do you remember my name?")

    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket, max_size=None) as connection:
            client = Socket(connection)
            await client.until("session.created")
            await client.send(type="session.update", session=SEMANTIC)
            await client.until("session.updated")
            for question in questions:
                client.events.clear()
                await client.say(np.concatenate([silence(0.3), speaker.say(question), silence(2.5)]))
                done = await client.until("response.done")
                assert done["response"]["status"] == "completed"
                assert done["response"]["output"][0]["content"][0]["transcript"] == FIVE
                assert agrees(listener.understand(client.sound()), FIVE)
            first, answer, second = llm.messages()
            assert [first[0], answer, second[0]] == ["user", ("assistant", FIVE), "user"]
            assert agrees(first[1], questions[0])
            assert agrees(second[1], questions[1])

    run(engine, test)


def test_the_history_ends_where_the_client_truncates(engine: Engine) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket, max_size=None) as connection:
            client = Socket(connection)
            await client.until("session.created")
            item = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Name the days of the week, please."}],
            }
            await client.send(type="conversation.item.create", item=item)
            await client.send(type="response.create")
            done = await client.until("response.done")
            (answer,) = done["response"]["output"]
            await client.send(
                type="conversation.item.truncate", item_id=answer["id"], content_index=0, audio_end_ms=900
            )
            await client.until("conversation.item.truncated")

    run(engine, test)


def test_a_transcription_session_transcribes_speech(engine: Engine, speaker: Speaker) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(f"{running.websocket}?intent=transcription", max_size=None) as connection:
            client = Socket(connection)
            await client.until("session.created")
            for words, heard in (("The weather is nice today.", "weather"), ("I would like some tea.", "tea")):
                await client.say(np.concatenate([silence(0.3), speaker.say(words), silence(1.5)]))
                done = await client.until("conversation.item.input_audio_transcription.completed")
                assert heard in done["transcript"].lower()
            assert not [event for event in client.events if event["type"].startswith("response.")]

    run(engine, test)


def test_a_damaged_model_is_named_in_every_refusal_and_the_server_stays_up(models: Store, tmp_path: Path) -> None:
    for artefact in ("silero-vad", "smart-turn", "moonshine-tiny-en"):
        shutil.copytree(models.path(artefact), tmp_path / "models" / artefact)
    judge = next((tmp_path / "models" / "smart-turn").glob("*.onnx"))
    judge.write_bytes(judge.read_bytes()[: judge.stat().st_size // 2])
    store = Store(tmp_path, models.catalog)

    app = Gateway(ServerConfig(), lambda: Engine(CascadeSettings(), store.path), lambda: 0.0).app
    with TestClient(app, base_url="http://localhost") as client:
        while (status := client.get("/readyz").json())["status"] == "loading":
            time.sleep(0.05)
        assert status["status"] == "failed"
        assert "vivavoce models pull smart-turn" in status["message"]
        refused = client.post("/v1/realtime/calls", content="v=0", headers={"Content-Type": "application/sdp"})
        assert refused.status_code == 503
        assert "smart-turn" in refused.json()["error"]["message"]
        assert client.get("/").status_code == 200


BAD_OFFERS = {
    "nothing": ("", "application/sdp", 400),
    "not SDP": ("hello", "application/sdp", 400),
    "no audio": ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "application/sdp", 400),
    "wrong content type": ("{}", "application/json", 415),
    "too long": ("v=0\r\n" * 100_000, "application/sdp", 413),
    "form without end": ("--x\r\n", "multipart/form-data; boundary=y", 400),
}


@pytest.mark.parametrize("name", BAD_OFFERS)
def test_a_bad_offer_is_refused_with_a_reason(engine: Engine, name: str) -> None:
    async def test(running: Running) -> None:
        body, kind, status = BAD_OFFERS[name]
        response = await running.http.post("/v1/realtime/calls", content=body, headers={"Content-Type": kind})
        assert response.status_code == status, response.text
        error = response.json()["error"]
        assert error["message"]
        assert error["type"] == "invalid_request_error"

    run(engine, test)


def test_an_offer_with_an_unknown_codec_is_refused(engine: Engine) -> None:
    async def test(running: Running) -> None:
        peer = Peer(codec="PCMU")
        sdp = (
            (await peer.offer()).replace("PCMU/8000", "SPEEX/8000").replace(" 0\r\n", " 97\r\n").replace(":0 ", ":97 ")
        )
        response = await running.http.post(
            "/v1/realtime/calls", content=sdp, headers={"Content-Type": "application/sdp"}
        )
        assert response.status_code == 400
        assert "codec" in response.json()["error"]["message"].lower()
        await peer.close()

    run(engine, test)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_json"),
        ("[]", None),
        ('{"type": "nonsense"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "audio": "!"}', "invalid_value"),
    ],
)
def test_a_message_that_cannot_be_read_is_answered_and_the_call_goes_on(engine: Engine, text: str, code: str) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket) as connection:
            client = Socket(connection)
            await client.until("session.created")
            await connection.send(text)
            error = (await client.until("error"))["error"]
            assert code in (None, error["code"])
            await client.send(type="session.update", session=SEMANTIC)
            await client.until("session.updated")

    run(engine, test)


def test_a_message_of_21_mb_is_answered_and_the_call_goes_on(engine: Engine) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket, max_size=None) as connection:
            client = Socket(connection)
            await client.until("session.created")
            await client.send(type="input_audio_buffer.append", audio="A" * 21_500_000)
            await client.until("error")
            await client.send(type="session.update", session=SEMANTIC)
            await client.until("session.updated")

    run(engine, test)


def test_a_message_beyond_every_bound_closes_the_socket_and_nothing_else(engine: Engine) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket, max_size=None) as connection:
            client = Socket(connection)
            await client.until("session.created")

            async def send_and_read() -> None:
                """The close comes while it sends, or when it reads."""
                await client.send(type="input_audio_buffer.append", audio="A" * 30_000_000)
                await client.until("error")

            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await send_and_read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # message too big

    run(engine, test)


def test_a_wrong_key_is_refused(engine: Engine) -> None:
    async def test(running: Running) -> None:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await running.http.post("/v1/realtime/calls", content="v=0", headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] in ("missing_api_key", "invalid_api_key")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(running.websocket)
        assert refused.value.response.status_code == 401
        for kwargs in (
            {"additional_headers": {"Authorization": "Bearer right"}},
            {"subprotocols": ["realtime", "openai-insecure-api-key.right"]},
        ):
            async with websockets.connect(running.websocket, **kwargs) as connection:
                await Socket(connection).until("session.created")
                assert connection.subprotocol == ("realtime" if "subprotocols" in kwargs else None)

    run(engine, test, keys=("right",))


def test_a_page_of_another_origin_may_not_call(engine: Engine) -> None:
    async def test(running: Running) -> None:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(running.websocket, additional_headers={"Origin": "https://evil.example"})
        assert refused.value.response.status_code == 403

    run(engine, test)


def test_a_call_beyond_the_limit_is_told_when_to_retry(engine: Engine) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(running.websocket) as connection:
            await Socket(connection).until("session.created")
            peer = Peer()
            answer = await running.http.post(
                "/v1/realtime/calls", content=await peer.offer(), headers={"Content-Type": "application/sdp"}
            )
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "taken" in answer.json()["error"]["message"]
            assert (await running.http.get("/readyz")).json()["status"] == "full"
            await peer.close()

    run(engine, test, max_sessions=1)


def test_a_silent_call_is_closed_with_a_reason(engine: Engine) -> None:
    async def test(running: Running) -> None:
        async with websockets.connect(f"{running.websocket}?extras=true") as connection:
            closing = await Socket(connection).until("vivavoce.closing", seconds=15)
            assert closing["reason"] == "idle"
            assert closing["message"]
            await connection.wait_closed()
            assert connection.close_code == 1001

    run(engine, test, idle_timeout=1.0)


def test_hanging_up_by_rest_ends_the_call(engine: Engine) -> None:
    async def test(running: Running) -> None:
        peer = Peer()
        answer = await running.http.post(
            "/v1/realtime/calls", content=await peer.offer(), headers={"Content-Type": "application/sdp"}
        )
        await peer.accept(answer.text)
        await peer.event("session.created")
        location = answer.headers["Location"]
        assert (await running.http.post(f"{location}/hangup")).status_code == 200
        async with asyncio.timeout(10):
            await peer.closed.wait()
        await peer.close()
        await running.idle()
        assert (await running.http.post(f"{location}/hangup")).status_code == 404

    run(engine, test)


def test_a_peer_that_vanishes_in_mid_reply_leaves_nothing_behind(engine: Engine, speaker: Speaker) -> None:
    async def test(running: Running) -> None:
        peer = Peer()
        await peer.connect(running.offer)
        await peer.event("session.created")
        peer.play(np.concatenate([speaker.say("Tell me a long story about a dog."), silence(1)]))
        await peer.event("output_audio_buffer.started", timeout=30)
        await peer.vanish()
        await running.idle(patience=60)

    run(engine, test, resume_window=3)


def test_an_offer_in_a_form_sets_its_session(engine: Engine) -> None:
    async def test(running: Running) -> None:
        peer = Peer()
        session = {"type": "realtime", "instructions": "Speak like a pirate.", "audio": {"output": {"voice": "alloy"}}}
        form = {"sdp": (None, await peer.offer()), "session": (None, json.dumps(session))}
        answer = await running.http.post("/v1/realtime/calls", files=form)
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-type"].startswith("application/sdp")
        await peer.accept(answer.text)
        created = (await peer.event("session.created"))["session"]
        assert created["instructions"] == session["instructions"]
        assert created["audio"]["output"]["voice"] == "alloy"
        await peer.close()

    run(engine, test)
