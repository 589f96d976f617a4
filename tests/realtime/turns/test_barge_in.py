"""realtime/turns/barge_in.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.model.turns.overlap_classifier import LOOKS, Scores
from vivavoce.realtime.turns.barge_in import DECIDE_AFTER, HOLD_AFTER, BargeIn, Verdict

D, H, R, C, _ = Verdict.DUCK, Verdict.HOLD, Verdict.RESUME, Verdict.CUT, Verdict.NOTHING


def scores(interruption: float) -> Scores:
    return Scores(interruption, 1 - interruption, 0.0, 0.0)


def judge(pattern: str, likely: float | list[float] | None, audible: bool = True) -> list[Verdict]:
    """The verdicts on a pattern of windows ('#' is voiced), up to a cut; `likely`: what the classifier says, maybe for
    each window of the sound."""
    said = iter(likely) if isinstance(likely, list) else None
    overlap = BargeIn(None if likely is None else lambda fresh: scores(next(said) if said else float(str(likely))))
    verdicts: list[Verdict] = []
    for mark in pattern:
        verdicts.append(overlap.receive(mark == "#", audible))
        if verdicts[-1] is C:
            break
    return verdicts


@pytest.mark.parametrize(
    ("why", "pattern", "likely", "expected"),
    [
        ("nobody speaks", "....", 0.5, [_, _, _, _]),
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
def test_what_becomes_of_it(why: str, pattern: str, likely: float | list[float], expected: list[Verdict]) -> None:
    assert judge(pattern, likely) == expected, why


def test_who_is_told_no_more_than_the_pattern_waits_for_a_quarter_of_a_second_of_speech() -> None:
    assert judge("#######", None) == [D, *[_] * 5, C]
    assert judge("##..##..##..##", None).count(C) == 0
    assert judge("######....", None) == [D, *[_] * 8, R]


def test_when_the_assistant_has_ended_three_windows_in_a_row_take_the_floor() -> None:
    overlap = BargeIn(lambda fresh: scores(0.3))
    assert overlap.receive(True, audible=True) is D
    assert [overlap.receive(True, audible=False) for _ in range(2)] == [_, C]
    assert overlap.age == 3


def test_nobody_speaks_over_an_assistant_that_is_silent() -> None:
    assert judge("#####", 0.99, audible=False) == [_] * 5


def test_the_classifier_begins_anew_with_each_sound() -> None:
    asked: list[bool] = []

    def overhear(fresh: bool) -> Scores:
        asked.append(fresh)
        return scores(0.1)

    overlap = BargeIn(overhear)
    for mark in ".##....##":
        overlap.receive(mark == "#", True)
    assert asked == [True, *[False] * 5, True, False]


def test_reset_forgets_the_sound() -> None:
    overlap = BargeIn()
    overlap.receive(True, True)
    overlap.reset()
    assert not overlap.active
    assert overlap.age == 0


def listening(scores_of: Scores, pattern: str) -> tuple[BargeIn, list[Verdict]]:
    """An overlap with ears that have said nothing yet, and its verdicts on `pattern`."""
    overlap = BargeIn(lambda fresh: scores_of, ears=True)
    return overlap, [overlap.receive(mark == "#", True) for mark in pattern]


UNSURE = Scores(0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "opinion", "expected"),
    [
        ("Wait.", 0.9, C),
        ("Mm-hmm.", 0.1, R),
        ("Right.", 0.5, _),
        ("The moon", 0.5, _),
        ("Stop.", None, C),  # ears without an opinion have words
        ("Yeah.", None, _),
    ],
)
def test_the_ears_decide_as_soon_as_they_are_sure(text: str, opinion: float | None, expected: Verdict) -> None:
    overlap, _so_far = listening(UNSURE, "######")
    assert overlap.caught(6, text, opinion, asked=False) is expected


def test_the_ears_are_asked_early_and_at_each_pause_of_a_sound_that_is_not_too_long() -> None:
    overlap = BargeIn(lambda fresh: UNSURE, ears=True)
    asked = []
    for age in range(1, 60):
        overlap.receive(age != 11, True)
        asked += [age] if overlap.wanted else []
    assert asked == sorted({*LOOKS, 11})
    assert not any(BargeIn(lambda fresh: UNSURE).wanted for _window in range(8))


def test_the_ear_alone_does_not_cut_while_the_ears_have_time_to_answer() -> None:
    overlap, verdicts = listening(Scores(0.99, 0.01, 0.0, 0.0), "#" * (HOLD_AFTER - 1))
    assert C not in verdicts
    assert overlap.receive(True, True) is C  # they did not


def test_a_word_that_agrees_ends_without_a_cut_however_undecided_the_ear_is() -> None:
    overlap, _so_far = listening(UNSURE, "########")
    overlap.caught(8, "Right.", 0.4, asked=False)
    assert [overlap.receive(False, True) for _window in range(4)][-1] is R


def test_yes_is_an_answer_when_the_assistant_has_just_asked() -> None:
    overlap, _so_far = listening(UNSURE, "######")
    assert overlap.caught(6, "Yes.", 0.2, asked=True) is C


def test_the_ears_do_not_make_an_interruption_of_the_assistants_own_echo() -> None:
    overlap, _so_far = listening(Scores(0.05, 0.02, 0.03, 0.9), "##")
    assert overlap.caught(2, "The next train to the coast", 0.99, asked=False) is not C


def test_what_goes_away_when_the_voice_is_ducked_was_the_voice() -> None:
    overlap = BargeIn(lambda fresh: UNSURE, ears=True)
    verdicts = [overlap.receive(True, True, level) for level in (-38.0, -38.0, -45.0, -56.0, -57.0, -59.0, -63.0)]
    assert verdicts[-1] is _
    assert overlap.caught(6, "The next train", 0.95, asked=False) is not C
    back = BargeIn(lambda fresh: UNSURE, ears=True)
    for level in (-38.0, -38.0, -59.0, -60.0, -38.0, -38.0):  # between two words
        back.receive(True, True, level)
    assert back.caught(6, "Please stop", 0.95, asked=False) is C


def test_what_the_ears_say_of_an_older_part_or_of_no_sound_changes_nothing() -> None:
    overlap, _so_far = listening(UNSURE, "########")
    overlap.caught(8, "Mm.", 0.4, asked=False)
    assert overlap.caught(6, "Stop.", 0.99, asked=False) is _
    overlap.reset()
    assert overlap.caught(9, "Stop.", 0.99, asked=False) is _


def test_yeah_but_is_cut_after_the_voice_has_gone_on() -> None:
    overlap, _so_far = listening(UNSURE, "########")
    assert overlap.caught(8, "Yeah.", 0.1, asked=False) is R
    overlap.receive(True, True)
    assert overlap.caught(13, "Yeah, but", 0.9, asked=False) is C


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.booleans()), min_size=40, max_size=80))
def test_every_overlap_is_decided_within_a_second(windows: list[tuple[bool, float, bool]]) -> None:
    likely = 0.0
    overlap = BargeIn(lambda fresh: scores(likely))
    waiting = 0
    for voiced, likely, audible in windows:  # noqa: B007 - the classifier reads it
        verdict = overlap.receive(voiced, audible)
        if verdict is D:
            assert waiting == 0
            waiting = 1
        elif waiting:
            waiting = 0 if verdict in (R, C) else waiting + 1
        if verdict is C:
            overlap.reset()
        assert waiting * 32 < 1000
    silence = [overlap.receive(False, False) for _window in range(DECIDE_AFTER)]
    assert C in silence or not overlap.active
