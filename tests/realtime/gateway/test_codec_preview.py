"""realtime/gateway/codec_preview.py: the user's last turn through the codec, over the gateway's real socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets
from httpx import Response

from harness.fakes import ScriptedEngine
from harness.gateway import Running, gateway
from harness.tokens import HUM, make_weights
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.tokenizer import FRAME_SIZE, AudioTokenizer
from vivavoce.realtime.audio.high_pass import HighPass
from vivavoce.realtime.gateway import codec_preview

pytestmark = pytest.mark.slow

MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(codec_preview, "WEIGHTS", make_weights(tmp_path))
    return tmp_path


class Call:
    """A call over a WebSocket, whose user commits each turn by message."""

    def __init__(self, running: Running, socket: websockets.ClientConnection) -> None:
        self._running = running
        self._socket = socket
        assert socket.response is not None
        self.path = f"{socket.response.headers['location']}/as-heard"

    async def say(self, samples: Samples) -> None:
        sound = base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()
        for event in (
            {"type": "input_audio_buffer.append", "audio": sound},
            {"type": "input_audio_buffer.commit"},
        ):
            await self._socket.send(json.dumps(event))
        await self.until("conversation.item.added")

    async def until(self, kind: str) -> None:
        async with asyncio.timeout(10):
            while json.loads(await self._socket.recv())["type"] != kind:
                pass

    async def listen(self, **headers: str) -> Response:
        return await self._running.http.get(self.path, headers=headers)


def run(test: Callable[[Call], Awaitable[None]], keys: tuple[str, ...] = ()) -> None:
    async def main() -> None:
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        async with (
            gateway(ScriptedEngine(["one two"]), keys=keys) as running,
            websockets.connect(running.websocket, additional_headers=headers, max_size=None) as socket,
        ):
            await socket.send(json.dumps({"type": "session.update", "session": MANUAL}))
            call = Call(running, socket)
            await call.until("session.updated")
            await test(call)

    asyncio.run(main())


def hum(seconds: float, loudness: float) -> Samples:
    return np.resize(HUM * np.float32(loudness), int(seconds * SAMPLE_RATE))


def sound_of(response: Response) -> Samples:
    with wave.open(io.BytesIO(response.content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)


def problem(response: Response) -> tuple[int, str]:
    return response.status_code, str(response.json()["error"]["code"])


@pytest.mark.usefixtures("weights")
def test_the_last_turn_comes_back_through_the_codec() -> None:
    async def test(call: Call) -> None:
        await call.say(hum(1.0, 0.2))
        await call.say(hum(2.5, 0.6))
        response = await call.listen()
        assert response.status_code == 200
        assert response.headers["content-type"] == "audio/wav"
        assert response.headers["cache-control"] == "no-store"
        assert int(response.headers["vivavoce-codes"]) == -(-60_000 // FRAME_SIZE)
        settled = slice(SAMPLE_RATE // 10, 53 * FRAME_SIZE)
        passed = np.abs(HighPass().receive(hum(2.5, 0.6))[settled]).max()  # the front end's high-pass
        assert np.abs(sound_of(response) - hum(2.5, float(passed)))[settled].max() < 0.01

    run(test)


@pytest.mark.usefixtures("weights")
def test_the_end_of_a_long_turn_is_played() -> None:
    async def test(call: Call) -> None:
        await call.say(np.concatenate((hum(5, 0.1), hum(codec_preview.LONGEST, 0.6))))
        sound = sound_of(await call.listen())
        assert len(sound) == codec_preview.LONGEST * SAMPLE_RATE
        assert np.abs(sound[:SAMPLE_RATE]).max() > 0.5

    run(test)


@pytest.mark.usefixtures("weights")
def test_before_the_first_turn_there_is_nothing_to_play() -> None:
    async def test(call: Call) -> None:
        assert problem(await call.listen()) == (404, "nothing_heard")

    run(test)


@pytest.mark.usefixtures("weights")
def test_an_unknown_call_is_refused() -> None:
    async def test(call: Call) -> None:
        await call.say(hum(1.0, 0.2))
        call.path = "/v1/realtime/calls/rtc_000000000000/as-heard"
        assert problem(await call.listen()) == (404, "call_not_found")

    run(test)


def test_a_server_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_preview, "WEIGHTS", tmp_path)

    async def test(call: Call) -> None:
        await call.say(hum(1.0, 0.2))
        assert problem(await call.listen()) == (501, "codec_missing")

    run(test)


@pytest.mark.usefixtures("weights")
def test_without_a_key_nothing_is_played() -> None:
    async def test(call: Call) -> None:
        await call.say(hum(1.0, 0.2))
        assert problem(await call.listen()) == (401, "missing_api_key")
        assert problem(await call.listen(Authorization="Bearer wrong")) == (401, "invalid_api_key")
        assert problem(await call.listen(Origin="https://elsewhere.example")) == (403, "wrong_origin")
        assert (await call.listen(Authorization="Bearer sesame")).status_code == 200

    run(test, keys=("sesame",))


@pytest.mark.usefixtures("weights")
def test_one_preview_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = AudioTokenizer.decode

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.3)
        return decode(*arguments)

    monkeypatch.setattr(AudioTokenizer, "decode", slowly)

    async def test(call: Call) -> None:
        await call.say(hum(2.0, 0.2))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(call.listen())
            await asyncio.sleep(0.2)
            second = tasks.create_task(call.listen())
        assert first.result().status_code == 200
        assert problem(second.result()) == (429, "codec_busy")
        assert second.result().headers["retry-after"] == "3"
        assert (await call.listen()).status_code == 200

    run(test)
