"""Defines the contract of an ASR: sound of a turn in, hypotheses of its text out.

One `Asr` holds the weights and is shared by all calls; one `Recognition` is one turn of one call and owns all state:

    push(samples) ──► waiting sound                                  any thread, only stores
    update() ───────► segment since the last cut ──► recognizer ──► local agreement ──► Hypothesis
                          │                             ▲   forced: stable tokens            │ stable ▏ tail
                          │                             └── draft: last hypothesis ◄─────────┘
                          └── long turn: cut at a pause; the text before it is final
    finish(end) ────► the turn's final text; without a decode when the last update covered all speech

`Asr.classify_overlap` takes a second of sound on its own, which is in no turn: speech over the assistant.

Sound enters as 16 kHz mono float32; text leaves as `Hypothesis`, whose `stable` part only ever grows. Recognition is
CPU work on the caller's thread: an ASR starts no threads, knows no clock and does not decide where turns begin or end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.dialogue import OverlapOpinion

SAMPLE_RATE: Final = 16_000
"""Samples per second of all sound that an ASR takes."""

Samples = NDArray[np.float32]
"""Mono audio, shape (samples,), -1..1, `SAMPLE_RATE`."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The text of the turn's first `covered` samples. `stable` begins every later hypothesis; `tail` may still change.

    Neither part begins or ends with a space. `end_of_turn`: probability (0..1), by the sound alone, that the turn is
    over if the user pauses here; None where the ASR gives none.
    """

    stable: str
    tail: str
    covered: int
    end_of_turn: float | None = None


class Recognition(Protocol):
    """The streaming recognition of one turn. `push` may be called from any thread; `update` and `finish` from one
    thread at a time."""

    def push(self, samples_16k: Samples) -> None:
        """Stores the next sound of the turn. Raises `BufferError` when minutes of it wait for an `update`."""

    def update(self) -> Hypothesis:
        """Recognizes all sound pushed so far; returns the last hypothesis again when no sound came since."""

    def finish(self, end: int | None = None) -> Hypothesis:
        """Returns the turn's text, all of it stable. `end`: samples of the turn after which the VAD found silence only;
        None where no VAD ran."""


class Asr(Protocol):
    """Loaded weights, shared by all calls."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it recognizes (ISO 639-1)."""

    def open(self) -> Recognition:
        """Begins the recognition of a turn."""

    def classify_overlap(self, samples_16k: Samples) -> OverlapOpinion:
        """Classifies up to a second of sound over the assistant, without waiting for its end."""
