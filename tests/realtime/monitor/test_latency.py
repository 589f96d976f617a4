"""realtime/monitor/latency.py."""

from collections.abc import Sequence

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Done, Observation, ReplySpec, TextToken, Transcript
from vivavoce.realtime.events import (
    Action,
    DropTurn,
    Fact,
    PlayoutEnded,
    PlayoutStarted,
    Replied,
    Send,
    StartReply,
    TurnEnded,
    TurnStarted,
)
from vivavoce.realtime.monitor.latency import KEPT, ObservationReport, Report, TurnLatency
from vivavoce.realtime.wire.response_events import Response, ResponseCreated, SpokenAudio, SpokenOutput
from vivavoce.realtime.wire.session_config import Pcm

WORD, SOUND = TextToken("Yes"), AudioToken(np.ones(480, np.float32))
SAID = Transcript("t", "Hello", "", final=True)


def starts(number: int, response_id: str = "resp") -> list[Action]:
    response = Response(
        id=response_id,
        status="in_progress",
        status_details=None,
        output=[],
        conversation_id=None,
        output_modalities=["audio"],
        max_output_tokens="inf",
        audio=SpokenAudio(output=SpokenOutput(format=Pcm(), voice="joe")),
        metadata=None,
        usage=None,
    )
    return [Send(ResponseCreated(response=response)), StartReply(number, ReplySpec(response_id))]


def follow(*steps: tuple[float, Fact] | tuple[float, Fact, Sequence[Action]]) -> list[Report]:
    """The latencies that a call reports, as `reported` does."""
    return [report for report in reported(*steps) if isinstance(report, Report)]


def reported(
    *steps: tuple[float, Fact] | tuple[float, Fact, Sequence[Action]],
) -> list[Report | ObservationReport]:
    """What a call reports in which these facts happen at these moments, with the actions they lead to."""
    latency = TurnLatency()
    reports = [latency.receive(step[1], step[2] if len(step) == 3 else [], step[0]) for step in steps]
    return [report for report in reports if report is not None]


def test_a_spoken_turn_counts_from_the_end_of_speech() -> None:
    reports = follow(
        (9.0, TurnStarted(0)),
        (10.5, TurnEnded(1, silence=SAMPLE_RATE // 2), starts(1)),
        (10.6, SAID),
        (10.7, Replied(1, WORD)),
        (10.75, Replied(1, WORD)),
        (10.8, Replied(1, SOUND)),
        (10.82, PlayoutStarted(1)),
        (10.9, Replied(1, SOUND)),
        (11.0, Replied(1, Done("stop"))),
        (12.0, PlayoutEnded(1)),
    )
    marks = {
        "speech_end": 0.0,
        "endpoint": 500.0,
        "transcript": 600.0,
        "first_text": 700.0,
        "first_audio": 800.0,
        "sent": 820.0,
    }
    assert reports == [Report("resp", marks)]
    assert list(reports[0].marks) == list(marks)  # in the order in which they happened


def test_each_reply_names_its_response_whichever_comes_first() -> None:
    late = [*reversed(starts(1, "first")), *starts(2, "second"), *reversed(starts(3, "third"))]
    reports = follow((1.0, SAID, late), *((1.1, PlayoutStarted(number)) for number in (1, 2, 3)))
    assert [report.response_id for report in reports] == ["first", "second", "third"]


def test_a_reply_may_begin_after_the_transcript() -> None:
    (report,) = follow((1.0, TurnEnded(1)), (1.1, SAID), (1.2, TurnStarted(2), starts(1)), (1.3, PlayoutStarted(1)))
    assert report.marks == {"speech_end": 0.0, "endpoint": 0.0, "transcript": 100.0, "sent": 300.0}


def test_a_reply_that_nobody_spoke_for_counts_from_its_beginning() -> None:
    (report,) = follow(
        (5.0, TurnStarted(0), [DropTurn(), *starts(1)]), (5.2, Replied(1, SOUND)), (5.3, PlayoutStarted(1))
    )
    assert report.marks == {"speech_end": 0.0, "first_audio": 200.0, "sent": 300.0}


def test_a_late_transcript_says_nothing_of_the_next_reply() -> None:
    reports = follow(
        (1.0, TurnEnded(1), starts(1)),
        (1.5, SAID),
        (9.0, TurnStarted(0), starts(2)),  # asked for by a typed message
        (9.1, Transcript("u", "and", "", final=True)),  # of a turn whose reply was cut
        (9.2, PlayoutStarted(2)),
    )
    assert [report.marks for report in reports] == [{"speech_end": 0.0, "sent": 200.0}]


def test_a_transcript_that_is_not_final_is_no_mark() -> None:
    (report,) = follow(
        (1.0, TurnEnded(1), starts(1)), (1.1, Transcript("", "He", "", final=False)), (1.3, PlayoutStarted(1))
    )
    assert "transcript" not in report.marks


def test_two_replies_under_way_are_told_apart() -> None:
    reports = follow(
        (1.0, TurnEnded(1), starts(1, "a")),
        (2.0, TurnEnded(2), starts(2, "b")),
        (2.1, Replied(1, WORD)),
        (2.2, Replied(2, WORD)),
        (2.4, PlayoutStarted(2)),
        (2.5, PlayoutStarted(1)),
    )
    assert [(report.response_id, report.marks["first_text"]) for report in reports] == [("b", 200.0), ("a", 1100.0)]


def test_what_belongs_to_no_reply_is_passed_over() -> None:
    assert follow((1.0, Replied(1, WORD)), (1.1, PlayoutStarted(1))) == []


def test_replies_that_are_never_heard_are_forgotten_in_the_end() -> None:
    steps = [(float(number), TurnEnded(1), starts(number)) for number in range(KEPT + 1)]
    assert follow(*steps, (20.0, PlayoutStarted(0))) == []
    assert len(follow(*steps, (20.0, PlayoutStarted(1)))) == 1


def test_the_age_of_a_picture_counts_from_the_end_of_the_question() -> None:
    early, late = Observation(10.3, True, "a cup"), Observation(10.125, False, "a cat")
    reports = reported(
        (10.5, TurnEnded(1, silence=SAMPLE_RATE // 2), starts(1)),
        (10.7, Replied(1, early)),
        (10.75, Replied(1, WORD)),
        (10.75, Replied(7, early)),
        (11.0, SAID, starts(2, "typed")),
        (11.1, Replied(2, late)),
    )
    assert reports == [ObservationReport("resp", -300.0, early), ObservationReport("typed", 875.0, late)]
