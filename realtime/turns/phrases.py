"""Read the words of a turn: is the phrase complete, and are more digits or letters to come? From the words alone.

    "I would like to"       OPEN        incomplete: something has to follow
    "five five five"        DICTATION   a number, a name or a list is being dictated, and more is likely
    "I have a question"     LOOSE       complete, but as often the first sentence of two; a number that may be whole
    "It was dark,"          SUSPENDED   may be complete, but the ASR writes a comma, by the intonation
    "Yes", "the blue one"   NEUTRAL     complete, or the beginning of more
    "What time is it"       COMPLETE    a sentence with all its parts
    ""                      UNKNOWN     no words, or none of a known language

Tables and rules for English, as an ASR writes it: marks and capitals say little, but for a comma at the end. Other
languages read as UNKNOWN, where the sound has to decide; their few fillers and particles that leave a phrase incomplete
in any context are known.

Dictated numbers and names (`dictated`):

    "my number is five five five"            3 digits: a telephone number has more
    "my number is 555-1234"                  7: a whole number, or part of a longer one
    "the code is one four seven two"         4: complete
    "it's spelled s m"                       letters: more is likely until the name could end

The words before the digits tell how many to expect ("the pin", "my zip code"); without them, as many as in a telephone
number. Pure; some microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final


class More(Enum):
    """Whether more digits or letters are to be expected."""

    LIKELY = "likely"
    POSSIBLE = "possible"
    NONE = "none"


_DIGITS: Final = {
    word: value
    for value, names in enumerate(
        (
            ("zero", "oh", "o", "nought"),
            ("one",),
            ("two", "to", "too"),
            ("three",),
            ("four", "for"),
            ("five",),
            ("six",),
            ("seven",),
            ("eight", "ate"),
            ("nine",),
        )
    )
    for word in names
}
_HOMOPHONES: Final = frozenset(("to", "too", "for", "ate", "a", "i"))  # digits or letters only among others
_MANY: Final = {"double": 1, "triple": 2, "hundred": 2, "thousand": 3}  # further digits they stand for
_LENGTHS: Final = (
    (re.compile(r"\b(?:zip|postcode|post code|postal)\b"), (5,)),
    (re.compile(r"\bcard\b"), (16,)),
    (re.compile(r"\b(?:pin|code|passcode|combination)\b"), (4, 6)),
    (re.compile(r"\b(?:year|born|room|floor|platform|gate|page|bus|line|flight)\b"), (1, 2, 3, 4)),
)
_WORDS: Final = ("a", "i")
_NUMBERED: Final = re.compile(r"\b(?:(?:number|phone|account) is|(?:call|reach) me (?:at|on|a))$")
_AMOUNT: Final = re.compile(r"\b(?:in|at|by|until|since|for|about|costs?|of|than)$")  # "in 1984", "for 120"
_USUAL: Final = (7, 10, 11, 12)
_FEWEST: Final = 2
"""Digits in a row that are dictation; a single one is an ordinary number."""
_LETTERS: Final = 3
"""Letters in a row that are a spelled name; fewer are enough after "spelled" or "that's"."""
_SPELLING: Final = re.compile(r"\b(?:spell|spelled|spelt|plate|written|write it|letters?|capital)\b")


def dictated(words: Sequence[str]) -> More | None:
    """Whether more is to be expected after `words` (lower case, no marks); None when nothing is being dictated."""
    context, tail = _tail(words)
    digits = sum(_count(word) for word in tail)
    letters = sum(len(word) for word in tail if _letters(word))
    if letters >= _LETTERS or (letters and _SPELLING.search(context)) or (letters >= 2 and len(context.split()) <= 1):
        return More.LIKELY
    if not digits or letters:
        return More.LIKELY if letters == len(words) == 1 and words[0] not in _WORDS else None
    if len(words) == 1 and digits == 1:
        return More.POSSIBLE  # "five": an answer, or the first of many
    for pattern, lengths in _LENGTHS:
        if pattern.search(context):
            return More.NONE if digits in lengths else More.LIKELY
    if digits >= _FEWEST and _NUMBERED.search(context):
        return More.POSSIBLE if digits in _USUAL else More.LIKELY
    if digits < _FEWEST or (len(tail) == 1 and (digits < 3 or _AMOUNT.search(context))):
        return None
    return More.POSSIBLE if digits in _USUAL else More.LIKELY


def _tail(words: Sequence[str]) -> tuple[str, list[str]]:
    """The words before the dictation, and the digits and letters at the end."""
    start = len(words)
    while start and (_count(words[start - 1]) or _letters(words[start - 1]) or words[start - 1] in _MANY):
        start -= 1
    while start < len(words) and words[start] in _HOMOPHONES:  # "to five", "a b" belong to the sentence
        start += 1
    return " ".join(words[:start]), list(words[start:])


def _count(word: str) -> int:
    if word.isdigit():
        return len(word)
    if word in _MANY:
        return _MANY[word]
    return 1 if word in _DIGITS else 0


def _letters(word: str) -> bool:
    """A letter, or several that the ASR has run together ("kt")."""
    return word.isalpha() and (len(word) == 1 or (len(word) <= 4 and not set(word) & set("aeiouy")))


class Phrase(Enum):
    """How complete the words are; see the table above."""

    UNKNOWN = "unknown"
    OPEN = "open"
    DICTATION = "dictation"
    LOOSE = "loose"
    SUSPENDED = "suspended"
    NEUTRAL = "neutral"
    COMPLETE = "complete"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FILLERS: Final = _set("um uh er erm uhm hmm hm mm ah eh uhh umm äh ähm öhm euh este pues")
_FOREIGN_OPEN: Final = _set(
    "und oder aber weil dass der die das ein eine et ou mais parce que le la les un une y o pero porque el los"
)
_CHINESE_OPEN: Final = ("和", "但是", "因为", "所以", "如果", "的话", "还有", "然后", "就是", "那个", "嗯", "呃")

_SUBJECTS: Final = _set("i he she we they")
_EITHER: Final = _set("you it this that there")  # subject or object
_LIKE_ARTICLES: Final = _set("that them though there her")
_DETERMINERS: Final = _set("a an the my your our their every another some any whose")
_BE: Final = _set("is are was were am isn't aren't wasn't weren't")
_MODALS: Final = _set(
    "will would could should can may might must shall do does did have has had won't wouldn't couldn't shouldn't can't"
    " don't doesn't didn't haven't hasn't hadn't"
)
_AUXILIARIES: Final = _BE | _MODALS
_SHORTENED: Final = _set(
    "i'm it's that's he's she's you're we're they're i'll you'll he'll she'll we'll they'll i'd you'd we'd they'd"
    " i've you've we've they've there's what's who's where's how's let's here's"
)
_CONJUNCTIONS: Final = _set("and but or nor because although unless until while whereas if whether than cause except")
_SUBORDINATORS: Final = _set("if when because although unless while since before after whenever once until")
_PREPOSITIONS: Final = _set(
    "of to from with for at by into onto about under between without during towards via per against among behind beside"
)
_PARTICLES: Final = _set("on in")  # prepositions that also end sentences: "turn it on"
_DEGREE: Final = _set("very quite extremely such only just also even almost been being be trying not going every")
_TRANSITIVE: Final = _set(
    "want wants need needs wanted needed buy bought bring put give gave said told tell says means called named reserve"
    " spell spelled let prefer show"
)
_ADJECTIVES: Final = _set("big small new old large good great little few different long short nice lot couple bit")
_LINKS: Final = _PREPOSITIONS | _PARTICLES | _SUBJECTS | _EITHER | _AUXILIARIES | _SHORTENED
_CLOSERS: Final = _set(
    "please thanks too though right today tomorrow yesterday now then later again first either anyway"
)
_WH: Final = _set("what who where when why how which whose what's who's where's how's when's whom")
_IMPERATIVES: Final = _set(
    "tell set play turn switch read book remind add wake translate cancel call send show reserve put give say look open"
    " close start stop find order buy write make take bring check search repeat explain please let help delete skip"
    " pause go wait save change move remove cook schedule ask try"
)
_THAT_CLAUSE: Final = _set("said say think thought told know hope believe so sure me sorry is was says heard means")
_BEFORE_TO: Final = _set("going you talking up listening speaking used belong close next refer married")
_SPOKEN_OF: Final = _set("think guess hope say do believe suppose")  # "I think so", "I think it is"

_AFTER_DICTATION: Final = {
    More.LIKELY: Phrase.DICTATION,
    More.POSSIBLE: Phrase.LOOSE,
    More.NONE: Phrase.NEUTRAL,
}
_PRELUDES: Final = re.compile(
    r"(?:(?:hi|hello|hey|listen|look|wait|sorry|well|so|alright|excuse me|good (?:morning|evening"
    r"|afternoon|day)|thanks|oh|actually|by the way|guess what|you know what|one (?:more )?(?:thing|moment|second)"
    r"|hang on|hold on)(?: there| again| everyone)?"
    r"|(?:(?:hi|hello|well|okay|so|sorry|excuse me|yes|no) )?"
    r"(?:(?:i|we) (?:have|got)|(?:i|we)'ve(?: got)?|there(?:'s| is)) (?:a|an|another|one|some) (?:\w+ )?"
    r"(?:questions?|problems?|idea|request|issue|favou?r|suggestion|story|news|thing)"
    r"|i need your help|i need help|can i ask (?:you )?(?:something|a question)|let me (?:think|see)(?: about it)?"
    r"|give me a (?:second|moment|minute))"
)


def read(text: str) -> Phrase:
    """Reads `text`: all words of the turn, as an ASR writes them."""
    if text.rstrip("，。,.… ").endswith(_CHINESE_OPEN):
        return Phrase.OPEN
    sentence = re.split(r"(?<=\w\w)[.!?]\s+(?=\S)", text.strip())[-1]  # not at "W. E."
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", sentence.lower().replace("’", "'"))
    if not words or not text.isascii():
        return Phrase.OPEN if words and words[-1] in _FILLERS else Phrase.UNKNOWN
    if words[-1] in _FILLERS:
        return Phrase.OPEN
    if (more := dictated(words)) is not None:
        return _AFTER_DICTATION[more]
    spoken = " ".join(words)
    if _PRELUDES.fullmatch(spoken):
        return Phrase.LOOSE
    if _open(words) or _waits_for_main_clause(sentence, words):
        return Phrase.OPEN
    if _listing(sentence):
        return Phrase.DICTATION
    if text.rstrip().endswith(",") or _drawn_out_article(words):
        return Phrase.SUSPENDED
    return Phrase.COMPLETE if _clause(words) else Phrase.NEUTRAL


def _drawn_out_article(words: list[str]) -> bool:
    """ "The title of them": an ASR's reading of a drawn-out article."""
    return len(words) > 2 and words[-1] in _LIKE_ARTICLES and words[-2] in _PREPOSITIONS | _PARTICLES | {"me"}


