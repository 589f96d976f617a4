"""Calls over AudioSocket and chan_websocket, over real sockets, as Asterisk makes them: audiosocket_server.py,
audiosocket_line.py, asterisk_socket.py, asterisk_line.py. Only the models are scripted."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from statistics import median
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from harness import DATA
from harness.audiosocket_phone import LOUD, QUIET, calling
from harness.baresip_phone import free_port
from harness.fakes import Line, ScriptedEngine
from harness.gateway import Running, gateway
from harness.log_lines import log_lines
from vivavoce.realtime.config import ServerConfig, build
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.telephony.asterisk import audiosocket
from vivavoce.realtime.telephony.asterisk.websocket_line import AHEAD, MARKED

pytestmark = pytest.mark.slow

CAPTURED = DATA / "asterisk"
PASSWORD = "open sesame"
START = (
    '{"event":"MEDIA_START","connection_id":"vivavoce","channel":"WebSocket/vivavoce/0x7f","channel_id":"1.4",'
    '"format":"slin16","optimal_frame_size":640,"ptime":20,"channel_variables":{"DIALEDPEERNUMBER":"vivavoce"}}'
)
NOISY, SILENT = np.full(320, 16_000, "<i2").tobytes(), bytes(640)


def run(
    test: Callable[[Running, int, ScriptedEngine], Awaitable[None]],
    server: dict[str, Any] | None = None,
    lines: int = 3,
    **phone: Any,
) -> None:
    """Runs `test` beside a gateway that both wires lead to; nothing may be left behind."""

    async def main() -> None:
        port = free_port()
        table = {"audiosocket": f"127.0.0.1:{port}", "asterisk_password": PASSWORD, **phone}
        settings = build({"phone": table}, {"HOME": "/home/anna"}, {}, "linux").phone
        engine = ScriptedEngine(["hello"] * lines, [Line("one two three four", seconds=2.0)] * lines)
        # The loud noise of these tests would not survive the echo canceller's filters.
        async with gateway(engine, phone=settings, echo_cancellation="off", **(server or {})) as running:
            await test(running, port, engine)
            await running.idle()

    asyncio.run(main())


# --- AudioSocket ---------------------------------------------------------------------------------------------------


def test_a_call_over_audiosocket_is_greeted_at_once_and_answered_at_an_even_pace() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as caller:
            began = asyncio.get_running_loop().time()
            await caller.send(QUIET, 0.4)
            greeting = await caller.until_voice()
            assert caller.heard[greeting][0] - began < 1.0
            await caller.send(QUIET, 2.0)
            await caller.send(LOUD, 0.6)
            await caller.send(QUIET, 1.5)
            answered = await caller.until_voice(len(caller.heard) - 25)
            assert answered
        times = [when for when, _ in caller.heard]
        assert median(later - earlier for earlier, later in pairwise(times)) == pytest.approx(0.02, abs=0.004)
        assert len(times) == pytest.approx((times[-1] - times[0]) / 0.02, abs=6)  # nothing ahead, nothing left out
        assert {len(payload) for _, payload in caller.heard} == {320}
        assert len(engine.dialogues[-1].turns) == 1

    run(test)


def test_a_caller_who_says_nothing_and_sends_nothing_is_spoken_to_and_has_pauses() -> None:
    """A telephone with voice activity detection sends nothing while its user is silent; a turn ends all the same."""

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
def test_what_asterisk_sent_is_heard_and_answered_at_its_own_rate(name: str, rate: int) -> None:
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


def test_a_stranger_who_does_not_speak_audiosocket_is_cut_off() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 40, b"\x10\x01\x40" + bytes(320), b"\x01\x00"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            if len(data) < audiosocket.NAME_LENGTH:
                writer.write_eof()
            async with asyncio.timeout(5):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            writer.close()
        assert len(engine.dialogues) == 1  # the rehearsal's

    run(test)


def test_broken_bytes_in_a_call_end_that_call_and_no_other() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with calling(port) as good, calling(port) as bad:
            await good.send(QUIET, 0.2)
            bad.writer.write(b"\x10\x00\x03abc")
            async with asyncio.timeout(5):
                await bad.over.wait()
            await good.send(QUIET, 0.2)
            assert not good.over.is_set()

    run(test)


def test_where_there_is_no_place_the_caller_is_told_so_and_the_line_is_closed() -> None:
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

    asyncio.run(main())


def test_a_port_that_is_taken_is_said_to_everybody_who_asks() -> None:
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

    asyncio.run(main())


# --- chan_websocket ------------------------------------------------------------------------------------------------


class Channel:
    """Asterisk's side of one WebSocket. `commands` and `frames` are what came, with the loop's time."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.commands: list[tuple[float, str]] = []
        self.frames: list[tuple[float, bytes]] = []
        self.over = asyncio.Event()
        self.plays = True
        """Marks are reported when the queue would reach them."""

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

    def asked(self, command: str) -> list[float]:
        return [when for when, text in self.commands if command in text]

    async def until(self, command: str, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not self.asked(command):  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)


