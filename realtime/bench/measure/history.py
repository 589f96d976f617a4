"""History error: words that the conversation remembers beyond, or short of, what the caller heard before the cut.

    recording up to the silence ──our ears──► words heard  ┐
    vivavoce.heard (server)     ────────────► words kept   ┴──► kept - heard

The ears mishear a word now and then, so single figures are good to about a word. Only servers that tell what they keep
(ours) can be judged.
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
from vivavoce.realtime.bench.caller.call_record import CallRecord, Said
from vivavoce.realtime.bench.measure.audio_truth import AFTER, Overlap, first_sound, overlaps

Understand = Callable[[Samples], str]

_EARS_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Remembered:
    """One cut: what the history keeps of the reply, and what could be heard of it."""

    kept: str
    heard: str

    @property
    def error(self) -> int:
        """Words too many (or, negative, too few) in the history."""
        return len(words(self.kept)) - len(words(self.heard))


def words(text: str) -> list[str]:
    """The words of a text, without their marks."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def remembered(records: Sequence[CallRecord], understand: Understand) -> list[Remembered]:
    """Every cut of these calls whose server told what it keeps."""
    found = []
    for record in records:
        for over in overlaps(record):
            if over.reaction == "yielded" and over.silence is not None and (kept := _kept(record, over)) is not None:
                found.append(Remembered(kept, understand(_heard(record, over.said, over.silence))))
    return found


def listener(store: Store) -> Understand:
    """Our own English ears, apart from the server's. Raises what `open_asr` raises."""
    ears = open_asr("en", store.path, 2)

    def understand(sound: Samples) -> str:
        resampler = Resampler(SAMPLE_RATE, _EARS_HZ)
        listening = ears.open()
        listening.push(np.concatenate((resampler.push(sound), resampler.flush())))
        hypothesis = listening.finish()
        return f"{hypothesis.stable} {hypothesis.tail}".strip()

    return understand


def _kept(record: CallRecord, over: Overlap) -> str | None:
    """The server's last word about the reply within the consequences of the overlap."""
    told = [
        event.body for event in record.of("vivavoce.heard") if over.said.began <= event.at <= over.said.ended + AFTER
    ]
    return str(told[-1]["text"])[: int(told[-1]["heard_chars"])] if told else None


def _heard(record: CallRecord, said: Said, silence: float) -> Samples:
    """The reply's sound, from its beginning to the silence."""
    turn = next(other for other in record.said if other.kind == "turn" and other.turn == said.turn)
    start = first_sound(record.recording, turn.ended, said.began)
    begin = round((turn.ended if start is None else start) * SAMPLE_RATE)
    return record.recording[begin : round((said.began + silence + 0.1) * SAMPLE_RATE)]
