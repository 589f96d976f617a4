"""Whole calls over media streams: the real gateway on the virtual clock and its network in memory; streamdouble
simulates Twilio (marks, clear, loss, DTMF), and the models are scripted. One call runs on real sockets, too."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets
from streamdouble.chaos import Impairments
from streamdouble.scenario import Scenario, parse
from streamdouble.session import SessionConfig

from harness import tidy
from harness.fakes import Line, ScriptedEngine
from harness.gateway import Running, gateway
from harness.log_lines import log_lines
from harness.memory_network import run
from harness.streams import BASE, TOKEN, announce, ask, earpiece, signature, simulated_call, write_wav
from harness.tones import ToneEngine, spans
from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import Message, ToolCall
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.telephony.providers.dialects import MAX_FRAME
from vivavoce.realtime.telephony.unreadable import MAX_IN_A_ROW

pytestmark = pytest.mark.integration

PHONE = PhoneConfig(
    twilio_token=TOKEN,
    telnyx_public_key="not used",
    plivo_token="p",
    vonage_secret="v",
    secret="long-enough",
    base_url=BASE,
    greeting="",
    opening=0.0,
)


def voice(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (0.5 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * 8000)) / 8000)).astype(np.float32)


@pytest.fixture
def question(tmp_path: Path) -> str:
    return str(write_wav(tmp_path / "question.wav", voice(0.8)))


def script(*steps: Any) -> Scenario:
    return parse({"name": "a call", "steps": list(steps)})


def answers(*lines: Line) -> ScriptedEngine:
    return ScriptedEngine(["hello"], lines)


@pytest.mark.slow
def test_history_is_cut_at_the_word_that_the_caller_heard_last(question: str) -> None:
    async def main() -> None:
        engine = ToneEngine(words=20, seconds=0.3)
        async with gateway(engine, phone=PHONE) as running:
            url, _ = await announce(running)
            steps = script(
                {"say": question}, {"wait_for": "audio"}, {"wait": 2.0}, {"say": question}, {"wait": 0.5}, "hangup"
            )
            report = await simulated_call(url, steps)
            await running.idle()
        assert report.violations == []
        assert report.result.clears_received >= 1
        first = [word for word, seconds in spans(earpiece(report.result)) if seconds >= 0.28]
        heard = next(cut for cut in engine.dialogues[-1].cuts)
        said = "w00 w01 w02 w03 w04 w05 w06 w07 w08 w09 w10 w11 w12"[: heard.chars].split()
        whole = first[: first.index(0, 1)] if 0 in first[1:] else first  # the second answer begins at w00 again
        assert 4 <= len(whole) <= 11
        assert len(said) in (len(whole), len(whole) - 1), f"heard {whole}, remembered {said}"

    run(main())


@pytest.mark.slow
def test_greeting_keys_and_an_answer() -> None:
    async def main() -> None:
        phone = PhoneConfig(twilio_token=TOKEN, base_url=BASE, greeting="Good morning")
        engine = answers(Line("You pressed one and two.", 1.0))
        async with gateway(engine, phone=phone) as running:
            url, _ = await announce(running)
            steps = script({"wait": 3.0}, {"dtmf": "12"}, {"wait": 2.6}, "hangup")
            report = await simulated_call(url, steps)
            await running.idle()
        assert report.violations == []
        assert report.time_to_first_audio_ms == pytest.approx(200, abs=30), "after the opening"
        heard = earpiece(report.result)
        loud = np.flatnonzero(np.abs(heard) > 0.02) / SAMPLE_RATE
        assert loud[loud < 3.0][-1] - loud[0] == pytest.approx(2.0, abs=0.02), "the greeting, whole"
        texts = [item.text for item in engine.dialogues[-1].items if isinstance(item, Message)]
        assert texts == ["Good morning", "[The caller pressed 1 2 on the telephone.]"]

    run(main())


@pytest.mark.slow
def test_a_call_on_real_sockets_is_greeted() -> None:
    async def main() -> None:
        phone = PhoneConfig(twilio_token=TOKEN, base_url=BASE, greeting="Hi")
        async with gateway(ScriptedEngine(), phone=phone) as running:
            url, _ = await announce(running)
            report = await simulated_call(url, script({"wait": 0.6}, "hangup"))
            await running.idle()
        assert report.violations == []
        assert report.spoke

    tidy.run(main())


@pytest.mark.slow
def test_lost_packets_neither_end_a_turn_nor_shorten_it(question: str) -> None:
    async def main() -> None:
        engine = answers(Line("Yes.", 0.5))
        steps = script({"wait": 0.3}, {"say": question}, {"wait_for": "audio"}, {"wait": 0.3}, "hangup")
        async with gateway(engine, phone=PHONE) as running, asyncio.TaskGroup() as tasks:
            calls = []
            for loss in (0.01, 0.05):
                url, _ = await announce(running, f"+{loss}")
                bad = SessionConfig(impairments=Impairments(loss=loss, jitter_ms=30), chaos_seed=3)
                calls.append(tasks.create_task(simulated_call(url, steps, bad)))
            reports = [await call for call in calls]
            await running.idle()
        assert all(report.result.frames_dropped > 0 and report.spoke for report in reports)
        assert [len(dialogue.turns) for dialogue in engine.dialogues if dialogue.specs and dialogue.turns] == [1, 1]

    run(main())


async def goodbye(call: ToolCall, answer: str, question: str) -> None:
    """The assistant hangs up or transfers; `answer`: to Twilio's webhook after the stream."""
    phone = PhoneConfig(
        twilio_token=TOKEN,
        base_url=BASE,
        greeting="",
        tools=("hang_up", "transfer"),
        transfers=("sales=+493012345",),
    )
    engine = answers(Line("", 0.0, calls=call), Line("Goodbye.", 1.0))
    async with gateway(engine, phone=phone) as running:
        url, next_url = await announce(running)
        report = await simulated_call(url, script({"say": question}, {"wait": 20.0}))
        assert report.result.closed_by == "agent"
        heard = np.abs(earpiece(report.result)) > 0.02
        assert heard.sum() / SAMPLE_RATE == pytest.approx(1.0, abs=0.02), "the goodbye, whole"
        assert answer in await ask(running, next_url, {"CallSid": "CA1"})


