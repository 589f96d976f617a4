"""Answers in the language model's place where it is asked about what it cannot see.

    spec, items, camera ──unseen──► "I can't see pictures, so I don't know."     or "": the model answers

A small model that is told that it cannot see invents what it sees all the same ("The circle is yellow."), 26 times of
66 (model/LOG.md). So the words are given, and the model is not asked. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.dialogue import Item, Message, ReplySpec
from vivavoce.model.vision.questions import Hint, parse

NO_PICTURES: Final = "I can't see pictures, so I don't know what it shows."
NO_CAMERA: Final = "I can't see what your camera shows, so I don't know."
NOTHING: Final = "I can't see anything, so I don't know."

RECENT: Final = 6
"""Items, the newest included, in which a picture is still what a question may be about: three turns."""

_SEES: Final = re.compile(r"\b(?:see|look|vision|camera|picture|image|photo|screen)", re.IGNORECASE)


def unseen(spec: ReplySpec, items: tuple[Item, ...], camera: bool) -> str:
    """What is said instead of an answer of a model without vision; "" where the newest message wants no eyes, or a tool
    may have them. `items`: the context of the reply; `camera`: there is a picture of it."""
    newest = items[-1] if items else None
    if not isinstance(newest, Message) or newest.role != "user" or _may_see(spec):
        return ""
    sent = any(isinstance(item, Message) and item.pictures for item in items[-RECENT:])
    least = Hint.WITH if newest.pictures else Hint.WEAK if sent else Hint.MEDIUM if camera else Hint.STRONG
    question = parse(newest.text)
    if question is None or question.hint < least:
        return ""
    return NO_PICTURES if sent else NO_CAMERA if camera else NOTHING


def _may_see(spec: ReplySpec) -> bool:
    """Whether the model is to call a tool, or might get what is seen from one."""
    if spec.tool_choice == "none":
        return False
    forced = bool(spec.tools) and spec.tool_choice != "auto"
    return forced or any(_SEES.search(f"{tool.name} {tool.description}".replace("_", " ")) for tool in spec.tools)
