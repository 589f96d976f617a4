"""Let the model call a function of yours. Needs: pip install openai"""

import asyncio
import json

from openai import AsyncOpenAI

TEMPERATURE = {
    "type": "function",
    "name": "get_temperature",
    "description": "Tells how warm it is in a city right now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "the name of the city"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


async def main() -> None:
    client = AsyncOpenAI(base_url="http://127.0.0.1:8790/v1", api_key="none")
    async with client.realtime.connect(model="vivavoce") as connection:
        session = {"type": "realtime", "output_modalities": ["text"], "tools": [TEMPERATURE]}
        await connection.session.update(session=session)
        content = [{"type": "input_text", "text": "How warm is it in Paris right now?"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        choice = {"type": "function", "name": "get_temperature"}  # without it the model decides whether to call
        await connection.response.create(response={"tool_choice": choice})
        async for event in connection:
            if event.type == "response.function_call_arguments.done":
                result = f"It is 21 degrees in {json.loads(event.arguments)['city']}."
                item = {"type": "function_call_output", "call_id": event.call_id, "output": result}
            elif event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.done":
                if event.response.output[0].type != "function_call":
                    break
                await connection.conversation.item.create(item=item)
                await connection.response.create()


asyncio.run(main())
