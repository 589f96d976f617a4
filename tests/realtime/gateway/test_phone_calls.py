"""REST requests about phone calls and webhooks, with the official client as the application, on the virtual clock and
its network in memory. Telephones are AudioSocket connections; only the models are scripted."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from baresip.call import TransferRequest

from harness import memory_network
from harness.audiosocket_phone import LOUD, QUIET, calling
from harness.baresip_phone import Talk, phone
from harness.fakes import Line, ScriptedEngine
from harness.gateway import Running, gateway
from harness.webhook_app import SECRET, Application, application
from vivavoce.realtime.config import ConfigError, build
from vivavoce.realtime.config.phone import PhoneConfig, secret_key
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.telephony import PhoneCall, webhooks
from vivavoce.realtime.telephony.errors import WebhookUndelivered
from vivavoce.realtime.telephony.webhooks.post import Webhook

if TYPE_CHECKING:
    from openai.resources.realtime.realtime import AsyncRealtimeConnection

pytestmark = pytest.mark.slow

Test = Callable[[Running, Application, int], Awaitable[None]]


def clock() -> float:
    return datetime.now(UTC).timestamp()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(test: Test, answers: tuple[int, ...] = (200,), keys: tuple[str, ...] = (), **phone: Any) -> None:
    """Runs `test` against a gateway that asks an application about its calls; nothing may be left behind."""

    async def main() -> None:
        port = free_port()
        async with application(answers) as app:
            phone.setdefault("webhook", app.url)
            table = {"webhook_secret": SECRET, "audiosocket": f"127.0.0.1:{port}", "greeting": "", **phone}
            settings = build({"phone": table}, {"HOME": "/home/anna"}, {}, "linux").phone
            engine = ScriptedEngine(["hello"] * 3, [Line("Good morning.", seconds=1.0)] * 3)
            # The loud noise of these tests would not survive the echo canceller's filters.
            async with gateway(engine, clock, settings, keys=keys, echo_cancellation="off") as running:
                app.client.base_url = f"{running.url}/v1"
                await test(running, app, port)
                await running.idle()

    memory_network.run(main())


async def until(connection: AsyncRealtimeConnection, kind: str) -> Any:
    async with asyncio.timeout(10):
        async for event in connection:
            if event.type == kind:
                return event
    raise AssertionError(f"no {kind}")


def test_an_application_of_the_realtime_api_answers_and_drives_a_call() -> None:
    from openai import NotFoundError

    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port) as caller:
            rung = await app.rung()
            assert rung.type == "realtime.call.incoming"
            assert rung.data.call_id.startswith("rtc_")
            assert [header.name for header in rung.data.sip_headers] == ["UUID"]
            assert caller.heard == []  # it rings
            calls, call_id = app.client.realtime.calls, rung.data.call_id
            audio: Any = {"input": {"transcription": {"model": "whisper-1"}}}
            await calls.accept(call_id, type="realtime", model="gpt-realtime", instructions="Be brief.", audio=audio)
            async with app.client.realtime.connect(call_id=call_id) as connection:
                created = await until(connection, "session.created")
                assert created.session.instructions == "Be brief."
                await connection.response.create(response={"instructions": "Say good morning."})
                await until(connection, "output_audio_buffer.started")
                await caller.until_voice()
                await until(connection, "output_audio_buffer.stopped")
                caller.writer.write(b"\x03\x00\x015")
                assert (await until(connection, "input_audio_buffer.dtmf_event_received")).event == "5"
                await caller.send(LOUD, 1.0)
                await caller.send(QUIET, 1.0)
                done = await until(connection, "conversation.item.input_audio_transcription.completed")
                assert done.transcript == "hello"
                await calls.hangup(call_id)
                async with asyncio.timeout(5):
                    await caller.over.wait()
                    async for _ in connection:
                        pass  # until the sideband is closed, too
                assert caller.hung_up
            with pytest.raises(NotFoundError):
                await calls.hangup(call_id)

    run(test)


def test_an_application_declines_a_call() -> None:
    from openai import BadRequestError, NotFoundError

    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port) as caller:
            call_id = (await app.rung()).data.call_id
            with pytest.raises(BadRequestError, match="status_code"):
                await app.client.realtime.calls.reject(call_id, status_code=200)
            await app.client.realtime.calls.reject(call_id, status_code=486)
            async with asyncio.timeout(5):
                await caller.over.wait()
            assert caller.heard == []
            with pytest.raises(NotFoundError):
                await app.client.realtime.calls.reject(call_id)

    run(test)


def test_a_call_is_accepted_once_and_only_with_a_valid_session() -> None:
    from openai import ConflictError

    async def test(running: Running, app: Application, port: int) -> None:
        calls = app.client.realtime.calls
        async with calling(port) as caller:
            call_id = (await app.rung()).data.call_id
            path = f"/v1/realtime/calls/{call_id}"
            for body, code in (
                ("", "invalid_json"),
                ("[]", "invalid_type"),
                ("{}", "invalid_value"),
                ('{"type":"transcription"}', "invalid_value"),
                ('{"type":"realtime","audio":{"output":{"voice":5}}}', "invalid_type"),
            ):
                answer = await running.http.post(f"{path}/accept", content=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), body
            assert caller.heard == []  # and still it rings
            await calls.accept(call_id, type="realtime")
            with pytest.raises(ConflictError, match="answered already"):
                await calls.accept(call_id, type="realtime")
            with pytest.raises(ConflictError, match="answered already"):
                await calls.reject(call_id)

    run(test)


def test_a_call_is_transferred_only_where_settings_and_line_allow() -> None:
    from openai import ConflictError, NotFoundError, PermissionDeniedError

    async def test(running: Running, app: Application, port: int) -> None:
        calls = app.client.realtime.calls
        async with calling(port):
            call_id = (await app.rung()).data.call_id
            await calls.accept(call_id, type="realtime")
            with pytest.raises(PermissionDeniedError, match=r"phone\.outbound"):
                await calls.refer(call_id, target_uri="tel:+1900555")
            with pytest.raises(ConflictError, match="cannot be transferred"):
                await calls.refer(call_id, target_uri="tel:+49-30-1")
            with pytest.raises(NotFoundError):
                await calls.refer("rtc_nobody", target_uri="tel:+49301")

    run(test, outbound=["+49*"])


def test_a_caller_who_gives_up_while_it_rings_leaves_nothing_to_accept() -> None:
    from openai import NotFoundError

    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port):
            call_id = (await app.rung()).data.call_id
        await asyncio.sleep(0.1)
        with pytest.raises(NotFoundError):
            await app.client.realtime.calls.accept(call_id, type="realtime")

    run(test)


@pytest.mark.parametrize(("unanswered", "answered"), [("accept", True), ("reject", False)])
def test_an_undecided_call_is_decided_by_the_settings(unanswered: str, answered: bool) -> None:
    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port) as caller:
            await app.rung()
            if answered:
                async with asyncio.timeout(5):
                    while not caller.heard:  # noqa: ASYNC110 - seen from outside
                        await asyncio.sleep(0.02)
            else:
                async with asyncio.timeout(5):
                    await caller.over.wait()
                assert caller.heard == []

    run(test, ring_timeout=1.0, unanswered=unanswered)


def test_a_failed_webhook_is_repeated_with_the_same_id() -> None:
    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port):
            call_id = (await app.rung()).data.call_id
            assert len({one.headers["webhook-id"] for one in app.deliveries}) == 1
            assert len({one.body for one in app.deliveries}) == 1
            assert len(app.deliveries) == 3
            await app.client.realtime.calls.reject(call_id)

    run(test, answers=(503, 0, 200))


def test_a_refused_webhook_is_not_repeated() -> None:
    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port) as caller:
            async with asyncio.timeout(5):
                await caller.over.wait()
            assert len(app.deliveries) == 1

    run(test, answers=(404,))


def test_calls_are_accepted_with_the_servers_key_only() -> None:
    from openai import AsyncOpenAI

    async def test(running: Running, app: Application, port: int) -> None:
        async with calling(port):
            call_id = (await app.rung()).data.call_id
            for verb in ("accept", "reject", "refer", "hangup"):
                answer = await running.http.post(f"/v1/realtime/calls/{call_id}/{verb}", json={"type": "realtime"})
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
            async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="sesame") as allowed:
                await allowed.realtime.calls.hangup(call_id)

    run(test, keys=("sesame",))


def test_no_number_and_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from openai import PermissionDeniedError

    caplog.set_level(logging.DEBUG)

    async def test(running: Running, app: Application, port: int) -> None:
        name = bytes.fromhex("493012345678") + bytes(10)  # a dialplan may put a number into the id
        async with calling(port, name):
            call_id = (await app.rung()).data.call_id
            await app.client.realtime.calls.accept(call_id, type="realtime")
            with pytest.raises(PermissionDeniedError):
                await app.client.realtime.calls.refer(call_id, target_uri="tel:+15550123456")

    run(test)
    ours = [record for record in caplog.records if record.name.startswith("vivavoce")]
    text = json.dumps([{**vars(record), "args": ""} for record in ours], default=str)
    assert '"phone call"' in text
    for secret in ("493012345678", "49301234-5678", "5550123456", "sesame", SECRET[6:], "key=1"):
        assert secret not in text


# --- by SIP --------------------------------------------------------------------------------------------------------


async def asked(talk: Talk) -> TransferRequest:
    """The REFER that the phone receives."""
    async with asyncio.timeout(10):
        while talk.call.transfer_request is None:  # noqa: ASYNC110 - the stack tells nobody
            await asyncio.sleep(0.02)
    return talk.call.transfer_request


async def refused(asking: Awaitable[None]) -> str:
    from openai import ConflictError

    with pytest.raises(ConflictError) as refusal:
        await asking
    return str(refusal.value)


@pytest.mark.baresip
def test_an_application_answers_a_sip_call_and_transfers_it() -> None:
    from openai import PermissionDeniedError

    async def main() -> None:
        port = free_port()
        async with application() as app, phone() as anna:
            desk = f"sip:desk@127.0.0.1:{port}"
            allowed = ("sip:desk@*",)
            settings = PhoneConfig(
                sip=SipConfig(f"127.0.0.1:{port}"), webhook=app.url, webhook_secret=SECRET, outbound=allowed
            )
            engine = ScriptedEngine(lines=[Line("Good morning.", seconds=1.0)])
            async with gateway(engine, clock, settings) as running:
                app.client.base_url = f"{running.url}/v1"
                calls = app.client.realtime.calls
                async with asyncio.TaskGroup() as tasks:
                    dialling = tasks.create_task(anna.dial(f"sip:voice@127.0.0.1:{port}"))
                    rung = await app.rung()
                    names = [header.name for header in rung.data.sip_headers]
                    assert {"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards"} <= set(names)
                    assert not dialling.done()  # it rings
                    call_id = rung.data.call_id
                    await calls.accept(call_id, type="realtime", instructions="Be brief.")
                    talk = await dialling
                async with app.client.realtime.connect(call_id=call_id) as connection:
                    assert (await until(connection, "session.created")).session.instructions == "Be brief."
                    await connection.response.create()
                    await talk.until_heard(5)
                    await until(connection, "output_audio_buffer.stopped")
                    with pytest.raises(PermissionDeniedError):
                        await calls.refer(call_id, target_uri="tel:+1900555")
                    async with asyncio.TaskGroup() as tasks:
                        declined = tasks.create_task(refused(calls.refer(call_id, target_uri=desk)))
                        await asked(talk)
                        await talk.call.reject_transfer(603)
                    assert "SIP 603" in declined.result()
                    async with asyncio.TaskGroup() as tasks:
                        handing_over = tasks.create_task(calls.refer(call_id, target_uri=desk))
                        assert (await asked(talk)).target == desk
                        another = await talk.call.accept_transfer()
                        await calls.accept((await app.rung()).data.call_id, type="realtime")
                        await handing_over
                await talk.until_over()
                await another.hangup()
                await running.idle()

    asyncio.run(main())


# --- webhooks alone ------------------------------------------------------------------------------------------------

CALL = PhoneCall(
    "rtc_1", "sip", caller="+49301", headers=(("From", "<sip:anna@example.org>"), ("X-A", "1"), ("X-A", "2"))
)


def test_the_official_client_verifies_the_signature_and_refuses_changes() -> None:
    from openai import AsyncOpenAI, InvalidWebhookSignatureError

    key, now = secret_key(SECRET), clock()
    body = webhooks.body("evt_1", CALL, now)
    headers = webhooks.headers(key, "evt_1", body, now)
    client = AsyncOpenAI(api_key="none", webhook_secret=SECRET)
    event = client.webhooks.unwrap(body, headers)
    assert event.id == "evt_1"
    assert [(h.name, h.value) for h in event.data.sip_headers] == list(CALL.headers)  # type: ignore[union-attr]
    for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(now) - 1)}):
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers | changed)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.replace(b"anna", b"otto"), headers)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.unwrap(body, webhooks.headers(key, "evt_1", body, now - 600))


def test_answers_to_passwords_are_not_passed_on_and_headers_are_bounded() -> None:
    secret = (("Authorization", "Digest x"), ("proxy-authorization", "Digest y"))
    many = tuple((f"X-{n}", "v" * 9000) for n in range(100))
    event = json.loads(webhooks.body("evt_1", PhoneCall("rtc_1", "sip", headers=secret + many), 0.0))
    passed = event["data"]["sip_headers"]
    assert len(passed) == webhooks.MAX_HEADERS
    assert max(len(header["value"]) for header in passed) == webhooks.MAX_VALUE
    assert not {"authorization", "proxy-authorization"} & {header["name"].lower() for header in passed}


@pytest.mark.parametrize("secret", ["", "short", "whsec_not base64", "whsec_c2hvcnQ="])
def test_a_secret_that_protects_nothing_is_refused_without_repeating_it(secret: str) -> None:
    phone = {"webhook": "https://example.org/hook", "webhook_secret": secret}
    with pytest.raises(ConfigError) as error:
        build({"phone": phone}, {"HOME": "/home/anna"}, {}, "linux")
    assert "'phone.webhook_secret' signs the webhook" in str(error.value)
    assert not secret or secret not in str(error.value)


def test_retries_are_spaced_and_bounded() -> None:
    pauses = [webhooks.pause(tries, 503) for tries in range(1, 8)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[webhooks.TRIES - 1 :] == [None, None]
    assert [webhooks.pause(1, status) for status in (200, 204, 302, 400, 404)] == [None] * 5
    assert [webhooks.pause(1, status) for status in (0, 408, 429, 500)] == [0.5] * 4


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::ffff:10.0.0.1"])
def test_a_name_that_leads_into_a_private_network_is_not_followed(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    async def main() -> None:
        settings = PhoneConfig(webhook="http://hook.example.org:9/x", webhook_secret=SECRET)
        async with asyncio.timeout(5):
            with pytest.raises(WebhookUndelivered, match="webhook_private"):
                await Webhook(settings, clock, resolve).deliver(CALL)

    memory_network.run(main())


def test_a_name_in_a_private_network_is_reached_where_the_settings_say_so() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def main() -> None:
        async with application() as app:
            url = app.url.replace("127.0.0.1", "hook.example.org")
            settings = PhoneConfig(webhook=url, webhook_secret=SECRET, webhook_private=True)
            await Webhook(settings, clock, resolve).deliver(CALL)
            assert (await app.rung()).data.call_id == CALL.id
            assert app.deliveries[0].headers["host"].startswith("hook.example.org:")

    memory_network.run(main())
