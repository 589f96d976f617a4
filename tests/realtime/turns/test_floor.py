"""realtime/turns/floor.py."""

import numpy as np
import pytest

from vivavoce.model.turns.overlap_classifier import OVERLAP_LEAD, Scores
from vivavoce.realtime.events import Overlapped, TurnDetection, TurnEnded, TurnIdle, TurnSound, TurnStarted
from vivavoce.realtime.recording.reader import CALLS
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import AskOverlap, Floor, FloorFact

WINDOW = 768  # 32 ms
SERVER = TurnDetection(prefix_padding_ms=64, silence_duration_ms=96)


def feed(floor: Floor, pattern: str, audible: bool = False, busy: bool = False) -> list[FloorFact]:
    """'#' is a loud voiced window, '.' a quiet one. Each window's samples hold its number, from 1."""
    facts: list[FloorFact] = []
    for mark in pattern:
        number = floor.position // WINDOW + 1
        window = np.full(WINDOW, number, np.float32)
        facts += floor.receive(window, 0.9 if mark == "#" else 0.1, audible, busy)
    return facts


def brief(facts: list[FloorFact]) -> list[str]:
    """Facts in short, times in windows."""
    names = []
    for fact in facts:
        match fact:
            case TurnStarted(start=start):
                names.append(f"started {start // WINDOW}")
            case TurnSound(samples=samples):
                names.append(f"sound {int(samples[0])}")
            case TurnEnded(end=end):
                names.append(f"ended {end // WINDOW}")
            case TurnIdle(start=start, end=end):
                names.append(f"idle {start // WINDOW} {end // WINDOW}")
            case Overlapped(loudness=loudness):
                names.append(loudness)
            case AskEndpoint(at=at):
                names.append(f"ask {at // WINDOW}")
    return names


def test_a_turn_begins_at_its_first_word_with_the_padding_before_it() -> None:
    floor = Floor(SERVER)
    assert brief(feed(floor, ".....###")) == ["started 3", "sound 4", "sound 5", "sound 6", "sound 7", "sound 8"]
    assert floor.taken


def test_a_turn_ends_after_the_silence_and_every_window_of_it_is_given_once() -> None:
    floor = Floor(SERVER)
    facts = brief(feed(floor, "###.#...."))
    assert facts == ["started 0", *[f"sound {n}" for n in range(1, 9)], "ended 8"]
    assert not floor.taken


def test_the_end_of_a_turn_says_how_long_its_silence_was() -> None:
    (ended,) = [fact for fact in feed(Floor(SERVER), "####...") if isinstance(fact, TurnEnded)]
    assert ended.silence == 3 * WINDOW


def test_nothing_of_a_turn_is_given_again_as_padding_of_the_next() -> None:
    floor = Floor(SERVER)
    feed(floor, "###...")
    assert brief(feed(floor, "###"))[0] == "started 6"


def test_padding_is_as_long_as_set() -> None:
    floor = Floor(TurnDetection(prefix_padding_ms=320))
    assert brief(feed(floor, "." * 20 + "###"))[0] == "started 10"


def test_no_padding_begins_at_the_first_voiced_window() -> None:
    floor = Floor(TurnDetection(prefix_padding_ms=0))
    assert brief(feed(floor, "." * 20 + "###"))[0] == "started 20"


def test_a_barge_in_needs_more_speech_than_a_turn_in_quiet() -> None:
    floor = Floor(SERVER)
    assert brief(feed(floor, "######....", audible=True)) == ["ducked", "full"]
    assert brief(feed(floor, "#######", audible=True))[:2] == ["ducked", "started 8"]


def test_a_barge_in_is_given_from_its_first_word() -> None:
    floor = Floor(SERVER, lambda fresh: Scores(1.0 if floor.position == 16 * WINDOW else 0.4, 0.6, 0.0, 0.0))
    facts = brief(feed(floor, "......##########", audible=True))
    assert facts == ["ducked", "started 4", *[f"sound {n}" for n in range(5, 17)]]


def test_silence_before_the_decision_counts_as_silence_of_the_turn() -> None:
    floor = Floor(SERVER, lambda fresh: Scores(0.55, 0.45, 0.0, 0.0))
    facts = brief(feed(floor, "..####....", audible=True))
    assert facts == ["ducked", "started 0", *[f"sound {n}" for n in range(1, 11)], "ended 10"]


def test_speech_that_began_before_the_assistant_is_no_overlap_and_holds_it() -> None:
    floor = Floor(SERVER)
    assert brief(feed(floor, ".....##")) == []
    facts = brief(feed(floor, "#", audible=True))
    assert facts[0] == "started 3"
    floor = Floor(SERVER)
    feed(floor, ".....#")
    assert brief(feed(floor, "##", audible=True))[:2] == ["held", "started 3"]


