"""Recognizes questions that want eyes: what is asked, about which thing, and how surely it is about something seen.

    "How many red circles are there?" ──parse──► Question(COUNT, "red circles", WEAK)
    "What am I holding?"              ──parse──► Question(WHAT, "", STRONG)
    "How many people live in Paris?"  ──parse──► None

A small model answers such a question whether it sees or not, so the question is recognized here, by English patterns.
Other languages are recognized only by the picture that comes with a message. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final


class Kind(Enum):
    """What is asked."""

    DESCRIBE = auto()
    WHAT = auto()
    COUNT = auto()
    COLOUR = auto()
    WHERE = auto()
    READ = auto()
    THERE = auto()
    CHANGED = auto()
    COMPARE = auto()
    LIGHT = auto()


class Hint(IntEnum):
    """How surely it is about something seen. With: only if a picture comes with it. Weak: if a picture was sent.
    Medium: if there is a picture or a camera. Strong: in any case."""

    WITH = 0
    WEAK = 1
    MEDIUM = 2
    STRONG = 3


@dataclass(frozen=True, slots=True)
class Question:
    """`thing`: words for what is asked about, in lower case; "" where none are named."""

    kind: Kind
    thing: str
    hint: Hint


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{pattern})" for pattern in patterns))


_FIGURES_OF_SPEECH: Final = _any(
    r"see what (?:i|you|he|she|we|they) (?:mean|did)",
    r"(?:do|can) you see (?:why|how|the point|that (?:i|you|we|he|she|it)\b)",
    r"see you (?:later|soon|again|tomorrow|then|on|next)|you see,|let'?s see|let me see|big picture|picture yourself",
    r"look forward|look (?:it |that )?up\b|look at it this way|people (?:live|speak)",
    r"read (?:me )?a (?:story|poem|joke)|describe (?:a|an|your|how|why|what it)\b",
)
_PICTURE: Final = r"(?:pictures?|photos?|images?|photographs?|drawings?|screenshots?|snapshots?)"
_PLACE: Final = rf"(?:{_PICTURE}|camera|screen|view|frame|scene|sign|page)"

_STRONG: Final = _any(
    r"(?:can|could|do|did|will) you (?:\w+ ){0,2}?(?:see|recogni[sz]e|spot)\b|what (?:can|do|did) you see\b",
    r"you (?:seeing|looking at)\b|do you have (?:eyes|vision)\b|(?:take|have) a look\b",
    r"look at (?:this|that|these|me|my|the)\b|(?:am i|i'm|i am) (?:holding|wearing|showing|pointing)\b",
    rf"(?:in|on) (?:the|this|that|these|my|your|both) (?:\w+ )?{_PICTURE}\b",
    rf"(?:this|that|these|those|both) (?:\w+ )?{_PICTURE}\b|describe (?:the|my|this|these) (?:\w+ )?{_PLACE}\b",
    r"in front of (?:you|me|the camera)\b|in my (?:left |right )?hands?\b|(?:behind|beside|around|near) me\b",
    r"how do i look\b|what do i look like\b|how many fingers\b",
)
_MEDIUM: Final = _any(
    r"what(?:'s| is| are| was) (?:this|that|these|those|here|it)(?! (?:called|for|mean|like|about|supposed))\b",
    r"(?:is|are) (?:this|these) (?:a|an|my|your|really|the)\b|who(?:'s| is) (?:this|that)\b",
    r"colou?rs? (?:is|are|of|does|do|has) (?:this|that|these|those|my|it|they)\b",
    r"(?:what|anything) (?:has |have |is )?(?:changed|different|moved)\b|what'?s (?:changed|different)\b",
    r"read (?:this|that|it|me|out|aloud|the)\b|what (?:does|do|did) (?:it|this|that|the [\w ]+?|these) says?\b",
    r"what(?:'s| is) (?:written|printed|on (?:it|the|my|this))\b|describe (?:it|this|that|these|me|what)\b",
    rf"compare (?:these|the two|them|both)\b|{_PLACE}\b|what(?:'s| has)? happened here\b|where am i\b",
    r"am i (?:smiling|alone|sitting|standing)\b|(?:dark|bright|light) (?:in here|here|in the room)\b",
    r"is the (?:camera|light) (?:on|off|covered)\b|which (?:one )?is (?:bigger|larger|smaller|on the)\b",
    r"(?:on|to) the (?:left|right)\b|what (?:animal|shape|object|thing) (?:is|are) (?:it|this|that|these)\b",
)
_WEAK: Final = _any(
    r"how many\b|(?:what|which) colou?rs?\b|where(?:'s| is| are)\b|(?:is|are) (?:there|it|this|that|these|they)\b",
    r"what (?:kind|sort|type|animal|shape|object|thing|number|word|letter|food|brand)\b|who(?:'s| is)\b",
    r"what(?:'s| is| are) (?:the|he|she|they) (?!capital|meaning|weather|time|date|difference)|describe\b|compare\b",
    r"who (?:painted|made|drew|took|wrote|owns|are)\b|(?:his|her|its|their) (?:name|age|job)\b",
    r"the name of (?:the|this)\b",
    r"what do you think\b|any (?:text|people|animals?)\b|does (?:it|this|he|she)\b|translate\b|count\b",
)
_ENGLISH: Final = re.compile(r"\b(?:the|is|are|what|how|a|this|it|you|do|of|in|who|and|my|please|i|me|hi|hello|tell)\b")

_ARTICLE: Final = r"(?:a |an |any |the |some |my |your |this |that |these |those |(?:one|two|three) of the )?"
_SIDE: Final = r"(?:left|right|top|bottom|middle|cent(?:er|re))"
_THING: Final = r"([a-z][a-z' -]*?)"
_END: Final = (
    r"(?= (?:are|is|do|does|did|can|could|in|on|at|here|there|have|has|you|i|am|that|visible|now|please|from|to the|"
    r"next|near|and|with|of mine)\b|[?.!,;:]|$)"
)

_KINDS: Final[tuple[tuple[Kind, str], ...]] = (
    (
        Kind.CHANGED,
        r"\b(?:what|any|some)(?:thing)?(?: has| have| is|'s|'ve)? (?:changed|moved|different|happened)|differs?",
    ),
    (
        Kind.COMPARE,
        r"\bcompare\b|\bdifferences? between\b|\bboth (?:pictures|photos|images)\b|\bwhich (?:one|picture)\b",
    ),
    (Kind.COUNT, rf"\bhow many {_THING}{_END}|\b(?:the )?number of {_THING}{_END}|\bcount (?:the )?{_THING}{_END}"),
    (Kind.COLOUR, rf"\b(?:what|which) colou?rs? (?:is|are|has|does|do) {_ARTICLE}{_THING}{_END}"),
    (Kind.COLOUR, rf"\b(?:the )?colou?rs? of {_ARTICLE}{_THING}{_END}|\bcolou?rs?\b"),
    (Kind.WHERE, rf"\bwhere(?:'s| is| are) {_ARTICLE}{_THING}{_END}|\b(?:which|what) (?:side|position|corner)\b"),
    (Kind.WHERE, rf"\b(?:is|are) {_ARTICLE}{_THING} (?:on|to|in|at) the {_SIDE}\b"),
    (Kind.READ, r"\bread\b|\b(?:does|do|did) .{1,40}\bsays?\b|\b(?:is|'s) (?:written|printed)\b"),
    (Kind.READ, r"\b(?:what|any|the) (?:words?|letters?|text|writing|title|headline)\b|\btranslate\b"),
    (Kind.LIGHT, r"\b(?:dark|bright|well lit)\b|\bis the (?:light|camera) (?:on|off|covered)\b|\bcamera covered\b"),
    (Kind.THERE, rf"\b(?:is|are) there {_ARTICLE}{_THING}{_END}|\byou (?:\w+ )?(?:see|spot) {_ARTICLE}{_THING}{_END}"),
    (Kind.THERE, rf"\b(?:am|is|are) (?:i|it|this|that|these|they) (?:really )?(?:a|an) {_THING}{_END}"),
    (Kind.DESCRIBE, r"\bdescribe\b|\bwhat (?:can|do|did) you see\b|\bwhat(?:'s| is) (?:in|on) (?:the|this|that|my)\b"),
    (Kind.DESCRIBE, r"\bwhat (?:does|do) (?:the|this|that|these) \w+ shows?\b|\blook like\b|\btell me about\b"),
    (Kind.WHAT, r"\bwhat\b|\bwho\b|\bwhich\b"),
)
_PATTERNS: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_PRONOUNS: Final = frozenset("it this that these those they them here me you i what one something anything".split())  # noqa: SIM905


LONGEST: Final = 400
"""Characters of a text, its last ones, in which a question is looked for: patterns with a gap take quadratic time."""


def parse(text: str) -> Question | None:
    """The question in `text`; None where it wants no eyes, picture or not."""
    said = " ".join(text[-LONGEST:].lower().replace("’", "'").split())
    plain = _FIGURES_OF_SPEECH.sub(" ", said)
    for hint, pattern in ((Hint.STRONG, _STRONG), (Hint.MEDIUM, _MEDIUM), (Hint.WEAK, _WEAK)):
        if pattern.search(plain):
            kind, thing = _kind(plain)
            return Question(kind, thing, hint)
    if not said or not _ENGLISH.search(said):  # a picture alone, or words of another language with one
        return Question(Kind.DESCRIBE, "", Hint.WITH)
    return None


def _kind(said: str) -> tuple[Kind, str]:
    for kind, pattern in _PATTERNS:
        if (match := pattern.search(said)) is not None:
            thing = next((words for words in match.groups() if words), "").strip()
            return kind, "" if thing.partition(" ")[0] in _PRONOUNS else thing
    return Kind.DESCRIBE, ""
