"""Send question.wav, write the spoken answer to answer.wav. Needs: pip install openai"""

import asyncio
import base64
import wave

from openai import AsyncOpenAI


async def main() -> None:
    with wave.open("question.wav") as file:  # 24 kHz, mono, 16 bit
        question = file.readframes(file.getnframes())
    client = AsyncOpenAI(base_url="http://127.0.0.1:8790/v1", api_key="none")
    async with client.realtime.connect(model="vivavoce") as connection:
        # The end of a file is the end of the turn, so the client commits it. With a microphone, keep `turn_detection`.
        await connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        await connection.input_audio_buffer.append(audio=base64.b64encode(question).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        with wave.open("answer.wav", "wb") as answer:
            answer.setparams((1, 2, 24000, 0, "NONE", ""))
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    answer.writeframes(base64.b64decode(event.delta))
                elif event.type == "response.output_audio_transcript.delta":
                    print(event.delta, end="", flush=True)
                elif event.type == "response.done":
                    break


asyncio.run(main())
