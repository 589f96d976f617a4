"""The built-in tools with the real LLM: it calls one. What it says about the result is up to the model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websockets

from harness.gateway import gateway
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.events import Outcome
from vivavoce.realtime.tools.builtin import BuiltIn

pytestmark = [pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine(models: Store) -> Iterator[Engine]:
    """With the default language model."""
    engine = Engine(CascadeSettings(), models.path)
    yield engine
    engine.close()


async def said(url: str, question: str) -> tuple[str, list[str]]:
    """The answer to a written question, and the kinds of events on the way to it."""
    kinds: list[str] = []

    async with websockets.connect(url) as socket:

        async def send(kind: str, **fields: Any) -> None:
            await socket.send(json.dumps({"type": kind, **fields}))

        part = {"type": "input_text", "text": question}
        await send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        await send("response.create", response={"output_modalities": ["text"]})
        async with asyncio.timeout(60):
            while True:
                event = json.loads(await socket.recv())
                kinds.append(event["type"])
                if event["type"] == "response.output_text.done":
                    return str(event["text"]), kinds


@pytest.mark.parametrize(
    ("group", "names", "question"),
    [
        ("arithmetic", {"calculate"}, "Please calculate 4387 * 691 with the calculator."),
        ("time", {"time", "time_in"}, "What time is it now in Tokyo?"),
    ],
)
def test_the_llm_calls_a_built_in_tool_and_its_result_becomes_an_answer(
    engine: Engine, group: str, names: set[str], question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    call = BuiltIn.call

    async def noted(tools: BuiltIn, name: str, arguments: str, now: float) -> Outcome:
        called.append(name)
        return await call(tools, name, arguments, now)

    monkeypatch.setattr(BuiltIn, "call", noted)

    async def main() -> tuple[str, list[str]]:
        async with gateway(engine, tools=(group,)) as running:
            return await said(running.websocket, question)

    text, kinds = asyncio.run(main())
    assert called
    assert set(called) <= names
    assert text.strip()
    assert kinds.count("response.created") == 1, "clients see one response"
