"""realtime/bench/caller/loudspeaker.py, mouth.py, impair.py: the caller's ear, its microphone, its line."""

import numpy as np
import pytest

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.call_record import Gap
from vivavoce.realtime.bench.caller.impairments import Impairment, Line
from vivavoce.realtime.bench.caller.loudspeaker import Loudspeaker
from vivavoce.realtime.bench.caller.microphone import MicClock, VirtualMicrophone


def sound(seconds: float, level: float = 0.5) -> Samples:
    return np.full(round(seconds * SAMPLE_RATE), level, np.float32)


def spans(recording: Samples) -> list[tuple[float, float]]:
    """Seconds between which something was played."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (recording != 0).astype(np.int8), [0]])))
    return [(float(a) / SAMPLE_RATE, float(b) / SAMPLE_RATE) for a, b in edges.reshape(-1, 2)]


# --- loudspeaker -----------------------------------------------------------------------------------------------


def test_sound_is_audible_from_its_arrival() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(0.5), 2.0, "a")
    assert spans(ear.recording(4.0)) == [(2.0, 2.5)]


def test_sound_that_comes_ahead_waits_for_its_turn() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(0.5), 2.0, "a")
    ear.play(sound(0.5), 2.1, "a")
    assert spans(ear.recording(4.0)) == [(2.0, 3.0)]
    assert ear.gaps == []


def test_sound_that_comes_too_late_leaves_a_gap() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(0.5), 2.0, "a")
    ear.play(sound(0.5), 2.8, "a")
    assert spans(ear.recording(4.0)) == [(2.0, 2.5), (2.8, 3.3)]
    assert ear.gaps == [Gap(2.5, ear.gaps[0].seconds)]
    assert ear.gaps[0].seconds == pytest.approx(0.3)


def test_silence_between_two_answers_is_no_gap() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(0.5), 2.0, "a")
    ear.play(sound(0.5), 5.0, "b")
    assert ear.gaps == []


def test_what_has_not_sounded_is_gone_when_the_caller_stops() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(1.0), 2.0, "a")
    assert ear.flush(2.4) == {"a": pytest.approx(0.4)}
    assert spans(ear.recording(4.0)) == [(2.0, 2.4)]
    ear.play(sound(0.5), 3.0, "b")
    assert spans(ear.recording(4.0)) == [(2.0, 2.4), (3.0, 3.5)]


def test_an_answer_that_has_been_heard_to_its_end_is_not_cut() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(0.5), 2.0, "a")
    assert ear.flush(2.6) == {}


def test_a_live_stream_that_was_late_is_back_in_the_present_after_its_next_silence() -> None:
    ear = Loudspeaker(live=True)
    for number in range(10):  # half of them 100 ms late, in a burst
        ear.play(sound(0.02), 1.0 + 0.02 * number if number < 5 else 1.2)
    for number in range(20):
        ear.play(sound(0.02, 0.0), 1.2 + 0.02 * (number + 1))
    ear.play(sound(0.02), 2.0)
    assert spans(ear.recording(3.0))[-1] == (2.0, 2.02)
    assert [(gap.at, gap.seconds) for gap in ear.gaps] == [(pytest.approx(1.1), pytest.approx(0.1))]


def test_the_window_before_the_beginning_is_silent() -> None:
    ear = Loudspeaker(live=True)
    ear.play(sound(0.1), 0.0)
    assert np.count_nonzero(ear.window(-100, 200)) == 100


@pytest.mark.parametrize("live", [True, False])
def test_what_is_forgotten_is_silence_and_the_rest_is_where_it_was(live: bool) -> None:
    ear = Loudspeaker(live)
    ear.play(sound(1.0), 1.0, "a")
    ear.play(sound(1.0), 100.0, "b")
    ear.forget(99.0)
    assert spans(ear.recording(102.0)) == [(100.0, 101.0)]
    ear.play(sound(1.0), 103.0, "c")
    assert ear.flush(103.5) == {"c": pytest.approx(0.5)}
    assert spans(ear.recording(105.0)) == [(100.0, 101.0), (103.0, 103.5)]
    assert np.count_nonzero(ear.window(99 * 24_000, 48_000)) == 24_000


def test_sound_that_has_not_been_played_yet_is_not_forgotten() -> None:
    ear = Loudspeaker(live=False)
    ear.play(sound(2.0), 1.0, "a")
    ear.forget(10.0)
    ear.play(sound(1.0), 20.0, "b")
    assert spans(ear.recording(22.0)) == [(20.0, 21.0)]


# --- microphone ------------------------------------------------------------------------------------------------


def test_a_frame_is_complete_when_its_last_sample_was_spoken() -> None:
    clock = MicClock()
    assert [clock.next(0.0) for _ in range(3)] == [
        (0, pytest.approx(0.02)),
        (1, pytest.approx(0.04)),
        (2, pytest.approx(0.06)),
    ]


def test_a_machine_that_stood_still_leaves_frames_out() -> None:
    clock = MicClock()
    clock.next(0.0)
    number, due = clock.next(1.0)
    assert clock.stalls == 1
    assert due == pytest.approx(1.0, abs=0.02)
    assert clock.next(1.0)[0] == number + 1


def test_a_clock_that_runs_fast_speaks_early() -> None:
    assert MicClock(skew=1000.0).moment(SAMPLE_RATE) == pytest.approx(1 / 1.001)


def test_the_microphone_hears_speech_noise_and_its_own_loudspeaker() -> None:
    mouth = VirtualMicrophone(noise=sound(0.01, 0.1), echo=lambda start, n: np.full(n, 0.2, np.float32))
    mouth.put(sound(0.01, 0.3), 240)
    assert mouth.frame(0)[:240] == pytest.approx(0.3)
    assert mouth.frame(0)[240:] == pytest.approx(0.3)  # what has been handed on is spoken no more


def test_speech_is_placed_to_the_sample() -> None:
    mouth = VirtualMicrophone()
    mouth.put(sound(0.03), 100)
    spoken = np.concatenate([mouth.frame(number) for number in range(3)])
    assert spans(spoken) == [(100 / SAMPLE_RATE, (100 + 720) / SAMPLE_RATE)]
    assert len(spoken) == 3 * FRAME


# --- line ------------------------------------------------------------------------------------------------------


def test_loss_comes_in_bursts_and_as_much_as_asked_for() -> None:
    line = Line(Impairment(loss=0.05, burst=3.0), seed=1)
    lost = [line.fate() is None for _ in range(40_000)]
    assert np.mean(lost) == pytest.approx(0.05, abs=0.01)
    runs = len(lost) and sum(a and not b for a, b in zip(lost, [*lost[1:], False], strict=True))
    assert sum(lost) / runs == pytest.approx(3.0, abs=0.4)


def test_the_same_line_treats_the_same_packets_alike() -> None:
    line = Impairment(loss=0.2, jitter=0.05)
    assert [Line(line, 7).fate() for _ in range(5)] == [Line(line, 7).fate() for _ in range(5)]
    one, other = Line(line, 7), Line(line, 8)
    assert [one.fate() for _ in range(50)] != [other.fate() for _ in range(50)]


@pytest.mark.parametrize("wrong", [{"loss": 1.0}, {"loss": -0.1}, {"burst": 0.5}, {"jitter": 2.0}, {"skew": 1e6}])
def test_impossible_lines_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such line"):
        Impairment(**wrong)
