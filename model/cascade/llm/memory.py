"""What of a conversation that grows for hours its language model is given: the end, which begins the same for long.

    items   a b c d e f g h          all fit
            a b c d e f g h i j      too much: three quarters are forgotten, and read once without them ...
                            i j k l  ... and stay forgotten, until the rest is too much again

A model reads only what differs from what it read last. A window that slides by a question and an answer each turn would
be read as a whole each turn, which on a CPU takes longer than the turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from vivavoce.model.cascade.llm import Prompt, chatml

REMEMBERED_CHARS: Final = 6000
"""Of the conversation, instructions apart: 30 to 40 turns, of which the last ten stay when older ones are forgotten.
To read these again takes 5 s on a CPU, in which the user waits if he speaks at once; 2 000 tokens would take 25."""


class Memory:
    """That of one conversation. `max_chars`: of a whole prompt, whatever its instructions."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._first = ""  # the oldest item it was given since it last forgot something

    def of(self, prompt: Prompt) -> Prompt:
        """`prompt` with what is remembered of its items. Where the oldest of these is gone, because whoever keeps the
        conversation has forgotten it as well, all that is left is remembered."""
        first = next((place for place, item in enumerate(prompt.items) if item.id and item.id == self._first), 0)
        rest = replace(prompt, items=prompt.items[first:])
        instructions = len(chatml.render(replace(prompt, items=())))
        kept = chatml.trimmed(rest, min(instructions + REMEMBERED_CHARS, self._max_chars))
        if len(kept.items) < len(rest.items):
            self._first = kept.items[0].id
        return kept