def _listing(sentence: str) -> bool:
    """ "Soup, salad": items that no "and" has closed yet."""
    *earlier, last = re.split(r",\s+", sentence.lower().strip(" ,.?!"))
    words = last.split()
    if (
        not earlier
        or _FILLERS & set(re.findall(r"\w+", " ".join(earlier)))
        or not 1 <= len(words) <= 2
        or words[0] in _LINKS
        or words[-1] in _CLOSERS
    ):
        return False
    return not re.search(r"\b(?:and|or|yes|no|yeah|okay|well|oh|sorry|hello|hi)\b", sentence.lower())


def _open(words: list[str]) -> bool:
    """Whether the last words leave the phrase incomplete."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    asked = words[0] in _WH or (words[0] in _CONJUNCTIONS and before in _WH)
    if len(words) == 1:
        return last in _DETERMINERS | _CONJUNCTIONS | _SUBJECTS | _PREPOSITIONS | _SHORTENED | _DEGREE - {"not"}
    if last in _DETERMINERS | _CONJUNCTIONS | _SHORTENED | _SUBJECTS:
        return not (last in ("some", "any") and before not in _AUXILIARIES | _PREPOSITIONS)
    if words[0] == "either" and "or" not in words:
        return True
    if last in _ADJECTIVES:
        return before in ("a", "an")
    if last in _AUXILIARIES:
        asks_where = last in _BE and bool(_WH & set(words[:-2]))  # "where the exit is"
        return not asks_where and not _short_answer(words) and not (asked and last in _MODALS and len(words) > 3)
    if last in _EITHER:
        return _subject_without_verb(words, asked)
    if last == "to":
        return not (asked and before in _BEFORE_TO) and not _declined(words)
    if last in _PREPOSITIONS:
        return not _stranded(words)
    if last in _PARTICLES:
        return (
            not asked
            and words[0] not in _BE
            and before not in _EITHER | _set("them go come turn log hold sign move keep me him her")
        )
    if last in _DEGREE:
        return not asked and (last, before) not in (
            ("not", "hope"),
            ("not", "course"),
            ("not", "why"),
            ("going", "keep"),
        )
    if last in _TRANSITIVE:
        incomplete = before not in _set("you i we as they") | _AUXILIARIES - _BE
        return (incomplete and not asked) or (len(words) <= 3 and last in ("want", "need", "prefer"))
    if last in _WH:
        return words[0] in _AUXILIARIES or before not in _set("know me since and say remember")
    if last == "like":
        return before in _set("would i'd we'd looks sounds feels is")
    if last == "me":
        return before in _set("tell give show send bring") and len(words) <= 5
    return (last == "so" and before not in _SPOKEN_OF and len(words) > 2) or (
        last == "then" and before in ("and", "so")
    )


def _stranded(words: list[str]) -> bool:
    """Whether the preposition at the end belongs to a question word: "what is it made of", "tell me who it is for"; but
    not "what is the capital of", "what kind of"."""
    before = words[:-1]
    question = max((place for place, word in enumerate(before) if word in _WH), default=len(words))
    if len(words) - question < 3 or words[question] in ("how", "when", "why"):
        return False
    return not (
        words[-1] == "of" and (words[-3] in ("the", "a", "an") or words[-2] in ("kind", "sort", "type", "think"))
    )


def _short_answer(words: list[str]) -> bool:
    """ "Yes, I do", "I think it is", "so am I"."""
    return (words[0] in ("yes", "no", "yeah", "so", "neither") and len(words) <= 4) or bool(
        _SPOKEN_OF & set(words[:2]) and len(words) <= 5
    )


def _subject_without_verb(words: list[str], asked: bool) -> bool:
    last, before = words[-1], words[-2]
    if last == "that":
        return before in _THAT_CLAUSE and not asked
    if before in _SUBORDINATORS | _CONJUNCTIONS | {"that"}:
        return True
    if before in _MODALS:  # "could you"
        return True
    return before in _BE and not asked and len(words) <= 3 and last != "this"


def _declined(words: list[str]) -> bool:
    """ "I don't want to", "I'd love to": complete, the verb was said before."""
    return any(word.endswith("n't") or word in ("not", "love") for word in words[-4:-1])


def _waits_for_main_clause(sentence: str, words: list[str]) -> bool:
    """ "If it rains tomorrow": a subordinate clause that comes first."""
    opener = words[0] in _SUBORDINATORS and len(words) > 2 and words[1] not in _AUXILIARIES
    phrase = words[:2] in (["because", "of"], ["in", "case"]) or words[:3] == ["as", "soon", "as"]
    if not opener and not phrase:
        return False
    _, comma, main = sentence.partition(",")
    if comma and len(re.findall(r"\w+", main)) >= 2:
        return False
    return len(words) <= 7


def _clause(words: list[str]) -> bool:
    """Whether these words can be a sentence: a question, a request, or subject and verb."""
    if words[0] in ("please", "and", "but", "so", "well", "okay", "then", "oh", "yes", "no", "also"):
        words = words[1:] or words
    if len(words) < 2:
        return False
    first, second = words[0], words[1]
    if first in _IMPERATIVES:
        return True
    if len(words) < 3:
        return False
    if first in _WH | _AUXILIARIES:
        return True
    if first in _SUBJECTS | _EITHER | _SHORTENED:
        return True
    verbs = _AUXILIARIES | _SHORTENED
    if first in _DETERMINERS | _set("his her its these those"):
        return any(word in verbs or word.endswith("ed") for word in words[2:])
    return second in verbs
