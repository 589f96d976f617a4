"""Resolves names of voices; the only place that knows the names of other services. Pure.

"" ──► the default      "joe", "af_sky" ──► themselves      "alloy" ──► the TTS's voice for it, else the default
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vivavoce.model.errors import UnknownVoice

HEART: Final = "heart"
"""hibari's voice, the default of all."""
HIBARI: Final = (HEART, "emma", "fable", "fenrir", "kore")
JOE: Final = "joe"
CODED: Final = "joe-codec"
"""joe, spoken through the audio codec: the sound of a model that speaks in audio tokens."""

REALTIME_NAMES: Final = {
    "alloy": ("heart", "af_alloy"),
    "ash": ("fenrir", "am_michael"),
    "ballad": ("fable", "bm_george"),
    "coral": ("kore", "af_bella"),
    "echo": ("fenrir", "am_echo"),
    "sage": ("kore", "af_sarah"),
    "shimmer": ("emma", "af_sky"),
    "verse": ("fable", "am_puck"),
    "marin": ("heart", "af_heart"),
    "cedar": ("fenrir", "am_fenrir"),
    "fable": ("fable", "bm_fable"),
    "onyx": ("fenrir", "am_onyx"),
    "nova": ("emma", "af_nova"),
}
"""Voices of OpenAI's APIs, and hibari's and Kokoro's voice for each; where neither is there, the default."""

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
        return next((voice for voice in REALTIME_NAMES[name] if voice in available), available[0])
    raise UnknownVoice(f"no voice {name!r}; there are: {', '.join(known_names(available))}")


def known_names(available: Sequence[str]) -> tuple[str, ...]:
    """All names that `resolve` takes."""
    return tuple(dict.fromkeys((*available, *REALTIME_NAMES)))