@asynccontextmanager
async def channel(running: Running, start: str = START, password: str = PASSWORD) -> AsyncIterator[Channel]:
    basic = base64.b64encode(f"asterisk:{password}".encode()).decode()
    url = running.url.replace("http", "ws", 1) + "/phone/asterisk?caller=%2B493012345678&called=200"
    connecting = websockets.connect(
        url, subprotocols=[websockets.Subprotocol("media")], additional_headers={"Authorization": f"Basic {basic}"}
    )
    async with connecting as socket, asyncio.TaskGroup() as tasks:
        assert socket.subprotocol == "media"
        one = Channel(socket)
        await socket.send(start)
        listening = tasks.create_task(one.listen())
        yield one
        listening.cancel()


def test_a_call_over_a_websocket_is_answered_greeted_marked_and_flushed_at_a_cut() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.until("ANSWER")
            await caller.send(SILENT, 1.0)
            assert any(any(frame) for _, frame in caller.frames)  # the greeting
            assert {len(frame) for _, frame in caller.frames} == {640}
            await caller.send(SILENT, 1.5)
            await caller.send(NOISY, 0.6)
            await caller.send(SILENT, 1.2)
            talking = len(caller.frames)
            assert any(any(frame) for _, frame in caller.frames[talking - 10 :])  # the answer has begun
            await caller.send(NOISY, 1.0)
            await caller.until("FLUSH_MEDIA")
            await caller.send(SILENT, 0.2)
            flushed = caller.asked("FLUSH_MEDIA")[-1]
            after = [frame for when, frame in caller.frames if when > flushed + 0.1]
            assert not any(any(frame) for frame in after)
            assert len(caller.frames) // MARKED - len(caller.asked("MARK_MEDIA")) in (0, 1)  # a mark follows its frame
            span = caller.frames[-1][0] - caller.frames[0][0]
            assert len(caller.frames) == pytest.approx(span / 0.02 + AHEAD, abs=8)
        heard = engine.dialogues[-1].cuts[-1]
        assert heard.samples > 0

    run(test)


def test_keys_typed_at_a_websocket_become_one_entry() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            for key in "12#":
                await caller.socket.send(f'{{"event":"DTMF_END","channel_id":"1.4","digit":"{key}"}}')
            async with asyncio.timeout(5):
                while not engine.dialogues[-1].items:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.02)
        assert "1 2 #" in str(engine.dialogues[-1].items[-1])

    run(test, greeting="")


def test_asterisk_with_plain_text_and_mu_law_is_spoken_to_in_the_same_way() -> None:
    start = (
        "MEDIA_START connection_id:v channel:WebSocket/v/0x7 channel_id:1.6 format:ulaw optimal_frame_size:160 ptime:20"
    )

    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running, start) as caller:
            caller.plays = False
            await caller.until("MARK_MEDIA")
            assert [text for _, text in caller.commands] == ["ANSWER", f"MARK_MEDIA {MARKED}"]
            assert {len(frame) for _, frame in caller.frames} == {160}

    run(test)


def test_a_websocket_that_begins_otherwise_is_closed_with_the_reason() -> None:
    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        for start in ("", "hello", '{"event":"QUEUE_DRAINED"}', START.replace("slin16", "opus")):
            async with channel(running, start) as caller:
                async with asyncio.timeout(5):
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


def test_without_a_password_in_the_settings_there_is_no_such_door() -> None:
    async def main() -> None:
        async with gateway(ScriptedEngine()) as running:
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(running.url.replace("http", "ws", 1) + "/phone/asterisk"):
                    pass
            assert refused.value.response.status_code in (403, 404)

    asyncio.run(main())


# --- what is in the log --------------------------------------------------------------------------------------------


def test_a_whole_call_leaves_no_number_and_no_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test(running: Running, port: int, engine: ScriptedEngine) -> None:
        async with channel(running) as caller:
            await caller.send(SILENT, 0.5)
            await caller.socket.send('{"event":"DTMF_END","channel_id":"1.4","digit":"7"}')
            await caller.send(NOISY, 1.0)
            await caller.send(SILENT, 1.5)

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
