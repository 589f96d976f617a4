"""Has words for texts that have none: what is heard instead of an answer that consists of signs or of another script.

    "👍"      thumbs up
    "你好。"   I cannot say that aloud.

Silence would be taken for a line that is dead. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

SORRY: Final = "I cannot say that aloud."

MOST_NAMES: Final = 3
"""Signs of one text that are named."""

_NAMES: Final = {
    "❤": "red heart",
    "♥": "heart",
    "☺": "smiling face",
    "🙏": "folded hands",
    "👌": "okay",
    "🙂": "smiling face",
    "🙁": "sad face",
    "☹": "sad face",
    "😂": "tears of joy",
    "🤣": "rolling on the floor laughing",
    "💯": "one hundred points",
    "🎉": "party popper",
    "✅": "check mark",
    "☀": "sun",
    "☎": "telephone",
    "♂": "",
    "♀": "",
}
"""Where the name in Unicode would not be understood."""

_EMOTICONS: Final = (
    (re.compile(r"[:;=8]['-]?[)D\]]+|\^_?\^"), "smiling face"),
    (re.compile(r"[:=]['-]?[(\[]+"), "sad face"),
    (re.compile(r":-?[Pp]"), "tongue out"),
    (re.compile(r"<3+"), "heart"),
)
_FILLING: Final = re.compile(r"\b(?:sign|symbol|black|white|heavy|medium|light|with|of|variation selector-\d+)\b ?")
_TAIL: Final = re.compile(r" (?:sign|symbol)\b")


def stand_in(text: str) -> str:
    """What is said for `text`, of which no word can be said; "" where nothing can be seen either."""
    text = text.strip()
    if all(unicodedata.category(character)[0] in "CMZ" for character in text):
        return ""
    for emoticon, name in _EMOTICONS:
        if emoticon.fullmatch(text):
            return f"{name}."
    if any(map(str.isalnum, text)):
        return SORRY
    names = dict.fromkeys(filter(None, map(_name, re.sub("[\U0001f1e6-\U0001f1ff]{2}", "\U0001f3f4", text))))
    return f"{', '.join([*names][:MOST_NAMES])}." if names else SORRY


def _name(character: str) -> str:
    """What a sign is called; "" for what only changes or joins others, and for punctuation within a text."""
    if character in _NAMES:
        return _NAMES[character]
    if character == "\U0001f3f4":
        return "a flag"
    if unicodedata.category(character) not in ("So", "Sm", "Sc"):
        return ""
    name = _TAIL.sub("", unicodedata.name(character, "").lower())
    return (_FILLING.sub("", name) if character < "\u2c00" else name).strip()
