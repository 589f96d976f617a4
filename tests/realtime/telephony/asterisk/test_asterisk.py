"""Whole calls through a real Asterisk with the real models: a baresip phone dials, Asterisk connects the call to us.

Not part of the ordinary run: it needs an Asterisk (`bash tests/asterisk_chroot FOLDER`), found by `VIVAVOCE_ASTERISK`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from harness.asterisk import Asterisk, asterisk, found
from harness.baresip_phone import Talk, free_port, phone
from harness.scripted_llm import ScriptedLlm
from harness.server import Server, serving
from harness.speech import Listener, Speaker, agrees
from vivavoce.codecs.audio import SAMPLE_RATE, Samples

pytestmark = [pytest.mark.asterisk, pytest.mark.slow, pytest.mark.models]

PASSWORD = "open sesame"
GREETING = "Hello, this is the assistant. How can I help you?"


@pytest.fixture(scope="module")
def exchange(llm: ScriptedLlm) -> Iterator[tuple[Asterisk, Server]]:
    """Our server, and an Asterisk that connects calls to it."""
    root = found()
    if root is None:
        pytest.skip("no Asterisk: bash tests/asterisk_chroot FOLDER, then VIVAVOCE_ASTERISK=FOLDER")
    port = free_port()
    settings = {
        "VIVAVOCE_PHONE_AUDIOSOCKET": f"127.0.0.1:{port}",
        "VIVAVOCE_PHONE_ASTERISK_PASSWORD": PASSWORD,
        "VIVAVOCE_PHONE_GREETING": GREETING,
    }
    with (
        serving(environment=settings | llm.environment) as server,
        asterisk(root, port, server.url.removeprefix("http://"), PASSWORD) as one,
    ):
        yield one, server


async def until_quiet(talk: Talk, seconds: float = 20, quiet: float = 2.0) -> int:
    """Waits until the other side has been silent for `quiet` seconds; the number of samples received by then."""
    async with asyncio.timeout(seconds):
        while True:
            tail = talk.heard[-round(quiet * SAMPLE_RATE) :]
            if len(tail) == round(quiet * SAMPLE_RATE) and level(tail) < 0.003:
                return len(talk.heard)
            await asyncio.sleep(0.05)


def level(samples: Samples) -> float:
    return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0


@pytest.mark.parametrize("extension", ["100", "101", "200", "201"])
def test_a_call_is_greeted_answered_cut_by_a_barge_in_takes_keys_and_is_hung_up(
    extension: str, exchange: tuple[Asterisk, Server], llm: ScriptedLlm, speaker: Speaker, listener: Listener
) -> None:
    one, server = exchange

    async def main() -> None:
        async with phone() as caller:
            talk = await caller.dial(one.address(extension))
            await talk.until_heard(5)
            asked = await until_quiet(talk)
            greeting = listener.understand(talk.heard)
            assert agrees(greeting, GREETING), greeting

            await talk.say(speaker.say("What is the capital of France?"))
            began = await talk.until_heard(10, since=asked)
            answered = await until_quiet(talk)
            answer = listener.understand(talk.heard[asked:answered])
            assert agrees(answer, llm.said[-1]), answer
            print(f"{extension}: greeting {greeting!r}, answer {answer!r} after {began - talk.said_at[-1]:.2f} s")

            await talk.say(speaker.say("Please count slowly from one to thirty."))
            await talk.until_heard(10, since=answered)
            await asyncio.sleep(1.0)
            await talk.say(speaker.say("Stop, stop, that is enough, thank you very much."))
            cut = len(talk.heard)
            await asyncio.sleep(0.3)
            silence = level(talk.heard[cut + SAMPLE_RATE // 10 :])
            assert silence < 0.01, f"the assistant goes on at a level of {silence:.3f}"
            typed = await until_quiet(talk)

            await talk.press("42#")
            await talk.until_heard(10, since=typed)
            end = await until_quiet(talk)
            print(f"{extension}: after the keys 4 2 #: {listener.understand(talk.heard[typed:end])!r}")
            assert server.calls() == 1
            await talk.hang_up()
            server.until_calls(0)

    asyncio.run(main())
    assert not [line for line in server.log if "Traceback" in line or "anna" in line]
