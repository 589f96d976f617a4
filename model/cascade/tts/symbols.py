"""Numbers phonemes for the networks that read misaki's alphabet: Kokoro and hibari, which was taught by it. Pure but
for the table, which is read from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vivavoce.model.cascade.tts.english.spoken import MARKS
from vivavoce.model.cascade.tts.phonemes import Word
from vivavoce.model.cascade.tts.utterance import sounding
from vivavoce.model.errors import BrokenTts


def sequence(words: Sequence[Word], table: dict[str, int]) -> tuple[list[int], list[int]]:
    """The numbers of `words`, and the count of them at which each word's sound ends. Symbols not in `table` are left
    out."""
    numbers: list[int] = []
    ends: list[int] = []
    for count, word in enumerate(words):
        symbols = word.symbols
        if count:
            numbers.append(table[" "])
        numbers += [table[symbol] for symbol in sounding(symbols) if symbol in table]
        ends.append(len(numbers))
        numbers += [table[mark] for mark in symbols[len(sounding(symbols)) :]]
    return numbers, ends


def read_numbers(path: Path) -> dict[str, int]:
    """The number of each symbol, from a JSON object, or from its key "vocab"."""
    try:
        content = json.loads(path.read_text("utf-8"))
        table: dict[str, int] = content.get("vocab", content)
        missing = [symbol for symbol in f" {MARKS}" if symbol not in table]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BrokenTts(f"cannot read the voices' symbols {path}: {error!r}") from error
    if missing:
        raise BrokenTts(f"{path}: expected numbers for punctuation, got none for {missing}")
    return table
