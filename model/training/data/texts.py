"""Draws texts for speech synthesis from corpora and templates, the same on every run.

    WordNet's examples ("he ate the cake") ─┐
    templates: numbers, names, times,       ├─ShortSentences─► one or two sentences, 3 to 24 words ─┐
    questions, orders, short answers       ─┘                                                       │
    Debian's `fortunes`: quotations, jokes, verse ─┬────────────────────────────────────────────────┴─Corpus─► a text
    `chatterbot-corpus`: dialogue, questions ──────┘

A text of `Corpus` has up to 220 characters, about 14 s.

WordNet's folder is that of Debian's `wordnet-base` (`/usr/share/wordnet`, Princeton's licence). The folders are only
read; the texts are spoken for training and not stored.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

EXAMPLES: Final = 0.7
"""Share of WordNet's examples among short sentences; the rest are templates."""

_FILES: Final = ("data.verb", "data.adj", "data.noun", "data.adv")
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z' ,;-]+[.!?]?")
_NAMES: Final = (
    "Anna Ben Carol David Emma Frank Grace Henry Ivy Jack Karen Leo Maria Noah Olga Paul Rosa Sam Tina Victor"
)
_SURNAMES: Final = "Smith Jones Garcia Miller Novak Chen Patel Brown Kowalski Murphy Schmidt Rossi Okafor Tanaka"
_PLACES: Final = "London Paris Boston Madrid Berlin Sydney Tokyo Dublin Chicago Denver Oslo Vienna Cairo Lima Toronto"
_THINGS: Final = "ticket room table meeting pizza taxi book phone lamp bicycle umbrella printer coffee sandwich jacket"
_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday tomorrow tonight"
_UNITS: Final = "minutes hours days euros dollars pounds kilometres degrees percent people pages metres"
_LETTERS: Final = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z"
_TEMPLATES: Final = (
    "It takes about {n} {unit}, or {n} at most.",
    "Can I book a {thing} for {day} at {hour}?",
    "My name is {name} {surname}.",
    "{name} {surname} lives in {place}, at number {n}.",
    "Call me at {d} {d} {d}, {d} {d} {d} {d}.",
    "The code is {letter} {letter} {d} {d} {letter}.",
    "How far is it from {place} to {place}?",
    "What's the weather like in {place} {day}?",
    "I'd like to order two of them and a {thing}, please.",
    "Yes, that's right.",
    "No, I don't think so.",
    "Okay, thank you very much.",
    "I'm sorry, could you say that again?",
    "Sure, {day} at {hour} works for me.",
    "Is there a cheaper {thing} than the one for {n} {unit}?",
    "Let me check that for you, {name}.",
    "The next train to {place} leaves at {hour}.",
    "Please turn off the {thing} in the kitchen.",
    "Who told you that {name} was coming {day}?",
    "I was born in nineteen {n}, and she is {n} years old.",
    "That will be {n} {unit} and {n} cents.",
    "Remind me to call {name} {day}.",
    "Why would {name} need a {thing}?",
    "Well, first you open it, then you press the red button twice.",
    "We have {n} left, but {name} wants {n} more.",
    "It was {n} degrees in {place} yesterday.",
)
_WORDS: Final = {
    "name": _NAMES,
    "surname": _SURNAMES,
    "place": _PLACES,
    "thing": _THINGS,
    "day": _DAYS,
    "unit": _UNITS,
    "letter": _LETTERS,
}


class ShortSentences:
    """Draws short sentences; `folder` is WordNet's."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._draw = random.Random(seed)
        self._examples = wordnet_examples(folder)

    def next(self) -> str:
        """Returns one sentence, or two short ones."""
        text = self._one()
        return f"{text} {self._one()}" if len(text) < 45 else text

    def _one(self) -> str:
        if self._draw.random() < EXAMPLES:
            return self._draw.choice(self._examples)
        return re.sub(r"{(\w+)}", lambda match: self._word(match[1]), self._draw.choice(_TEMPLATES))

    def _word(self, kind: str) -> str:
        match kind:
            case "n":
                return str(self._draw.randint(2, 99))
            case "d":
                return str(self._draw.randint(0, 9))
            case "hour":
                return f"{self._draw.randint(1, 12)}:{self._draw.choice((15, 20, 30, 40, 45))}"
        return self._draw.choice(_WORDS[kind].split())


def wordnet_examples(folder: Path) -> list[str]:
    """Reads WordNet's example sentences of 4 to 14 plain words, sorted, each once."""
    found = set()
    for name in _FILES:
        for line in (folder / name).read_text("ascii", "replace").splitlines():
            for quoted in re.findall(r'"([^"]+)"', line.partition("|")[2]):
                text = quoted.strip()
                if _PLAIN.fullmatch(text) and 4 <= len(text.split()) <= 14:
                    found.add(_sentence(text))
    return sorted(found)


def _sentence(text: str) -> str:
    ended = text if text[-1] in ".!?" else f"{text}."
    return ended[0].upper() + ended[1:]


SHORT: Final = 0.4
"""Share of short sentences in `Corpus`."""
LONGEST: Final = 220
"""Characters of a text."""
_KINDS: Final = (
    "art computers cookie education food humorists kids law literature medicine miscellaneous people pets platitudes "
    "politics science sports startrek wisdom work"
)
_SENTENCE: Final = re.compile(r"[A-Z][^.!?]{8,}[.!?](?=\s|$)")
_ODD: Final = re.compile(r"[^A-Za-z0-9 ,.;:!?'$%&-]|[A-Z]{6,}|\.\.")


class Corpus:
    """Draws texts. `fortunes`, `dialogues`, `wordnet`: folders of the files of the three packages."""

    def __init__(self, fortunes: Path, dialogues: Path, wordnet: Path, seed: int) -> None:
        self._draw = random.Random(seed)
        self._short = ShortSentences(wordnet, seed)
        self._running = sorted(
            {
                text
                for name in _KINDS.split()
                for text in fortune_passages((fortunes / name).read_text("utf-8", "replace"))
            }
            | {text for file in dialogues.glob("*.yml") for text in dialogue_lines(file.read_text("utf-8"))}
        )

    def next(self) -> str:
        """Returns the next text."""
        return self._short.next() if self._draw.random() < SHORT else self._draw.choice(self._running)


def fortune_passages(text: str) -> list[str]:
    """Reads a file of `fortunes` as passages of one or two plain sentences."""
    found: list[str] = []
    for fortune in text.split("\n%\n"):
        body = " ".join(fortune.partition("\t--")[0].replace("\b", "").split())
        sentences = [s for s in _SENTENCE.findall(body) if not _ODD.search(s)]
        for first in range(0, len(sentences), 2):
            found.append(" ".join(sentences[first : first + 2])[:LONGEST])
    return found


def dialogue_lines(text: str) -> list[str]:
    """Reads the plain lines of a file of dialogues (YAML: `- - question`, `  - answer`)."""
    said = re.findall(r"^\s*- (?:- )?(.+)$", text, re.M)
    plain = (line.strip("\"' ") for line in said)
    return [line[:LONGEST] for line in plain if len(line) > 1 and not _ODD.search(line)]
