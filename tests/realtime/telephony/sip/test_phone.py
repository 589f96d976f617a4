"""A real telephone calls and is called: baresip, the real server, the real models."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from harness.baresip_phone import Talk, free_port, phone
from harness.scripted_llm import FIVE, ScriptedLlm
from harness.server import Server, serving
from harness.speech import Listener, Speaker, agrees, silence
from vivavoce.codecs.audio import SAMPLE_RATE, Samples

pytestmark = [pytest.mark.baresip, pytest.mark.models, pytest.mark.slow]

GREETING = "Good morning, this is the test kitchen speaking."


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(port: int, llm: ScriptedLlm) -> Iterator[Server]:
    settings = {"VIVAVOCE_PHONE_GREETING": GREETING, **llm.environment}
    with serving("--sip", f"127.0.0.1:{port}", environment=settings) as running:
        yield running


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Talk]:
    async with phone("pcmu") as caller:
        talk = await caller.dial(f"sip:voice@127.0.0.1:{port}")
        yield talk
        await talk.hang_up()


async def until_quiet(talk: Talk, seconds: float = 30.0) -> None:
    """Waits until the assistant has been silent for a second."""
    async with asyncio.timeout(seconds):
        while np.abs(talk.heard[-SAMPLE_RATE:]).max(initial=1.0 if len(talk.heard) < SAMPLE_RATE else 0.0) > 0.01:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def answer_to(talk: Talk, question: Samples) -> Samples:
    """Asks, and returns the answer that the telephone received."""
    since = len(talk.heard)
    await talk.say(np.concatenate([question, silence(0.3)]))
    await talk.until_heard(20, since=since)
    await until_quiet(talk)
    return talk.heard[since:]


def test_a_call_is_greeted_answered_cut_by_a_barge_in_and_takes_keys(
    server: Server, port: int, speaker: Speaker, listener: Listener
) -> None:
    async def call() -> None:
        async with calling(port) as talk:
            await talk.until_heard(5)
            await until_quiet(talk)
            assert agrees(listener.understand(talk.heard), GREETING)

            answer = await answer_to(talk, speaker.say("What is two plus three?"))
            assert agrees(listener.understand(answer), FIVE)

            since = len(talk.heard)
            await talk.say(np.concatenate([speaker.say("Tell me a long story about the moon, please."), silence(0.2)]))
            await talk.until_heard(20, since=since)
            await asyncio.sleep(0.5)
            await talk.say(speaker.say("Stop. Stop it please, that is enough."))
            while_spoken_over = talk.heard[-round(0.7 * SAMPLE_RATE) : -round(0.1 * SAMPLE_RATE)]
            assert np.abs(while_spoken_over).max() < 0.02, "the assistant went on"

            await talk.press("4#")
            await talk.until_heard(20, since=len(talk.heard))
        server.until_calls(0)

    asyncio.run(call())
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]
    assert not [line for line in server.log if "anna@" in line or "sip:voice" in line], "no caller is in the log"


def test_vivavoce_call_greets_and_ends_with_the_callee(listener: Listener, llm: ScriptedLlm) -> None:
    async def answering(port: int) -> tuple[int, Samples]:
        async with phone(port=port) as callee:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vivavoce.realtime", "call", f"sip:anna@127.0.0.1:{port}"),
                *("--greeting", GREETING),
                env={**os.environ, **llm.environment, "VIVAVOCE_PHONE_OUTBOUND": "sip:*@127.0.0.1:*"},
                stdout=subprocess.DEVNULL,
            )
            talk = await callee.answer(90)
            await talk.until_heard(10)
            await until_quiet(talk)
            await talk.hang_up()
            return await asyncio.wait_for(process.wait(), 30), talk.heard

    code, heard = asyncio.run(answering(free_port()))
    assert code == 0
    assert agrees(listener.understand(heard), GREETING)


def test_vivavoce_call_dials_only_what_the_settings_allow() -> None:
    command = [sys.executable, "-m", "vivavoce.realtime", "call", "+900123456"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "phone.outbound" in done.stderr
    assert "900123456" not in done.stderr
