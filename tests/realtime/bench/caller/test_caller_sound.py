"""realtime/bench/caller: loudspeaker, microphone and impaired paths of the caller."""

import numpy as np
import pytest

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.realtime.bench.caller.impairments import ImpairedPath, Impairment
from vivavoce.realtime.bench.caller.loudspeaker import Loudspeaker
from vivavoce.realtime.bench.caller.microphone import MicClock, VirtualMicrophone
from vivavoce.realtime.bench.measure.call_record import Gap


def sound(seconds: float, level: float = 0.5) -> Samples:
    return np.full(round(seconds * SAMPLE_RATE), level, np.float32)


def spans(recording: Samples) -> list[tuple[float, float]]:
    """The (start, end) in seconds of each stretch of sound."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (recording != 0).astype(np.int8), [0]])))
    return [(float(a) / SAMPLE_RATE, float(b) / SAMPLE_RATE) for a, b in edges.reshape(-1, 2)]


# --- loudspeaker -----------------------------------------------------------------------------------------------


def test_sound_is_audible_from_its_arrival() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(0.5), 2.0, "a")
    assert spans(loudspeaker.recording(4.0)) == [(2.0, 2.5)]


def test_sound_that_arrives_ahead_is_queued() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(0.5), 2.0, "a")
    loudspeaker.play(sound(0.5), 2.1, "a")
    assert spans(loudspeaker.recording(4.0)) == [(2.0, 3.0)]
    assert loudspeaker.gaps == []


def test_sound_that_arrives_late_leaves_a_gap() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(0.5), 2.0, "a")
    loudspeaker.play(sound(0.5), 2.8, "a")
    assert spans(loudspeaker.recording(4.0)) == [(2.0, 2.5), (2.8, 3.3)]
    assert loudspeaker.gaps == [Gap(2.5, loudspeaker.gaps[0].seconds)]
    assert loudspeaker.gaps[0].seconds == pytest.approx(0.3)


def test_silence_between_two_replies_is_no_gap() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(0.5), 2.0, "a")
    loudspeaker.play(sound(0.5), 5.0, "b")
    assert loudspeaker.gaps == []


def test_a_flush_drops_unplayed_sound() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(1.0), 2.0, "a")
    assert loudspeaker.flush(2.4) == {"a": pytest.approx(0.4)}
    assert spans(loudspeaker.recording(4.0)) == [(2.0, 2.4)]
    loudspeaker.play(sound(0.5), 3.0, "b")
    assert spans(loudspeaker.recording(4.0)) == [(2.0, 2.4), (3.0, 3.5)]


def test_a_reply_played_to_its_end_is_not_cut() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(0.5), 2.0, "a")
    assert loudspeaker.flush(2.6) == {}


def test_a_live_stream_catches_up_in_its_next_silence() -> None:
    loudspeaker = Loudspeaker(live=True)
    for number in range(10):  # half of them 100 ms late, in a burst
        loudspeaker.play(sound(0.02), 1.0 + 0.02 * number if number < 5 else 1.2)
    for number in range(20):
        loudspeaker.play(sound(0.02, 0.0), 1.2 + 0.02 * (number + 1))
    loudspeaker.play(sound(0.02), 2.0)
    assert spans(loudspeaker.recording(3.0))[-1] == (2.0, 2.02)
    assert [(gap.at, gap.seconds) for gap in loudspeaker.gaps] == [(pytest.approx(1.1), pytest.approx(0.1))]


def test_the_window_before_the_beginning_is_silent() -> None:
    loudspeaker = Loudspeaker(live=True)
    loudspeaker.play(sound(0.1), 0.0)
    assert np.count_nonzero(loudspeaker.window(-100, 200)) == 100


@pytest.mark.parametrize("live", [True, False])
def test_forgotten_sound_is_silence_and_the_rest_stays_in_place(live: bool) -> None:
    loudspeaker = Loudspeaker(live)
    loudspeaker.play(sound(1.0), 1.0, "a")
    loudspeaker.play(sound(1.0), 100.0, "b")
    loudspeaker.forget(99.0)
    assert spans(loudspeaker.recording(102.0)) == [(100.0, 101.0)]
    loudspeaker.play(sound(1.0), 103.0, "c")
    assert loudspeaker.flush(103.5) == {"c": pytest.approx(0.5)}
    assert spans(loudspeaker.recording(105.0)) == [(100.0, 101.0), (103.0, 103.5)]
    assert np.count_nonzero(loudspeaker.window(99 * 24_000, 48_000)) == 24_000


def test_unplayed_sound_is_not_forgotten() -> None:
    loudspeaker = Loudspeaker(live=False)
    loudspeaker.play(sound(2.0), 1.0, "a")
    loudspeaker.forget(10.0)
    loudspeaker.play(sound(1.0), 20.0, "b")
    assert spans(loudspeaker.recording(22.0)) == [(20.0, 21.0)]


# --- microphone ------------------------------------------------------------------------------------------------


def test_a_frame_is_complete_when_its_last_sample_is_captured() -> None:
    clock = MicClock()
    assert [clock.next(0.0) for _ in range(3)] == [
        (0, pytest.approx(0.02)),
        (1, pytest.approx(0.04)),
        (2, pytest.approx(0.06)),
    ]


def test_a_stalled_machine_skips_frames() -> None:
    clock = MicClock()
    clock.next(0.0)
    number, due = clock.next(1.0)
    assert clock.stalls == 1
    assert due == pytest.approx(1.0, abs=0.02)
    assert clock.next(1.0)[0] == number + 1


def test_a_fast_clock_captures_early() -> None:
    assert MicClock(skew=1000.0).moment(SAMPLE_RATE) == pytest.approx(1 / 1.001)


def test_the_microphone_mixes_speech_noise_and_echo() -> None:
    microphone = VirtualMicrophone(noise=sound(0.01, 0.1), echo=lambda start, n: np.full(n, 0.2, np.float32))
    microphone.put(sound(0.01, 0.3), 240)
    assert microphone.frame(0)[:240] == pytest.approx(0.3)
    assert microphone.frame(0)[240:] == pytest.approx(0.3)  # delivered speech is not repeated


def test_speech_is_placed_to_the_sample() -> None:
    microphone = VirtualMicrophone()
    microphone.put(sound(0.03), 100)
    spoken = np.concatenate([microphone.frame(number) for number in range(3)])
    assert spans(spoken) == [(100 / SAMPLE_RATE, (100 + 720) / SAMPLE_RATE)]
    assert len(spoken) == 3 * FRAME


# --- impaired paths --------------------------------------------------------------------------------------------


def test_loss_comes_in_bursts_at_the_set_rate() -> None:
    path = ImpairedPath(Impairment(loss=0.05, burst=3.0), seed=1)
    lost = [path.next_packet() is None for _ in range(40_000)]
    assert np.mean(lost) == pytest.approx(0.05, abs=0.01)
    runs = len(lost) and sum(a and not b for a, b in zip(lost, [*lost[1:], False], strict=True))
    assert sum(lost) / runs == pytest.approx(3.0, abs=0.4)


def test_the_same_path_treats_the_same_packets_alike() -> None:
    impairment = Impairment(loss=0.2, jitter=0.05)
    assert [ImpairedPath(impairment, 7).next_packet() for _ in range(5)] == [
        ImpairedPath(impairment, 7).next_packet() for _ in range(5)
    ]
    one, other = ImpairedPath(impairment, 7), ImpairedPath(impairment, 8)
    assert [one.next_packet() for _ in range(50)] != [other.next_packet() for _ in range(50)]


@pytest.mark.parametrize("wrong", [{"loss": 1.0}, {"loss": -0.1}, {"burst": 0.5}, {"jitter": 2.0}, {"skew": 1e6}])
def test_impossible_impairments_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such impairment"):
        Impairment(**wrong)
