"""The checks with `livekit-plugins-openai`: a session of its `RealtimeModel` without a room around it, and for the tool
a whole agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import checks
from livekit import rtc
from livekit.agents import Agent, AgentSession, RunContext, function_tool, llm
from livekit.plugins.openai.realtime import RealtimeModel


class Assistant(Agent):
    """An agent with a tool, as applications write them."""

    def __init__(self) -> None:
        super().__init__(instructions=checks.INSTRUCTIONS)
        self.asked: list[str] = []

    @function_tool
    async def get_temperature(self, context: RunContext, city: str) -> str:
        """Tells how warm it is in a city right now.

        Args:
            city: the name of the city
        """
        self.asked.append(city)
        return checks.TOOL_RESULT


class Line:
    """One session, with what its events told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.told: list[dict[str, Any]] = []
        self.heard: list[str] = []
        self.errors: list[str] = []
        self._news = asyncio.Event()
        session.on("openai_server_event_received", self._take)
        session.on("input_audio_transcription_completed", self._hear)
        session.on("error", lambda event: self.errors.append(str(event.error)))
        self.generations: list[llm.GenerationCreatedEvent] = []
        session.on("generation_created", self.generations.append)
        self.speech_started = asyncio.Event()
        session.on("input_speech_started", lambda event: self.speech_started.set())

    def _take(self, event: dict[str, Any]) -> None:
        self.told.append(event)
        self._news.set()

    def _hear(self, event: llm.InputTranscriptionCompleted) -> None:
        self.heard.append(event.transcript)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.told if event["type"] == kind]

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        while len(self.of(kind)) < count:
            self._news.clear()
            await self._news.wait()
        return self.of(kind)[count - 1]

    async def ask(self, text: str, **how: Any) -> llm.GenerationCreatedEvent:
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        generation: llm.GenerationCreatedEvent = await self.session.generate_reply(**how)
        return generation

    async def send(self, pcm: bytes) -> None:
        self.session.push_audio(rtc.AudioFrame(pcm, checks.RATE, 1, len(pcm) // 2))


async def spoken(generation: llm.GenerationCreatedEvent) -> tuple[str, bytes]:
    """Words and sound of a reply, read side by side as an application does."""
    words: list[str] = []
    sound: list[bytes] = []

    async def read(message: llm.MessageGeneration) -> None:
        async for piece in message.text_stream:
            words.append(piece)

    async for message in generation.message_stream:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read(message))
            if "audio" in await message.modalities:
                async for frame in message.audio_stream:
                    sound.append(bytes(frame.data))
    return "".join(words), b"".join(sound)


def served(**options: Any) -> RealtimeModel:
    return RealtimeModel(model="vivavoce", base_url=checks.HTTP, api_key="none", **options)


@asynccontextmanager
async def calling(instructions: str = checks.INSTRUCTIONS, **options: Any) -> AsyncIterator[Line]:
    async with served(**options) as model:
        session = model.session()
        line = Line(session)
        try:
            await session.update_instructions(instructions)
            yield line
            assert not line.errors, line.errors
        finally:
            await session.aclose()


async def text() -> dict[str, Any]:
    async with calling(modalities=["text"]) as line:
        answer, sound = await spoken(await line.ask(checks.QUESTION))
        return {"answer": answer, "silent": not sound, "history": _history(line)}


async def voice() -> dict[str, Any]:
    async with calling() as line:
        await checks.say(checks.sound("question"), line.send)
        await line.until("response.created")
        answer, sound = await spoken(line.generations[0])
        await line.until("conversation.item.input_audio_transcription.completed")
        return {"heard": line.heard[0], "answer": answer, "sound": checks.encoded(sound)}


async def tool() -> dict[str, Any]:
    agent = Assistant()
    async with served(modalities=["text"]) as model, AgentSession(llm=model) as session:
        await session.start(agent)
        result = await session.run(user_input=checks.WEATHER)
        (call,) = [event.item for event in result.events if event.type == "function_call"]
        *_, answer = [event.item.text_content for event in result.events if event.type == "message"]
        return {"name": call.name, "arguments": {"city": agent.asked[0]}, "answer": answer}


async def barge_in() -> dict[str, Any]:
    async with calling(checks.TALKATIVE) as line, asyncio.TaskGroup() as tasks:
        generation = await line.ask(checks.LONG)
        reading = tasks.create_task(spoken(generation))
        first = await line.until("response.output_audio.delta")
        begin = time.perf_counter()
        await asyncio.sleep(checks.PLAYED)
        speaking = tasks.create_task(checks.say(checks.sound("interruption"), line.send))
        await line.speech_started.wait()
        received = sum(len(event["delta"]) for event in line.of("response.output_audio.delta")) * 3 // 4
        played = min(int((time.perf_counter() - begin) * 1000), received * 1000 // (2 * checks.RATE))
        line.session.interrupt()
        line.session.truncate(message_id=first["item_id"], modalities=["audio"], audio_end_ms=played)
        truncated = await line.until("conversation.item.truncated")
        done = (await line.until("response.done"))["response"]
        said, _ = await reading
        await speaking
        number = 1
        while (await line.until("response.done", number + 1))["response"]["status"] == "cancelled":
            number += 1  # begun in a pause inside the interruption
        answer, _ = await spoken(line.generations[number])
        return {
            "status": done["status"],
            "reason": (done.get("status_details") or {}).get("reason"),
            "truncated": truncated["audio_end_ms"],
            "played": played,
            "said": said,
            "answered": answer,
        }


def _history(line: Line) -> list[str]:
    return [item.role for item in line.session.chat_ctx.items if item.type == "message"]


asyncio.run(checks.report(text, voice, tool, barge_in))
