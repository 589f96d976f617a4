"""What was seen in one picture, and its report: one compact text for a language model.

    Scene ──report──► 'photo, bright; 1 cat (centre, near, brown); it may be an Egyptian cat; no text'
    two Scenes ──changes──► 'the cup is gone'

The report is stable: the same scene gives the same text, things in the order of reading, numbers rounded to words, so
that a prompt which holds it begins the same at the next turn. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.vision.boxes import Box, area, overlap
from vivavoce.model.vision.colours import Area
from vivavoce.model.vision.objects import SURE, Thing
from vivavoce.model.vision.text import Line

CERTAIN: Final = 0.8
PERHAPS: Final = 0.4
"""Of the main thing: from CERTAIN on it is nearly always right; below PERHAPS often wrong, so not said."""

FIRM: Final = 0.9
FIRM_SMALL: Final = 0.8
"""Of a thing that the classifier does not confirm; the small ones are not what the picture is of."""

SMALL: Final = 0.2
"""Share of the picture."""

PERSON: Final = 0.7
"""Of a person, whom the classifier does not know."""

CONFIRMS: Final = 0.3
CONTRADICTS: Final = 0.35
"""Probability of the classifier's name from which it counts for or against a thing."""

FICKLE: Final = frozenset("kite cake clock frisbee skis vase airplane scissors bird tie phone".split()) | {"teddy bear"}  # noqa: SIM905
"""What the detector takes unknown things for, at any score: never sure without the classifier."""

COMIC: Final = frozenset({"comic book", "jigsaw puzzle", "Band Aid"})
"""What the classifier takes pictures drawn by hand for."""

KINDS: Final = {
    "cat": "tabby lynx cougar",
    "dog": "terrier retriever spaniel shepherd hound poodle husky pug collie dalmatian corgi setter pointer mastiff "
    "chihuahua beagle boxer rottweiler doberman pinscher malamute samoyed chow schnauzer sheepdog bulldog papillon "
    "pekinese dane",
    "bird": "hen cock goose drake owl finch robin jay macaw eagle kite vulture ostrich pelican flamingo heron crane "
    "stork magpie hummingbird parrot lorikeet cockatoo toucan peacock quail partridge penguin albatross swan bulbul "
    "junco",
    "horse": "sorrel",
    "cow": "ox buffalo bison",
    "sheep": "ram bighorn",
    "bear": "bruin",
    "cup": "mug espresso teapot goblet",
    "bottle": "jug flask",
    "car": "wagon convertible cab limousine jeep racer minivan",
    "motorcycle": "moped scooter",
    "bus": "trolleybus minibus",
    "truck": "van pickup trailer",
    "boat": "canoe catamaran trimaran gondola speedboat lifeboat yawl schooner",
    "airplane": "airliner warplane",
    "phone": "telephone cellular",
    "laptop": "notebook",
    "tv": "television screen monitor",
    "couch": "studio",
    "table": "desk",
    "ball": "volleyball basketball soccer rugby",
    "teddy bear": "teddy",
}
"""Words in the classifier's names for what the detector finds."""

DARK: Final = 0.15
BRIGHT: Final = 0.75
BLACK: Final = 0.06
"""Mean brightness (0..1). A picture below BLACK without contrast comes from a covered camera."""

MAX_TEXT: Final = 400
"""Characters of text in a report: what is read aloud in half a minute."""

MOVED: Final = 0.06
"""Mean difference of the small pictures of two looks (0..1) from which something has changed."""

