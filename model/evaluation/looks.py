"""Measures what is seen: questions about pictures made by seed, printed words, and photographs.

    python -m vivavoce.model.evaluation.looks [seed]

    questions(seed) ──► pictures ──look──► scene ──┬─ blind: the language model gets the question alone
                                                   ├─ report: ... and the report of the scene
                                                   └─ answers: rules first (answers.py), else as "report"
    answer ──judged──► right, wrong (stated as a fact), don't know

A question that nothing in the picture answers is right when the answer is "don't know". `questions` and `judged` are
pure but for the photographs; `main` opens the models of this machine.
"""

from __future__ import annotations

import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vivavoce.model.cascade import INSTRUCTIONS, open_llm
from vivavoce.model.cascade.llm import LlmSlot, Piece, Prompt, Stopped
from vivavoce.model.cascade.sight import with_report
from vivavoce.model.dialogue import Message, TextToken
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.vision.answers import answer
from vivavoce.model.vision.boxes import Pixels
from vivavoce.model.vision.eyes import Eyes
from vivavoce.model.vision.questions import parse
from vivavoce.model.vision.scene import Scene, report

Verdict = Literal["right", "wrong", "don't know"]

WIDTH, HEIGHT = 640, 480
PALETTE: Final = {
    "red": (214, 35, 40),
    "blue": (35, 70, 210),
    "green": (30, 150, 60),
    "yellow": (245, 215, 40),
    "orange": (250, 140, 25),
    "purple": (130, 45, 165),
    "black": (15, 15, 15),
}
SHAPES: Final = ("circle", "square", "triangle", "star")
WORDS: Final = (
    "EXIT",
    "Platform 9",
    "OPEN",
    "Room 204",
    "Danger",
    "Bakery",
    "Tickets",
    "Gate B12",
    "Library",
    "Sale 50",
)
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DOUBT: Final = re.compile(
    r"can(?:'t|not)|not sure|(?:do not|don't) know|unable|unclear|no information|"
    r"not (?:possible|provided|specified|given|mentioned)|sorry",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a picture. `keywords`: each a regular expression that a right answer has; none: nothing in the
    picture answers it. `never`: what no right answer has."""

    kind: str
    text: str
    picture: str
    pixels: Pixels
    keywords: tuple[str, ...]
    never: str = ""


def judged(asked: Asked, said: str) -> Verdict:
    """Whether an answer is right. An answer that doubts is "don't know", whatever else it has."""
    doubts = _DOUBT.search(said) is not None
    if not asked.keywords:
        return "right" if doubts else "wrong"
    fits = all(re.search(rf"\b(?:{keyword})\b", said, re.IGNORECASE) for keyword in asked.keywords)
    if fits and not (asked.never and re.search(rf"\b(?:{asked.never})\b", said, re.IGNORECASE)):
        return "right"
    return "don't know" if doubts or not said else "wrong"


def questions(seed: int, photographs: Path) -> Iterator[Asked]:
    """All questions: those of shapes and words are other ones for each seed."""
    rng = random.Random(seed)
    for number in range(10):
        yield from _of_shapes(rng, f"shapes {number}")
    for number, words in enumerate(rng.sample(WORDS, 6)):
        yield from _of_words(rng, words, f"words {number}")
    yield from _of_photographs(photographs)


def _of_shapes(rng: random.Random, name: str) -> Iterator[Asked]:
    """Groups of equal shapes in a grid of six places, and what there is to ask about them."""
    places = rng.sample(range(6), rng.randint(2, 5))
    shapes, colours = rng.sample(SHAPES, 2), rng.sample(sorted(PALETTE), 3)
    many = rng.randint(1, len(places) - 1)
    kinds = [(shapes[0], colours[0])] * many + [(shapes[1], colours[1])] * (len(places) - many)
    image = Image.new("RGB", (WIDTH, HEIGHT), rng.choice(((255, 255, 255), (235, 235, 235))))
    for place, (shape, colour) in zip(places, kinds, strict=True):
        centre = 107 + 213 * (place % 3) + rng.randint(-15, 15), 120 + 240 * (place // 3) + rng.randint(-15, 15)
        draw(image, shape, centre, rng.randint(45, 80), PALETTE[colour])
    pixels = np.array(image)

    def asked(kind: str, text: str, *keywords: str, never: str = "") -> Asked:
        return Asked(kind, text, name, pixels, keywords, never)

    yield asked("count", f"How many {shapes[0]}s are there?", _number(many))
    yield asked(
        "colour", f"What colour {'is' if many == 1 else 'are'} the {shapes[0]}{'' if many == 1 else 's'}?", colours[0]
    )
    absent = rng.choice([shape for shape in SHAPES if shape not in shapes])
    there = rng.random() < 0.5
    thing = f"{colours[1]} {shapes[1]}" if there else f"{colours[2]} {absent}"
    yield asked(
        "there", f"Is there a {thing} in the picture?", "yes" if there else "no", never="no" if there else "yes"
    )
    if many == 1:
        column = ("left", "cent(?:er|re)|middle|top|bottom", "right")[places[0] % 3]
        row = ("top|upper|above", "bottom|lower|below")[places[0] // 3]
        yield asked("where", f"Where is the {shapes[0]}?", column, row)
    if rng.random() < 0.3:
        yield asked("unknown", f"Who painted the {shapes[0]}?")


def _of_words(rng: random.Random, words: str, name: str) -> Iterator[Asked]:
    ground, ink = rng.choice((("white", "black"), ("navy", "white"), ("darkred", "white"), ("gold", "black")))
    image = Image.new("RGB", (WIDTH, HEIGHT), ground)
    font = ImageFont.load_default(rng.randint(40, 80))
    ImageDraw.Draw(image).text((rng.randint(40, 120), rng.randint(80, 260)), words, fill=ink, font=font)
    turned = image.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=ground)
    pixels, keywords = np.array(turned), tuple(map(re.escape, words.split()))
    yield Asked("words", rng.choice(("What does the sign say?", "Read this to me, please.")), name, pixels, keywords)
    if digits := re.findall(r"\d+", words):
        yield Asked("words", "What number is on the sign?", name, pixels, (rf"\w*{digits[0]}",))
    yield Asked("there", "Is there a dog in the picture?", name, pixels, ("no",), "yes")


_PHOTOGRAPHS: Final = (
    ("chelsea.png", "what", "What animal is this?", ("cat",), ""),
    ("chelsea.png", "there", "Is there a dog in the picture?", ("no",), "yes"),
    ("chelsea.png", "colour", "What colour is the cat?", ("brown|orange|ginger|beige",), ""),
    ("chelsea.png", "count", "How many cats can you see?", ("one|1|a cat",), ""),
    ("chelsea.png", "where", "Where is the cat?", ("cent(?:er|re)|middle",), ""),
    ("chelsea.png", "unknown", "What is the name of the cat?", (), ""),
    ("coffee.png", "what", "What is this?", ("cup|coffee|espresso",), ""),
    ("coffee.png", "there", "Is there a spoon in the picture?", ("yes",), "no"),
    ("coffee.png", "there", "Do you see a cup?", ("yes",), "no"),
    ("coffee.png", "count", "How many people are there?", ("no|none|zero|0",), ""),
    ("astronaut.png", "there", "Is there a person in the picture?", ("yes",), "no"),
    ("astronaut.png", "count", "How many people are there?", ("one|1|a person",), ""),
    ("astronaut.png", "there", "Can you see a cat?", ("no",), "yes"),
    ("astronaut.png", "unknown", "What is her name?", (), ""),
    ("camera.png", "there", "Is there a man in this picture?", ("yes",), "no"),
    ("camera.png", "what", "Describe this picture.", ("person|man|camera|tripod",), ""),
    ("rocket.jpg", "what", "What do you see?", ("rocket|missile",), ""),
    ("rocket.jpg", "there", "Are there any people?", ("no",), "yes"),
    ("horse.png", "what", "What animal is it?", ("horse",), ""),
    ("horse.png", "colour", "What colour is the horse?", ("black",), ""),
    ("page.png", "words", "Read this to me.", ("region", "segmentation"), ""),
    ("page.png", "words", "What is the title of this page?", ("region", "segmentation"), ""),
)


def _of_photographs(folder: Path) -> Iterator[Asked]:
    for file, kind, text, keywords, never in _PHOTOGRAPHS:
        pixels = np.array(Image.open(folder / file).convert("RGB"))
        yield Asked(kind, text, file, pixels, keywords, never)


def _number(count: int) -> str:
    return f"{count}|{_NUMBERS[count]}" + ("|an?" if count == 1 else "")


def draw(image: Image.Image, shape: str, centre: tuple[int, int], size: int, colour: tuple[int, int, int]) -> None:
    """Draws a filled shape; `size`: from the middle to the outermost point or side, in pixels."""
    pen, (x, y) = ImageDraw.Draw(image), centre
    if shape == "circle":
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    elif shape == "square":
        pen.rectangle((x - size, y - size, x + size, y + size), fill=colour)
    else:
        corners = 3 if shape == "triangle" else 10
        radii = [size * (0.4 if shape == "star" and corner % 2 else 1.0) for corner in range(corners)]
        turns = [2 * math.pi * corner / corners for corner in range(corners)]
        points = [
            (x + radius * math.sin(turn), y - radius * math.cos(turn))
            for radius, turn in zip(radii, turns, strict=True)
        ]
        pen.polygon(points, fill=colour)


# --- the models of this machine --------------------------------------------------------------------------------------


def _said(slot: LlmSlot, text: str) -> str:
    words: list[str] = []
    ended = Event()

    def deliver(piece: Piece) -> None:
        if isinstance(piece, TextToken):
            words.append(piece.text)
        elif isinstance(piece, Stopped):
            ended.set()

    slot.generate(Prompt(INSTRUCTIONS, (Message("question", "user", text),)), 60, deliver)
    ended.wait()
    return "".join(words).strip()


def _ways(slot: LlmSlot) -> dict[str, Callable[[str, Scene], str]]:
    def reported(text: str, scene: Scene) -> str:
        return _said(slot, with_report(text, report(scene)))

    def answered(text: str, scene: Scene) -> str:
        question = parse(text)
        given = answer(question, text, scene) if question is not None else None
        return given if given is not None else reported(text, scene)

    return {"blind": lambda text, _: _said(slot, text), "report": reported, "answers": answered}


def main(seed: int) -> None:
    """Prints a line for each answer that is not right, and the table."""
    store = Store(default_home(dict(_environment()), sys.platform), catalog.load())
    llm = open_llm(CascadeSettings(conversations=1), store.path, 1)
    eyes, looks = Eyes(store.path), {}
    verdicts: dict[str, Counter[tuple[str, str]]] = {}
    seconds: list[float] = []
    asked_all = list(questions(seed, store.path("photographs")))
    for way, say in _ways(llm.open()).items():
        verdicts[way] = Counter()
        for asked in asked_all:
            if asked.picture not in looks:
                began = time.process_time()
                looks[asked.picture] = eyes.look(asked.pixels)
                seconds.append(time.process_time() - began)
            said = say(asked.text, looks[asked.picture])
            verdict = judged(asked, said)
            verdicts[way][asked.kind, verdict] += 1
            if way != "blind" and verdict != "right":
                print(f"{way}: {verdict}: {asked.picture}: {asked.text} -> {said}")
    print(_table(verdicts))
    print(f"{len(seconds)} looks: median {np.median(seconds):.2f} s, longest {max(seconds):.2f} s of processor time")
    llm.close()


def _environment() -> Iterator[tuple[str, str]]:
    import os

    yield from os.environ.items()


def _table(verdicts: dict[str, Counter[tuple[str, str]]]) -> str:
    kinds = sorted({kind for counts in verdicts.values() for kind, _ in counts})
    rows = ["| kind | n | " + " | ".join(verdicts) + " |"]
    for kind in (*kinds, "all"):
        cells = []
        for counts in verdicts.values():
            chosen = {
                verdict: sum(count for (of, is_), count in counts.items() if is_ == verdict and kind in (of, "all"))
                for verdict in ("right", "wrong", "don't know")
            }
            cells.append(" / ".join(map(str, chosen.values())))
        rows.append(f"| {kind} | {sum(chosen.values())} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
