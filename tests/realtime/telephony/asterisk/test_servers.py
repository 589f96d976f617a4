"""Whole calls over AudioSocket and chan_websocket, as Asterisk makes them: the real gateway, on the virtual clock and
its network in memory. Only the models are scripted. One call over each wire runs on real sockets, too."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from harness import DATA, memory_network
from harness.audiosocket_phone import LOUD, QUIET, calling
from harness.baresip_phone import free_port
from harness.fakes import Line, ScriptedEngine
from harness.gateway import Running, gateway
from harness.log_lines import log_lines
from vivavoce.realtime.config import ServerConfig, build
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk.audiosocket_server import IDENTIFY
from vivavoce.realtime.telephony.asterisk.chan_websocket import AHEAD, MARK_EVERY
from vivavoce.realtime.telephony.asterisk.chan_websocket_server import BEGIN
from vivavoce.realtime.telephony.unreadable import MAX_IN_A_ROW

pytestmark = pytest.mark.integration

CAPTURED = DATA / "asterisk"
PASSWORD = "open sesame"
START = (
    '{"event":"MEDIA_START","connection_id":"vivavoce","channel":"WebSocket/vivavoce/0x7f","channel_id":"1.4",'
    '"format":"slin16","optimal_frame_size":640,"ptime":20,"channel_variables":{"DIALEDPEERNUMBER":"vivavoce"}}'
)
LOUD_FRAME = (16_000 * np.sin(2 * np.pi * 300 * np.arange(320) / 16_000)).astype("<i2").tobytes()
QUIET_FRAME = bytes(640)


Test = Callable[[Running, int, ScriptedEngine], Awaitable[None]]


def run(test: Test, server: dict[str, Any] | None = None, lines: int = 3, real: bool = False, **phone: Any) -> None:
    """Runs `test` beside a gateway that takes calls over both wires, and checks that nothing is left of them. `real`:
    on the real clock and real sockets."""

    async def main() -> None:
        port = free_port()
        table = {"audiosocket": f"127.0.0.1:{port}", "asterisk_password": PASSWORD, **phone}
        settings = build({"phone": table}, {"HOME": "/home/anna"}, {}, "linux").phone
        engine = ScriptedEngine(["hello"] * lines, [Line("one two three four", seconds=2.0)] * lines)
        # The echo canceller would remove the loud noise of these tests.
        async with gateway(engine, phone=settings, echo_cancellation="off", **(server or {})) as running:
            await test(running, port, engine)
            await running.idle()

    (asyncio if real else memory_network).run(main())


# --- AudioSocket ---------------------------------------------------------------------------------------------------


def test_a_call_over_audiosocket_is_greeted_at_once_and_answered_at_an_even_pace() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as caller:
            began = asyncio.get_running_loop().time()
            await caller.send(QUIET, 0.4)
            greeting = await caller.until_voice()
            assert caller.heard[greeting][0] - began == pytest.approx(0.2, abs=0.03)  # the opening
            await caller.send(QUIET, 2.0)
            await caller.send(LOUD, 0.6)
            await caller.send(QUIET, 1.5)
            assert await caller.until_voice(len(caller.heard) - 25)  # the answer
        times = [when for when, _ in caller.heard]
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([0.02] * (len(times) - 1))
        assert {len(payload) for _, payload in caller.heard} == {320}
        assert len(engine.dialogues[-1].turns) == 1

    run(test)


@pytest.mark.slow
def test_a_call_over_a_real_tcp_connection_is_greeted() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as caller:
            await caller.send(QUIET, 0.2)
            await caller.until_voice()

    run(test, real=True)


def test_turns_end_where_a_telephone_sends_nothing_in_silence() -> None:
    """A telephone with voice activity detection sends no audio while its user is silent."""

    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as caller:
            await caller.until_voice()
            async with asyncio.timeout(10):
                while any(caller.heard[-1][1]) or len(caller.heard) < 100:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.1)
            await caller.send(LOUD, 1.0)
            async with asyncio.timeout(5):
                while not engine.dialogues[-1].turns:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.05)

    run(test)


@pytest.mark.parametrize(("name", "rate"), [("audiosocket_100", 8_000), ("audiosocket_101", 16_000)])
def test_captured_bytes_of_asterisk_are_answered_at_their_own_rate(name: str, rate: int) -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(gzip.decompress((CAPTURED / f"{name}.gz").read_bytes()))
        head = await reader.readexactly(3)
        assert (audiosocket.RATES[head[0]], int.from_bytes(head[1:], "big")) == (rate, rate // 25)
        async with asyncio.timeout(10):
            while not engine.dialogues[-1].items:  # noqa: ASYNC110 - the keys, as an item of the conversation
                await asyncio.sleep(0.05)
        writer.close()

    run(test, greeting="")


def test_a_connection_that_is_not_audiosocket_is_closed() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 40, b"\x10\x01\x40" + bytes(320), b"\x01\x00"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            if len(data) < 19:
                writer.write_eof()
            async with asyncio.timeout(IDENTIFY + 1):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            writer.close()
        assert len(engine.dialogues) == 1  # the prompts'

    run(test)


def test_sound_before_the_id_is_dropped_and_broken_messages_are_passed_over() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port, early=3 * QUIET) as caller:
            for _ in range(2 * MAX_IN_A_ROW):
                caller.writer.write(b"\x10\x00\x03abc")
                await caller.send(QUIET)
            await caller.until_voice()
            assert not caller.over.is_set()

    with log_lines() as seen:
        run(test)
    assert len(seen.calls("frame passed over")) == 1


def test_too_many_broken_messages_in_a_row_end_that_call_and_no_other() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as good, calling(port) as bad:
            await good.send(QUIET, 0.2)
            bad.writer.write(b"\x10\x00\x03abc" * MAX_IN_A_ROW)
            async with asyncio.timeout(5):
                await bad.over.wait()
            await good.send(QUIET, 0.2)
            assert not good.over.is_set()

    run(test)


def test_without_a_call_slot_the_caller_hears_the_busy_prompt_and_is_hung_up() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as first:
            await first.send(QUIET, 0.2)
            async with calling(port) as second:
                await second.until_voice()
                async with asyncio.timeout(10):
                    await second.over.wait()
                assert second.hung_up
                assert not first.over.is_set()

    run(test, server={"max_sessions": 1}, busy="Sorry, busy.")


def test_a_server_that_stops_hangs_up() -> None:
    async def main() -> None:
        port = free_port()
        async with asyncio.TaskGroup() as tasks:
            async with gateway(ScriptedEngine(), phone=PhoneConfig(audiosocket=f"127.0.0.1:{port}", greeting="")):
                call = calling(port)
                caller = await call.__aenter__()
                await caller.send(QUIET, 0.3)
            async with asyncio.timeout(5):
                await caller.over.wait()
            assert caller.hung_up
            tasks.create_task(call.__aexit__(None, None, None))

    memory_network.run(main())


def test_a_port_that_is_taken_is_reported_by_readyz() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as taken:
            address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
            engine: Any = ScriptedEngine()
            app = Gateway(ServerConfig(), lambda: engine, lambda: 0.0, phone=PhoneConfig(audiosocket=address)).app
            transport = httpx.ASGITransport(app)
            async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as http:
                async with asyncio.timeout(5):
                    while (answer := (await http.get("http://localhost/readyz")).json())["status"] == "loading":  # noqa: ASYNC110 - seen from outside
                        await asyncio.sleep(0.02)
            assert answer["status"] == "failed"
            assert f"'phone.audiosocket' is {address}" in answer["message"]

    memory_network.run(main())


# --- chan_websocket ------------------------------------------------------------------------------------------------


class Channel:
    """Asterisk's side of one WebSocket. `commands` and `frames` arrived, each with the loop's time."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.commands: list[tuple[float, str]] = []
        self.frames: list[tuple[float, bytes]] = []
        self.over = asyncio.Event()
        self.plays = True
        """Reports marks when the queue reaches them."""

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        empty_at = loop.time()
        try:
            async for message in self.socket:
                now = loop.time()
                if isinstance(message, bytes):
                    self.frames.append((now, message))
                    empty_at = max(empty_at, now) + 0.02
                else:
                    self.commands.append((now, message))
                    if self.plays and "MARK_MEDIA" in message:
                        mark = json.loads(message)["correlation_id"]
                        await asyncio.sleep(max(0.0, empty_at - now))
                        await self.socket.send(f'{{"event":"MEDIA_MARK_PROCESSED","correlation_id":"{mark}"}}')
        except websockets.ConnectionClosedError:
            pass
        finally:
            self.over.set()

    async def send(self, frame: bytes, seconds: float) -> None:
        due = asyncio.get_running_loop().time()
        for _ in range(round(seconds / 0.02)):
            await self.socket.send(frame)
            due += 0.02
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    def received(self, command: str) -> list[float]:
        return [when for when, text in self.commands if command in text]

    async def until(self, command: str, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not self.received(command):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)


