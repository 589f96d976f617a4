"""Ask a typed question, print the answer. Needs: pip install openai"""

import asyncio

from openai import AsyncOpenAI


async def main() -> None:
    client = AsyncOpenAI(base_url="http://127.0.0.1:8790/v1", api_key="none")
    async with client.realtime.connect(model="vivavoce") as connection:
        content = [{"type": "input_text", "text": "What is the capital of France?"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create(response={"output_modalities": ["text"]})
        async for event in connection:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.done":
                break


asyncio.run(main())
