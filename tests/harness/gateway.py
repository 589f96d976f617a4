"""The real gateway on the test's own event loop, so that a test sees what it leaves behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from harness.fakes import ScriptedEngine
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.gateway.http_server import HttpServer
from vivavoce.realtime.transports.tcp import listen


class KeptEngine:
    """An engine that outlives the gateways of a test module: loading takes seconds."""

    def __init__(self, engine: Engine | ScriptedEngine) -> None:
        self.cascade = engine.cascade
        self.windows = engine.windows
        self.end_of_turn = engine.end_of_turn
        self.about = engine.about

    def close(self) -> None:
        """The module's fixture closes the engine."""


@dataclass(frozen=True)
class Running:
    """A gateway, and a client for its REST side."""

    url: str
    http: httpx.AsyncClient
    tasks: frozenset[asyncio.Task[object]]  # of the idle gateway
    threads: frozenset[str]
    server: HttpServer

    @property
    def websocket(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/realtime"

    async def offer(self, sdp: str) -> str:
        """Posts an offer as a browser does; returns the answer."""
        response = await self.http.post(
            "/v1/realtime/calls?extras=true", content=sdp, headers={"Content-Type": "application/sdp"}
        )
        assert response.status_code == 201, response.text
        return response.text

    async def idle(self, patience: float = 15.0) -> None:
        """Waits until no call is left, and asserts that tasks and threads are those of an idle gateway."""
        deadline = asyncio.get_running_loop().time() + patience
        while (calls := (await self.http.get("/readyz")).json().get("calls")) != 0 or self._left():
            assert asyncio.get_running_loop().time() < deadline, (
                f"{calls} calls and these tasks are left: {self._left()}"
            )
            await asyncio.sleep(0.05)
        threads_end = time.monotonic() + patience  # threads know no virtual clock, and end a moment after their call
        while left := _threads() - self.threads:
            assert time.monotonic() < threads_end, f"threads were left: {left}"
            await asyncio.sleep(0.01)

    def _left(self) -> list[str]:
        """Tasks beyond the idle gateway's, but for those of open HTTP connections."""
        own = asyncio.current_task()
        mine = [task for task in asyncio.all_tasks() - self.tasks if task is not own]
        return [str(task) for task in mine if "uvicorn" not in str(task) and "asgi" not in str(task).lower()]


@asynccontextmanager
async def gateway(
    engine: Engine | ScriptedEngine,
    clock: Callable[[], float] = lambda: 0.0,
    phone: PhoneConfig | None = None,
    descriptors: int = 1024,
    **settings: object,
) -> AsyncIterator[Running]:
    """Runs a gateway with `ServerConfig(**settings)` on a free port; `clock` gives its unix seconds."""
    config = ServerConfig(**settings)  # type: ignore[arg-type]  # a test's own words
    kept = KeptEngine(engine)
    app = Gateway(config, lambda: kept, clock, phone=phone)  # type: ignore[arg-type,return-value]  # all that is used of it
    listening = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = HttpServer(app, config, listening, descriptors)
    async with asyncio.TaskGroup() as tasks, httpx.AsyncClient(base_url=url, timeout=20, verify=False) as http:
        tasks.create_task(server._serve())
        async with asyncio.timeout(30):
            while not server.started or (await http.get("/readyz")).json()["status"] != "ready":  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)
        running = Running(url, http, frozenset(asyncio.all_tasks()), _threads(), server)
        try:
            yield running
        except BaseException:
            listening.close()  # the group below cancels the server, which then closes nothing
            raise
        finally:
            server.should_exit = True


def _threads() -> frozenset[str]:
    """Names of the threads that calls may start. The engine's own and those of the loops' pools outlive calls."""
    kept = ("asyncio", "AnyIO worker", "asr", "tts", "llm-0", "decoding")
    return frozenset(thread.name for thread in threading.enumerate() if not thread.name.startswith(kept))
