"""Defines how something is spoken: whispered, softly, calmly, lively, slowly, fast.

    "[whisper] Come closer."  ──Tags──►  Style(breath=1), "Come closer."      a tag of the language model
    "Always speak softly."    ──requested──►  Style(breath=0.4 ...)           the session's instructions

A tag is never spoken, and is in no transcript. It holds until the next one; `[normal]` ends it. Brackets with other
words are text. Instructions count where a sentence asks for a way of speaking without a condition. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Style:
    """`breath`: share of the voice that is breath, 0 to 1 (a whisper). `level`: decibels. `melody`: factor of the
    pitch's distance from its mean. `pitch`: semitones. `pace`: factor of the speed."""

    breath: float = 0.0
    level: float = 0.0
    melody: float = 1.0
    pitch: float = 0.0
    pace: float = 1.0

    def joined(self, other: Style) -> Style:
        """Both at once."""
        return Style(
            max(self.breath, other.breath),
            self.level + other.level,
            self.melody * other.melody,
            self.pitch + other.pitch,
            self.pace * other.pace,
        )


PLAIN: Final = Style()
STYLES: Final[Mapping[str, Style]] = {
    "whisper": Style(breath=1.0, pace=0.95),
    "soft": Style(breath=0.4, level=-3.0, melody=0.85, pitch=-0.5, pace=0.95),
    "calm": Style(melody=0.6, pitch=-0.5, pace=0.9),
    "lively": Style(melody=1.5, pitch=1.0, pace=1.05),
    "slow": Style(pace=0.75),
    "fast": Style(pace=1.25),
}
"""What each costs in understood words: model/LOG.md."""

_TAGS: Final[Mapping[str, Style | None]] = {
    **{f"[{name}]": style for name, style in STYLES.items()},
    **{f"[/{name}]": None for name in STYLES},
    "[normal]": None,
}


class Tags:
    """Takes the tags out of one reply's text, which comes in pieces of any size."""

    def __init__(self) -> None:
        self._held = ""  # may become a tag
        self._open = True  # nothing, or a space, was given last ...
        self._after_tag = False  # ... before a tag: another space is left out

    def push(self, text: str) -> list[str | Style | None]:
        """The text that is certain, without tags, and in its place the style of each tag; None ends a style."""
        found: list[str | Style | None] = []
        waiting, self._held = self._held + text, ""
        while waiting:
            before, bracket, rest = waiting.partition("[")
            self._give(before, found)
            if not bracket:
                break
            waiting = f"[{rest}"
            name = waiting[: waiting.find("]") + 1].lower()
            if name in _TAGS:
                found.append(_TAGS[name])
                waiting, self._after_tag = waiting[len(name) :], self._open
            elif not name and any(tag.startswith(waiting.lower()) for tag in _TAGS):
                self._held = waiting
                break
            else:
                self._give("[", found)
                waiting = rest
        return found

    def flush(self) -> str:
        """The text is complete: returns what was held back."""
        held, self._held = self._held, ""
        return held

    def _give(self, text: str, found: list[str | Style | None]) -> None:
        if text and self._after_tag:
            text, self._after_tag = text.removeprefix(" "), False
        if text:
            found.append(text)
            self._open = text[-1].isspace()


_CUES: Final = {
    "whisper": r"whisper(?:s|ing)?|under your breath",
    "soft": r"softly|quietly|gently|(?:soft|quiet|gentle|low) (?:voice|tone)",
    "calm": r"calm(?:ly)?|soothing(?:ly)?|relaxed",
    "lively": r"lively|cheerful(?:ly)?|energetic(?:ally)?|enthusiastic(?:ally)?|excited(?:ly)?|upbeat",
    "slow": r"slow(?:ly)?",
    "fast": r"fast|quickly|rapidly",
}
_SPEAKING: Final = re.compile(r"\b(?:speak|talk|sound|whisper|voice|tone)s?(?:ing)?\b", re.I)
_CONDITION: Final = re.compile(r"\b(?:if|when|whenever|unless|until|never|not|don't|avoid|without|too|users?)\b", re.I)


def requested(instructions: str) -> Style:
    """The style that `instructions` ask for, always; plain where they ask for none."""
    style = PLAIN
    for sentence in re.split(r"[.!?;\n]", instructions.replace("’", "'")):
        if _SPEAKING.search(sentence) and not _CONDITION.search(sentence):
            for name, cue in _CUES.items():
                if re.search(rf"\b(?:{cue})\b", sentence, re.I):
                    style = style.joined(STYLES[name])
    return style
