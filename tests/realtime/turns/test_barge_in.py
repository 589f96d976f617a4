"""realtime/turns/barge_in.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.model.turns.overlap_classifier import LOOKS, Scores
from vivavoce.realtime.turns.barge_in import DECIDE_AFTER, HOLD_AFTER, BargeIn, Decision

D, H, R, C, _ = Decision.DUCK, Decision.HOLD, Decision.RESUME, Decision.CUT, Decision.NOTHING


def scores(interruption: float) -> Scores:
    return Scores(interruption, 1 - interruption, 0.0, 0.0)


def decide(pattern: str, likely: float | list[float] | None, audible: bool = True) -> list[Decision]:
    """The decisions on a pattern of windows ('#' is voiced), up to a cut; `likely`: the classifier's probability, for
    all windows or for each."""
    said = iter(likely) if isinstance(likely, list) else None
    barge_in = BargeIn(None if likely is None else lambda fresh: scores(next(said) if said else float(str(likely))))
    decisions: list[Decision] = []
    for mark in pattern:
        decisions.append(barge_in.receive(mark == "#", audible))
        if decisions[-1] is C:
            break
    return decisions


@pytest.mark.parametrize(
    ("why", "pattern", "likely", "expected"),
    [
        ("no speech", "....", 0.5, [_, _, _, _]),
        ("clear from the beginning", ".##", 0.99, [_, D, C]),
        ("a cough: clear that it is none", "###....", [0.3, 0.1, 0.04, 0.0, 0.0, 0.0, 0.0], [D, _, R, _, _, _, _]),
        ("a short word that stops it", "###....", 0.55, [D, _, _, _, _, _, C]),
        ("a short word that may", "###....##", [*[0.45] * 8, 0.8], [D, *[_] * 7, C]),
        ("a short word that does not", "###....", 0.15, [D, _, _, _, _, _, R]),
        ("it becomes clear", "######", [0.4, 0.6, 0.7, 0.79, 0.9, 0.9], [D, *[_] * 4, C]),
        ("undecided for long", "#" * 20, 0.19, [D, *[_] * 9, H, *[_] * 8, R]),
        ("perhaps an interruption, for long", "#" * 20, 0.21, [D, *[_] * 9, H, *[_] * 8, C]),
        ("yeah, but ...", "#" * 12, [0.3, 0.1, 0.04, *[0.1] * 6, 0.9], [D, _, R, *[_] * 6, C]),
        ("mhm, and later another word", "###....###", [*[0.15] * 7, *[0.99] * 3], [D, *[_] * 5, R, D, C]),
    ],
)
def test_an_overlap_is_decided_by_the_classifier(
    why: str, pattern: str, likely: float | list[float], expected: list[Decision]
) -> None:
    assert decide(pattern, likely) == expected, why


def test_without_a_classifier_a_quarter_of_a_second_of_speech_is_needed() -> None:
    assert decide("#######", None) == [D, *[_] * 5, C]
    assert decide("##..##..##..##", None).count(C) == 0
    assert decide("######....", None) == [D, *[_] * 8, R]


def test_when_the_assistant_has_ended_three_windows_in_a_row_begin_a_turn() -> None:
    barge_in = BargeIn(lambda fresh: scores(0.3))
    assert barge_in.receive(True, audible=True) is D
    assert [barge_in.receive(True, audible=False) for _ in range(2)] == [_, C]
    assert barge_in.age == 3


def test_there_is_no_overlap_with_a_silent_assistant() -> None:
    assert decide("#####", 0.99, audible=False) == [_] * 5


def test_the_classifier_begins_anew_with_each_sound() -> None:
    asked: list[bool] = []

    def classify(fresh: bool) -> Scores:
        asked.append(fresh)
        return scores(0.1)

    barge_in = BargeIn(classify)
    for mark in ".##....##":
        barge_in.receive(mark == "#", True)
    assert asked == [True, *[False] * 5, True, False]


def test_reset_forgets_the_sound() -> None:
    barge_in = BargeIn()
    barge_in.receive(True, True)
    barge_in.reset()
    assert not barge_in.active
    assert barge_in.age == 0


def undecided(scores_of: Scores, pattern: str) -> tuple[BargeIn, list[Decision]]:
    """An overlap of which the ASR has said nothing yet, and the decisions on `pattern`."""
    barge_in = BargeIn(lambda fresh: scores_of, asr=True)
    return barge_in, [barge_in.receive(mark == "#", True) for mark in pattern]


UNSURE = Scores(0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "probability", "expected"),
    [
        ("Wait.", 0.9, C),
        ("Mm-hmm.", 0.1, R),
        ("Right.", 0.5, _),
        ("The moon", 0.5, _),
        ("Stop.", None, C),  # an ASR without a probability has words
        ("Yeah.", None, _),
    ],
)
def test_the_asr_decides_as_soon_as_it_is_sure(text: str, probability: float | None, expected: Decision) -> None:
    barge_in, _so_far = undecided(UNSURE, "######")
    assert barge_in.recognized(6, text, probability, asked=False) is expected


def test_the_asr_is_asked_early_and_at_each_pause_of_a_sound_that_is_not_too_long() -> None:
    barge_in = BargeIn(lambda fresh: UNSURE, asr=True)
    asked = []
    for age in range(1, 60):
        barge_in.receive(age != 11, True)
        asked += [age] if barge_in.asr_due else []
    assert asked == sorted({*LOOKS, 11})
    assert not any(BargeIn(lambda fresh: UNSURE).asr_due for _window in range(8))


def test_the_classifier_alone_does_not_cut_while_the_asr_has_time_to_answer() -> None:
    barge_in, decisions = undecided(Scores(0.99, 0.01, 0.0, 0.0), "#" * (HOLD_AFTER - 1))
    assert C not in decisions
    assert barge_in.receive(True, True) is C  # it did not


def test_a_backchannel_word_ends_without_a_cut_however_undecided_the_classifier_is() -> None:
    barge_in, _so_far = undecided(UNSURE, "########")
    barge_in.recognized(8, "Right.", 0.4, asked=False)
    assert [barge_in.receive(False, True) for _window in range(4)][-1] is R


def test_yes_is_an_answer_when_the_assistant_has_just_asked() -> None:
    barge_in, _so_far = undecided(UNSURE, "######")
    assert barge_in.recognized(6, "Yes.", 0.2, asked=True) is C


def test_the_asr_makes_no_interruption_of_self_echo() -> None:
    barge_in, _so_far = undecided(Scores(0.05, 0.02, 0.03, 0.9), "##")
    assert barge_in.recognized(2, "The next train to the coast", 0.99, asked=False) is not C


def test_a_sound_that_fades_with_ducked_playback_was_self_echo() -> None:
    barge_in = BargeIn(lambda fresh: UNSURE, asr=True)
    decisions = [barge_in.receive(True, True, level) for level in (-38.0, -38.0, -45.0, -56.0, -57.0, -59.0, -63.0)]
    assert decisions[-1] is _
    assert barge_in.recognized(6, "The next train", 0.95, asked=False) is not C
    back = BargeIn(lambda fresh: UNSURE, asr=True)
    for level in (-38.0, -38.0, -59.0, -60.0, -38.0, -38.0):  # between two words
        back.receive(True, True, level)
    assert back.recognized(6, "Please stop", 0.95, asked=False) is C


def test_late_answers_of_the_asr_and_answers_about_no_sound_change_nothing() -> None:
    barge_in, _so_far = undecided(UNSURE, "########")
    barge_in.recognized(8, "Mm.", 0.4, asked=False)
    assert barge_in.recognized(6, "Stop.", 0.99, asked=False) is _
    barge_in.reset()
    assert barge_in.recognized(9, "Stop.", 0.99, asked=False) is _


def test_yeah_but_is_cut_after_playback_has_resumed() -> None:
    barge_in, _so_far = undecided(UNSURE, "########")
    assert barge_in.recognized(8, "Yeah.", 0.1, asked=False) is R
    barge_in.receive(True, True)
    assert barge_in.recognized(13, "Yeah, but", 0.9, asked=False) is C


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.booleans()), min_size=40, max_size=80))
def test_every_overlap_is_decided_within_a_second(windows: list[tuple[bool, float, bool]]) -> None:
    likely = 0.0
    barge_in = BargeIn(lambda fresh: scores(likely))
    waiting = 0
    for voiced, likely, audible in windows:  # noqa: B007 - the classifier reads it
        decision = barge_in.receive(voiced, audible)
        if decision is D:
            assert waiting == 0
            waiting = 1
        elif waiting:
            waiting = 0 if decision in (R, C) else waiting + 1
        if decision is C:
            barge_in.reset()
        assert waiting * 32 < 1000
    silence = [barge_in.receive(False, False) for _window in range(DECIDE_AFTER)]
    assert C in silence or not barge_in.active
