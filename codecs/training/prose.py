"""What joe says for the codec's training: running text and dialogue beside the short sentences of `texts`.

    Debian's `fortunes`     quotations, jokes, verse ─┐
    `chatterbot-corpus`     dialogue, questions       ├─► draw by seed ─► a sentence or a few, at most 220 characters
    texts.Texts             WordNet, templates       ─┘

The folders are only read; what is drawn is spoken for training and goes nowhere else.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from vivavoce.codecs.training.texts import Texts

SHORT: Final = 0.4
"""Share of the short sentences."""
LONGEST: Final = 220
"""Characters: about 14 s."""
_KINDS: Final = (
    "art computers cookie education food humorists kids law literature medicine miscellaneous people pets platitudes "
    "politics science sports startrek wisdom work"
)
_SENTENCE: Final = re.compile(r"[A-Z][^.!?]{8,}[.!?](?=\s|$)")
_ODD: Final = re.compile(r"[^A-Za-z0-9 ,.;:!?'$%&-]|[A-Z]{6,}|\.\.")


class Prose:
    """Draws texts. `fortunes` and `dialogues` are folders of the two packages' files, `wordnet` that of `Texts`."""

    def __init__(self, fortunes: Path, dialogues: Path, wordnet: Path, seed: int) -> None:
        self._draw = random.Random(seed)
        self._short = Texts(wordnet, seed)
        self._running = sorted(
            {text for name in _KINDS.split() for text in passages((fortunes / name).read_text("utf-8", "replace"))}
            | {text for file in dialogues.glob("*.yml") for text in turns(file.read_text("utf-8"))}
        )

    def next(self) -> str:
        """The next text."""
        return self._short.next() if self._draw.random() < SHORT else self._draw.choice(self._running)


def passages(text: str) -> list[str]:
    """One or two plain sentences each, of a file of `fortunes`."""
    found: list[str] = []
    for fortune in text.split("\n%\n"):
        body = " ".join(fortune.partition("\t--")[0].replace("\b", "").split())
        sentences = [s for s in _SENTENCE.findall(body) if not _ODD.search(s)]
        for first in range(0, len(sentences), 2):
            found.append(" ".join(sentences[first : first + 2])[:LONGEST])
    return found


def turns(text: str) -> list[str]:
    """What is said in a file of dialogues (YAML: `- - question`, `  - answer`)."""
    said = re.findall(r"^\s*- (?:- )?(.+)$", text, re.M)
    plain = (line.strip("\"' ") for line in said)
    return [line[:LONGEST] for line in plain if len(line) > 1 and not _ODD.search(line)]
