"""Our SIP endpoint as an extension of a real SIP server, Kamailio: registration by digest, calls both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.baresip_phone import phone
from harness.fakes import Line, ScriptedEngine
from harness.kamailio import PASSWORD, installed, kamailio
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.telephony.errors import CallNotAnswered
from vivavoce.realtime.telephony.phones import Phones
from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint

pytestmark = [
    pytest.mark.kamailio,
    pytest.mark.baresip,
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="no Kamailio; enable with: sudo apt-get install kamailio"),
]


@asynccontextmanager
async def extension(port: int, password: str = PASSWORD) -> AsyncIterator[SipEndpoint]:
    """Our endpoint, at the server's `port`, with a scripted model."""
    engine = ScriptedEngine(lines=[Line("Fine.", 0.5)])
    sip = SipConfig("127.0.0.1:0", f"sip:voice@127.0.0.1:{port}", password)
    admission = Admission(ServerConfig(), lambda: 0.0)
    phones = Phones(admission, PhoneConfig(sip=sip, outgoing_greeting="Hello."), lambda: 0.0)
    async with phones.listening(engine), Calls(engine, ServerConfig()) as calls:  # type: ignore[arg-type]  # its fake
        admission.calls = calls
        assert phones.sip is not None
        yield phones.sip
        admission.calls = None


def test_calls_to_our_extension_are_answered(tmp_path: Path) -> None:
    async def call(port: int) -> None:
        async with extension(port) as own:
            await asyncio.wait_for(own.registered.wait(), 5)
            async with phone(domain=f"127.0.0.1:{port}", password=PASSWORD) as anna:
                talk = await anna.dial(f"sip:voice@127.0.0.1:{port}")
                await talk.until_heard(5)
                await talk.press("1")
                await talk.hang_up()

    with kamailio(tmp_path) as port:
        asyncio.run(call(port))


def test_outgoing_calls_are_authenticated_with_the_password(tmp_path: Path) -> None:
    async def call(port: int) -> None:
        registered = phone(domain=f"127.0.0.1:{port}", password=PASSWORD)
        async with extension(port) as own, registered as anna, asyncio.TaskGroup() as tasks:
            dialling = tasks.create_task(own.dial("anna"))
            talk = await anna.answer()
            await talk.until_heard(5)
            await talk.hang_up()
            await asyncio.wait_for(dialling, 5)

    with kamailio(tmp_path) as port:
        asyncio.run(call(port))


def test_a_declined_call_is_reported_as_busy(tmp_path: Path) -> None:
    async def call(port: int) -> None:
        async def decline() -> None:
            await (await anna.rung()).reject()

        registered = phone(domain=f"127.0.0.1:{port}", password=PASSWORD)
        async with extension(port) as own, registered as anna, asyncio.TaskGroup() as tasks:
            tasks.create_task(decline())
            with pytest.raises(CallNotAnswered, match="busy"):
                await own.dial("anna")

    with kamailio(tmp_path) as port:
        asyncio.run(call(port))


def test_an_unknown_number_is_reported(tmp_path: Path) -> None:
    async def call(port: int) -> None:
        async with extension(port) as own:
            with pytest.raises(CallNotAnswered, match="no such number"):
                await own.dial("nobody")

    with kamailio(tmp_path) as port:
        asyncio.run(call(port))


def test_a_wrong_password_is_logged_and_the_endpoint_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def call(port: int) -> None:
        async with extension(port, "wrong") as own:
            async with asyncio.timeout(5):
                while "SIP registration failed" not in caplog.text:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.02)
            assert not own.registered.is_set()

    with kamailio(tmp_path) as port:
        asyncio.run(call(port))
    assert "wrong" not in caplog.text
