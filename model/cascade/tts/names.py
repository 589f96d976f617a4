"""Which voice a name means. The only place that knows the names of other services' voices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vivavoce.model.errors import UnknownVoice

JOE: Final = "joe"
CODED: Final = "joe-codec"
"""joe, spoken through the audio codec: what a model that speaks in tokens will sound like."""

REALTIME_NAMES: Final = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_george",
    "coral": "af_bella",
    "echo": "am_echo",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
    "marin": "af_heart",
    "cedar": "am_fenrir",
}
"""Voices of the Realtime API and the Kokoro voice that speaks for each; where Kokoro is not at hand, joe does."""

ENGLISH: Final = ("af_", "am_", "bf_", "bm_")
"""What the names of Kokoro's English voices begin with: American or British, female or male."""


def resolve(name: str, there_are: Sequence[str]) -> str:
    """The voice of `there_are` (usual one first) that `name` means; a Realtime name always means one.

    Raises `UnknownVoice`."""
    if not name:
        return there_are[0]
    if name in there_are:
        return name
    if name in REALTIME_NAMES:
        return REALTIME_NAMES[name] if REALTIME_NAMES[name] in there_are else there_are[0]
    raise UnknownVoice(f"no voice {name!r}; there are: {', '.join([*there_are, *REALTIME_NAMES])}")