@asynccontextmanager
async def channel(
    running: Running, start: str = START, password: str = PASSWORD, early: tuple[str | bytes, ...] = ()
) -> AsyncIterator[Channel]:
    """`early`: frames before the start."""
    basic = base64.b64encode(f"asterisk:{password}".encode()).decode()
    url = running.url.replace("http", "ws", 1) + "/phone/asterisk?caller=%2B493012345678&called=200"
    connecting = websockets.connect(
        url, subprotocols=[websockets.Subprotocol("media")], additional_headers={"Authorization": f"Basic {basic}"}
    )
    async with connecting as socket, asyncio.TaskGroup() as tasks:
        assert socket.subprotocol == "media"
        caller = Channel(socket)
        for frame in (*early, start):
            await socket.send(frame)
        listening = tasks.create_task(caller.listen())
        yield caller
        listening.cancel()


@pytest.mark.slow
def test_a_call_over_a_websocket_is_answered_greeted_marked_and_flushed_at_a_barge_in() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.until("ANSWER")
            await caller.send(QUIET_FRAME, 1.0)
            assert any(any(frame) for _, frame in caller.frames)  # the greeting
            assert {len(frame) for _, frame in caller.frames} == {640}
            await caller.send(QUIET_FRAME, 1.5)
            await caller.send(LOUD_FRAME, 0.6)
            await caller.send(QUIET_FRAME, 1.2)
            answered = len(caller.frames)
            assert any(any(frame) for _, frame in caller.frames[answered - 10 :])  # the answer has begun
            await caller.send(LOUD_FRAME, 1.0)
            await caller.until("FLUSH_MEDIA")
            await caller.send(QUIET_FRAME, 0.2)
            flushed = caller.received("FLUSH_MEDIA")[-1]
            after = [frame for when, frame in caller.frames if when > flushed + 0.1]
            assert not any(any(frame) for frame in after)
            assert len(caller.frames) // MARK_EVERY == len(caller.received("MARK_MEDIA"))
            starved, most = queued(caller)
            assert starved == pytest.approx(0, abs=1e-4)
            assert most == AHEAD
        heard = engine.dialogues[-1].cuts[-1]
        assert heard.samples > 0

    run(test)


