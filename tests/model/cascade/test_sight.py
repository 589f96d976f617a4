"""model/cascade/sight.py: a model without vision does not invent what it would see."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from harness.cascade import Parrot
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.sight import NO_CAMERA, NO_PICTURES, NOTHING, unseen
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.dialogue import Item, Message, Picture, ReplySpec, TextToken, Tool

PICTURE = Picture(np.zeros((2, 2, 3), np.uint8), 0.0)
SPEC = ReplySpec("reply", audio=False)
PHOTO = Tool("take_photo", "Shows you what the camera sees.", {})
WEATHER = Tool("weather", "Tells the weather of a city.", {})


def asked(text: str, *before: Item, pictures: int = 0) -> tuple[Item, ...]:
    return (*before, Message("question", "user", text, (PICTURE,) * pictures))


@pytest.mark.parametrize(
    ("items", "camera", "words"),
    [
        (asked("What colour is the circle?", pictures=1), False, NO_PICTURES),
        (asked("", pictures=1), False, NO_PICTURES),
        (asked("Qu'est-ce que c'est ?", pictures=1), False, NO_PICTURES),
        (asked("And how many are there?", Message("a", "user", "", (PICTURE,))), False, NO_PICTURES),
        (asked("What am I holding?"), True, NO_CAMERA),
        (asked("What is this?"), True, NO_CAMERA),
        (asked("What do you see?"), False, NOTHING),
        (asked("What is the capital of France?", pictures=1), True, ""),
        (asked("How many planets are there?"), True, ""),
        (asked("What is this?"), False, ""),
        (asked("What is this?", Message("a", "user", "", (PICTURE,)), *asked("") * 6), False, ""),
        ((Message("a", "assistant", "What do you see?"),), True, ""),
        ((), True, ""),
    ],
)
def test_only_what_wants_eyes_is_declined(items: tuple[Item, ...], camera: bool, words: str) -> None:
    assert unseen(SPEC, items, camera) == words


@pytest.mark.parametrize(
    ("tools", "choice", "declined"),
    [
        ((WEATHER,), "auto", True),
        ((WEATHER,), "none", True),
        ((WEATHER,), "required", False),
        ((PHOTO,), "auto", False),
        ((PHOTO,), "none", True),
    ],
)
def test_a_tool_may_have_eyes(tools: tuple[Tool, ...], choice: str, declined: bool) -> None:
    spec = ReplySpec("reply", audio=False, tools=tools, tool_choice=choice)
    assert bool(unseen(spec, asked("What do you see?"), True)) == declined


@pytest.mark.parametrize(("vision", "answer"), [(False, NO_PICTURES), (True, "Is it a dog?")])
def test_only_a_model_with_vision_is_asked_about_pictures(vision: bool, answer: str) -> None:
    async def test() -> None:
        threads, llm = Threads(), Parrot()
        llm.vision = vision
        dialogue = CascadeDialogue(None, llm, None, threads, "")  # type: ignore[arg-type]  # typed, not said aloud
        try:
            dialogue.read(Message("question", "user", "Is it a dog?", (PICTURE,)))
            said = "".join([token.text async for token in dialogue.reply(SPEC) if isinstance(token, TextToken)])
            assert said == answer
            dialogue.read(Message("next", "user", "Thanks, good night."))
            said = "".join([token.text async for token in dialogue.reply(SPEC) if isinstance(token, TextToken)])
            assert said == "Thanks, good night."
        finally:
            await dialogue.close()
            threads.close()

    asyncio.run(test())


def test_the_camera_is_declined_too() -> None:
    async def test() -> None:
        threads = Threads()
        dialogue = CascadeDialogue(None, Parrot(), None, threads, "")  # type: ignore[arg-type]  # typed, not said aloud
        try:
            dialogue.see(PICTURE)
            dialogue.read(Message("question", "user", "What am I holding?"))
            assert TextToken(NO_CAMERA) in [token async for token in dialogue.reply(SPEC)]
        finally:
            await dialogue.close()
            threads.close()

    asyncio.run(test())
