"""The checks with `pipecat-ai`: its OpenAIRealtimeLLMService in a pipeline with both context aggregators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import checks
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

asked: list[str] = []


async def get_temperature(params: FunctionCallParams, city: str) -> None:
    """Tells how warm it is in a city right now.

    Args:
        city: the name of the city
    """
    asked.append(city)
    await params.result_callback({"answer": checks.TOOL_RESULT})


class Tap(FrameProcessor):
    """Keeps the frames that pass, and lets others wait for them."""

    def __init__(self, kept: list[Frame], news: asyncio.Event) -> None:
        super().__init__()
        self._kept = kept
        self._told = news

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self._kept.append(frame)
        self._told.set()
        await self.push_frame(frame, direction)


class Line:
    """A running pipeline. `frames` is what passed before and behind the service."""

    def __init__(self, worker: PipelineWorker, service: OpenAIRealtimeLLMService, context: LLMContext) -> None:
        self.worker = worker
        self.service = service
        self.context = context
        self.frames: list[Frame] = []
        self.news = asyncio.Event()
        self.items: list[Any] = []

    def of(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def until(self, met: Callable[[], Any]) -> Any:
        while not (found := met()):
            assert not self.of(ErrorFrame), self.of(ErrorFrame)
            self.news.clear()
            await self.news.wait()
        return found

    async def send(self, pcm: bytes) -> None:
        await self.worker.queue_frames([InputAudioRawFrame(audio=pcm, sample_rate=checks.RATE, num_channels=1)])

    def text(self) -> str:
        return "".join(frame.text for frame in self.of(LLMTextFrame))

    def history(self, role: str) -> list[str]:
        return [str(message.get("content")) for message in self.context.get_messages() if message.get("role") == role]


@asynccontextmanager
async def calling(
    question: str = "", tools: Any = None, modality: str = "audio", instructions: str = checks.INSTRUCTIONS
) -> AsyncIterator[Line]:
    heard = events.AudioInput(transcription=events.InputAudioTranscription())
    properties = events.SessionProperties(output_modalities=[modality], audio=events.AudioConfiguration(input=heard))
    settings = OpenAIRealtimeLLMService.Settings(
        model="vivavoce", system_instruction=instructions, session_properties=properties
    )
    service = OpenAIRealtimeLLMService(api_key="none", base_url=checks.WEBSOCKET, settings=settings)
    messages = [{"role": "user", "content": question}] if question else []
    context = LLMContext(messages, tools) if tools else LLMContext(messages)
    aggregators = LLMContextAggregatorPair(context)
    frames, news = list[Any](), asyncio.Event()
    first, last = Tap(frames, news), Tap(frames, news)
    pipeline = Pipeline([aggregators.user(), first, service, last, aggregators.assistant()])
    worker = PipelineWorker(pipeline, enable_rtvi=False)
    line = Line(worker, service, context)
    line.frames, line.news = frames, news

    @service.event_handler("on_conversation_item_created")
    async def created(service: Any, item_id: str, item: Any) -> None:
        line.items.append(item)

    runner = WorkerRunner(handle_sigint=False)
    async with asyncio.TaskGroup() as tasks:
        await runner.add_workers(worker)
        running = tasks.create_task(runner.run())
        try:
            await worker.queue_frames([LLMRunFrame()] if question else [])
            yield line
        finally:
            await worker.cancel()
            await running


async def text() -> dict[str, Any]:
    async with calling(checks.QUESTION, modality="text") as line:
        await line.until(lambda: line.of(LLMFullResponseEndFrame))
        await line.until(lambda: line.history("assistant"))
        return {"answer": line.text(), "history": line.history("assistant")[-1]}


async def voice() -> dict[str, Any]:
    async with calling() as line:
        await checks.say(checks.sound("question"), line.send)
        await line.until(lambda: line.of(LLMFullResponseEndFrame))
        (heard, *_) = await line.until(lambda: line.of(TranscriptionFrame))
        sound = b"".join(frame.audio for frame in line.of(TTSAudioRawFrame))
        return {"heard": heard.text, "answer": line.text(), "sound": checks.encoded(sound)}


async def tool() -> dict[str, Any]:
    async with calling(checks.WEATHER, [get_temperature], "text") as line:
        await line.until(lambda: line.text() and len(line.of(LLMFullResponseEndFrame)) == 2)
        (call,) = [item for item in line.items if item.type == "function_call"]
        return {"name": call.name, "arguments": {"city": asked[0]}, "answer": line.text()}


async def barge_in() -> dict[str, Any]:
    async with calling(checks.LONG, instructions=checks.TALKATIVE) as line:
        await line.until(lambda: line.of(TTSAudioRawFrame))
        await asyncio.sleep(checks.PLAYED)
        first = next(item for item in line.items if item.role == "assistant")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(checks.say(checks.sound("interruption"), line.send))
            await line.until(lambda: line.of(InterruptionFrame))
            said = line.text()
        kept = await line.service.retrieve_conversation_item(first.id)
        await line.until(lambda: len([item for item in line.items if item.role == "assistant"]) == 2)
        return {"said": said, "kept": kept.content[0].transcript or "", "history": line.history("assistant")}


asyncio.run(checks.report(text, voice, tool, barge_in))