def queued(caller: Channel) -> tuple[float, int]:
    """Seconds for which Asterisk's queue was empty before the first flush, and the most frames that were in it."""
    starved, most, empty_at = 0.0, 0, caller.frames[0][0]
    flushed = caller.received("FLUSH_MEDIA")[0]
    for when, _ in (frame for frame in caller.frames if frame[0] < flushed):
        starved += max(0.0, when - empty_at)
        empty_at = max(empty_at, when) + 0.02
        most = max(most, round((empty_at - when) / 0.02))
    return starved, most


@pytest.mark.slow
def test_a_call_over_a_real_websocket_is_greeted() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.until("ANSWER")
            await caller.send(QUIET_FRAME, 0.5)
            assert any(any(frame) for _, frame in caller.frames)

    run(test, real=True)


def test_keys_over_a_websocket_become_one_entry() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            for key in "12#":
                await caller.socket.send(f'{{"event":"DTMF_END","channel_id":"1.4","digit":"{key}"}}')
            async with asyncio.timeout(5):
                while not engine.dialogues[-1].items:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.02)
        assert "1 2 #" in str(engine.dialogues[-1].items[-1])

    run(test, greeting="")


def test_plain_text_and_mu_law_are_answered_in_kind() -> None:
    start = (
        "MEDIA_START connection_id:v channel:WebSocket/v/0x7 channel_id:1.6 format:ulaw optimal_frame_size:160 ptime:20"
    )

    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running, start) as caller:
            caller.plays = False
            await caller.until("MARK_MEDIA")
            assert [text for _, text in caller.commands] == ["ANSWER", f"MARK_MEDIA {MARK_EVERY}"]
            assert {len(frame) for _, frame in caller.frames} == {160}

    run(test)


