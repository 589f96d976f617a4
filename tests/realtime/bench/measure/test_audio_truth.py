"""realtime/bench/measure/audio_truth.py: every measure, on synthetic recordings with known results."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.bench.measure.audio_truth import LIMIT, audible, disturbances, first_sound, overlaps, turns
from vivavoce.realtime.bench.measure.call_record import CallRecord, Event, Gap, Said
from vivavoce.realtime.bench.measure.history import cut_histories
from vivavoce.realtime.bench.measure.measures import measure

QUESTION = Said("turn", 0, "hello", 1.0, 2.0)


def recording(seconds: float, *voices: tuple[float, float], level: float = 0.2) -> Samples:
    """Silence with a tone between each pair of seconds."""
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    t = np.arange(len(sound)) / SAMPLE_RATE
    for start, end in voices:
        inside = (t >= start - 1e-9) & (t < end - 1e-9)
        sound[inside] = level * np.sin(2 * np.pi * 500 * (t[inside] - start) + 0.5)
    return sound


def record(sound: Samples, *said: Said, **rest: object) -> CallRecord:
    return CallRecord("webrtc", "test", said, sound, **{"events": (), **rest})  # type: ignore[arg-type]


def cut(at: float) -> Event:
    return Event(at, {"type": "output_audio_buffer.cleared"})


# --- audibility -----------------------------------------------------------------------------------------


def test_a_click_is_not_audible() -> None:
    sound = recording(1.0)
    sound[5000:5100] = 0.9
    assert not audible(sound).any()


@pytest.mark.parametrize(("level", "is_audible"), [(0.0060, False), (0.0080, True)])
def test_the_threshold_is_46_db_below_full_scale(level: float, is_audible: bool) -> None:
    assert audible(recording(1.0, (0.2, 0.8), level=level)).any() == is_audible  # a sine's level is 0.7 of its peak


@pytest.mark.parametrize("at", [0.5, 0.503, 0.5187])
def test_the_first_sound_is_found_to_a_millisecond(at: float) -> None:
    assert first_sound(recording(2.0, (at, 1.0)), 0.2, 2.0) == pytest.approx(at, abs=0.001)


def test_sound_outside_the_stretch_is_not_its_first_sound() -> None:
    sound = recording(3.0, (0.0, 0.4), (2.0, 2.5))
    assert first_sound(sound, 0.5, 1.9) is None


# --- turns -----------------------------------------------------------------------------------------------------


def test_voice_to_voice_is_from_the_annotated_end_to_the_first_sound() -> None:
    (turn,) = turns(record(recording(5.0, (2.345, 4.0)), QUESTION))
    assert (turn.outcome, turn.v2v) == ("answered", pytest.approx(0.345, abs=0.001))
    assert turn.reply == pytest.approx(4.0 - 2.345, abs=0.011)


def test_a_turn_without_a_reply_is_missed_and_counts_as_the_limit() -> None:
    (turn,) = turns(record(recording(9.0, (7.2, 8.0)), QUESTION))
    assert (turn.outcome, turn.v2v, turn.scored) == ("missed", None, LIMIT)


def test_a_reply_before_the_end_of_the_turn_is_premature_and_gains_no_latency() -> None:
    (turn,) = turns(record(recording(5.0, (1.6, 1.9), (2.1, 4.0)), QUESTION))
    assert (turn.outcome, turn.v2v, turn.scored) == ("premature", None, LIMIT)


def test_the_tail_of_an_earlier_reply_is_not_premature() -> None:
    (turn,) = turns(record(recording(5.0, (0.2, 1.3), (2.5, 4.0)), QUESTION))
    assert turn.outcome == "answered"


def test_the_reply_to_a_turn_is_not_that_of_the_one_before() -> None:
    second = Said("turn", 1, "again", 3.5, 4.0)
    first, then = turns(record(recording(8.0, (4.4, 5.0)), QUESTION, second))
    assert first.outcome == "missed"
    assert then.v2v == pytest.approx(0.4, abs=0.001)


def test_the_servers_marks_belong_to_the_turn_before_them() -> None:
    marks = Event(2.5, {"type": "vivavoce.turn.latency", "marks": {"speech_end": 0.0, "sent": 300.0}})
    created = Event(2.2, {"type": "response.created"})
    said = Event(2.9, {"type": "response.output_audio_transcript.done", "transcript": "Hello."})
    (turn,) = turns(record(recording(5.0, (2.345, 4.0)), QUESTION, events=(created, marks, said)))
    assert turn.marks == {"speech_end": 0.0, "sent": 300.0}
    assert turn.seen == {"response created": pytest.approx(200)}
    assert turn.answer == "Hello."


@pytest.mark.parametrize(("pause", "underruns"), [(0.3, 0), (0.5, 1)])
def test_a_long_digital_silence_in_a_reply_is_an_underrun(pause: float, underruns: int) -> None:
    (turn,) = turns(record(recording(6.0, (2.3, 3.0), (3.0 + pause, 4.0)), QUESTION))
    assert turn.underruns == underruns


def test_late_sound_is_an_underrun() -> None:
    gaps = (Gap(3.0, 0.05), Gap(5.5, 0.2))
    (turn,) = turns(record(recording(6.0, (2.3, 4.0)), QUESTION, gaps=gaps))
    assert turn.underruns == 1  # the other one is not in this reply


# --- overlaps --------------------------------------------------------------------------------------------------

STOP = Said("interruption", 0, "stop", 3.0, 3.6)
MHM = Said("backchannel", 0, "mhm", 3.0, 3.3)


def test_yield_latency_is_from_the_start_of_the_interruption_to_silence() -> None:
    (over,) = overlaps(record(recording(6.0, (2.3, 3.22)), QUESTION, STOP, events=(cut(3.2),)))
    assert (over.reaction, over.silence) == ("yielded", pytest.approx(0.22, abs=0.011))


def test_a_reply_that_goes_on_has_not_yielded() -> None:
    (over,) = overlaps(record(recording(9.0, (2.3, 8.0)), QUESTION, STOP))
    assert (over.reaction, over.silence) == ("went on", None)


def test_a_reply_that_was_over_by_itself_does_not_count() -> None:
    (over,) = overlaps(record(recording(6.0, (2.3, 3.2)), QUESTION, STOP))
    assert over.reaction == "nothing to stop"


def test_an_interruption_of_silence_does_not_count() -> None:
    (over,) = overlaps(record(recording(6.0, (2.1, 2.4)), QUESTION, STOP, events=(cut(3.2),)))
    assert over.reaction == "nothing to stop"


def test_a_pause_between_two_sentences_is_not_yielding() -> None:
    voice = recording(6.0, (2.3, 3.1), (3.4, 3.8))
    (over,) = overlaps(record(voice, QUESTION, STOP, events=(cut(3.8),)))
    assert over.silence == pytest.approx(0.8, abs=0.011)


def test_a_backchannel_that_changes_nothing_leaves_no_gap() -> None:
    (over,) = overlaps(record(recording(9.0, (2.3, 8.0)), QUESTION, MHM))
    assert (over.reaction, over.gap) == ("went on", 0.0)


def test_the_resume_gap_is_the_silence_after_a_backchannel() -> None:
    (over,) = overlaps(record(recording(9.0, (2.3, 3.2), (3.45, 8.0)), QUESTION, MHM))
    assert (over.reaction, over.gap) == ("went on", pytest.approx(0.25, abs=0.02))


def test_a_reply_that_a_backchannel_stopped_has_yielded() -> None:
    (over,) = overlaps(record(recording(9.0, (2.3, 3.2)), QUESTION, MHM, events=(cut(3.2),)))
    assert over.reaction == "yielded"


def test_a_flush_of_the_client_is_a_cut() -> None:
    (over,) = overlaps(record(recording(6.0, (2.3, 3.22)), QUESTION, STOP, flushes=(3.22,)))
    assert over.reaction == "yielded"


# --- disturbances -------------------------------------------------------------------------------------


def test_a_cut_without_a_sound_of_the_caller_is_a_disturbance() -> None:
    cancelled = Event(8.02, {"type": "response.done", "response": {"status": "cancelled"}})
    opened = Event(7.9, {"type": "input_audio_buffer.speech_started"})
    found = disturbances(record(recording(9.0), QUESTION, events=(opened, cut(8.0), cancelled)))
    assert (found.cuts, found.turns) == (1, 1)


def test_all_events_of_one_cut_are_one_cut() -> None:
    cancelled = Event(7.6, {"type": "response.done", "response": {"status": "cancelled"}})
    found = disturbances(record(recording(12.0), QUESTION, events=(cut(7.4), cancelled, cut(9.0))))
    assert found.cuts == 2


def test_there_are_no_more_self_interruptions_than_replies() -> None:
    events = [Event(at, {"type": "response.created"}) for at in (5.0, 7.0, 9.0)]
    made = record(recording(12.0), QUESTION, events=(*events, cut(6.0), cut(8.0), cut(10.0)))
    assert measure([made], {}).self_interruptions.value == 1.0


def test_a_turn_of_the_caller_is_no_disturbance() -> None:
    opened = Event(1.1, {"type": "input_audio_buffer.speech_started"})
    found = disturbances(record(recording(9.0), QUESTION, events=(opened, cut(1.2))))
    assert (found.cuts, found.turns) == (0, 0)


# --- history ---------------------------------------------------------------------------------------------------


def test_the_history_error_is_words_kept_beyond_those_played() -> None:
    kept = Event(3.4, {"type": "vivavoce.heard", "item_id": "a", "text": "One two three four five.", "heard_chars": 18})
    made = record(recording(6.0, (2.3, 3.22)), QUESTION, STOP, events=(cut(3.2), kept))
    lengths: list[float] = []

    def transcribe(sound: Samples) -> str:
        lengths.append(len(sound) / SAMPLE_RATE)
        return "One, two."

    (found,) = cut_histories([made], transcribe)
    assert (found.kept, found.error) == ("One two three four", 2)
    assert lengths == [pytest.approx(3.22 - 2.3 + 0.1, abs=0.02)]
