"""The gateway's requests: REST, client secrets, CORS, limits, sidebands, transcription.

Real sockets and real clients; only the models are scripted."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets

from harness import memory_network
from harness.fakes import LOUD, QUIET, ScriptedEngine
from harness.gateway import Running, gateway
from harness.peer import Peer
from vivavoce.model.abilities import Abilities
from vivavoce.realtime.admission.client_secrets import ClientSecrets

pytestmark = pytest.mark.slow

KEYED = {"Authorization": "Bearer sesame"}
ELSEWHERE = "https://app.example.org"


def run(test: Callable[[Running], Awaitable[None]], clock: Callable[[], float] = lambda: 0.0, **settings: Any) -> None:
    """Runs `test` against a gateway, and checks that it leaves nothing behind."""

    async def main() -> None:
        async with gateway(ScriptedEngine(["one two"]), clock, **settings) as running:
            await test(running)
            await running.idle()

    memory_network.run(main())


def dial(running: Running, query: str = "", **options: Any) -> AbstractAsyncContextManager[websockets.ClientConnection]:
    return websockets.connect(f"{running.websocket}{query}", max_size=None, **options)


async def until(connection: websockets.ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await connection.recv())
            if event["type"] == kind:
                return event


async def refusal(running: Running, query: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a WebSocket that is refused before the upgrade."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dial(running, query, **options):
            pass
    response = refused.value.response
    error: dict[str, Any] = json.loads(response.body or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error


async def secret(running: Running, headers: dict[str, str] | None = None, **session: Any) -> str:
    answer = await running.http.post("/v1/realtime/client_secrets", json={"session": session}, headers=headers)
    assert answer.status_code == 200, answer.text
    value: str = answer.json()["value"]
    return value


def call_id(connection: websockets.ClientConnection) -> str:
    """The id of a WebSocket call, from the `Location` of the upgrade."""
    assert connection.response is not None
    return connection.response.headers["Location"].rpartition("/")[2]


# --- client secrets --------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_with_the_whole_session_it_opens() -> None:
    async def test(running: Running) -> None:
        asked = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": {"instructions": "Be brief."}}
        answer = await running.http.post("/v1/realtime/client_secrets", json=asked)
        made = answer.json()
        assert made["value"].startswith("ek_")
        assert made["expires_at"] == 1060
        session = made["session"]
        assert session["instructions"] == "Be brief."
        assert (session["type"], session["object"]) == ("realtime", "realtime.session")
        assert session["id"].startswith("sess_")
        assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
        empty = (await running.http.post("/v1/realtime/client_secrets")).json()
        assert empty["expires_at"] == 1600

    run(test, lambda: 1000.0)


def test_the_official_client_gets_secrets_and_talks_with_them() -> None:
    from openai import AsyncOpenAI, AuthenticationError

    async def test(running: Running) -> None:
        async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="sesame", max_retries=0) as owner:
            made = await owner.realtime.client_secrets.create(session={"type": "realtime", "instructions": "Be brief."})
            heard = await owner.realtime.client_secrets.create(session={"type": "transcription"})
            assert heard.session.type == "transcription"
            assert [model.id async for model in owner.models.list()] == ["vivavoce"]
        async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key=made.value, max_retries=0) as browser:
            async with browser.realtime.connect() as connection:
                created = await connection.recv()
                assert created.type == "session.created"
                assert created.session.type == "realtime"
                assert created.session.instructions == "Be brief."
            with pytest.raises(AuthenticationError):  # it opens sessions, and nothing else
                await browser.realtime.client_secrets.create()

    run(test, keys=("sesame",))


@pytest.mark.parametrize("settings", [{"keys": ("sesame",)}, {}], ids=["with keys", "without"])
def test_a_secret_opens_sockets_and_calls_until_it_expires(settings: dict[str, Any]) -> None:
    now = [1000.0]

    async def test(running: Running) -> None:
        value = await secret(running, KEYED, instructions="Be brief.", model="my-model")
        shown: list[dict[str, Any]] = [
            {"additional_headers": {"Authorization": f"Bearer {value}"}},
            {"subprotocols": ["realtime", f"openai-insecure-api-key.{value}"]},
        ]
        for options in shown:
            async with dial(running, **options) as connection:
                session = (await until(connection, "session.created"))["session"]
                assert (session["instructions"], session["model"]) == ("Be brief.", "my-model")
        peer = Peer()
        headers = {"Authorization": f"Bearer {value}", "Content-Type": "application/sdp"}
        answer = await running.http.post("/v1/realtime/calls", content=await peer.offer(), headers=headers)
        assert answer.status_code == 201, answer.text
        await peer.accept(answer.text)
        assert (await peer.event("session.created"))["session"]["instructions"] == "Be brief."
        await peer.close()
        now[0] += 600
        for options in shown:
            status, error = await refusal(running, **options)
            assert (status, error["code"]) == (401, "invalid_api_key")
        answer = await running.http.post("/v1/realtime/calls", content="v=0", headers=headers)
        assert answer.status_code == 401

    run(test, lambda: now[0], **settings)


def test_a_session_outlives_its_secret() -> None:
    now = [0.0]

    async def test(running: Running) -> None:
        value = await secret(running)
        async with dial(running, additional_headers={"Authorization": f"Bearer {value}"}) as connection:
            now[0] += 601
            await connection.send('{"type": "input_audio_buffer.clear"}')
            await until(connection, "input_audio_buffer.cleared")

    run(test, lambda: now[0])


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b'{"session": {"type": "realtime", "sped": 1}}', 400, "unknown_parameter", "session.sped"),
        (b'{"session": {"prompt": {"id": "x"}}}', 400, "unsupported_parameter", "session.prompt"),
        (b'{"expires_after": {"seconds": 1}}', 400, "integer_below_min_value", "expires_after.seconds"),
        (b"x" * 300_000, 413, "body_too_large", None),
    ],
)
def test_a_senseless_request_for_a_secret_is_refused(body: bytes, status: int, code: str, param: str | None) -> None:
    async def test(running: Running) -> None:
        answer = await running.http.post("/v1/realtime/client_secrets", content=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param)

    run(test)


def test_secrets_are_issued_to_holders_of_a_key_only() -> None:
    async def test(running: Running) -> None:
        for headers in ({}, {"Authorization": "Bearer ek_made_up"}):
            answer = await running.http.post("/v1/realtime/client_secrets", headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "invalid_request_error"

    run(test, keys=("sesame",))


def test_the_holder_of_one_key_does_not_use_up_the_secrets_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientSecrets.__init__, "__defaults__", (2, 1000))

    async def test(running: Running) -> None:
        async def status(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}"}
            return (await running.http.post("/v1/realtime/client_secrets", headers=headers)).status_code

        assert [await status("one") for _ in range(3)] == [200, 200, 429]
        assert await status("other") == 200

    run(test, keys=("one", "other"))


# --- browsers --------------------------------------------------------------------------------------------------------


def test_a_browser_of_an_allowed_origin_may_call() -> None:
    async def test(running: Running) -> None:
        ask = {
            "Origin": ELSEWHERE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": (
                "authorization,content-type,x-openai-agents-sdk,openai-safety-identifier"
            ),
        }
        leave = await running.http.options("/v1/realtime/calls", headers=ask)
        assert leave.status_code == 200
        assert leave.headers["Access-Control-Allow-Origin"] == ELSEWHERE
        allowed = leave.headers["Access-Control-Allow-Headers"].lower()
        assert all(name in allowed for name in ask["Access-Control-Request-Headers"].split(","))

        value = await secret(running, KEYED)
        peer = Peer()
        headers = {"Origin": ELSEWHERE, "Authorization": f"Bearer {value}", "Content-Type": "application/sdp"}
        answer = await running.http.post("/v1/realtime/calls", content=await peer.offer(), headers=headers)
        assert answer.status_code == 201
        assert answer.headers["Access-Control-Allow-Origin"] == ELSEWHERE
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Location"].startswith("/v1/realtime/calls/rtc_")
        await peer.accept(answer.text)
        await peer.event("session.created")
        await peer.close()
        # The page reads refusals too.
        wrong = await running.http.post("/v1/realtime/calls", headers={**headers, "Authorization": "Bearer ek_x"})
        assert wrong.status_code == 401
        assert wrong.headers["Access-Control-Allow-Origin"] == ELSEWHERE

    run(test, keys=("sesame",), origins=(ELSEWHERE,))


def test_a_browser_of_another_origin_may_not_call_even_with_a_secret() -> None:
    async def test(running: Running) -> None:
        value = await secret(running)
        headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {value}"}
        answer = await running.http.post("/v1/realtime/calls", headers=headers)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers

    run(test)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/realtime/nothing", 404, "unknown_url"),
        ("POST", "/v1/realtime/sessions", 404, "unknown_url"),
        ("GET", "/nothing.html", 404, "unknown_url"),
        ("GET", "/v1/realtime/calls", 405, "method_not_supported"),
        ("DELETE", "/v1/models", 405, "method_not_supported"),
        ("GET", "/v1/models/gpt-realtime", 404, "model_not_found"),
        *(
            ("POST", f"/v1/realtime/calls/rtc_x/{verb}", 404, "call_not_found")
            for verb in ("hangup", "accept", "reject", "refer")
        ),
    ],
)
def test_unknown_paths_are_refused_in_the_protocols_form(method: str, path: str, status: int, code: str) -> None:
    async def test(running: Running) -> None:
        answer = await running.http.request(method, path)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["type"]) == (status, code, "invalid_request_error")
        assert error["message"]
        assert status != 405 or answer.headers["Allow"]

    run(test)


def test_the_model_can_be_listed() -> None:
    async def test(running: Running) -> None:
        (model,) = (await running.http.get("/v1/models")).json()["data"]
        assert model == {"id": "vivavoce", "object": "model", "created": 1000, "owned_by": "vivavoce"}
        assert (await running.http.get("/v1/models/vivavoce")).json() == model

    run(test, lambda: 1000.0)


def test_a_form_without_a_length_is_read_and_bounded_by_what_arrives() -> None:
    async def test(running: Running) -> None:
        async def form(size: int) -> Any:
            yield b'--x\r\nContent-Disposition: form-data; name="sdp"; filename="offer.sdp"\r\n\r\n'
            for _ in range(size // 1000):
                yield b"v=0\r\n" * 200
            yield b"\r\n--x--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        for size, status, code in ((5_000, 400, "invalid_offer"), (300_000, 413, "body_too_large")):
            answer = await running.http.post("/v1/realtime/calls", content=form(size), headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)

    run(test)


def test_a_body_without_a_length_is_bounded_all_the_same() -> None:
    async def test(running: Running) -> None:
        async def much() -> Any:
            for _ in range(10):
                yield b"v=0\r\n" * 10_000

        answer = await running.http.post(
            "/v1/realtime/calls", content=much(), headers={"Content-Type": "application/sdp"}
        )
        assert answer.status_code == 413

    run(test)


# --- calls in progress -----------------------------------------------------------------------------------------------


def test_a_websocket_call_is_hung_up_and_closes_as_calls_do() -> None:
    async def test(running: Running) -> None:
        async with dial(running) as connection:
            await until(connection, "session.created")
            path = f"/v1/realtime/calls/{call_id(connection)}"
            answer = await running.http.post(f"{path}/refer", json={"target_uri": "tel:+1"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "call_not_by_telephone")
            answer = await running.http.post(f"{path}/hangup")
            assert (answer.status_code, answer.content) == (200, b"")
            await connection.wait_closed()
            assert connection.close_code == 1000

    run(test)


def test_a_session_that_is_too_old_ends_with_its_error() -> None:
    async def test(running: Running) -> None:
        async with dial(running) as connection:
            error = (await until(connection, "error"))["error"]
            assert error["code"] == "session_expired"
            assert set(error) == {"type", "code", "message", "param", "event_id"}
            await connection.wait_closed()
            assert connection.close_code == 1001

    run(test, max_duration=0.3)


def test_a_sideband_reads_a_webrtc_call_and_steers_it() -> None:
    from openai import AsyncOpenAI

    async def test(running: Running) -> None:
        peer = Peer()
        headers = {"Content-Type": "application/sdp"}
        answer = await running.http.post("/v1/realtime/calls", content=await peer.offer(), headers=headers)
        await peer.accept(answer.text)
        await peer.event("session.created")
        call = answer.headers["Location"].rpartition("/")[2]
        client = AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none")
        async with client, client.realtime.connect(call_id=call) as sideband:
            assert (await sideband.recv()).type == "session.created"
            await sideband.session.update(session={"type": "realtime", "instructions": "Be brief."})
            assert (await sideband.recv()).type == "session.updated"
            assert (await peer.event("session.updated"))["session"]["instructions"] == "Be brief."
        await peer.close()

    run(test)


def test_the_official_client_makes_a_call_and_hangs_it_up() -> None:
    from openai import AsyncOpenAI, NotFoundError

    async def test(running: Running) -> None:
        peer = Peer()
        async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            session: Any = {"type": "realtime", "instructions": "Be brief."}
            answer = await client.realtime.calls.create(sdp=await peer.offer(), session=session)
            await peer.accept(answer.text)
            assert (await peer.event("session.created"))["session"]["instructions"] == "Be brief."
            call = answer.response.headers["Location"].rpartition("/")[2]
            await client.realtime.calls.hangup(call)
            async with asyncio.timeout(10):
                await peer.closed.wait()
            with pytest.raises(NotFoundError):
                await client.realtime.calls.accept("rtc_nobody", type="realtime")
        await peer.close()

    run(test)


def test_a_sideband_closes_with_its_call() -> None:
    async def test(running: Running) -> None:
        async with dial(running) as own, dial(running, f"?call_id={call_id(own)}") as sideband:
            await until(sideband, "session.created")
            await own.close()
            await sideband.wait_closed()
            assert sideband.close_code == 1000

    run(test)


def test_a_sideband_of_no_call_or_without_a_key_is_refused_before_the_upgrade() -> None:
    async def test(running: Running) -> None:
        status, error = await refusal(running, "?call_id=rtc_nobody", additional_headers=KEYED)
        assert (status, error["code"]) == (404, "call_not_found")
        value = await secret(running, KEYED)
        async with dial(running, additional_headers=KEYED) as own:
            query = f"?call_id={call_id(own)}"
            assert (await refusal(running, query))[0] == 401
            assert (await refusal(running, query, additional_headers={"Authorization": f"Bearer {value}"}))[0] == 401

    run(test, keys=("sesame",))


def test_the_fifth_sideband_is_refused() -> None:
    async def test(running: Running) -> None:
        async with dial(running) as own:
            query = f"?call_id={call_id(own)}"
            async with dial(running, query), dial(running, query), dial(running, query), dial(running, query):
                status, error = await refusal(running, query)
                assert (status, error["code"]) == (429, "too_many_sidebands")
            async with asyncio.timeout(10):
                while not await _joins(running, query):  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.01)

    async def _joins(running: Running, query: str) -> bool:
        """A seat is free again once the server has seen a sideband leave."""
        try:
            async with dial(running, query) as sideband:
                await until(sideband, "session.created")
                return True
        except websockets.InvalidStatus:
            return False

    run(test)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_too_many_sessions_from_one_address_are_told_to_wait() -> None:
    async def test(running: Running) -> None:
        for _ in range(2):
            async with dial(running) as connection:
                await until(connection, "session.created")
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with dial(running):
                pass
        assert refused.value.response.status_code == 429
        assert 25 <= int(refused.value.response.headers["Retry-After"]) <= 30
        answer = await running.http.post(
            "/v1/realtime/calls", content="v=0", headers={"Content-Type": "application/sdp"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")

    run(test, sessions_per_minute=2)


def test_after_a_response_the_client_learns_its_limit() -> None:
    async def test(running: Running) -> None:
        async with dial(running) as connection:
            await connection.send('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
            (limit,) = (await until(connection, "rate_limits.updated"))["rate_limits"]
            assert (limit["name"], limit["limit"], limit["remaining"]) == ("requests", 7, 6)
            assert 8 < limit["reset_seconds"] < 9

    run(test, responses_per_minute=7)


def test_behind_a_trusted_proxy_the_limit_is_that_of_each_client() -> None:
    async def test(running: Running) -> None:
        async def status(*addresses: str) -> int:
            headers = [("X-Forwarded-For", address) for address in addresses]
            headers.append(("Content-Type", "application/sdp"))
            return (await running.http.post("/v1/realtime/calls", content="v=0", headers=headers)).status_code

        assert [await status("192.0.2.1") for _ in range(3)] == [400, 400, 429]
        assert [await status("198.51.100.1", "192.0.2.1"), await status("192.0.2.2")] == [429, 400]

    run(test, sessions_per_minute=2, trusted_proxies=("127.0.0.1",))


def test_what_a_stranger_writes_into_a_proxys_header_changes_no_limit() -> None:
    async def test(running: Running) -> None:
        statuses = []
        for n in range(3):
            headers = {
                "X-Forwarded-For": f"192.0.2.{n}",
                "Forwarded": f"for=192.0.2.{n}",
                "Content-Type": "application/sdp",
            }
            statuses.append((await running.http.post("/v1/realtime/calls", content="v=0", headers=headers)).status_code)
        assert statuses == [400, 400, 429]

    run(test, sessions_per_minute=2)


# --- sessions that only listen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["intent", "secret"])
def test_a_transcription_session_sends_words_and_no_response(by: str) -> None:
    async def test(running: Running) -> None:
        options: dict[str, Any] = {}
        if by == "secret":
            value = await secret(running, type="transcription")
            options["additional_headers"] = {"Authorization": f"Bearer {value}"}
        async with dial(running, "?intent=transcription" if by == "intent" else "", **options) as connection:
            session = (await until(connection, "session.created"))["session"]
            assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
            assert "model" not in session
            transcription = {"model": "gpt-4o-transcribe", "language": "en"}
            update = {"type": "transcription", "audio": {"input": {"transcription": transcription}}}
            await connection.send(json.dumps({"type": "session.update", "session": update}))
            updated = await until(connection, "session.updated")
            assert updated["session"]["audio"]["input"]["transcription"] == transcription
            for frame in [LOUD] * 50 + [QUIET] * 40:
                audio = base64.b64encode((frame * 32767).astype("<i2").tobytes()).decode()
                await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            committed = await until(connection, "input_audio_buffer.committed")
            done = await until(connection, "conversation.item.input_audio_transcription.completed")
            assert (done["item_id"], done["transcript"]) == (committed["item_id"], "one two")
            assert done["usage"]["seconds"] > 0.9
            await connection.send('{"type": "response.create", "event_id": "mine"}')
            assert (await until(connection, "error"))["error"]["event_id"] == "mine"

    run(test)


def test_a_client_that_disconnects_in_the_middle_of_an_offer_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def test(running: Running) -> None:
        address = urlsplit(running.url)
        for body, kind in ((b"v=0", "application/sdp"), (b"--x", "multipart/form-data; boundary=x")):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            head = f"POST /v1/realtime/calls HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n"
            writer.write(head.encode() + b"Content-Length: 500\r\n\r\n" + body)
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
        await asyncio.sleep(0.2)

    run(test)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# --- JSON ------------------------------------------------------------------------------------------------------------

NO_JSON = [
    b'{"type": "realtime", "instructions": "\\ud800"}',
    b'{"type": "realtime", "instructions": "\\ud800 and more"}',
    b'{"type": "realtime", "\\udfff": 1}',
    b'{"type": "realtime", "audio": {"output": {"speed": NaN}}}',
    b'{"type": "realtime", "audio": {"output": {"speed": Infinity}}}',
    b'{"type": "realtime", "audio": {"output": {"speed": -Infinity}}}',
    b'{"type": "realtime", "instructions": "\xed\xa0\x80"}',
    b'{"type": "realtime", "instructions": "\xff"}',
    b'{"type": "realtime", "tracing": {"metadata": {"a": ' + b"[" * 50_000,
    b"{'type': 'realtime'}",
    b'{"type": "realtime", }',
]
"""Texts that lenient readers of JSON take."""


@pytest.mark.parametrize("text", NO_JSON, ids=lambda text: text[21:64].decode(errors="replace"))
def test_every_door_reads_the_same_json(text: bytes) -> None:
    async def test(running: Running) -> None:
        sdp, session = ("sdp", (None, b"v=0")), ("session", ("session.json", text, "application/json"))
        for answer, param in (
            (await running.http.post("/v1/realtime/calls", files=[sdp, session]), "session"),
            (await running.http.post("/v1/realtime/client_secrets", content=b'{"session": ' + text + b"}"), None),
        ):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_json", param)
        if not text.isascii():  # RFC 6455: text frames are UTF-8
            return
        async with dial(running) as connection:
            await connection.send('{"type": "session.update", "session": ' + text.decode() + "}")
            assert (await until(connection, "error"))["error"]["code"] == "invalid_json"

    run(test)


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ('{"instructions": "\\ud800"}', "invalid_json", "session"),
        ("[]", "invalid_type", "session"),
        ("3", "invalid_type", "session"),
        ('{"tools": [1e999]}', "invalid_type", "session[...][0]"),
        ('{"instructions": 5}', "invalid_type", "session.instructions"),
        ('{"sped": 5}', "unknown_parameter", "session.sped"),
    ],
)
def test_a_forms_session_is_refused_with_its_path(text: str, code: str, param: str) -> None:
    async def test(running: Running) -> None:
        answer = await running.http.post("/v1/realtime/calls", files={"sdp": (None, "v=0"), "session": (None, text)})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, code, param)

    run(test)


# --- what the models can do ------------------------------------------------------------------------------------------


def test_a_session_that_the_models_cannot_serve_is_refused_at_every_door() -> None:
    engine = ScriptedEngine()
    engine.abilities = Abilities(("joe",))
    config = {"audio": {"output": {"voice": "nobody"}}}
    refused = (400, "invalid_value", "session.audio.output.voice")

    async def test() -> None:
        async with gateway(engine) as running:
            form = {"sdp": (None, "v=0"), "session": (None, json.dumps(config))}
            for answer in (
                await running.http.post("/v1/realtime/calls", files=form),
                await running.http.post("/v1/realtime/client_secrets", json={"session": config}),
            ):
                error = answer.json()["error"]
                assert (answer.status_code, error["code"], error["param"]) == refused
            async with dial(running) as connection:
                update = {"type": "session.update", "event_id": "mine"}
                await connection.send(json.dumps({**update, "session": {"type": "realtime", **config}}))
                error = (await until(connection, "error"))["error"]
                assert (error["code"], error["param"], error["event_id"]) == (*refused[1:], "mine")
                await connection.send(json.dumps({**update, "session": {"type": "realtime"}}))
                await until(connection, "session.updated")
            await running.idle()

    asyncio.run(test())
