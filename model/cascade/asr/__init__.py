"""Ears: what the user says, as text, while they say it.

One `Asr` holds the weights and is shared by all calls; one `Recognition` is one turn of one call and owns all state:

    push(samples) ──► waiting sound                                  any thread, only stores
    update() ───────► segment since the last cut ──► recogniser ──► local agreement ──► Hypothesis
                          │                             ▲   forced: stable tokens            │ stable ▏ tail
                          │                             └── draft: last hypothesis ◄─────────┘
                          └── long turn: cut at a pause; what lies before it is settled for good
    finish(end) ────► the last word about the turn; without any work when the last update already heard all of it

`Asr.overhear` listens to a second of sound on its own, which is in no turn: somebody speaks over the assistant.

Sound enters as 16 kHz mono float32; text leaves as `Hypothesis`, whose `stable` part only ever grows. Recognition is
CPU work on the caller's thread: this package starts no threads, knows no clock and does not decide where turns begin
or end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.dialogue import OverlapOpinion

SAMPLE_RATE: Final = 16_000
"""Samples per second of everything the ears take."""

Samples = NDArray[np.float32]
"""Mono audio, shape (samples,), -1..1, `SAMPLE_RATE`."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the turn's first `covered` samples say. `stable` begins every later hypothesis; `tail` may still change.

    Neither part begins or ends with a space. `finished`: how likely the turn is over, should it pause there, by the
    sound of it; None where the ears have no opinion.
    """

    stable: str
    tail: str
    covered: int
    finished: float | None = None


class Recognition(Protocol):
    """One turn. `push` may be called from any thread; `update` and `finish` from one thread at a time."""

    def push(self, samples_16k: Samples) -> None:
        """Stores the next sound of the turn. Raises `BufferError` when minutes of it wait for an `update`."""

    def update(self) -> Hypothesis:
        """Recognises all sound pushed so far; the last hypothesis again when nothing came since."""

    def finish(self, end: int | None = None) -> Hypothesis:
        """The turn's text, all of it stable. `end`: samples of the turn after which, in the opinion of the voice
        activity detector, only silence came; None when nobody knows."""


class Asr(Protocol):
    """A recogniser, shared by all calls."""

    def open(self) -> Recognition:
        """Listens to a new turn."""

    def classify_overlap(self, samples_16k: Samples) -> OverlapOpinion:
        """What a second of sound over the assistant holds, for somebody who cannot wait for its end."""


def open_asr(language: str, directory_of: Callable[[str], Path], threads: int) -> Asr:
    """Loads the recogniser for `language` (ISO 639-1, such as "en"; "auto" detects it in each turn).

    `directory_of` gives the directory of a catalog artefact: "moonshine-tiny-en" for English, "whisper-base" for the
    rest. Raises `BrokenAsr` when its files cannot be loaded, `UnknownLanguage`.
    """
    if language == "en":
        from vivavoce.model.cascade.asr.moonshine import Moonshine

        return Moonshine(directory_of("moonshine-tiny-en"), threads)
    from vivavoce.model.cascade.asr.whisper import Whisper

    return Whisper(directory_of("whisper-base"), language, threads)
