"""`vivavoce ask question.wav`: answers one recorded question without a network.

question.wav ──► Cascade ──► transcript, answer, times of the stages, answer.wav
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from pathlib import Path

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.media import read_picture, read_sound, write_sound
from vivavoce.model.cascade import Cascade
from vivavoce.model.dialogue import AudioToken, Dialogue, Picture, ReplySpec, TextToken
from vivavoce.model.errors import DialogueError, ModelError
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli import CommandFailed, WrongUsage, not_written
from vivavoce.realtime.cli.models import prepare
from vivavoce.realtime.config import Config

CHUNK = SAMPLE_RATE // 50
"""Samples: the question comes in chunks of 20 ms, as from a microphone."""


def run(config: Config, question: Path, output: Path | None, image: Path | None) -> int:
    """Prints transcript, answer and times of the stages. Raises `CommandError`, `ModelError`."""
    try:
        sound = read_sound(question)
        picture = Picture(read_picture(image), 0.0) if image else None
    except Unreadable as error:
        raise WrongUsage(str(error)) from error
    store = Store(config.home, catalog.load())
    prepare(store, config.model)
    try:
        answer = _ask(config.model, store, sound, picture)
    except ModelError as error:
        if config.model.remote:  # the messages of an endpoint's faults do not name it
            raise CommandFailed(f"{error} (endpoint: {config.model.language})") from error
        raise
    if output:
        try:
            write_sound(output, answer)
        except OSError as error:
            raise not_written(output, error) from error
    return 0


def _ask(settings: CascadeSettings, store: Store, sound: Samples, picture: Picture | None) -> Samples:
    began = time.perf_counter()
    cascade = Cascade(settings, store.path)
    print(f"{'models loaded':<16}{time.perf_counter() - began:6.2f} s")
    if picture is not None and not cascade.sees:
        print(
            "Nothing looks at pictures: the picture is left out. (The setting `sight` turns that on.)",
            file=sys.stderr,
        )
    try:
        return asyncio.run(_turn(cascade, sound, picture))
    finally:
        cascade.close()


async def _turn(cascade: Cascade, sound: Samples, picture: Picture | None) -> Samples:
    dialogue = cascade.open()
    failure: DialogueError | None = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_print_transcripts(dialogue))
        try:
            for start in range(0, len(sound), CHUNK):
                dialogue.hear(sound[start : start + CHUNK])
                await asyncio.sleep(0)
            if picture is not None:
                dialogue.see(picture)
            return await _answer(dialogue)
        except DialogueError as error:  # raised below: the group would wrap it
            failure = error
        finally:
            await dialogue.close()  # ends `_print_transcripts` too
    raise failure


async def _print_transcripts(dialogue: Dialogue) -> None:
    async for transcript in dialogue.transcripts():
        if transcript.final:
            print(f"{'heard':<16}{transcript.text or '(no words)'}")


async def _answer(dialogue: Dialogue) -> Samples:
    """Prints and returns the answer; times count from the end of the question."""
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
    print(f"{'answer':<16}{text.strip() or '(none)'}")
    for name, seconds in marks.items():
        print(f"{name:<16}{seconds:6.2f} s")
    print(f"{'length':<16}{len(answer) / SAMPLE_RATE:6.2f} s")
    return answer