@pytest.mark.slow
def test_the_call_ends_or_goes_on_elsewhere_once_the_goodbye_was_heard(question: str) -> None:
    dialled = "<Dial><Number>+493012345</Number></Dial>"

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(goodbye(ToolCall("c", "hang_up", "{}", True), "<Hangup/>", question))
            transfer = ToolCall("c", "transfer_call", '{"to": "sales"}', True)
            tasks.create_task(goodbye(transfer, dialled, question))

    run(main())


def test_without_a_call_slot_the_busy_prompt_is_heard_whole(question: str) -> None:
    async def main() -> None:
        async with gateway(answers(), phone=PHONE, max_sessions=1) as running, asyncio.TaskGroup() as tasks:
            first, _ = await announce(running, "+1")
            second, _ = await announce(running, "+2")
            holding = tasks.create_task(simulated_call(first, script({"wait": 4.0}, "hangup")))
            await asyncio.sleep(0.5)
            report = await simulated_call(second, script({"wait": 10.0}))
            assert report.result.closed_by == "agent"
            assert (np.abs(earpiece(report.result)) > 0.02).sum() / SAMPLE_RATE == pytest.approx(2.0, abs=0.02)
            await holding

    run(main())


async def refused(url: str, **headers: str) -> int:
    try:
        async with websockets.connect(url, additional_headers=headers):
            return 101
    except websockets.InvalidStatus as error:
        return error.response.status_code


def test_only_announced_or_signed_streams_are_accepted() -> None:
    async def main() -> None:
        async with gateway(answers(), phone=PHONE) as running:
            sockets = running.url.replace("http", "ws", 1)
            url, _ = await announce(running)
            for path in ("/phone/twilio/stream", "/phone/twilio/stream/guessed", "/phone/twilio/long-enough2"):
                assert await refused(f"{sockets}{path}") == 403, path
            assert await refused(url.replace("twilio", "telnyx")) == 403, "a ticket is for one dialect"
            assert await refused(url) == 101
            assert await refused(url) == 403, "and for one call"
            signed = signature(f"{BASE.replace('http', 'ws')}/phone/twilio/stream", {})
            assert await refused(f"{sockets}/phone/twilio/stream", **{"X-Twilio-Signature": signed}) == 101
            assert await refused(f"{sockets}/phone/exotel/long-enough") == 101
            for dialect in ("twilio", "telnyx", "plivo", "vonage", "exotel"):
                answer = await running.http.post(f"/phone/{dialect}", data={"From": "+1"})
                assert answer.status_code == 403, dialect
            assert (await running.http.get("/phone/exotel/long-enough")).json()["url"].startswith("wss://voice")
            assert (await running.http.post("/phone/unknown")).status_code == 404
            await running.idle()

    run(main())


