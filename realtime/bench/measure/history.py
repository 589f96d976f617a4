"""Measure the history error: words of a cut reply that the conversation keeps beyond those that were played.

    recording up to the silence ──our ASR──► words played  ┐
    vivavoce.heard (server)     ───────────► words kept    ┴──► kept - played

The ASR has a word error rate of its own, so single figures are good to about a word. Only servers that report what they
keep (ours) can be measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import open_asr
from vivavoce.model.store import Store
from vivavoce.realtime.bench.measure.audio_truth import AFTER, Overlap, first_sound, overlaps
from vivavoce.realtime.bench.measure.call_record import CallRecord, Said

Transcribe = Callable[[Samples], str]

_ASR_HZ = 16_000


@dataclass(frozen=True, slots=True)
class CutHistory:
    """One cut: the words of the reply that the history keeps, and those that were audible."""

    kept: str
    heard: str

    @property
    def error(self) -> int:
        """Words too many (or, negative, too few) in the history."""
        return len(words(self.kept)) - len(words(self.heard))


def words(text: str) -> list[str]:
    """The words of a text, without their marks."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def cut_histories(records: Sequence[CallRecord], transcribe: Transcribe) -> list[CutHistory]:
    """Every cut of these calls whose server reported what it keeps."""
    found = []
    for record in records:
        for over in overlaps(record):
            if over.reaction == "yielded" and over.silence is not None and (kept := _kept(record, over)) is not None:
                found.append(CutHistory(kept, transcribe(_audible(record, over.said, over.silence))))
    return found


def open_transcriber(store: Store) -> Transcribe:
    """Opens an English ASR of our own, apart from the server's. Raises the exceptions of `open_asr`."""
    asr = open_asr("en", store.path, 2)

    def transcribe(sound: Samples) -> str:
        resampler = Resampler(SAMPLE_RATE, _ASR_HZ)
        recognition = asr.open()
        recognition.push(np.concatenate((resampler.push(sound), resampler.flush())))
        hypothesis = recognition.finish()
        return f"{hypothesis.stable} {hypothesis.tail}".strip()

    return transcribe


def _kept(record: CallRecord, over: Overlap) -> str | None:
    """The last report of the server about the reply, within `AFTER` the overlap."""
    reports = [
        event.body for event in record.of("vivavoce.heard") if over.said.began <= event.at <= over.said.ended + AFTER
    ]
    return str(reports[-1]["text"])[: int(reports[-1]["heard_chars"])] if reports else None


def _audible(record: CallRecord, said: Said, silence: float) -> Samples:
    """The reply's sound, from its beginning to the silence."""
    turn = next(other for other in record.said if other.kind == "turn" and other.turn == said.turn)
    start = first_sound(record.recording, turn.ended, said.began)
    begin = round((turn.ended if start is None else start) * SAMPLE_RATE)
    return record.recording[begin : round((said.began + silence + 0.1) * SAMPLE_RATE)]
