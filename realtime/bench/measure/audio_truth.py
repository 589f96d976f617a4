"""Audio ground truth: turns, overlaps and disturbances of a call, from one recording on one clock. Pure.

    CallRecord ──turns─────────► Turn      voice to voice: annotated end of speech ──► first audible sound of the reply
               ──overlaps──────► Overlap   start of an overlap ──► silence, or how the reply went on
               ──disturbances──►           cuts and turns without a sound of the caller (echo, noise)

No detector of a server enters. The server's events only say whether a silence was intended: they tell a reply that was
cut from one that was over, by `output_audio_buffer.cleared`, `conversation.item.truncated`, a cancelled response, or
the caller's own flush. A golden test (test_audio_truth.py) keeps these definitions fixed; change them, and
`report.SCHEMA` must change too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.bench.measure.call_record import CallRecord, Event, Said

AUDIBLE: Final = 0.005
"""RMS (-46 dBFS) from which 10 ms are audible: 24 dB below speech, above coded silence."""

LIMIT: Final = 5.0
"""Seconds after which a turn without a reply is missed. Failed turns enter the percentiles with this latency."""

YIELD_LIMIT: Final = 3.0
"""Seconds within which an interruption must silence the reply."""

ONE_CUT: Final = 0.5
"""Seconds within which all events of one cut arrive."""

HOLD: Final = 0.6
"""Seconds of silence that are more than a pause between two sentences."""

STALL: Final = 0.4
"""Seconds of digital silence inside a reply that are an underrun, not a pause of the TTS."""

AFTER: Final = 1.5
"""Seconds after an overlap in which its consequences count."""

_WINDOW: Final = SAMPLE_RATE // 100
_SUSTAINED, _WITHIN = 3, 6  # so many loud windows within 60 ms: a click is no reply

Outcome = Literal["answered", "missed", "premature"]
Reaction = Literal["yielded", "went on", "nothing to stop"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the user. `v2v`: voice-to-voice latency in seconds, of answered turns only. `reply`: seconds from the
    first to the last sound of the reply; `underruns`: gaps within it. `marks`: the server's latency marks in
    milliseconds after the end of speech by its VAD (`vivavoce.turn.latency`), empty without them. `seen`: milliseconds
    from the annotated end to the arrival of the protocol's events."""

    said: Said
    outcome: Outcome
    v2v: float | None
    reply: float
    underruns: int
    marks: dict[str, float]
    seen: dict[str, float]
    answer: str = ""
    """The transcript of the reply, by the server."""

    @property
    def scored(self) -> float:
        """The latency for percentiles: failed turns count as `LIMIT`, or they would make a server look quick."""
        return LIMIT if self.v2v is None else self.v2v


@dataclass(frozen=True, slots=True)
class Overlap:
    """A sound of the user over the reply. `silence`: seconds from its start to the end of the reply's sound, where it
    yielded. `gap`: longest silence in a reply that went on, in seconds."""

    said: Said
    reaction: Reaction
    silence: float | None
    gap: float


@dataclass(frozen=True, slots=True)
class Disturbances:
    """Replies cut and turns opened without a sound of the caller."""

    cuts: int
    turns: int


def audible(sound: Samples) -> NDArray[np.bool_]:
    """Whether each 10 ms of `sound` is audible, without clicks; shape (len // 240,)."""
    count = len(sound) // _WINDOW
    windows = sound[: count * _WINDOW].reshape(count, _WINDOW).astype(np.float64)
    loud = np.sqrt((windows**2).mean(axis=1)) > AUDIBLE if count else np.zeros(0, bool)
    before = np.pad(np.cumsum(np.concatenate([[0], loud])), (_WITHIN, _WITHIN), "edge")  # loud windows before each
    here = _WITHIN + np.arange(count)
    followed = before[here + _WITHIN] - before[here] >= _SUSTAINED
    preceded = before[here + 1] - before[here + 1 - _WITHIN] >= _SUSTAINED
    return np.asarray(loud & (followed | preceded))


def first_sound(sound: Samples, start: float, end: float) -> float | None:
    """Time of the first audible sound between `start` and `end` (seconds), to a millisecond."""
    begin = round(start * SAMPLE_RATE)
    stretch = sound[begin : round(end * SAMPLE_RATE) + _WITHIN * _WINDOW]
    found = np.flatnonzero(audible(stretch)[: math.ceil((end - start) * 100)])
    if not len(found):
        return None
    window = stretch[found[0] * _WINDOW : (found[0] + 1) * _WINDOW].astype(np.float64)
    parts = np.sqrt((window.reshape(10, -1) ** 2).mean(axis=1)) > AUDIBLE
    return start + int(found[0]) / 100 + (int(np.argmax(parts)) / 1000 if parts.any() else 0.0)


def turns(record: CallRecord) -> list[Turn]:
    """Every turn of the call, answered or not."""
    said_turns = [said for said in record.said if said.kind == "turn"]
    ends = [*(said.began for said in said_turns[1:]), len(record.recording) / SAMPLE_RATE]
    return [_turn(record, said, max(end, said.ended)) for said, end in zip(said_turns, ends, strict=False)]


def overlaps(record: CallRecord) -> list[Overlap]:
    """Every sound of the caller over a reply."""
    return [_overlap(record, said) for said in record.said if said.kind != "turn"]