def test_a_stream_other_than_the_announced_call_is_closed_with_the_reason() -> None:
    async def main() -> None:
        async with gateway(answers(), phone=PHONE) as running:
            for first in (
                '{"event": "start", "start": {"streamId": "s", "callId": "c"}}',
                "nonsense",
                '{"event": "x"}',
            ):
                url, _ = await announce(running)
                async with websockets.connect(url) as socket:
                    await socket.send(first)
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        await socket.recv()
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1008
                    assert closed.value.rcvd.reason
            await running.idle()

    run(main())


@pytest.mark.slow
def test_no_frame_that_cannot_be_read_costs_the_caller_the_greeting() -> None:
    """One call for each dialect: sound before the start, and an unreadable frame after each readable one."""

    async def main() -> None:
        phone = replace(PHONE, greeting="Good morning")
        async with gateway(answers(), phone=phone, max_sessions=5) as running, asyncio.TaskGroup() as tasks:
            calls = {dialect: tasks.create_task(disturbed_call(dialect, running)) for dialect in STARTS}
            heard = {dialect: await call for dialect, call in calls.items()}
            await running.idle()
        assert heard == {dialect: pytest.approx(2.0, abs=0.05) for dialect in STARTS}, "the greeting, whole"

    with log_lines() as seen:
        run(main())
    lines = [(vars(r)["call"], vars(r)["reason"]) for r in seen.records if r.getMessage() == "frame passed over"]
    assert len(lines) == len(set(lines)), "one line for each kind and call"
    assert len({call for call, _ in lines}) == len(STARTS)


UNREADABLE: tuple[str | bytes, ...] = (
    "ping",
    "",
    "[]",
    '{"event": "media"}',
    '{"event": "media", "media": {"payload": "***"}}',
    '{"event": "mark", "mark": {}}',
    '{"event": "playedStream"}',
    '{"event": "dtmf", "dtmf": {"digit": ""}}',
    '{"event": "dtmf", "dtmf": {"digit": "w"}}',
    '{"event": "websocket:dtmf", "digit": "w"}',
    '{"event": "websocket:notify"}',
    "x" * (MAX_FRAME + 1),
    b"\xff" * 161,
)
"""Frames that a dialect cannot read."""


async def disturbed_call(dialect: str, running: Running) -> float:
    """Seconds of sound that the caller heard."""
    url = f"{running.url.replace('http', 'ws', 1)}/phone/{dialect}/long-enough"
    async with websockets.connect(url) as socket, asyncio.TaskGroup() as tasks:
        provider = Provider(dialect, socket)
        listening = tasks.create_task(provider.listen())
        await provider.say(0.1, loud=False)
        await socket.send("no start yet")
        await socket.send(json.dumps(STARTS[dialect]))
        for frame in UNREADABLE * 10:
            await socket.send(frame)
            await provider.say(0.02, loud=False)
        assert socket.close_code is None
        listening.cancel()
    width, rate = {"vonage": (2, 16000), "exotel": (2, 8000)}.get(dialect, (1, 8000))
    coded = bytes(provider.audio)
    sound = np.frombuffer(coded, "<i2") / 32768 if width == 2 else g711.decode(coded, "mu")
    return float((np.abs(sound) > 0.02).sum() / rate)


def test_fifty_frames_in_a_row_that_cannot_be_read_end_the_call() -> None:
    async def main() -> None:
        async with gateway(answers(), phone=PHONE) as running:
            url = f"{running.url.replace('http', 'ws', 1)}/phone/plivo/long-enough"
            async with websockets.connect(url) as socket:
                await socket.send(json.dumps(STARTS["plivo"]))
                for _ in range(MAX_IN_A_ROW - 1):
                    await socket.send("ping")
                await asyncio.sleep(1.0)
                assert socket.close_code is None
                await socket.send("ping")
                await asyncio.sleep(3.0)
                assert socket.close_code == 1000
            await running.idle()

    run(main())


