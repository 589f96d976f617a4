"""Trains what the ears say of sound over the assistant: python -m vivavoce.realtime.turns.training.asides FOLDER [PART]

    recordings (speak.py) ─► overlaps (mixing.py) ─► cut off after 6, 8, ... 20 windows ─► Moonshine's encoder
                          ─► states (T, 288) ─► four places to look at ─► model/cascade/ears/aside.onnx

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
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model import catalog
from vivavoce.model.cascade.ears.aside import WEIGHTS
from vivavoce.model.cascade.ears.moonshine import OVERHEARD_PAD, Moonshine
from vivavoce.model.store import Store, default_home
from vivavoce.realtime.turns.backchannel import WINDOW
from vivavoce.realtime.turns.floor import CATCH_LEAD
from vivavoce.realtime.turns.overlap import LOOKS
from vivavoce.realtime.turns.speech import SpeechNet, silero_path
from vivavoce.realtime.turns.training.examples import first_voiced
from vivavoce.realtime.turns.training.mixing import CLASSES, Recordings, Surroundings, overhear

PARTS: Final = 6
EACH: Final = 1000
"""Overlaps of a part; each is looked at twice."""
AGES: Final = LOOKS[:6]
STATES: Final = 56
"""States kept of a look: the longest has 55."""
SIZE: Final = 288
UNITS: Final = 64
PLACES: Final = 4
EPOCHS: Final = 8
BATCH: Final = 64
RATE: Final = 3e-3


class Looks(NamedTuple):
    """`states` (N, STATES, SIZE) float16, of which the first `lengths` (N,) count; `kinds` (N,): index of `CLASSES`."""

    states: NDArray[np.float16]
    lengths: NDArray[np.int64]
    kinds: NDArray[np.int64]


class Attention(nn.Module):
    """Looks at `PLACES` places of a sound, and says what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)
        self.narrow = nn.Linear(SIZE, UNITS)
        self.around = nn.Conv1d(UNITS, UNITS, 5, padding=2)
        self.places = nn.Linear(UNITS, PLACES)
        self.head = nn.Linear(PLACES * UNITS, len(CLASSES))
        self.drop = nn.Dropout(0.3)

    def forward(self, states: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, T, SIZE) -> logits (B, 4); `there` (B, T): which states are no padding."""
        x = functional.relu(self.narrow(self.drop(self.norm(states))))
        x = functional.relu(self.around(x.transpose(1, 2)).transpose(1, 2))
        where = self.places(x)  # (B, T, PLACES)
        if there is not None:
            where = where.masked_fill(~there[..., None], -1e9)
        seen = torch.softmax(where, 1).transpose(1, 2) @ x  # (B, PLACES, UNITS)
        logits: Tensor = self.head(self.drop(seen.flatten(1)))
        return logits


class _Scores(nn.Module):
    def __init__(self, trained: Attention) -> None:
        super().__init__()
        self.trained = trained

    def forward(self, states: Tensor) -> Tensor:
        return torch.softmax(self.trained(states), 1)


def make(folder: Path, ears: Moonshine, part: int) -> Looks:
    """One part of the examples, the same on every run."""
    rng = np.random.default_rng(part)
    recordings = Recordings.read(folder, development=False)
    around, net = Surroundings.make(recordings, rng), SpeechNet(silero_path())
    states: list[NDArray[np.float16]] = []
    lengths: list[int] = []
    kinds: list[int] = []
    while len(kinds) < 2 * EACH:
        overheard = overhear(recordings, around, rng)
        first = first_voiced(overheard, net)
        if first is None or (overheard.kind >= 2 and rng.random() < 0.6):  # noise and echo: the other network's
            continue
        for age in rng.choice(AGES, 2, replace=False):
            sound = overheard.sound[max(0, first - CATCH_LEAD) * WINDOW : (first + int(age)) * WINDOW]
            found = ears.states(np.pad(sound, (0, OVERHEARD_PAD)))[0, :STATES]
            states.append(np.pad(found, ((0, STATES - len(found)), (0, 0))).astype(np.float16))
            lengths.append(len(found))
            kinds.append(overheard.kind)
    return Looks(np.stack(states), np.array(lengths), np.array(kinds))


def train(looks: Looks) -> Attention:
    """A few minutes."""
    torch.manual_seed(0)
    net, count = Attention(), len(looks.kinds)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    steps = EPOCHS * (count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    lengths, kinds = torch.from_numpy(looks.lengths), torch.from_numpy(looks.kinds)
    for step in range(steps):
        if step % (count // BATCH) == 0:
            order = np.random.default_rng(step).permutation(count)
        chosen = order[step % (count // BATCH) * BATCH :][:BATCH]
        states = torch.from_numpy(looks.states[chosen].astype(np.float32))
        states = states + torch.randn_like(states) * 0.1 * states.std()
        there = torch.arange(STATES)[None] < lengths[chosen, None]
        loss = functional.cross_entropy(net(states, there), kinds[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch
        optimizer.step()
        schedule.step()
    return net.eval()


def main(folder: Path, only: int | None) -> None:
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    ears = Moonshine(store.path("moonshine-tiny-en"), 1)
    made: list[Looks] = []
    for part in range(PARTS) if only is None else [only]:
        kept = folder / f"asides-{part}.npz"
        if not kept.exists():
            np.savez(kept, **make(folder, ears, part)._asdict())
        with np.load(kept) as found:
            made.append(Looks(found["states"], found["lengths"], found["kinds"]))
    if only is None:
        states, lengths, kinds = (np.concatenate(column) for column in zip(*made, strict=True))
        _export(train(Looks(states, lengths, kinds)))


def _export(net: Attention) -> None:
    torch.onnx.export(
        _Scores(net),
        (torch.zeros(1, 40, SIZE),),
        str(WEIGHTS),
        dynamo=False,
        opset_version=17,
        input_names=["states"],
        output_names=["scores"],
        dynamic_axes={"states": {1: "T"}},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
