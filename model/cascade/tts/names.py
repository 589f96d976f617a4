"""Resolves names of voices; the only place that knows the names of other services. Pure.

"" ──► the default      "joe", "af_sky" ──► themselves      "alloy" ──► Kokoro's voice for it, else the default
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vivavoce.model.errors import UnknownVoice

JOE: Final = "joe"
CODED: Final = "joe-codec"
"""joe, spoken through the audio codec: the sound of a model that speaks in audio tokens."""

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
"""Voices of the Realtime API, and the Kokoro voice for each; without Kokoro, joe."""

ENGLISH: Final = ("af_", "am_", "bf_", "bm_")
"""Prefixes of Kokoro's English voices: American or British, female or male."""


def resolve(name: str, available: Sequence[str]) -> str:
    """The voice of `available` (the default first) that `name` means; a Realtime name always means one.

    Raises `UnknownVoice`."""
    if not name:
        return available[0]
    if name in available:
        return name
    if name in REALTIME_NAMES:
        return REALTIME_NAMES[name] if REALTIME_NAMES[name] in available else available[0]
    raise UnknownVoice(f"no voice {name!r}; there are: {', '.join(known_names(available))}")


def known_names(available: Sequence[str]) -> tuple[str, ...]:
    """All names that `resolve` takes."""
    return (*available, *REALTIME_NAMES)
