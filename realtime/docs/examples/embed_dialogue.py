"""Answer question.wav, write the answer to answer.wav: the models without a server. First: vivavoce models pull"""

import asyncio
from contextlib import aclosing
from pathlib import Path

import numpy as np

from vivavoce.codecs.audio import FRAME
from vivavoce.codecs.media import read_sound, write_sound
from vivavoce.model.cascade import Cascade
from vivavoce.model.dialogue import AudioToken, Dialogue, ReplySpec, TextToken
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.config import load


async def transcribe(dialogue: Dialogue) -> None:
    async for transcript in dialogue.transcripts():  # partial ones too; ends when the dialogue is closed
        if transcript.final:
            print("question:", transcript.text)


async def converse(cascade: Cascade) -> None:
    question = read_sound(Path("question.wav"))  # float32, mono, 24 kHz; any format that FFmpeg reads
    dialogue = cascade.open()
    words, sound = [], []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transcribe(dialogue))
        for start in range(0, len(question), FRAME):  # 20 ms at a time, as from a microphone
            dialogue.hear(question[start : start + FRAME])
            await asyncio.sleep(0)
        dialogue.turn("question")  # the turn is over, and becomes an item of the conversation
        async with aclosing(dialogue.reply(ReplySpec("answer"))) as tokens:
            async for token in tokens:
                match token:
                    case TextToken(text=text):
                        words.append(text)
                    case AudioToken(samples=samples):
                        sound.append(samples)
        await dialogue.close()
    print("answer:", "".join(words))
    write_sound(Path("answer.wav"), np.concatenate(sound))


config = load()  # defaults and VIVAVOCE_… variables; a TOML file: load(Path("my.toml"))
cascade = Cascade(config.model, Store(config.home, catalog.load()).path)
try:
    asyncio.run(converse(cascade))
finally:
    cascade.close()