def test_a_click_just_before_the_assistant_speaks_holds_it_for_a_moment_only() -> None:
    floor = Floor(SERVER)
    feed(floor, ".....#")
    assert brief(feed(floor, "#....", audible=True)) == ["held", "full"]
    assert not floor.taken


def test_a_backchannel_leaves_the_floor_open_and_is_no_part_of_a_later_turn() -> None:
    floor = Floor(SERVER, lambda fresh: Scores(0.1, 0.9, 0.0, 0.0))
    assert brief(feed(floor, "..####....", audible=True)) == ["ducked", "full"]
    assert brief(feed(floor, "......###"))[0] == "started 14"


def test_the_asr_is_given_the_sound_from_a_little_before_its_beginning() -> None:
    floor = Floor(SERVER, lambda fresh: Scores(0.5, 0.5, 0.0, 0.0), asr=True)
    (ask,) = [fact for fact in feed(floor, "......" + "#" * 6, audible=True) if isinstance(fact, AskOverlap)]
    assert (ask.at, ask.age) == (6 * WINDOW, 6)
    assert ask.samples[::WINDOW].tolist() == [*range(7 - OVERLAP_LEAD, 13)]


def test_the_answer_of_the_asr_begins_a_turn_or_resumes_playback() -> None:
    floor = Floor(SERVER, lambda fresh: Scores(0.5, 0.5, 0.0, 0.0), asr=True)
    feed(floor, "......" + "#" * 6, audible=True)
    assert floor.overlap_recognized(5 * WINDOW, 6, "Stop.", 0.99, asked=False) == []  # of another sound
    assert brief(floor.overlap_recognized(6 * WINDOW, 6, "Mhm.", 0.01, asked=False)) == ["full"]
    assert brief(floor.overlap_recognized(6 * WINDOW, 8, "Mhm, stop.", 0.99, asked=False))[0] == "started 4"
    assert floor.overlap_recognized(6 * WINDOW, 10, "Mhm, stop.", 0.99, asked=False) == []  # the turn is open


def test_release_forgets_an_undecided_overlap() -> None:
    floor = Floor(SERVER)
    feed(floor, "###", audible=True)
    floor.release()
    assert brief(feed(floor, "#", audible=True)) == ["ducked"]


def test_the_classifier_decides_the_end_of_a_semantic_turn() -> None:
    floor = Floor(TurnDetection(kind="semantic_vad"))
    facts = feed(floor, "###......")
    assert brief(facts)[-1] == "ask 3"
    assert floor.end_of_turn(2 * WINDOW, 0.9) == []  # of another pause
    assert brief(floor.end_of_turn(3 * WINDOW, 0.9)) == ["ended 9"]
    assert floor.end_of_turn(3 * WINDOW, 0.9) == []


def test_manual_turns_are_all_sound() -> None:
    floor = Floor(None)
    facts = feed(floor, ".##...")
    assert brief(facts) == [f"sound {n}" for n in range(1, 7)]
    assert [fact.voiced for fact in facts if isinstance(fact, TurnSound)] == [False, True, True, False, False, False]


def test_release_takes_the_floor_from_the_user() -> None:
    floor = Floor(SERVER)
    feed(floor, "###")
    floor.release()
    assert not floor.taken
    assert feed(floor, "....") == []


@pytest.mark.parametrize(("after", "taken"), [(TurnDetection(silence_duration_ms=640), True), (None, False)])
def test_new_settings_hold_for_the_open_turn(after: TurnDetection | None, taken: bool) -> None:
    floor = Floor(SERVER)
    feed(floor, "###")
    floor.retune(after)
    assert floor.taken is taken
    assert not any(isinstance(fact, TurnEnded) for fact in feed(floor, "." * 10))


def test_new_settings_in_silence_open_no_turn() -> None:
    floor = Floor(None)
    floor.retune(SERVER)
    assert not floor.taken


def test_long_silence_is_reported_again_and_again_but_not_while_anyone_speaks() -> None:
    floor = Floor(TurnDetection(idle_timeout_ms=320))
    assert brief(feed(floor, "." * 25)) == ["idle 0 10", "idle 10 20"]
    assert feed(floor, "." * 5, audible=True) == []
    assert feed(floor, "." * 5, busy=True) == []
    assert feed(floor, "." * 9) == []
    assert brief(feed(floor, "."))[0] == "idle 35 45"


def test_methods_of_old_recordings_are_found_under_their_new_names() -> None:
    renamed = {call: new for call, new in CALLS.items() if call.startswith("floor.")}
    assert {"floor.answer", "floor.heard", "floor.caught", "floor.give_up"} == set(renamed)
    for new in renamed.values():
        assert callable(getattr(Floor, new.removeprefix("floor.")))