# --- the other dialects --------------------------------------------------------------------------------------------

STARTS = {
    "telnyx": {
        "event": "start",
        "stream_id": "s",
        "start": {"call_control_id": "c", "media_format": {"encoding": "PCMU", "sample_rate": 8000}},
    },
    "plivo": {
        "event": "start",
        "start": {"callId": "c", "streamId": "s", "mediaFormat": {"encoding": "audio/x-mulaw"}},
    },
    "exotel": {"event": "start", "stream_sid": "s", "start": {"stream_sid": "s", "call_sid": "c"}},
    "vonage": {"event": "websocket:connected", "content-type": "audio/l16;rate=16000"},
}
CLEARS = {
    "telnyx": {"event": "clear"},
    "plivo": {"event": "clearAudio", "streamId": "s"},
    "exotel": {"event": "clear", "stream_sid": "s"},
    "vonage": {"action": "clear"},
}


class Provider:
    """Speaks one dialect over a socket: sends 20 ms of audio at a time, keeps what arrives."""

    def __init__(self, dialect: str, socket: websockets.ClientConnection) -> None:
        self._dialect, self._socket = dialect, socket
        self.audio = bytearray()
        self.sizes: list[int] = []
        self.messages: list[dict[str, Any]] = []

    async def say(self, seconds: float, loud: bool) -> None:
        rate = 16000 if self._dialect == "vonage" else 8000
        frame = 0.5 * loud * np.sin(2 * np.pi * 300 * np.arange(rate // 50) / rate).astype(np.float32)
        linear = (frame * 32767).astype("<i2").tobytes()
        payload = linear if self._dialect in ("vonage", "exotel") else g711.encode(frame, "mu")
        for _ in range(round(seconds * 50)):
            text = json.dumps({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}})
            await self._socket.send(payload if self._dialect == "vonage" else text)
            await asyncio.sleep(0.02)

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message) if isinstance(message, str) else {}
            payload = (
                message if isinstance(message, bytes) else base64.b64decode(said.get("media", {}).get("payload", ""))
            )
            if payload:
                self.audio += payload
                self.sizes.append(len(payload))
            else:
                self.messages.append(said)


async def speak_with(dialect: str, running: Running) -> Provider:
    """A call: a question, the answer, and a barge-in."""
    url = f"{running.url.replace('http', 'ws', 1)}/phone/{dialect}/long-enough"
    async with websockets.connect(url) as socket, asyncio.TaskGroup() as tasks:
        provider = Provider(dialect, socket)
        listening = tasks.create_task(provider.listen())
        if dialect != "vonage":
            await socket.send('{"event": "connected", "version": "1.0.0"}')
        await socket.send(json.dumps(STARTS[dialect]))
        await provider.say(0.8, loud=True)
        await provider.say(2.5, loud=False)
        await provider.say(0.8, loud=True)
        await provider.say(0.3, loud=False)
        listening.cancel()
    return provider


@pytest.mark.slow
def test_every_dialect_carries_an_answer_and_a_barge_in() -> None:
    async def main() -> None:
        engine = ScriptedEngine(["hello", "stop"], [Line("one two three four five six", 6.0)] * 2)
        async with gateway(engine, phone=PHONE) as running, asyncio.TaskGroup() as tasks:
            calls = {dialect: tasks.create_task(speak_with(dialect, running)) for dialect in STARTS}
            providers = {dialect: await call for dialect, call in calls.items()}
            await running.idle()
        for dialect, provider in providers.items():
            width, rate = {"vonage": (2, 16000), "exotel": (2, 8000)}.get(dialect, (1, 8000))
            assert 1.0 < len(provider.audio) / (width * rate) < 3.8, dialect
            assert CLEARS[dialect] in provider.messages
            assert any(
                name in str(message) for message in provider.messages for name in ("mark", "checkpoint", "notify")
            )
        assert min(providers["exotel"].sizes) >= 3200
        assert [len(dialogue.cuts) for dialogue in engine.dialogues if dialogue.turns] == [1] * 4, "and taken back"

    run(main())
