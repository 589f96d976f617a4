"""The checks with the Python package `openai-agents`: its realtime session, its history, its tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import checks
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from agents.realtime.model_inputs import RealtimeModelSendRawMessage

asked: list[str] = []


@function_tool
def get_temperature(city: str) -> str:
    """Tells how warm it is in a city right now.

    Args:
        city: the name of the city
    """
    asked.append(city)
    return checks.TOOL_RESULT


class Line:
    """One session, with everything that came out of it."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.events: list[Any] = []
        self._incoming = aiter(session)

    async def until(self, kind: str) -> Any:
        """The next event of the session, or of the server behind it, of this type."""
        while True:
            event = await anext(self._incoming)
            if event.type == "error":
                raise AssertionError(event.error)
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                event = event.data.data
            self.events.append(event)
            if _kind(event) == kind:
                return event

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if _kind(event) == kind]

    def transcript(self, item_id: str) -> str:
        """What the client believes was said in a message."""
        (item,) = [item for item in self.history if item.item_id == item_id]
        return "".join(getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content)

    @property
    def history(self) -> list[Any]:
        return self.session._history

    async def tell(self, kind: str, **fields: Any) -> None:
        message = {"type": kind, "other_data": fields}
        await self.session.model.send_event(RealtimeModelSendRawMessage(message=message))


def _kind(event: Any) -> str:
    return event["type"] if isinstance(event, dict) else event.type


@asynccontextmanager
async def calling(
    tools: list[Any] | None = None, instructions: str = checks.INSTRUCTIONS, **settings: Any
) -> AsyncIterator[Line]:
    agent = RealtimeAgent(name="assistant", instructions=instructions, tools=tools or [])
    runner = RealtimeRunner(agent)
    config = {"url": f"{checks.WEBSOCKET}?model=vivavoce", "api_key": "none", "initial_model_settings": settings}
    async with await runner.run(model_config=config) as session:
        line = Line(session)
        await line.until("session.updated")
        yield line


async def text() -> dict[str, Any]:
    async with calling(modalities=["text"]) as line:
        await line.session.send_message(checks.QUESTION)
        done = await line.until("response.done")
        (item,) = done["response"]["output"]
        await line.until("agent_end")
        return {"answer": line.transcript(item["id"]), "roles": [item.role for item in line.history]}


async def voice() -> dict[str, Any]:
    async with calling() as line:
        await checks.say(checks.sound("question"), line.session.send_audio)
        done = await line.until("response.done")
        if not line.of("conversation.item.input_audio_transcription.completed"):
            await line.until("conversation.item.input_audio_transcription.completed")
        (item,) = done["response"]["output"]
        sound = b"".join(event.audio.data for event in line.of("audio"))
        user = next(item for item in line.history if item.role == "user")
        return {
            "heard": line.transcript(user.item_id),
            "answer": line.transcript(item["id"]),
            "sound": checks.encoded(sound),
        }


async def tool() -> dict[str, Any]:
    async with calling([get_temperature], modalities=["text"]) as line:
        content = [{"type": "input_text", "text": checks.WEATHER}]
        await line.tell("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        choice = {"type": "function", "name": "get_temperature"}
        await line.tell("response.create", response={"tool_choice": choice})
        ended = await line.until("tool_end")
        while "message" not in (
            kinds := [item["type"] for item in (await line.until("response.done"))["response"]["output"]]
        ):
            assert kinds in ([], ["function_call"])
        (item,) = line.of("response.done")[-1]["response"]["output"]
        await line.until("agent_end")
        return {"name": ended.tool.name, "arguments": {"city": asked[0]}, "answer": line.transcript(item["id"])}


async def barge_in() -> dict[str, Any]:
    async with calling(instructions=checks.TALKATIVE) as line:
        await line.session.send_message(checks.LONG)
        first = await line.until("audio")
        await asyncio.sleep(checks.PLAYED)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(checks.say(checks.sound("interruption"), line.session.send_audio))
            await line.until("audio_interrupted")
            truncated = await line.until("conversation.item.truncated")
            while line.of("response.created")[-1]["response"]["id"] == line.of("response.created")[0]["response"]["id"]:
                await line.until("response.created")
        await line.session.interrupt()
        while not [event for event in line.of("conversation.item.retrieved") if event["item"]["id"] == first.item_id]:
            await line.until("conversation.item.retrieved")
        done = line.of("response.done")[0]["response"]
        retrieved = [event["item"] for event in line.of("conversation.item.retrieved")]
        (kept,) = [item for item in retrieved if item["id"] == first.item_id]
        return {
            "status": done["status"],
            "reason": (done.get("status_details") or {}).get("reason"),
            "truncated": truncated["audio_end_ms"],
            "said": done["output"][0]["content"][0]["transcript"],
            "kept": kept["content"][0].get("transcript") or "",
        }


asyncio.run(checks.report(text, voice, tool, barge_in))
