"""Our SIP endpoint and a real telephone, baresip, in one process: codecs, TCP, hold, DTMF, transfer, busy. The models
are scripted; test_phone.py has real ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from baresip.call import TransferRequest

from harness.baresip_phone import Phone, Talk, free_port, phone
from harness.fakes import Line, ScriptedEngine
from harness.gateway import gateway
from harness.log_lines import log_lines
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import Message, ToolCall
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.switchboard import Switchboard

pytestmark = [pytest.mark.baresip, pytest.mark.slow]

GREETING = "Hello! How can I help you?"


def tone(seconds: float) -> Samples:
    """Speech for the scripted VAD, within the band of a telephone."""
    wave = np.sign(np.sin(2 * np.pi * 400 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE))
    return (0.5 * wave).astype(np.float32)


@asynccontextmanager
async def call(
    engine: ScriptedEngine, *codecs: str, settings: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Phone, str]]:
    """A gateway with SIP (`settings`: of [phone], and max_sessions), and baresip with `options`. Checks that the
    gateway keeps nothing of the calls."""
    port, settings = free_port(), settings or {}
    limits = {"max_sessions": settings.pop("max_sessions", 4)}
    config = PhoneConfig(sip=SipConfig(listen=f"127.0.0.1:{port}"), **settings)
    async with gateway(engine, phone=config, **limits) as running:
        async with phone(*codecs, **options) as caller:
            yield caller, f"sip:voice@127.0.0.1:{port}"
        await running.idle()


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722", "opus"])
def test_both_sides_hear_each_other_in_every_codec(codec: str) -> None:
    async def talking() -> None:
        engine = ScriptedEngine(lines=[Line(GREETING, 1.0)])
        async with call(engine, codec) as (caller, uri):
            talk = await caller.dial(uri)
            await asyncio.sleep(0.2)
            await talk.say(tone(1.0))
            await asyncio.sleep(0.8)
            heard = engine.dialogues[-1].heard_samples
            await talk.hang_up()
            assert heard > 0.9 * SAMPLE_RATE
            assert len(talk.heard) > 1.5 * SAMPLE_RATE

    asyncio.run(talking())


def test_a_call_over_tcp_has_audio_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[PhoneCall] = []
    admit = Switchboard.admit

    def admitted(switchboard: Switchboard, call: PhoneCall) -> None:
        calls.append(call)
        admit(switchboard, call)

    monkeypatch.setattr(Switchboard, "admit", admitted)

    async def talking() -> None:
        engine = ScriptedEngine()
        async with call(engine, transport="tcp") as (caller, uri):
            talk = await caller.dial(f"{uri};transport=tcp")
            await talk.until_heard(5)
            await talk.say(tone(0.6))
            async with asyncio.timeout(5):
                while engine.dialogues[-1].heard_samples < 0.5 * SAMPLE_RATE:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.02)
            await talk.hang_up()

    asyncio.run(talking())
    (one,) = calls
    assert [value.split()[0] for name, value in one.headers if name.lower() == "via"] == ["SIP/2.0/TCP"]


@pytest.mark.parametrize("dtmf", ["rtpevent", "info"])
def test_dtmf_of_the_phone_arrives(dtmf: str) -> None:
    async def talking() -> None:
        engine = ScriptedEngine()
        async with call(engine, dtmf=dtmf) as (caller, uri):
            talk = await caller.dial(uri)
            await talk.press("15#")
            async with asyncio.timeout(5):
                while not (read := [item for item in engine.dialogues[-1].items if "pressed" in _text(item)]):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert _text(read[0]).endswith("pressed 1 5 # on the telephone.]")
            await talk.hang_up()

    asyncio.run(talking())


def test_dtmf_of_the_assistant_reaches_the_phone() -> None:
    async def talking() -> None:
        pressing = ToolCall("call_1", "press_keys", '{"keys": "42"}', True)
        engine = ScriptedEngine(lines=[Line("One moment.", 0.2, calls=pressing), Line("Done.", 0.2)])
        async with call(engine, settings={"tools": ("keys",)}) as (caller, uri):
            talk = await caller.dial(uri)
            await talk.say(tone(0.6))
            async with asyncio.timeout(8):
                while "".join(talk.keys) != "42":  # noqa: ASYNC110 - the stack only grows a list
                    await asyncio.sleep(0.02)
            await talk.hang_up()

    asyncio.run(talking())


def test_on_hold_no_audio_is_sent() -> None:
    async def talking() -> None:
        engine = ScriptedEngine(lines=[Line(GREETING, 6.0)])
        async with call(engine) as (caller, uri):
            talk = await caller.dial(uri)
            await talk.until_heard(5)
            await talk.call.hold()
            await asyncio.sleep(0.3)
            before = len(talk.heard)
            await asyncio.sleep(0.6)
            assert len(talk.heard) - before < 0.2 * SAMPLE_RATE
            await talk.call.resume()
            await asyncio.sleep(0.2)
            since = len(talk.heard)
            await talk.until_heard(5, since=since)
            await talk.hang_up()

    asyncio.run(talking())


def test_every_log_line_of_a_call_carries_its_id() -> None:
    """Also those about messages at the port that all calls share."""

    async def talking() -> None:
        async with call(ScriptedEngine(lines=[Line(GREETING, 3.0)])) as (caller, uri):
            talk = await caller.dial(uri)
            await talk.until_heard(5)
            await talk.call.hold()
            await talk.call.resume()
            await talk.hang_up()

    with log_lines() as seen:
        asyncio.run(talking())
    (call_id,) = seen.calls("phone call")
    assert call_id
    for message in ("call started", "call on hold", "call resumed", "RTP statistics", "call ended"):
        assert seen.calls(message) == [call_id], message
    assert seen.without_call() <= {"SIP is listening", "ready"}


def test_without_a_call_slot_the_phone_gets_the_busy_prompt_or_a_busy_tone() -> None:
    async def talking(busy: str) -> tuple[Talk | None, str]:
        engine = ScriptedEngine(lines=[Line(GREETING, 1.0)])
        settings = {"max_sessions": 1, "busy": busy, "calls_per_caller": 5}
        async with call(engine, settings=settings) as (caller, uri):
            first = await caller.dial(uri)
            second, problem = None, ""
            try:
                second = await caller.dial(uri)
                await second.until_over(10)
            except Exception as error:  # the stack's own, many kinds of it
                problem = f"{type(error).__name__}: {error}"
            await first.hang_up()
            return second, problem

    spoken, problem = asyncio.run(talking("All lines are busy."))
    assert spoken is not None, problem
    assert np.abs(spoken.heard).max() > 0.05
    _, problem = asyncio.run(talking(""))
    assert re.search("503|486|[Bb]usy|unavailable", problem), problem


def test_a_caller_who_gives_up_leaves_nothing_behind() -> None:
    async def talking() -> None:
        settings = {"webhook": "http://127.0.0.1:9/none", "webhook_secret": "whsec_" + "QUFB" * 8, "ring_timeout": 30.0}
        async with call(ScriptedEngine(), settings=settings) as (caller, uri):
            ringing = await caller.agent.dial(uri)
            await asyncio.sleep(0.3)
            await ringing.hangup()

    asyncio.run(talking())


def test_a_transfer_asks_the_phone_to_call_the_target() -> None:
    async def talking() -> None:
        transferring = ToolCall("call_1", "transfer_call", '{"to": "sales"}', True)
        lines = [Line("I connect you.", 0.2, calls=transferring), Line("Goodbye.", 0.2)]
        port = free_port()
        engine = ScriptedEngine(lines=lines)
        target = f"sip:sales@127.0.0.1:{port}"
        settings = {"tools": ("transfer",), "transfers": (f"sales={target}",)}
        async with call(engine, settings=settings, port=port) as (caller, uri):
            requests = asyncio.Queue[TransferRequest]()
            talk = await caller.dial(uri)
            talk.call.on_transfer_request(requests.put_nowait)
            await talk.say(tone(0.6))
            async with asyncio.timeout(8):
                request = await requests.get()
            assert "sales@127.0.0.1" in request.target
            await talk.call.reject_transfer()
            await asyncio.sleep(0.3)
            await talk.hang_up()

    asyncio.run(talking())


def _text(item: object) -> str:
    return item.text if isinstance(item, Message) else ""
