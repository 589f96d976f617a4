"""Trains the overlap head: the class of a sound over the assistant, by the ASR encoder's states.

    python -m vivavoce.model.training.turns.train_asr_overlap FOLDER [OUT] [--part N]

    recordings (voices.py) ─► overlaps (overlap_mixing.py) ─► cut after 6, 8, ... 20 windows ─► Moonshine's encoder
                           ─► states (T, 288) ─► AttentionHead ─► OUT, else the package's asr_overlap_head.onnx

The sound is what `Floor` sends to the ASR in a call: from four windows before the first voiced one on. Making the
examples takes ten minutes; each part is kept in FOLDER (asides-<part>.npz), and with
`--part` (0 to 5) only that one is made. Training takes two minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vivavoce.model.cascade.asr.moonshine import OVERLAP_PAD, Moonshine
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.turns.attention_head import AttentionHead, export, fit
from vivavoce.model.training.turns.overlap_mixing import CLASSES, Recordings, acoustics, draw_overlap
from vivavoce.model.training.turns.train_overlap import first_voiced
from vivavoce.model.turns.asr_overlap_head import WEIGHTS
from vivavoce.model.turns.overlap_classifier import LOOKS, OVERLAP_LEAD, WINDOW
from vivavoce.model.turns.silero_vad import SileroVad

PARTS: Final = 6
OVERLAPS: Final = 1000
"""Overlaps of a part; each gives two examples."""
AGES: Final = LOOKS[:6]
STATES: Final = 56
"""States of an example: the longest sound has 55."""
UNITS: Final = 64
EPOCHS: Final = 8


class OverlapExamples(NamedTuple):
    """`states` (N, STATES, 288) float16, the first `lengths` (N,) of them valid; `kinds` (N,): index of `CLASSES`."""

    states: NDArray[np.float16]
    lengths: NDArray[np.int64]
    kinds: NDArray[np.int64]


def make(folder: Path, asr: Moonshine, vad: SileroVad, part: int) -> OverlapExamples:
    """Makes a part of the examples, the same on every run."""
    rng = np.random.default_rng(part)
    recordings = Recordings.read(folder, development=False)
    surroundings = acoustics(recordings, rng)
    states: list[NDArray[np.float16]] = []
    lengths: list[int] = []
    kinds: list[int] = []
    while len(kinds) < 2 * OVERLAPS:
        overlap = draw_overlap(recordings, surroundings, rng)
        first = first_voiced(overlap, vad)
        if first is None or (overlap.kind >= 2 and rng.random() < 0.6):  # noise and echo: the audio classifier's task
            continue
        for age in rng.choice(AGES, 2, replace=False):
            sound = overlap.sound[max(0, first - OVERLAP_LEAD) * WINDOW : (first + int(age)) * WINDOW]
            encoded = asr.states(np.pad(sound, (0, OVERLAP_PAD)))[0, :STATES]  # (T, 288)
            states.append(np.pad(encoded, ((0, STATES - len(encoded)), (0, 0))).astype(np.float16))
            lengths.append(len(encoded))
            kinds.append(overlap.kind)
    return OverlapExamples(np.stack(states), np.array(lengths), np.array(kinds))


def train(examples: OverlapExamples) -> AttentionHead:
    """Trains a head; a few minutes."""
    torch.manual_seed(0)
    kinds = torch.from_numpy(examples.kinds)
    mask = torch.arange(STATES)[None] < torch.from_numpy(examples.lengths)[:, None]  # (N, STATES)

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        return functional.cross_entropy(logits, kinds[chosen], label_smoothing=0.05)

    return fit(AttentionHead(UNITS, len(CLASSES)), examples.states, mask, loss, EPOCHS)


def main(folder: Path, out: Path = WEIGHTS, only: int | None = None) -> None:
    """Makes the missing parts of the examples (or `only` one), then trains and writes the head."""
    store = open_store()
    asr, vad = Moonshine(store.path("moonshine-tiny-en"), 1), SileroVad(store.path("silero-vad"))
    made: list[OverlapExamples] = []
    for part in range(PARTS) if only is None else [only]:
        path = folder / f"asides-{part}.npz"
        if not path.exists():
            np.savez(path, **make(folder, asr, vad, part)._asdict())
        with np.load(path) as file:
            made.append(OverlapExamples(file["states"], file["lengths"], file["kinds"]))
    if only is None:
        states, lengths, kinds = (np.concatenate(column) for column in zip(*made, strict=True))
        net = train(OverlapExamples(states, lengths, kinds))
        export(net, lambda logits: torch.softmax(logits, 1), "scores", out)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="folder of the recordings of turns.voices")
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS, help="the ONNX file (default: the package's)")
    parser.add_argument("--part", type=int, choices=range(PARTS), help="make only this part of the examples")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.folder, options.out, options.part)
