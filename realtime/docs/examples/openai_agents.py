"""A session of the Agents SDK. Needs: pip install openai-agents"""

import asyncio

from agents.realtime import RealtimeAgent, RealtimeRunner

URL = "ws://127.0.0.1:8790/v1/realtime?model=vivavoce"


async def main() -> None:
    agent = RealtimeAgent(name="assistant", instructions="Answer in one short sentence.")
    async with await RealtimeRunner(agent).run(model_config={"url": URL, "api_key": "none"}) as session:
        await session.send_message("What is the capital of France?")  # or: await session.send_audio(pcm)
        async for event in session:
            if event.type == "raw_model_event" and event.data.type == "transcript_delta":
                print(event.data.delta, end="", flush=True)
            elif event.type == "agent_end":
                break


asyncio.run(main())
