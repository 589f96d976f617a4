"""Decisions about token sequences: how much of a hypothesis is stable, and where it began to loop. Pure functions.

Local agreement (Liu et al. 2020, "Low-Latency Sequence-to-Sequence Speech Recognition", section 3): what two
hypotheses, made from different lengths of the same sound, have in common will most likely stay. Ours ends at a word's
beginning, since the last word of a hypothesis may be half of a longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

LOOP_TOKENS: Final = 12
"""Tokens that have to be periodic before they count as a loop; people do say "no, no, no, no"."""
LOOP_ROUNDS: Final = 4
"""Rounds of the same tokens that make a loop."""


def agreed(older: Sequence[int], newer: Sequence[int], starts_word: Callable[[int], bool]) -> int:
    """How many leading tokens of `newer` both hypotheses share, rounded down to whole words of `newer`."""
    common = 0
    for one, other in zip(older, newer, strict=False):
        if one != other:
            break
        common += 1
    while common and (common == len(newer) or not starts_word(newer[common])):
        common -= 1
    return common


def loop_start(tokens: Sequence[int]) -> int | None:
    """Where a loop at the end of `tokens` begins to repeat itself (its first round is to be kept); None without one."""
    for period in range(1, len(tokens) // LOOP_ROUNDS + 1):
        needed = max(period * LOOP_ROUNDS, LOOP_TOKENS)
        if len(tokens) < needed:
            continue
        first = len(tokens) - needed
        if all(tokens[at] == tokens[at + period] for at in range(first, len(tokens) - period)):
            while first and tokens[first - 1] == tokens[first - 1 + period]:
                first -= 1
            return first + period
    return None
