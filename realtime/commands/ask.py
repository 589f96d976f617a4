"""`vivavoce ask question.wav`: one turn without a network, with what each stage heard, said and took."""

from __future__ import annotations

import asyncio
import sys
import time
import wave
from contextlib import aclosing
from pathlib import Path

import numpy as np

from vivavoce.model import catalog
from vivavoce.model.cascade import Cascade
from vivavoce.model.dialogue import (
    SAMPLE_RATE,
    AudioToken,
    Dialogue,
    DialogueError,
    Picture,
    ReplySpec,
    Samples,
    TextToken,
    Transcript,
)
from vivavoce.model.settings import needed
from vivavoce.model.store import Store
from vivavoce.realtime.commands.models import pull
from vivavoce.realtime.config import Config
from vivavoce.realtime.media import Unreadable, read_picture, read_sound

PIECE = SAMPLE_RATE // 50
"""The question is heard in pieces of 20 ms, as from a microphone."""


def run(config: Config, question: Path, output: Path | None, image: Path | None) -> int:
    """Prints transcript, answer and stage times. Raises `ModelError`."""
    try:
        sound = read_sound(question)
        pixels = read_picture(image) if image else None
    except Unreadable as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2
    store = Store(config.home, catalog.load())
    pull(store, needed(config.model))
    began = time.perf_counter()
    cascade = Cascade(config.model, store.path)
    print(f"{'models loaded':<16}{time.perf_counter() - began:6.2f} s")
    if pixels is not None and not cascade.language.vision:
        print("The language model cannot see: the picture is left out. (An endpoint with vision can; see README.)", file=sys.stderr)
    try:
        picture = Picture(pixels, 0.0) if pixels is not None else None
        answer = asyncio.run(_turn(cascade, sound, picture))
    except DialogueError as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 1
    finally:
        cascade.close()
    if output:
        _write(output, answer)
    return 0


async def _turn(cascade: Cascade, sound: Samples, picture: Picture | None) -> Samples:
    dialogue = cascade.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(_hear(dialogue))
            for start in range(0, len(sound), PIECE):
                dialogue.hear(sound[start : start + PIECE])
                await asyncio.sleep(0)
            if picture is not None:
                dialogue.see(picture)
            answer = await _answer(dialogue)
            hearing.cancel()
        return answer
    finally:
        await dialogue.close()


async def _hear(dialogue: Dialogue) -> None:
    async for transcript in dialogue.hearing():
        if isinstance(transcript, Transcript) and transcript.final:
            print(f"{'heard':<16}{transcript.text}")


async def _answer(dialogue: Dialogue) -> Samples:
    """Counts from the end of the question."""
    began = time.perf_counter()
    marks: dict[str, float] = {}
    text, sound = "", [np.zeros(0, np.float32)]
    dialogue.turn("question")
    async with aclosing(dialogue.reply(ReplySpec("answer"))) as tokens:
        async for token in tokens:
            match token:
                case TextToken():
                    marks.setdefault("first word", time.perf_counter() - began)
                    text += token.text
                case AudioToken():
                    marks.setdefault("first sound", time.perf_counter() - began)
                    sound.append(token.samples)
    marks["all"] = time.perf_counter() - began
    answer = np.concatenate(sound)
    print(f"{'answer':<16}{text.strip()}")
    for name, seconds in marks.items():
        print(f"{name:<16}{seconds:6.2f} s")
    print(f"{'length':<16}{len(answer) / SAMPLE_RATE:6.2f} s")
    return answer


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
