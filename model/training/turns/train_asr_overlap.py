"""Trains what the ears say of sound over the assistant.

    python -m vivavoce.model.training.turns.train_asr_overlap FOLDER [PART]

    recordings (speak.py) ─► overlaps (mixing.py) ─► cut off after 6, 8, ... 20 windows ─► Moonshine's encoder
                          ─► states (T, 288) ─► four places to look at ─► model/turns/asr_overlap_head.onnx

The sound is what `Floor` gives to `Moonshine.overhear`: from four windows before the first voiced one on. Making the
examples takes ten minutes; each part of them is kept in FOLDER, and with PART (0 to 5) only that one is made. Training
takes two minutes on one core.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vivavoce.model.cascade.asr.moonshine import OVERLAP_PAD, Moonshine
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.turns.attention_head import Attention, export, fit
from vivavoce.model.training.turns.overlap_mixing import CLASSES, Recordings, Surroundings, overhear
from vivavoce.model.training.turns.train_overlap import first_voiced
from vivavoce.model.turns.asr_overlap_head import WEIGHTS
from vivavoce.model.turns.overlap_classifier import LOOKS, OVERLAP_LEAD, WINDOW
from vivavoce.model.turns.silero_vad import SileroVad

PARTS: Final = 6
EACH: Final = 1000
"""Overlaps of a part; each is looked at twice."""
AGES: Final = LOOKS[:6]
STATES: Final = 56
"""States kept of a look: the longest has 55."""
UNITS: Final = 64
EPOCHS: Final = 8


class Looks(NamedTuple):
    """`states` (N, STATES, 288) float16, of which the first `lengths` (N,) count; `kinds` (N,): index of `CLASSES`."""

    states: NDArray[np.float16]
    lengths: NDArray[np.int64]
    kinds: NDArray[np.int64]


def make(folder: Path, ears: Moonshine, net: SileroVad, part: int) -> Looks:
    """One part of the examples, the same on every run."""
    rng = np.random.default_rng(part)
    recordings = Recordings.read(folder, development=False)
    around = Surroundings.make(recordings, rng)
    states: list[NDArray[np.float16]] = []
    lengths: list[int] = []
    kinds: list[int] = []
    while len(kinds) < 2 * EACH:
        overheard = overhear(recordings, around, rng)
        first = first_voiced(overheard, net)
        if first is None or (overheard.kind >= 2 and rng.random() < 0.6):  # noise and echo: the other network's
            continue
        for age in rng.choice(AGES, 2, replace=False):
            sound = overheard.sound[max(0, first - OVERLAP_LEAD) * WINDOW : (first + int(age)) * WINDOW]
            found = ears.states(np.pad(sound, (0, OVERLAP_PAD)))[0, :STATES]
            states.append(np.pad(found, ((0, STATES - len(found)), (0, 0))).astype(np.float16))
            lengths.append(len(found))
            kinds.append(overheard.kind)
    return Looks(np.stack(states), np.array(lengths), np.array(kinds))


def train(looks: Looks) -> Attention:
    """A few minutes."""
    torch.manual_seed(0)
    kinds = torch.from_numpy(looks.kinds)
    there = torch.arange(STATES)[None] < torch.from_numpy(looks.lengths)[:, None]

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        return functional.cross_entropy(logits, kinds[chosen], label_smoothing=0.05)

    return fit(Attention(UNITS, len(CLASSES)), looks.states, there, loss, EPOCHS)


def main(folder: Path, only: int | None) -> None:
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    ears, speech = Moonshine(store.path("moonshine-tiny-en"), 1), SileroVad(store.path("silero-vad"))
    made: list[Looks] = []
    for part in range(PARTS) if only is None else [only]:
        kept = folder / f"asides-{part}.npz"
        if not kept.exists():
            np.savez(kept, **make(folder, ears, speech, part)._asdict())
        with np.load(kept) as found:
            made.append(Looks(found["states"], found["lengths"], found["kinds"]))
    if only is None:
        states, lengths, kinds = (np.concatenate(column) for column in zip(*made, strict=True))
        net = train(Looks(states, lengths, kinds))
        export(net, lambda logits: torch.softmax(logits, 1), "scores", WEIGHTS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
