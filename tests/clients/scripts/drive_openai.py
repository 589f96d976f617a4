"""The checks with the Python package `openai`. Every event is also held against its types, strictly."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import checks
from openai import AsyncOpenAI
from openai.types import realtime
from pydantic import BaseModel, TypeAdapter

UNION = typing.get_args(typing.get_args(realtime.RealtimeServerEvent)[0])
ADAPTERS = {typing.get_args(model.model_fields["type"].annotation)[0]: TypeAdapter(model) for model in UNION}

TOLD_BEYOND_TYPES = {f".session.{name}" for name in ("id", "object", "expires_at")}
"""The live service sends these; the package's types of a session are those of its request."""

seen: set[str] = set()
problems: list[str] = []


def extra(value: Any, path: str = "") -> list[str]:
    """Fields that the package does not know, however deep."""
    if isinstance(value, list):
        return [name for item in value for name in extra(item, path)]
    if not isinstance(value, BaseModel):
        return []
    unknown = [f"{path}.{name}" for name in value.model_extra or {}]
    return unknown + [
        found for name in type(value).model_fields for found in extra(getattr(value, name), f"{path}.{name}")
    ]


class Line:
    """One connection, with everything that came over it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def event(self) -> Any:
        raw = await self.connection.recv_bytes()
        event = self.connection.parse_event(raw)
        self.events.append(event)
        if event.type.startswith("vivavoce."):
            return event  # one of our own, asked for by `extras`
        seen.add(event.type)
        try:
            strict = ADAPTERS[event.type].validate_json(raw, strict=True)
            unknown = [name for name in extra(strict) if name not in TOLD_BEYOND_TYPES]
            problems.extend(f"{event.type}: unknown field {name}" for name in unknown)
        except ValueError as error:
            problems.append(f"{event.type}: {error}")
        return event

    async def until(self, kind: str) -> Any:
        while (event := await self.event()).type != kind:
            if event.type == "error":
                raise AssertionError(event.error)
        return event

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    async def ask(self, text: str, **response: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await self.connection.response.create(response=response)

    async def say(self, pcm: bytes) -> None:
        async def send(piece: bytes) -> None:
            await self.connection.input_audio_buffer.append(audio=checks.encoded(piece))

        await checks.say(pcm, send)


@asynccontextmanager
async def calling(extras: str = "false", **session: Any) -> AsyncIterator[Line]:
    client = AsyncOpenAI(base_url=checks.HTTP, api_key="none")
    async with client.realtime.connect(model="vivavoce", extra_query={"extras": extras}) as connection:
        line = Line(connection)
        await line.until("session.created")
        session = {"type": "realtime", "instructions": checks.INSTRUCTIONS, **session}
        await connection.session.update(session=session)  # type: ignore[arg-type]  # a plain dictionary
        await line.until("session.updated")
        yield line


async def text() -> dict[str, Any]:
    async with calling(output_modalities=["text"]) as line:
        await line.ask(checks.QUESTION)
        done = await line.until("response.done")
        deltas = "".join(event.delta for event in line.of("response.output_text.delta"))
        (item,) = done.response.output
        return {"answer": deltas, "item": item.content[0].text, "tokens": done.response.usage.output_tokens}


async def voice() -> dict[str, Any]:
    transcription = {"model": "gpt-4o-mini-transcribe"}
    async with calling(audio={"input": {"transcription": transcription}}) as line:
        await line.say(checks.sound("question"))
        done = await line.until("response.done")
        while not (heard := line.of("conversation.item.input_audio_transcription.completed")):
            await line.event()
        pieces = [base64.b64decode(event.delta) for event in line.of("response.output_audio.delta")]
        deltas = "".join(event.delta for event in line.of("response.output_audio_transcript.delta"))
        (item,) = done.response.output
        return {
            "heard": heard[0].transcript,
            "answer": deltas,
            "item": item.content[0].transcript,
            "sound": checks.encoded(b"".join(pieces)),
        }


async def tool() -> dict[str, Any]:
    async with calling(output_modalities=["text"], tools=[checks.TOOL]) as line:
        await line.ask(checks.WEATHER, tool_choice={"type": "function", "name": "get_temperature"})
        done = await line.until("response.done")
        (call,) = done.response.output
        streamed = "".join(event.delta for event in line.of("response.function_call_arguments.delta"))
        output = {"type": "function_call_output", "call_id": call.call_id, "output": checks.TOOL_RESULT}
        await line.connection.conversation.item.create(item=output)
        await line.connection.response.create()
        done = await line.until("response.done")
        (item,) = done.response.output
        return {
            "name": call.name,
            "arguments": json.loads(call.arguments),
            "streamed": json.loads(streamed),
            "answer": item.content[0].text,
        }


async def barge_in() -> dict[str, Any]:
    async with calling(extras="true", instructions=checks.TALKATIVE) as line, asyncio.TaskGroup() as tasks:
        await line.ask(checks.LONG)
        first = await line.until("response.output_audio.delta")
        begin = time.perf_counter()
        speaking = tasks.create_task(_after(checks.PLAYED, line.say(checks.sound("interruption"))))
        await line.until("input_audio_buffer.speech_started")
        received = sum(len(event.delta) for event in line.of("response.output_audio.delta")) * 3 // 4
        played = min(int((time.perf_counter() - begin) * 1000), received * 1000 // (2 * checks.RATE))
        await line.connection.conversation.item.truncate(item_id=first.item_id, content_index=0, audio_end_ms=played)
        truncated = await line.until("conversation.item.truncated")
        done = (line.of("response.done") or [await line.until("response.done")])[0]
        end = line.events.index(done)
        answer = await line.until("response.created")
        await line.connection.response.cancel()
        while (last := await line.until("response.done")).response.id != answer.response.id:
            pass
        await line.connection.conversation.item.retrieve(item_id=first.item_id)
        kept = await line.until("conversation.item.retrieved")
        heard = line.of("vivavoce.heard")[0]
        await speaking
        late = [event.type for event in line.events[end + 1 :] if getattr(event, "response_id", "") == done.response.id]
        return {
            "status": done.response.status,
            "reason": getattr(done.response.status_details, "reason", None),
            "cancelled": [last.response.status, getattr(last.response.status_details, "reason", None)],
            "played": played,
            "truncated": truncated.audio_end_ms,
            "said": done.response.output[0].content[0].transcript,
            "heard": heard.text[: heard.heard_chars],
            "kept": kept.item.content[0].transcript or "",
            "late": late,
        }


async def events() -> dict[str, Any]:
    return {"problems": problems, "seen": sorted(seen)}


async def _after(seconds: float, then: Any) -> None:
    await asyncio.sleep(seconds)
    await then


asyncio.run(checks.report(text, voice, tool, barge_in, events))