UNREADABLE = ("", "ping", "{", '{"event":"DTMF_END"}', '{"event":"STATUS","queue_length":"many"}', b"\x01")
"""Frames of chan_websocket that cannot be read."""


@pytest.mark.slow
def test_sound_before_the_start_and_unreadable_frames_do_not_end_a_call() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        early = (QUIET_FRAME, QUIET_FRAME, QUIET_FRAME, '{"event":"STATUS","queue_length":0}', "hello", QUIET_FRAME)
        async with channel(running, early=early) as caller:
            await caller.until("ANSWER")
            for frame in UNREADABLE * 2 * MAX_IN_A_ROW:
                await caller.socket.send(frame)
                await caller.socket.send(QUIET_FRAME)
                await asyncio.sleep(0.02)
            assert not caller.over.is_set()
            assert sum(any(frame) for _, frame in caller.frames) == pytest.approx(100, abs=2), "the greeting, whole"

    with log_lines() as seen:
        run(test)
    reasons = [vars(record)["reason"] for record in seen.records if record.getMessage() == "frame passed over"]
    assert len(reasons) == len(set(reasons)) == 4


def test_too_many_unreadable_frames_in_a_row_end_a_websocket_call() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.until("ANSWER")
            caller.plays = False  # a mark that comes back ends the row
            for _ in range(MAX_IN_A_ROW - 1):
                await caller.socket.send("ping")
            await asyncio.sleep(0.5)
            assert not caller.over.is_set()
            await caller.socket.send("ping")
            async with asyncio.timeout(5):
                await caller.over.wait()

    run(test)


def test_a_websocket_with_another_first_event_is_closed_with_the_reason() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        for start in ("", "hello", '{"event":"QUEUE_DRAINED"}', START.replace("slin16", "opus")):
            async with channel(running, start) as caller:
                async with asyncio.timeout(BEGIN + 1):
                    await caller.over.wait()
                assert caller.socket.close_code == 1002
                assert caller.socket.close_reason

    run(test)


def test_a_websocket_without_the_password_is_refused() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        url = running.url.replace("http", "ws", 1) + "/phone/asterisk"
        for header in (None, "Basic", "Basic !!!", "Bearer open sesame", "Basic eDp5"):
            headers = {"Authorization": header} if header else {}
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401

    run(test)


def test_without_a_password_in_the_settings_there_is_no_route() -> None:
    async def main() -> None:
        async with gateway(ScriptedEngine()) as running:
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(running.url.replace("http", "ws", 1) + "/phone/asterisk"):
                    pass
            assert refused.value.response.status_code in (403, 404)

    memory_network.run(main())


# --- the log ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_number_and_no_word_of_a_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.send(QUIET_FRAME, 0.5)
            await caller.socket.send('{"event":"DTMF_END","channel_id":"1.4","digit":"7"}')
            await caller.send(LOUD_FRAME, 1.0)
            await caller.send(QUIET_FRAME, 1.5)

    with log_lines() as seen:
        run(test, greeting="Good evening")
    assert len(set(seen.calls("phone call") + seen.calls("call started") + seen.calls("call ended"))) == 1
    assert seen.without_call() <= {"listening for AudioSocket", "ready"}
    ours = [record for record in caplog.records if record.name.startswith("vivavoce")]
    text = json.dumps([{**vars(record), "args": ""} for record in ours], default=str)
    assert '"call started"' in text
    assert '"call ended"' in text
    for secret in ("493012345678", "hello", "Good evening", "one two", PASSWORD):
        assert secret not in text, secret
