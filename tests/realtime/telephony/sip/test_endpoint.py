"""Whole SIP calls on the virtual clock and its network in memory: codecs, TCP, DTMF, busy, cancel, transfer, both
directions. The telephone is our own endpoint; test_baresip.py has a real one. The models are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from harness.fakes import Line, ScriptedEngine
from harness.gateway import gateway
from harness.memory_network import network, run
from harness.sip_phone import Phone, seconds, sip_phone
from harness.tones import ToneEngine, spans
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import Message, ToolCall
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.telephony.errors import CallNotAnswered
from vivavoce.realtime.telephony.phones import Phones
from vivavoce.realtime.telephony.sip.connection import SILENT
from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint
from vivavoce.realtime.telephony.webhooks.ringing import Rejected

pytestmark = pytest.mark.integration

VOICE = "sip:voice@127.0.0.1:5060"


def tone(seconds: float, hz: float = 300) -> Samples:
    """Speech for the scripted VAD."""
    wave = np.sign(np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE))
    return (0.5 * wave).astype(np.float32)


@asynccontextmanager
async def call(
    engine: ScriptedEngine, *codecs: str, settings: dict[str, Any] | None = None, tcp: bool = False, **limits: Any
) -> AsyncIterator[Phone]:
    """A gateway at `VOICE` (`settings`: of [phone], and max_sessions; `limits`: of [server]), and a telephone. Checks
    that the gateway keeps nothing of the calls."""
    settings = settings or {}
    limits["max_sessions"] = settings.pop("max_sessions", 4)
    phone = PhoneConfig(sip=SipConfig(listen="127.0.0.1:5060"), **settings)
    async with gateway(engine, phone=phone, echo_cancellation="off", **limits) as running:
        async with sip_phone(*codecs, tcp=tcp) as caller:
            yield caller
        await running.idle()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722", "opus"])
def test_both_sides_hear_each_other_in_every_codec(codec: str) -> None:
    async def main() -> None:
        engine = ToneEngine(words=5, seconds=0.4)
        async with call(engine, codec) as caller:
            talk = await caller.dial(VOICE)
            await asyncio.sleep(3.0)
            assert words(talk.heard) == [0, 1, 2, 3, 4], "the greeting"
            await talk.say(tone(1.0))
            await asyncio.sleep(3.5)
            assert words(talk.heard) == [0, 1, 2, 3, 4] * 2, "and the answer"
            assert engine.dialogues[-1].heard_samples > 0.9 * SAMPLE_RATE
            assert len(engine.dialogues[-1].turns) == 1
            await talk.hang_up()

    run(main())


def words(samples: Samples) -> list[int]:
    """The words of a `ToneEngine` that are there at nearly full length."""
    return [word for word, seconds in spans(samples) if seconds > 0.35]


def test_tcp_carries_signalling_while_audio_goes_over_udp() -> None:
    async def main() -> None:
        async with call(ScriptedEngine(), tcp=True) as caller:
            talk = await caller.dial(VOICE)
            assert ("127.0.0.1", 5060) in network().connections
            assert network().datagrams_to[("127.0.0.1", 5060)] == 0
            await talk.until_heard(5)
            await talk.hang_up()
            assert network().datagrams_to[("127.0.0.1", 5060)] == 0, "BYE, too"
            assert sum(network().datagrams_to.values()) > 10, "the audio"

    run(main())


@pytest.mark.parametrize("info", [False, True])
def test_dtmf_arrives_as_telephone_events_and_by_info(info: bool) -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        async with call(engine, settings={"greeting": ""}) as caller:
            talk = await caller.dial(VOICE)
            if info:
                for key in "15#":
                    talk.connection._signalling.send_info(key)
                    await asyncio.sleep(0.25)
            else:
                await talk.connection.send_dtmf("15#")
            await asyncio.sleep(0.2)
            texts = [item.text for item in engine.dialogues[-1].items if isinstance(item, Message)]
            assert texts == ["[The caller pressed 1 5 # on the telephone.]"]
            await talk.hang_up()

    run(main())


def test_dtmf_of_the_assistant_reaches_the_phone() -> None:
    async def main() -> None:
        pressing = ToolCall("call_1", "press_keys", '{"keys": "42"}', True)
        engine = ScriptedEngine(lines=[Line("One moment.", 0.2, calls=pressing), Line("Done.", 0.2)])
        async with call(engine, settings={"tools": ("keys",), "greeting": ""}) as caller:
            talk = await caller.dial(VOICE)
            await talk.say(tone(0.6))
            await asyncio.sleep(4.0)
            assert talk.keys == "42"
            await talk.hang_up()

    run(main())


def test_without_a_call_slot_the_busy_prompt_is_played() -> None:
    async def main() -> None:
        settings = {"max_sessions": 1, "busy": "All lines are busy.", "calls_per_caller": 5}
        async with call(ScriptedEngine(), "pcmu", settings=settings) as caller:
            first = await caller.dial(VOICE)
            second = await caller.dial(VOICE)
            async with asyncio.timeout(10):
                await second.over.wait()
            assert seconds(second.heard) == pytest.approx(2.0, abs=0.06)
            assert not first.over.is_set()
            await first.hang_up()

    run(main())


@pytest.mark.parametrize(("calls_per_caller", "status"), [(5, 503), (1, 486)])
def test_without_a_busy_prompt_the_phone_gets_a_busy_tone(calls_per_caller: int, status: int) -> None:
    async def main() -> None:
        settings = {"max_sessions": 1, "busy": "", "calls_per_caller": calls_per_caller}
        async with call(ScriptedEngine(), settings=settings) as caller:
            first = await caller.dial(VOICE)
            with pytest.raises(CallNotAnswered) as problem:
                await caller.dial(VOICE)
            assert problem.value.status == status
            await first.hang_up()

    run(main())


@pytest.mark.slow
def test_twenty_callers_at_once_are_all_heard_and_answered() -> None:
    async def main() -> None:
        engine, callers = ScriptedEngine(lines=[Line("Fine.", 1.0)]), 20

        async def one() -> None:
            async with sip_phone("pcmu") as caller:
                talk = await caller.dial(VOICE)
                await asyncio.sleep(2.5)
                await talk.say(tone(0.6))
                await asyncio.sleep(2.5)
                assert seconds(talk.heard) == pytest.approx(2.0 + 1.0, abs=0.1), "greeting and answer"
                await talk.hang_up()

        settings = {"max_sessions": callers, "calls_per_caller": callers, "calls_per_minute": 100}
        async with call(engine, settings=settings, sessions_per_minute=1000), asyncio.TaskGroup() as tasks:
            for _ in range(callers):
                tasks.create_task(one())
        assert [len(dialogue.turns) for dialogue in engine.dialogues[-callers:]] == [1] * callers
        assert min(dialogue.heard_samples for dialogue in engine.dialogues[-callers:]) > 0.5 * SAMPLE_RATE

    run(main())


def test_a_caller_who_gives_up_ringing_leaves_nothing_behind() -> None:
    async def main() -> None:
        settings = {"webhook": "http://127.0.0.1:9/none", "webhook_secret": "whsec_" + "QUFB" * 8, "ring_timeout": 30.0}
        async with call(ScriptedEngine(), settings=settings) as caller:
            with pytest.raises(TimeoutError):
                await caller.dial(VOICE, 0.3)

    run(main())


@pytest.mark.slow
def test_a_declined_transfer_is_reported_to_the_model() -> None:
    async def main() -> None:
        transferring = ToolCall("call_1", "transfer_call", '{"to": "sales"}', True)
        engine = ScriptedEngine(lines=[Line("I connect you.", 0.2, calls=transferring), Line("Goodbye.", 0.2)])
        settings = {"tools": ("transfer",), "transfers": ("sales=sip:sales@127.0.0.1:7000",), "greeting": ""}
        async with call(engine, settings=settings) as caller:
            talk = await caller.dial(VOICE)
            await talk.say(tone(0.6))
            await asyncio.sleep(6.0)
            texts = [item.text for item in engine.dialogues[-1].items if isinstance(item, Message)]
            assert any(
                "The transfer did not work: the far end could not transfer the call (SIP 603)" in t for t in texts
            )
            await talk.hang_up()

    run(main())


# --- outgoing ------------------------------------------------------------------------------------------------------

ANNA = "sip:anna@127.0.0.1:6000"


@asynccontextmanager
async def endpoint(engine: ScriptedEngine) -> AsyncIterator[SipEndpoint]:
    """An endpoint of ours that can dial."""
    config = ServerConfig(echo_cancellation="off", resume_window=0)
    admission = Admission(config, lambda: 0.0)
    settings = PhoneConfig(sip=SipConfig("127.0.0.1:5060"), outgoing_greeting="Hello.")
    phones = Phones(admission, settings, lambda: 0.0)
    async with phones.listening(engine), Calls(engine, config) as calls:  # type: ignore[arg-type]  # its fake
        admission.calls = calls
        assert phones.sip is not None
        yield phones.sip
        admission.calls = None


def test_an_outgoing_call_is_greeted_and_ends_with_the_callee() -> None:
    async def main() -> None:
        phone = sip_phone("pcmu", port=6000)
        async with endpoint(ScriptedEngine()) as ours, phone as anna, asyncio.TaskGroup() as tasks:
            tasks.create_task(ours.dial(ANNA))
            talk = await anna.answered()
            await asyncio.sleep(3.0)
            assert seconds(talk.heard) == pytest.approx(2.0, abs=0.06), "the greeting"
            await talk.hang_up()

    run(main())


@pytest.mark.parametrize(("status", "words"), [(486, "busy"), (404, "no such number"), (603, "declined")])
def test_a_callee_who_rejects_the_call_is_named_as_the_reason(status: int, words: str) -> None:
    async def main() -> None:
        async with endpoint(ScriptedEngine()) as ours, sip_phone(port=6000) as anna:
            anna.decision = Rejected(status)
            with pytest.raises(CallNotAnswered, match=words):
                await ours.dial(ANNA)

    run(main())


def test_a_callee_who_cannot_be_reached_is_given_up_after_half_a_minute() -> None:
    async def main() -> None:
        async with endpoint(ScriptedEngine()) as ours:
            began = asyncio.get_running_loop().time()
            with pytest.raises(CallNotAnswered, match="nobody answered"):
                await ours.dial(ANNA)
            assert asyncio.get_running_loop().time() - began == pytest.approx(32, abs=0.1)

    run(main())


@pytest.mark.slow
def test_a_far_end_that_sends_nothing_for_a_minute_is_lost() -> None:
    async def main() -> None:
        phone = sip_phone("pcmu", port=6000)
        async with endpoint(ScriptedEngine()) as ours, phone as anna, asyncio.TaskGroup() as tasks:
            call = tasks.create_task(ours.dial(ANNA))
            talk = await anna.answered()
            await asyncio.sleep(3.0)
            talk.connection._sockets.close()
            began = asyncio.get_running_loop().time()
            await call
            assert asyncio.get_running_loop().time() - began == pytest.approx(SILENT, abs=2)

    run(main())