def disturbances(record: CallRecord) -> Disturbances:
    """Cuts and turns without a sound of the caller near them."""

    def explained(at: float) -> bool:
        return any(said.began - 0.2 <= at <= said.ended + AFTER for said in record.said)

    opened = [event for event in record.of("input_audio_buffer.speech_started") if not explained(event.at)]
    cuts = [at for at in _cuts(record) if not explained(at)]
    one_cut = sum(later - at < ONE_CUT for at, later in pairwise(cuts))  # which has several events
    return Disturbances(len(cuts) - one_cut, len(opened))


# --- a turn ----------------------------------------------------------------------------------------------------


def _turn(record: CallRecord, said: Said, end: float) -> Turn:
    early = _onset(record.recording, said.began, said.ended)
    at = first_sound(record.recording, said.ended, min(end, said.ended + LIMIT))
    outcome: Outcome = "premature" if early else "missed" if at is None else "answered"
    alone = min(
        [end, *(other.began for other in record.said if other.began > said.ended)]
    )  # until the next sound of the caller
    loud = audible(record.recording[round(said.ended * SAMPLE_RATE) : round(alone * SAMPLE_RATE)])
    last = said.ended + (int(np.flatnonzero(loud)[-1]) + 1) / 100 if loud.any() else said.ended
    reply = max(0.0, last - at) if at is not None else 0.0
    return Turn(
        said,
        outcome,
        at - said.ended if at is not None and outcome == "answered" else None,
        reply,
        _underruns(record, at, last) if at is not None else 0,
        _marks(record, said, end),
        _seen(record, said, end),
        " ".join(
            str(event.body.get("transcript", ""))
            for event in record.of("response.output_audio_transcript.done")
            if said.ended <= event.at < end
        ),
    )


def _onset(sound: Samples, start: float, end: float) -> bool:
    """Whether sound begins between `start` and `end`, after 0.3 s of silence."""
    lead = 30
    begin = round(start * SAMPLE_RATE) - lead * _WINDOW
    stretch = sound[max(begin, 0) : max(0, round(end * SAMPLE_RATE))]
    loud = np.concatenate([np.zeros(max(0, -begin) // _WINDOW, bool), audible(stretch)])
    return any(loud[n] and not loud[n - lead : n].any() for n in range(lead, len(loud)))


def _underruns(record: CallRecord, start: float, end: float) -> int:
    gaps = sum(start < gap.at < end for gap in record.gaps)
    if record.transport.endswith("websocket"):  # here the gaps are known exactly
        return gaps
    stretch = record.recording[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    quiet = np.abs(stretch[: len(stretch) // _WINDOW * _WINDOW]).reshape(-1, _WINDOW).max(axis=1) < 1e-4
    return gaps + len([length for length in _runs(quiet) if length > STALL * 100])


def _marks(record: CallRecord, said: Said, end: float) -> dict[str, float]:
    for event in record.of("vivavoce.turn.latency"):
        if said.ended <= event.at < end:
            return {name: float(value) for name, value in dict(event.body.get("marks", {})).items()}
    return {}


_FOLLOWED: Final = {
    "input_audio_buffer.speech_stopped": "end of turn told",
    "response.created": "response created",
    "response.output_audio.delta": "first sound arrived",
    "output_audio_buffer.started": "playing told",
}


def _seen(record: CallRecord, said: Said, end: float) -> dict[str, float]:
    first: dict[str, float] = {}
    for event in record.events:
        if event.type in _FOLLOWED and said.ended <= event.at < end:
            first.setdefault(_FOLLOWED[event.type], round((event.at - said.ended) * 1000, 1))
    return first


# --- an overlap ------------------------------------------------------------------------------------------------


def _overlap(record: CallRecord, said: Said) -> Overlap:
    before = audible(record.recording[_sample(said.began - 0.4) : _sample(said.began + 0.1)])
    loud = audible(record.recording[_sample(said.began) :])
    quiet = _first_silence(loud)
    cut = any(said.began <= at <= said.ended + AFTER for at in _cuts(record))
    if not before.any():
        return Overlap(said, "nothing to stop", None, 0.0)
    if not cut:  # the reply went on, or was over by itself in the meantime
        over = quiet < (YIELD_LIMIT if said.kind == "interruption" else said.ended - said.began)
        return Overlap(said, "nothing to stop" if over else "went on", None, _longest_gap(loud, said))
    if quiet > YIELD_LIMIT and said.kind == "interruption":
        return Overlap(said, "went on", None, 0.0)
    return Overlap(said, "yielded", quiet, 0.0)


def _first_silence(loud: NDArray[np.bool_]) -> float:
    """Seconds until a lasting silence begins."""
    hold = round(HOLD * 100)
    last = 0
    for window in np.flatnonzero(loud):
        if window - last > hold:
            break
        last = int(window) + 1
    return last / 100


def _longest_gap(loud: NDArray[np.bool_], said: Said) -> float:
    affected = loud[: round((said.ended - said.began + AFTER) * 100)]
    sounding = np.flatnonzero(affected)
    inside = ~affected[: sounding[-1]] if len(sounding) else np.zeros(0, bool)
    return max(_runs(inside), default=0) / 100


def _cuts(record: CallRecord) -> list[float]:
    events = [event.at for event in record.events if _is_cut(event)]
    return sorted([*events, *record.flushes])


def _is_cut(event: Event) -> bool:
    if event.type == "response.done":
        return dict(event.body.get("response", {})).get("status") == "cancelled"
    return event.type in ("output_audio_buffer.cleared", "conversation.item.truncated")


def _runs(flags: NDArray[np.bool_]) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [int(length) for length in edges[1::2] - edges[::2]]


def _sample(seconds: float) -> int:
    return max(0, round(seconds * SAMPLE_RATE))
