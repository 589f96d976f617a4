"""model/vision/scene.py and answers.py: reports, changes, and answers by rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vivavoce.model.vision.answers import COVERED, answer, compared
from vivavoce.model.vision.colours import Area
from vivavoce.model.vision.objects import Thing
from vivavoce.model.vision.questions import parse
from vivavoce.model.vision.scene import Scene, changes, place, report, summary
from vivavoce.model.vision.text import Line

LEFT, MIDDLE, RIGHT = (0.0, 0.4, 0.2, 0.6), (0.3, 0.3, 0.7, 0.9), (0.8, 0.4, 1.0, 0.6)
CAT = Scene(
    things=(Thing("cat", 0.9, MIDDLE), Thing("cup", 0.85, LEFT), Thing("dog", 0.3, RIGHT)),
    colours=("brown", "white", "black"),
    thing=("Egyptian cat", 0.9),
    main_colours=("brown", "beige"),
)
DRAWING = Scene(
    areas=(Area("red", "circle", 0.02, LEFT), Area("red", "circle", 0.02, RIGHT), Area("blue", "square", 0.1, MIDDLE)),
    background="white",
    drawing=True,
    light=0.9,
)
SIGN = Scene(lines=(Line("Platform 9", LEFT, 0.99), Line("Leeds", RIGHT, 0.95)), drawing=True)
BLACK = Scene(covered=True, light=0.0)
ONLY = "from what I see. I only make out a cup on the left and a cat in the centre."
MIST = Scene(main_colours=("grey",))


@pytest.mark.parametrize(
    ("scene", "words", "few"),
    [
        (
            CAT,
            "photo; a cup (left); a cat (centre, near); it looks like an Egyptian cat; colours brown, beige; no text",
            "cup, cat",
        ),
        (
            DRAWING,
            "drawing or printed page, bright; background white; 2 red circles (left, right); a blue square (centre); "
            "no text",
            "2 red circles, blue square",
        ),
        (SIGN, 'drawing or printed page; text: "Platform 9 / Leeds"', 'text "Platform 9 / Leeds"'),
        (BLACK, "the picture is black: the camera is covered or the room is dark", "a black picture"),
        (MIST, "photo; no thing that is surely known; colours grey; no text", "a picture in grey"),
    ],
)
def test_a_report_has_what_is_sure(scene: Scene, words: str, few: str) -> None:
    assert report(scene) == words
    assert summary(scene) == few


@pytest.mark.parametrize(
    ("scene", "said", "told"),
    [
        (CAT, "What animal is this?", "It is a cat."),
        (CAT, "How many cats can you see?", "I see one cat."),
        (CAT, "How many people are there?", "I see no people."),
        (CAT, "Is there a kitten in the picture?", "Yes, I see a cat in the centre."),
        (CAT, "Is there a dog?", "I am not sure, there may be a dog."),
        (CAT, "Is there a horse?", "No, I don't see a horse."),
        (CAT, "Is there a wizard?", f"I can't tell whether there is a wizard {ONLY}"),
        (CAT, "What colour is the cat?", "The cat is brown."),
        (CAT, "Where is the mug?", "The cup is on the left."),
        (CAT, "What am I holding?", "It is a cat."),
        (CAT, "Read this to me.", "I can't make out any text."),
        (CAT, "What is her name?", f"I can't tell that {ONLY}"),
        (DRAWING, "How many circles are there?", "I see two circles."),
        (DRAWING, "How many shapes are there?", "I see three shapes."),
        (DRAWING, "How many stars are there?", "I see no stars."),
        (DRAWING, "What colour are the circles?", "The circles are red."),
        (DRAWING, "What colour is the background?", "The background is white."),
        (DRAWING, "Is there a blue circle?", "No, I don't see a blue circle."),
        (DRAWING, "What shape is in the middle?", "It is a blue square."),
        (DRAWING, "Where are the circles?", "There are two circles: on the left and on the right."),
        (SIGN, "What does the sign say?", "It says: Platform 9, Leeds."),
        (SIGN, "Is there any text?", "It says: Platform 9, Leeds."),
        (BLACK, "What do you see?", COVERED),
        (MIST, "What is this?", "I can't make out what it is. The colours are mostly grey."),
        (MIST, "Is it dark in here?", "It is neither dark nor very bright."),
        (MIST, "What has changed?", "I have only had one look so far, so I can't compare."),
    ],
)  # fmt: skip
def test_what_is_known_is_said_and_nothing_else(scene: Scene, said: str, told: str) -> None:
    question = parse(said)
    assert question is not None
    assert answer(question, said, scene) == told


@pytest.mark.parametrize(
    ("name", "score", "label", "sure"),
    [
        ("cat", 0.65, ("tabby", 0.6), True),
        ("cat", 0.55, ("tabby", 0.6), False),
        ("cat", 0.65, ("tabby", 0.2), False),
        ("cat", 0.95, ("sea lion", 0.2), True),
        ("cat", 0.95, ("sea lion", 0.5), False),
        ("kite", 0.99, ("sea lion", 0.2), False),
        ("person", 0.75, ("sea lion", 0.5), True),
        ("person", 0.65, ("sea lion", 0.1), False),
        ("cat", 0.95, ("comic book", 0.2), False),
    ],
)
def test_a_thing_is_sure_when_both_networks_allow_it(
    name: str, score: float, label: tuple[str, float], sure: bool
) -> None:
    scene = Scene((Thing(name, score, MIDDLE),), ("",), label)
    assert bool(scene.sure) == sure
    question = parse(f"Is there a {name}?")
    assert question is not None
    told = answer(question, f"Is there a {name}?", scene)
    assert told is not None
    assert told.startswith("Yes") == sure
    assert not told.startswith("No")


def test_drawn_pictures_are_not_known() -> None:
    odd = tuple(Area("red", "", 0.05, (0.1 * at, 0.1, 0.1 * at + 0.1, 0.4)) for at in range(4))
    for scene in (Scene(thing=("comic book", 0.3)), Scene(areas=odd, drawing=True)):
        for said in ("What is this?", "Is there a dog?", "How many cats are there?"):
            question = parse(said)
            assert question is not None
            assert "can't" in (answer(question, said, scene) or "")


def test_what_is_written_is_found_by_the_language_model() -> None:
    question = parse("What number is on the sign?")
    assert question is not None
    assert answer(question, "What number is on the sign?", SIGN) is None


def test_changes_are_told() -> None:
    alone = replace(CAT, things=CAT.things[:1], colours=CAT.colours[:1])
    assert changes(CAT, alone) == ["a cup is gone"]
    assert changes(alone, CAT) == ["a cup has come (left)"]
    assert changes(CAT, CAT) == []
    assert changes(CAT, BLACK) == ["the camera is covered now"]
    moved = replace(alone, things=(Thing("cat", 0.9, RIGHT),))
    assert changes(alone, moved) == ["the cat has moved from the centre to the right"]
    dark, light = (replace(MIST, small=np.full((24, 32), level, np.float32)) for level in (0.2, 0.6))
    assert changes(dark, light) == ["something has moved, or the light has changed"]
    question = parse("What has changed?")
    assert question is not None
    assert answer(question, "What has changed?", alone, CAT) == "A cup is gone."


def test_pictures_are_compared_in_their_order() -> None:
    assert compared((DRAWING, SIGN)) == (
        "The first one: I see 2 red circles and a blue square in the centre. "
        "The second one: It says: Platform 9, Leeds."
    )


@pytest.mark.parametrize(
    ("box", "where"),
    [(LEFT, "left"), (MIDDLE, "centre"), ((0.4, 0, 0.6, 0.2), "top"), ((0.8, 0.8, 1, 1), "bottom right")],
)
def test_places_have_names(box: tuple[float, float, float, float], where: str) -> None:
    assert place(box) == where
