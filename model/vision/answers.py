"""Answers questions about what was seen, from the scene alone: what a small model would have to guess, it is not asked.

    Question, Scene (and the one before) ──answer──► "There are 3 red circles."
                                                     "I can't tell ... I see a cat in the centre."   not known
                                                     None: the language model answers, with the report

Measured against a model of 0.5 billion parameters that reads the report (model/LOG.md). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vivavoce.model.vision.boxes import Box, area
from vivavoce.model.vision.colours import NAMES as COLOURS
from vivavoce.model.vision.objects import NAMES as OBJECTS
from vivavoce.model.vision.objects import SURE
from vivavoce.model.vision.questions import Kind, Question
from vivavoce.model.vision.scene import (
    BRIGHT,
    CERTAIN,
    DARK,
    PERHAPS,
    Scene,
    area_name,
    at,
    changes,
    counted,
    found_in,
    grouped,
    listed,
    place,
    plural,
    with_article,
)

COVERED: Final = "The picture is black. Your camera may be covered, or it is dark."

SHAPES: Final = frozenset(
    "circle square rectangle triangle star diamond pentagon hexagon oval".split()  # noqa: SIM905
)
_ANY_SHAPE: Final = frozenset("shape figure form thing object item".split())  # noqa: SIM905

_SYNONYMS: Final = {
    word: name
    for name, words in (
        ("person", "people man men woman women child children boy girl human face someone anyone anybody somebody"),
        ("bicycle", "bike"),
        ("motorcycle", "motorbike"),
        ("airplane", "plane aeroplane"),
        ("cat", "kitten kitty"),
        ("dog", "puppy"),
        ("couch", "sofa"),
        ("cup", "mug"),
        ("tv", "television monitor"),
        ("phone", "telephone smartphone mobile cellphone"),
        ("refrigerator", "fridge"),
        ("backpack", "rucksack"),
        ("laptop", "computer notebook"),
        ("table", "desk"),
        ("knife", "knives"),
        ("circle", "disc disk dot ring"),
        ("oval", "ellipse"),
        ("diamond", "rhombus"),
        ("purple", "violet"),
        ("grey", "gray"),
        ("turquoise", "cyan"),
        ("pink", "magenta"),
    )
    for word in words.split()
}
_CLOTHES: Final = frozenset("shirt t-shirt tshirt sweater jumper jacket pullover dress clothes top blouse coat".split())  # noqa: SIM905
_WHOLE: Final = frozenset("picture image photo wall screen page scene background paper card".split())  # noqa: SIM905
_IDENTITY: Final = re.compile(
    r"\b(?:what|who)(?:'s| is| are| was) (?:this|that|it|these|those|there)\b(?! \w+ing)|\bam i (?:holding|showing)\b|"
    r"\bi(?:'m| am) (?:holding|showing)\b|\bin my hands?\b|\bwhat (?:kind of |sort of |type of )?(?:animal|"
    r"shape|object|thing|fruit|vehicle|figure)\b|\bdo you recogni[sz]e\b|"
    r"\bwhat(?:'s| is) (?:the )?(?:main )?(?:thing|object|shape|animal)\b"
)
_WRITTEN: Final = re.compile(
    r"\b(?:number|word|name|price|time|date|title|brand|platform|destination|street|city|letter|called|cost|address|email)\b"
)
_SPOTS: Final = re.compile(r"\b(left|right|top|bottom|middle|cent(?:er|re))\b")


_SHEET: Final = Scene(drawing=True)


@dataclass(frozen=True, slots=True)
class _Sought:
    """What a noun phrase names: one of `OBJECTS`, or a shape ("": any), of a colour ("": any)."""

    name: str
    colour: str
    is_shape: bool

    @property
    def words(self) -> str:
        return f"{self.colour} {self.name or 'shape'}".strip()


def answer(question: Question, said: str, scene: Scene, before: Scene | None = None) -> str | None:
    """The answer to a question about one picture, as a sentence. `said`: the question's own words; `before`: the look
    before. None: the language model can find it in the report."""
    if scene.covered:
        return COVERED
    said = said.lower()
    match question.kind:
        case Kind.READ:
            return _read(scene)
        case Kind.LIGHT:
            return _light(scene)
        case Kind.CHANGED:
            return _changed(scene, before)
        case Kind.COUNT:
            return _count(question.thing, scene)
        case Kind.COLOUR:
            return _colour(question.thing, said, scene)
        case Kind.WHERE:
            return _where(question.thing, said, scene)
        case Kind.THERE if question.thing:
            return _there(question.thing, said, scene)
        case Kind.THERE:
            return described(scene)
        case Kind.WHAT | Kind.COMPARE if _IDENTITY.search(said):
            return _identity(said, scene)
        case Kind.DESCRIBE:
            return described(scene)
    if scene.lines and _WRITTEN.search(said):
        return None
    return _unknown("that", scene)


def is_visible(question: Question) -> bool:
    """Whether it asks for the number, presence or colour of what could be recognized: with a camera on, that is about
    what it shows."""
    counted_or_there = question.kind in (Kind.COUNT, Kind.THERE, Kind.COLOUR)
    return counted_or_there and bool(question.thing) and _sought(question.thing, _SHEET) is not None


def compared(scenes: Sequence[Scene]) -> str:
    """The answer to how pictures differ."""
    ordinals = ("first", "second", "third", "fourth")
    parts = [f"The {ordinal} one: {described(scene)}" for ordinal, scene in zip(ordinals, scenes, strict=False)]
    return " ".join(parts)


def described(scene: Scene) -> str:
    """What there is to be seen, in one or two sentences."""
    if scene.covered:
        return COVERED
    seen = "" if scene.comic else _seen(scene)
    sentences = ["It looks drawn."] if scene.comic else [f"I see {seen}."] if seen else []
    if scene.maybe and not seen:
        sentences.append(_sentence(scene.maybe))
    if scene.lines:
        sentences.append(_read(scene))
    if not sentences:
        colours = listed(scene.main_colours)
        return f"I can't make out what it is. The colours are mostly {colours}." if colours else "I can't make it out."
    return " ".join(sentences)


def _seen(scene: Scene) -> str:
    """ "a cat in the centre and 2 cups"; "" for nothing."""
    parts = []
    for name, boxes in found_in(scene)[:5]:
        parts.append(f"{counted(len(boxes), name)} {at(boxes[0])}" if len(boxes) == 1 else counted(len(boxes), name))
    return listed(parts)


def _unknown(what: str, scene: Scene) -> str:
    seen = _seen(scene)
    return f"I can't tell {what} from what I see." + (f" I only make out {seen}." if seen else "")


def _read(scene: Scene) -> str:
    if not scene.lines:
        return "I can't make out any text."
    doubt = min(line.score for line in scene.lines) < CERTAIN
    return f"It {'seems to say' if doubt else 'says'}: {', '.join(line.text for line in scene.lines)}."


def _light(scene: Scene) -> str:
    if scene.light < DARK:
        return "It is dark."
    return "It is bright." if scene.light > BRIGHT else "It is neither dark nor very bright."


def _changed(scene: Scene, before: Scene | None) -> str:
    if before is None:
        return "I have only had one look so far, so I can't compare."
    found = changes(before, scene)
    return _sentence(listed(found)) if found else "I see no change."


def _count(thing: str, scene: Scene) -> str:
    sought = _sought(thing, scene)
    if sought is None:
        return _unknown(f"how many {thing or 'there are'}", scene)
    boxes = _found(sought, scene)
    if sought.is_shape and _doubtful(sought, scene):
        return _unknown(f"how many {plural(sought.words)} there are", scene)
    if not boxes and (scene.comic or _doubtful(sought, scene)):
        return _unknown(f"how many {plural(sought.words)} there are", scene)
    if not boxes:
        return f"I see no {plural(sought.words)}."
    return f"I see {_number(len(boxes))} {plural(sought.words) if len(boxes) > 1 else sought.words}."


def _there(thing: str, said: str, scene: Scene) -> str:
    if re.fullmatch(r"(?:any |some )?(?:text|words?|writing|letters?)", thing):
        return f"Yes. {_read(scene)}" if scene.lines else "No, I can't make out any text."
    sought = _sought(thing, scene)
    if sought is None:
        return _by_class(thing, scene)
    boxes = _found(sought, scene)
    if boxes:
        return f"Yes, I see {counted(len(boxes), sought.words)}" + (f" {at(boxes[0])}." if len(boxes) == 1 else ".")
    if scene.comic:
        return _unknown(f"whether there is {with_article(sought.words)}", scene)
    if _doubtful(sought, scene) or _named_in(sought.name, scene):
        return f"I am not sure, there may be {with_article(sought.words)}."
    if not _understood(scene) and sought.name != "person":
        return f"I don't see {with_article(sought.words)}, but I can't make out much."
    return f"No, I don't see {with_article(sought.words)}."


def _by_class(thing: str, scene: Scene) -> str:
    if _named_in(thing, scene):
        return (
            f"Yes, it looks like {with_article(thing)}."
            if scene.thing[1] >= CERTAIN
            else f"Maybe {with_article(thing)}."
        )
    return _unknown(f"whether there is {with_article(thing)}", scene)


def _colour(thing: str, said: str, scene: Scene) -> str:
    words = set(thing.split())
    if words & _CLOTHES:
        worn = [colour for seen, colour in scene.sure if seen.name == "person" and colour]
        return f"It looks {worn[0]}." if worn else _unknown(f"the colour of your {thing}", scene)
    if "background" in words and scene.background:
        return f"The background is {scene.background}."
    sought = _sought(thing, scene) if thing else None
    if sought is not None and not sought.colour:
        spot = _SPOTS.search(said)
        if sought.is_shape:
            named = [(seen.colour, seen.box) for seen in scene.areas if sought.name in ("", seen.shape)]
        else:
            named = [(colour, seen.box) for seen, colour in scene.sure if seen.name == sought.name and colour]
        if spot is not None:
            named = [(colour, box) for colour, box in named if _is_at(box, spot[1])]
        if colours := list(dict.fromkeys(colour for colour, _ in named)):
            verb = "is" if len(named) == 1 else "are"
            return f"The {sought.name if len(named) == 1 else plural(sought.name or 'shape')} {verb} {listed(colours)}."
        return _unknown(f"the colour of the {thing}", scene)
    if scene.drawing and len(scene.areas) == 1 and not words - _ANY_SHAPE:
        return f"It is {scene.areas[0].colour}."
    if thing and not words & _WHOLE and not words <= _ANY_SHAPE:
        return _unknown(f"the colour of the {thing}", scene)
    things = [(seen, colour) for seen, colour in scene.sure if colour and seen.name != "person"]
    if things and not words & _WHOLE:
        return f"The {things[0][0].name} is {things[0][1]}."
    return f"Mostly {listed(scene.main_colours)}." if scene.main_colours else _unknown("the colour", scene)


def _where(thing: str, said: str, scene: Scene) -> str:
    sought = _sought(thing, scene) if thing else None
    boxes = _found(sought, scene) if sought is not None else []
    if sought is None or (not boxes and _doubtful(sought, scene)):
        return _unknown(f"where {f'the {thing}' if thing else 'it'} is", scene)
    if not boxes:
        return f"I don't see {with_article(sought.words)}."
    if len(boxes) == 1:
        return f"The {sought.words} is {at(boxes[0])}."
    return f"There are {_number(len(boxes))} {plural(sought.words)}: {listed([at(box) for box in boxes[:4]])}."


def _identity(said: str, scene: Scene) -> str:
    spot = _SPOTS.search(said)
    if scene.comic:
        return " ".join(
            filter(None, ("I can't make out what it is: it looks drawn.", scene.maybe and _sentence(scene.maybe)))
        )
    if scene.drawing and any(area.shape for area in scene.areas) and not scene.sure:
        chosen = [area for area in scene.areas if spot is None or _is_at(area.box, spot[1])]
        if not chosen:
            return f"I see nothing there. I see {_seen(scene)}."
        if len(chosen) == 1 or spot is not None:
            return _sentence(f"it is {with_article(area_name(chosen[0]))}")
        return described(scene)
    held = re.search(r"\bhand|holding|showing\b", said) is not None
    left_out = {"person", "table", "chair", "couch", "bed"} if held else set()
    things = [seen for seen, _ in scene.sure if seen.name not in left_out]
    name, score = scene.thing
    if things:
        largest = max(things, key=lambda seen: seen.score * area(seen.box) ** 0.25)
        finer = f" It may be {with_article(name)}." if score >= PERHAPS and name.split()[-1] != largest.name else ""
        return f"It is {with_article(largest.name)}.{finer}"
    if scene.maybe and not any(seen.name == "person" for seen, _ in scene.sure):
        return _sentence(scene.maybe)
    if scene.lines:
        return f"I see text. {_read(scene)}"
    guess = next((seen.name for seen in scene.things if seen.score >= SURE and seen.name not in left_out), "")
    return f"I am not sure, it may be {with_article(guess)}." if guess else described(scene)


def _sought(phrase: str, scene: Scene) -> _Sought | None:
    """What a noun phrase names, if the networks know such things."""
    words = [_SYNONYMS.get(word, word) for word in re.findall(r"[a-z]+(?:-[a-z]+)?", phrase)]
    words = [_singular(word) for word in words]
    colour = next((word for word in words if word in COLOURS), "")
    names = " ".join(word for word in words if word != colour)
    names = re.sub(r"^(?:big|small|little|large|other|different) ", "", names)
    if names in OBJECTS.values() and not (names == "orange" and scene.drawing):
        return _Sought(names, colour, False)
    if colour == "orange" and not names and not scene.drawing:
        return _Sought("orange", "", False)
    if names in SHAPES:
        return _Sought(names, colour, True)
    if scene.drawing and (names in _ANY_SHAPE or (not names and colour)):
        return _Sought("", colour, True)
    return None


def _singular(word: str) -> str:
    if word in _SYNONYMS:
        return _SYNONYMS[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if word.endswith(ending) and not word.endswith(("ss", "us")):
            base = word.removesuffix(ending) + instead
            return word if word in OBJECTS.values() else _SYNONYMS.get(base, base)
    return word


def _found(sought: _Sought, scene: Scene) -> list[Box]:
    """Boxes of what is sought, in the order of reading."""
    if sought.is_shape:
        named = [
            (sought.words, seen.box)
            for seen in scene.areas
            if sought.name in ("", seen.shape) and sought.colour in ("", seen.colour)
        ]
    else:
        named = [
            (sought.words, seen.box)
            for seen, colour in scene.sure
            if seen.name == sought.name and sought.colour in ("", colour)
        ]
    return [box for _, boxes in grouped(named) for box in boxes]


def _doubtful(sought: _Sought, scene: Scene) -> bool:
    """Whether something might be what is sought: a shape that was not recognized, a thing that is not sure."""
    if sought.is_shape:
        return not scene.drawing or any(
            sought.name and not seen.shape and sought.colour in ("", seen.colour) for seen in scene.areas
        )
    sure = {id(seen) for seen, _ in scene.sure}
    return any(seen.name == sought.name and id(seen) not in sure for seen in scene.things)


def _understood(scene: Scene) -> bool:
    """Whether so much is known of the picture that what is not seen is not there."""
    return bool(scene.sure or scene.lines or any(area.shape for area in scene.areas))


def _named_in(name: str, scene: Scene) -> bool:
    """Whether the whole picture may be of this."""
    label, score = scene.thing
    return not scene.drawing and score >= PERHAPS and bool(name) and _singular(name) in label.lower().split()


def _is_at(box: Box, spot: str) -> bool:
    where = place(box).split()
    middle = spot in ("middle", "center", "centre")
    return ("centre" in where or where in (["top"], ["bottom"])) if middle else spot in where


def _number(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[count] if count < len(words) else str(count)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
