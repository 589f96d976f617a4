"""The examples of the documentation that need no other package than ours and `openai`, run as they stand there; only
ports are others."""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from harness.audiosocket_phone import calling
from harness.fakes import Line, ScriptedEngine
from harness.gateway import gateway
from harness.speech import Speaker
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.media import read_sound, write_sound
from vivavoce.realtime.audio.high_pass import HighPass
from vivavoce.realtime.config.phone import PhoneConfig

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "realtime/docs/examples"
PATIENCE = 60.0
"""Seconds that a script may take until it has loaded its models; an idle machine takes ten."""
ENDING = 20.0
"""Seconds that it may take to end."""
SECRET = "whsec_c2VzYW1lLCBvcGVuIHlvdXJzZWxmIQ=="


@asynccontextmanager
async def running(name: str, folder: Path, ports: dict[int, int] | None = None) -> AsyncIterator[Process]:
    """An example in a process of its own, which is ended after its use."""
    code = (EXAMPLES / name).read_text()
    for old, new in (ports or {}).items():
        assert str(old) in code
        code = code.replace(str(old), str(new))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", code, cwd=folder, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.terminate()  # SIGINT would be ignored where the tests run in the background
        try:
            async with asyncio.timeout(ENDING):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Waits for another process, seen from outside."""
    while not await met():  # noqa: ASYNC110 - there is no event of ours
        await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.models
def test_the_models_answer_without_a_server(speaker: Speaker, tmp_path: Path) -> None:
    write_sound(tmp_path / "question.wav", speaker.say("What is the capital of France?"))

    async def main() -> str:
        async with running("embed_dialogue.py", tmp_path) as process:
            printed, _ = await process.communicate()
            assert process.returncode == 0, printed.decode()
            return printed.decode()

    printed = asyncio.run(main())
    assert "capital of france" in printed.lower()
    assert "answer: " in printed
    assert len(read_sound(tmp_path / "answer.wav")) > SAMPLE_RATE // 4


@pytest.mark.models
def test_a_gateway_answers_with_a_model_of_ones_own(tmp_path: Path) -> None:
    from openai import AsyncOpenAI

    said = (np.sin(np.arange(SAMPLE_RATE) / 10) * 8000).astype("<i2").tobytes()

    async def main() -> bytes:
        port = free_port()
        url = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            try:
                return (await http.get("/readyz")).is_success
            except httpx.TransportError:
                return False

        async with httpx.AsyncClient(base_url=url) as http, running("embed_gateway.py", tmp_path, {8790: port}):
            await until(ready)
            return await answer(url)

    async def answer(url: str) -> bytes:
        """The sound of the answer to `said`."""
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
        async with client, client.realtime.connect(model="vivavoce") as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
            await connection.input_audio_buffer.append(audio=base64.b64encode(said).decode())
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            sound = b""
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                elif event.type == "response.done":
                    return sound
        raise AssertionError("no answer")

    heard = np.frombuffer(asyncio.run(main()), "<i2").astype(int)
    filtered = HighPass().receive(np.frombuffer(said, "<i2").astype(np.float32) / np.float32(32768)) * 32768
    assert np.abs(heard - filtered).max() <= 2, "what was said, through the front end"


def test_an_application_answers_a_phone_call_and_prints_what_is_said(tmp_path: Path) -> None:
    async def main() -> bytes:
        application, audiosocket = free_port(), free_port()
        phone = PhoneConfig(
            webhook=f"http://127.0.0.1:{application}/",
            webhook_secret=SECRET,
            audiosocket=f"127.0.0.1:{audiosocket}",
            greeting="",
        )
        engine = ScriptedEngine([], [Line("Good morning.", seconds=0.5)])

        async def listening() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", application)
            except OSError:
                return False
            writer.close()
            return True

        async with gateway(engine, lambda: datetime.now(UTC).timestamp(), phone) as server:
            port = int(server.url.rpartition(":")[2])
            async with running("phone_webhook.py", tmp_path, {8790: port, 8000: application}) as process:
                await until(listening)
                async with calling(audiosocket) as caller:
                    await caller.until_voice()
                    assert process.stdout is not None
                    while b"Good morning." not in (line := await process.stdout.readline()):
                        assert line, "the application has ended"
            await server.idle()
        return line

    assert asyncio.run(main()).strip() == b"Good morning."
