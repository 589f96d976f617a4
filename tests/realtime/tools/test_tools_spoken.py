"""The built-in tools with the real LLM: it calls one, and says the result."""

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

pytestmark = [pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine(models: Store) -> Iterator[Engine]:
    """With the default language model: that it finds the tools is what is tested."""
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
    ("tools", "question", "answer"),
    [
        (("arithmetic",), "Please calculate 4387 * 691 with the calculator.", "3031417"),
        (("time",), "What time is it now in Tokyo?", ":"),
    ],
)
def test_the_llm_calls_a_built_in_tool_and_says_the_result(
    engine: Engine, tools: tuple[str, ...], question: str, answer: str
) -> None:
    async def main() -> tuple[str, list[str]]:
        async with gateway(engine, tools=tools) as running:
            return await said(running.websocket, question)

    text, kinds = asyncio.run(main())
    assert answer in text.replace(",", ""), text
    assert "response.output_item.added" in kinds
    assert kinds.count("response.created") == 1, "clients see one response"
