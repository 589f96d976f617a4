"""Tools of real MCP servers over HTTP: answers, failures, and addresses that are never reached."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.mcp_server import mcp_server, serving
from vivavoce.realtime.events import Address, Answer, Failure
from vivavoce.realtime.session.tool_settings import ImportedLater
from vivavoce.realtime.tools import MAX_OUTPUT, mcp_client
from vivavoce.realtime.tools.mcp_client import McpClient
from vivavoce.realtime.tools.safe_http import MAX_BYTES, MAX_TOTAL, CheckedTransport

pytestmark = pytest.mark.slow


def with_server(test: Callable[[McpClient, Address, list[dict[str, str]]], Awaitable[None]]) -> None:
    async def main() -> None:
        async with mcp_server() as (url, seen):
            await test(McpClient(private=True, deadline=5), Address(url), seen)

    asyncio.run(main())


def test_the_tools_of_a_server_are_listed_without_references() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        listed = await client.list(address)
        assert isinstance(listed, tuple)
        assert [tool.name for tool in listed] == ["weather", "fail", "sleep", "flood", "numbers"]
        weather = listed[0]
        assert weather.description == "The weather in a place."
        assert weather.read_only
        assert "$ref" not in str(weather.schema)
        assert weather.schema["properties"]["place"]["properties"]["city"] == {"type": "string"}

    with_server(test)


def test_a_call_is_answered_and_its_secrets_reach_the_server() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        secret = Address(address.url, "hush", (("x-team", "blue"),))
        outcome = await client.call(secret, "weather", '{"place": {"city": "Paris"}}')
        assert outcome == Answer("Sunny in Paris, FR.")
        assert {headers["authorization"] for headers in seen} == {"Bearer hush"}
        assert {headers["x-team"] for headers in seen} == {"blue"}

    with_server(test)


def test_structured_and_long_answers_become_bounded_text() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        assert await client.call(address, "numbers", "{}") == Answer("1\n2")
        long = await client.call(address, "flood", f'{{"chars": {MAX_OUTPUT + 1}}}')
        assert isinstance(long, Answer)
        assert long.text.startswith("x" * MAX_OUTPUT)
        assert long.text.endswith("cut off.]")

    with_server(test)


def test_a_tool_that_fails_says_why() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        failure = await client.call(address, "fail", "{}")
        assert isinstance(failure, Failure)
        assert failure.kind == "tool_execution_error"

    with_server(test)


def test_an_answer_longer_than_the_bound_is_not_read() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        failure = await client.call(address, "flood", f'{{"chars": {MAX_BYTES + 1}}}')
        assert isinstance(failure, Failure)

    with_server(test)


def test_a_tool_that_takes_too_long_is_given_up() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        hasty = McpClient(private=True, deadline=0.5)
        async with asyncio.timeout(25):
            failure = await hasty.call(address, "sleep", '{"seconds": 30}')
        assert failure == Failure("tool_execution_error", "The tool took longer than 0.5 s.")

    with_server(test)


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        before = asyncio.all_tasks()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(client.call(address, "sleep", '{"seconds": 30}'))
            while not seen:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            task.cancel()
        assert task.cancelled()
        own = {task for task in asyncio.all_tasks() - before if "mcp.client" in str(task.get_coro())}
        assert not own

    with_server(test)


def test_a_client_is_imported_at_first_use_and_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def test(client: McpClient, address: Address, seen: list[dict[str, str]]) -> None:
        later = ImportedLater(private=True, deadline=5)
        secret = Address(f"{address.url}?key=hush", "hush", (("x-key", "hush"),))
        with caplog.at_level("INFO"):
            assert isinstance(await later.list(secret), tuple)
            assert await later.call(secret, "numbers", "{}") == Answer("1\n2")
            await later.call(Address("http://127.0.0.1:9/mcp?key=hush", "hush"), "numbers", "{}")
        ours = [record for record in caplog.records if not record.name.startswith("uvicorn")]
        assert [record.name for record in ours if record.levelname == "WARNING"] == [
            "vivavoce.realtime.tools.mcp_client"
        ]
        assert "hush" not in str([vars(record) for record in ours])

    with_server(test)


def test_a_gateway_does_not_import_the_library_which_takes_two_seconds() -> None:
    code = (
        "import sys, vivavoce.realtime.gateway.app; sys.exit(bool({'mcp', 'mcp_types', 'pydantic'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- servers that misbehave ---


def against(answer: Callable[[Request], Awaitable[Response]], private: bool = True) -> tuple[Any, Any]:
    """The outcomes of listing and calling when a server answers every request so."""

    async def main() -> tuple[Any, Any]:
        app = Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST", "DELETE"])])
        async with serving(app) as url:
            client = McpClient(private, deadline=2)
            address = Address(f"{url}/mcp")
            return await client.list(address), await client.call(address, "go", "{}")

    return asyncio.run(main())


def test_an_http_error_is_reported_with_its_status() -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("no", 403)

    expected = Failure("http_error", "The server answered with status 403.", 403)
    assert against(answer) == (expected, expected)


def test_an_answer_that_is_no_mcp_is_a_protocol_error() -> None:
    async def answer(request: Request) -> Response:
        return Response("{}", media_type="application/json")

    for failure in against(answer):
        assert isinstance(failure, Failure)
        assert failure.kind == "protocol_error"


def test_redirects_are_not_followed() -> None:
    followed: list[str] = []

    async def answer(request: Request) -> Response:
        followed.append(request.url.path)
        return RedirectResponse("/mcp?again", 307)

    for failure in against(answer):
        assert isinstance(failure, Failure)
    assert set(followed) == {"/mcp"}
    assert len(followed) < 8


def test_an_answer_without_end_is_cut() -> None:
    async def answer(request: Request) -> Response:
        async def pieces() -> Any:
            for _ in range(3 * MAX_BYTES // 65_536):
                yield b" " * 65_536
                await asyncio.sleep(0)

        return StreamingResponse(pieces(), media_type="application/json")

    for failure in against(answer):
        assert isinstance(failure, Failure)
        assert failure.kind == "http_error"
        assert "longer than" in failure.message


def bomb(megabytes: int) -> bytes:
    """A JSON answer of so many megabytes, as gzip: a thousandth of it travels."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(b'{"jsonrpc": "2.0", "id": 1, "result": {"a": "')]
    pieces += [packer.compress(b"a" * 2**20) for _ in range(megabytes)]
    return b"".join([*pieces, packer.compress(b'"}}'), packer.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity, gzip", "br", "x-unknown"])
def test_a_compressed_answer_is_not_asked_for_and_refused_unread(encoding: str) -> None:
    body, asked = bomb(30), []

    async def answer(request: Request) -> Response:
        asked.append(request.headers.get("accept-encoding"))
        return Response(body, media_type="application/json", headers={"Content-Encoding": encoding})

    tracemalloc.start()
    try:
        for failure in against(answer):
            assert isinstance(failure, Failure)
            assert failure.message == "The server's answer is compressed, which it was asked not to be."
        assert tracemalloc.get_traced_memory()[1] < 20 << 20  # 30 MB were in it
    finally:
        tracemalloc.stop()
    assert set(asked) == {"identity"}


def test_a_client_cannot_have_answers_compressed_by_a_header_of_its_own() -> None:
    seen: list[str | None] = []

    async def answer(request: Request) -> Response:
        seen.append(request.headers.get("accept-encoding"))
        return PlainTextResponse("no", 403)

    async def main() -> None:
        async with serving(Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST"])])) as url:
            address = Address(f"{url}/mcp", headers=(("Accept-Encoding", "gzip"),))
            await McpClient(private=True, deadline=2).list(address)

    asyncio.run(main())
    assert set(seen) == {"identity"}


@pytest.mark.parametrize(
    "event", [b": nothing\n\n", b"id: 1\nretry: 1\ndata: \n\n", b'data: {"jsonrpc":"2.0","method":"x"}\n\n']
)
def test_an_event_stream_without_end_is_cut(event: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[CheckedTransport] = []

    class Remembered(CheckedTransport):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            used.append(self)

    monkeypatch.setattr(mcp_client, "CheckedTransport", Remembered)

    async def answer(request: Request) -> Response:
        async def events() -> Any:
            for _ in range(20 * MAX_BYTES // 65_536):
                yield (event * (65_536 // len(event) + 1))[:65_536]

        return StreamingResponse(events(), media_type="text/event-stream")

    for failure in against(answer):
        assert isinstance(failure, Failure)
    assert len(used) == 2
    assert max(one.received for one in used) < MAX_TOTAL + 2**20


def test_a_missing_server_cannot_be_reached() -> None:
    async def main() -> Any:
        return await McpClient(private=True, deadline=2).call(Address("http://127.0.0.1:9/mcp"), "go", "{}")

    failure = asyncio.run(main())
    assert (failure.kind, failure.message) == ("http_error", "The server 127.0.0.1:9 cannot be reached.")


# --- addresses that are not reached ---


def reached(addresses: list[str], private: bool = False) -> tuple[Any, int]:
    """The outcome for a name that resolves to these addresses, and the number of requests that reached the server."""
    count = 0

    async def answer(request: Request) -> Response:
        nonlocal count
        count += 1
        return PlainTextResponse("here", 418)

    async def resolve(host: str, port: int) -> list[str]:
        assert host == "tools.example"
        return addresses

    async def main() -> Any:
        async with serving(Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST"])])) as url:
            port = url.rpartition(":")[2]
            client = McpClient(private, 2, resolve)
            return await client.call(Address(f"http://tools.example:{port}/mcp"), "go", "{}")

    return asyncio.run(main()), count


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"]]
)
def test_a_name_of_a_private_address_is_not_reached(addresses: list[str]) -> None:
    failure, count = reached(addresses)
    assert "private" in failure.message
    assert count == 0


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    failure, count = reached(["127.0.0.1"], private=True)
    assert (failure.code, count > 0) == (418, True)


def test_a_name_without_an_address_is_reported_as_unknown() -> None:
    failure, _ = reached([])
    assert failure.message == "There is no server called tools.example."