PLURALS: Final = {"person": "people", "knife": "knives", "sheep": "sheep", "scissors": "scissors", "skis": "skis"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One look. `colours`: of the things, in their order, then of the whole picture in `main_colours`. `areas`: of a
    drawing, by colour and shape. `thing`: what the whole picture is of, with its probability. `light`: mean brightness
    (0..1). `small`: the picture in grey, shape (24, 32), values 0..1, to compare it with another."""

    things: tuple[Thing, ...] = ()
    colours: tuple[str, ...] = ()
    thing: tuple[str, float] = ("", 0.0)
    lines: tuple[Line, ...] = ()
    areas: tuple[Area, ...] = ()
    background: str = ""
    main_colours: tuple[str, ...] = ()
    drawing: bool = False
    light: float = 0.5
    covered: bool = False
    small: NDArray[np.float32] | None = None

    @property
    def sure(self) -> tuple[tuple[Thing, str], ...]:
        """The things that are surely there, with their colours, each place once: a cup is no bowl as well."""
        kept: list[tuple[Thing, str]] = []
        for thing, colour in zip(self.things, self.colours, strict=True):
            if self._is_sure(thing) and all(overlap(thing.box, other.box) < 0.7 for other, _ in kept):
                kept.append((thing, colour))
        return tuple(kept)

    @property
    def comic(self) -> bool:
        """Drawn by hand, which the networks do not know: nothing in it is sure."""
        unnamed = sum(not area.shape for area in self.areas)
        return self.thing[0] in COMIC or unnamed > max(2, len(self.areas) // 2)

    def _is_sure(self, thing: Thing) -> bool:
        if self.comic or thing.score < SURE:
            return False
        if thing.name == "person" and not self.drawing:
            return thing.score >= PERSON
        label, score = self.thing
        words = {*label.lower().replace("-", " ").split()}
        confirmed = score >= CONFIRMS and bool(words & {*thing.name.split(), *KINDS.get(thing.name, "").split()})
        small = area(thing.box) <= SMALL and not self.drawing
        contradicted = score >= CONTRADICTS and not small
        firm = thing.score >= (FIRM_SMALL if small else FIRM) and thing.name not in FICKLE
        return confirmed or (firm and not contradicted)

    @property
    def maybe(self) -> str:
        """What the whole picture is of, with its doubt: "it looks like a cup", "it may be a cup"; "" where that is not
        known. Of a drawing only what has no shape that is known."""
        name, score = self.thing
        least = CERTAIN if self.drawing else PERHAPS
        if name in COMIC or self.lines or score < least or any(area.shape for area in self.areas):
            return ""
        return f"it {'looks like' if score >= CERTAIN else 'may be'} {with_article(name)}"

    @property
    def text(self) -> str:
        """What is written, line by line, at most MAX_TEXT characters."""
        text = " / ".join(line.text for line in self.lines)
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT].rpartition(' ')[0]} ..."


def place(box: Box) -> str:
    """Where a box is: left, centre, right; top or bottom where it is not in the middle of the height."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across = "left" if x < 0.38 else "right" if x > 0.62 else "centre"
    up = "top" if y < 0.33 else "bottom" if y > 0.67 else ""
    if up and across == "centre":
        return up
    return f"{up} {across}".strip()


def at(box: Box) -> str:
    """`place` with its preposition."""
    where = place(box)
    return {"centre": "in the centre", "top": "at the top", "bottom": "at the bottom"}.get(where, f"on the {where}")


def distance(box: Box) -> str:
    """By the share of the picture that it fills."""
    return "near" if area(box) > 0.2 else "far" if area(box) < 0.02 else ""


def with_article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def plural(name: str) -> str:
    if name in PLURALS:
        return PLURALS[name]
    return name + ("es" if name.endswith(("s", "sh", "ch", "x")) else "s")


def counted(number: int, name: str) -> str:
    """ "a cat", "3 cats"."""
    return with_article(name) if number == 1 else f"{number} {plural(name)}"


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def area_name(area: Area) -> str:
    return f"{area.colour} {area.shape or 'shape'}"


def _reading(box: Box) -> tuple[int, float]:
    return round(3 * (box[1] + box[3]) / 2), box[0]


def grouped(named: Iterable[tuple[str, Box]]) -> list[tuple[str, list[Box]]]:
    """Boxes by name, names and boxes in the order of reading."""
    groups: dict[str, list[Box]] = {}
    for name, box in sorted(named, key=lambda each: _reading(each[1])):
        groups.setdefault(name, []).append(box)
    return list(groups.items())


def parts_of(scene: Scene, most: int = 8) -> list[str]:
    """What there is, each with its places: "2 red circles (left, right)"."""
    parts = []
    for name, boxes in found_in(scene)[:most]:
        details = [place(box) for box in boxes[:4]]
        if len(boxes) == 1 and not scene.drawing:
            details += [distance(boxes[0])]
        parts.append(f"{counted(len(boxes), name)} ({', '.join(filter(None, details))})")
    return parts


def report(scene: Scene) -> str:
    """The whole scene for a language model, at most some 600 characters."""
    if scene.covered:
        return "the picture is black: the camera is covered or the room is dark"
    light = "dark" if scene.light < DARK else "bright" if scene.light > BRIGHT else ""
    kind = "drawing or printed page" if scene.drawing or scene.comic else "photo"
    about = [", ".join(filter(None, (kind, light)))]
    if scene.drawing and scene.background:
        about.append(f"background {scene.background}")
    about += parts_of(scene) or ([] if scene.lines else ["no thing that is surely known"])
    about += [scene.maybe] if scene.maybe else []
    if not scene.drawing and scene.main_colours:
        about.append(f"colours {', '.join(scene.main_colours)}")
    about.append(f'text: "{scene.text}"' if scene.lines else "no text")
    return "; ".join(about)


def summary(scene: Scene) -> str:
    """What remains of a report when it is old: a few words."""
    if scene.covered:
        return "a black picture"
    parts = [name if len(boxes) == 1 else counted(len(boxes), name) for name, boxes in found_in(scene)[:3]]
    if scene.lines:
        parts.append(f'text "{scene.text[:40]}"')
    return ", ".join(parts) or f"a picture in {listed(scene.main_colours) or 'colours'}"


def found_in(scene: Scene) -> list[tuple[str, list[Box]]]:
    """What there is by name, with the places: things, and in a drawing without things its shapes."""
    if scene.drawing and not scene.sure:
        return grouped((area_name(area), area.box) for area in scene.areas)
    return grouped((thing.name, thing.box) for thing, _ in scene.sure)


def changes(before: Scene, now: Scene) -> list[str]:
    """What is different, in words; empty where nothing is."""
    if before.covered != now.covered:
        return ["the camera is covered now" if now.covered else "the camera is free again"]
    old, new = dict(found_in(before)), dict(found_in(now))
    found = []
    for name in {**old, **new}:
        earlier, later = old.get(name, []), new.get(name, [])
        if len(later) > len(earlier):
            found.append(f"{counted(len(later) - len(earlier), name)} has come ({place(later[-1])})")
        elif len(later) < len(earlier):
            found.append(f"{counted(len(earlier) - len(later), name)} is gone")
        elif [place(box) for box in earlier] != [place(box) for box in later]:
            found.append(f"the {name} has moved from the {place(earlier[0])} to the {place(later[0])}")
    if [line.text for line in before.lines] != [line.text for line in now.lines]:
        found.append(f'the text is now "{now.text}"' if now.lines else "the text is gone")
    if not found and moved(before, now):
        found.append("something has moved, or the light has changed")
    return found


def moved(before: Scene, now: Scene) -> bool:
    """Whether the pictures differ, whatever is in them."""
    return before.small is not None and now.small is not None and difference(before.small, now.small) > MOVED


def difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean difference of two small pictures (0..1)."""
    return float(np.abs(first - second).mean())
