"""Talk with this computer's microphone and loudspeaker. Needs: pip install "pipecat-ai[local,openai]" """

import asyncio

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.local.audio import LocalAudioTransport, LocalAudioTransportParams
from pipecat.workers.runner import WorkerRunner


async def main() -> None:
    audio = LocalAudioTransport(LocalAudioTransportParams(audio_in_enabled=True, audio_out_enabled=True))
    service = OpenAIRealtimeLLMService(api_key="none", base_url="ws://127.0.0.1:8790/v1/realtime")
    context = LLMContextAggregatorPair(LLMContext())
    steps = [audio.input(), context.user(), service, audio.output(), context.assistant()]
    runner = WorkerRunner()
    await runner.add_workers(PipelineWorker(Pipeline(steps)))
    await runner.run()


asyncio.run(main())
