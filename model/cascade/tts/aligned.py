"""Rewrites text by rules, and keeps each character aligned to the original.

    "It costs $5."  ──sub(money)──►  "It costs five dollars."
                                      ends[-1] == 12: when this is said, 12 characters of the original are

A word that stands for part of a longer original ("five", of "$5") counts as nothing said yet: the original is said
with the last of its words. Pure: no state, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str | None]"]
"""A pattern and its replacement: a fixed text, or a function of the match (None: no replacement)."""


def word_list(text: str) -> tuple[str, ...]:
    """The words of a table that is written as one string, for legibility."""
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Aligned:
    """`text`, and for each of its characters how many characters of the original are said once it is said.

    `ends` never falls and has the length of `text`.
    """

    text: str
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Aligned:
        """The original itself."""
        return cls(text, tuple(range(1, len(text) + 1)))

    def sub(self, rule: Rule) -> Aligned:
        """Applies `rule` to every match, left to right. Deleted text counts as said with the character before it."""
        pattern, replacement = rule
        texts: list[str] = []
        ends: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            new = replacement if isinstance(replacement, str) else replacement(match)
            start, stop = match.span()
            if new is None:
                continue
            texts += [self.text[done:start], new]
            ends += self.ends[done:start]
            said = self.ends[stop - 1] if stop else 0  # for an insertion, the text before it
            if new:
                ends += [self.ends[start - 1] if start else 0] * (len(new) - 1) + [said]
            elif ends:
                ends[-1] = said
            done = stop
        if not texts:
            return self
        return Aligned("".join([*texts, self.text[done:]]), (*ends, *self.ends[done:]))
