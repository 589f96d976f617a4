"""Trains what the ears say of a pause: python -m vivavoce.realtime.turns.training.finished FOLDER

    FOLDER/endings-*.npz (endings.py) ─► four places near the end to look at ─► model/cascade/ears/finished.onnx

One part in eight is left out and says how good it is. A minute on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.cascade.ears.finished import STATES, WEIGHTS
from vivavoce.realtime.turns.training.endings import Endings

SIZE: Final = 288
UNITS: Final = 48
PLACES: Final = 4
EPOCHS: Final = 14
BATCH: Final = 64
RATE: Final = 3e-3
CHECKED: Final = 8
"""Of so many parts one takes no part in training."""


class Ending(nn.Module):
    """Is a turn over that ends so? Looks at `PLACES` places, found by what is there and by how far it is to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)
        self.narrow = nn.Linear(SIZE, UNITS)
        self.around = nn.Conv1d(UNITS, UNITS, 5, padding=2)
        self.places = nn.Linear(UNITS, PLACES)
        self.distance = nn.Parameter(torch.zeros(STATES, PLACES))
        self.head = nn.Linear(PLACES * UNITS, 1)
        self.drop = nn.Dropout(0.3)

    def forward(self, states: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, T, SIZE), T <= STATES -> logits (B,); `there` (B, T): which states are no padding."""
        x = functional.relu(self.narrow(self.drop(self.norm(states))))
        x = functional.relu(self.around(x.transpose(1, 2)).transpose(1, 2))
        where = self.places(x) + self.distance[STATES - states.shape[1] :]
        if there is not None:
            where = where.masked_fill(~there[..., None], -1e9)
        seen = torch.softmax(where, 1).transpose(1, 2) @ x  # (B, PLACES, UNITS)
        logits: Tensor = self.head(self.drop(seen.flatten(1)))
        return logits[:, 0]


class _Probability(nn.Module):
    def __init__(self, trained: Ending) -> None:
        super().__init__()
        self.trained = trained

    def forward(self, states: Tensor) -> Tensor:
        return torch.sigmoid(self.trained(states))


def read(folder: Path, checked: bool) -> Endings:
    """All parts, but for those that are `checked`; or these."""
    paths = sorted(folder.glob("endings-*[0-9].npz"), key=lambda path: int(path.stem.split("-")[1]))
    made = []
    for path in paths:
        if (int(path.stem.split("-")[1]) % CHECKED == 0) == checked:
            with np.load(path) as found:
                made.append(Endings(found["states"], found["lengths"], found["finished"]))
    return Endings(*(np.concatenate(column) for column in zip(*made, strict=True)))


def train(endings: Endings, epochs: int = EPOCHS) -> Ending:
    """About a minute for 5000."""
    torch.manual_seed(0)
    net, count = Ending(), len(endings.finished)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    steps = epochs * (count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    lengths, finished = torch.from_numpy(endings.lengths), torch.from_numpy(endings.finished).float()
    share = finished.mean()
    for step in range(steps):
        if step % (count // BATCH) == 0:
            order = np.random.default_rng(step).permutation(count)
        chosen = order[step % (count // BATCH) * BATCH :][:BATCH]
        states = torch.from_numpy(endings.states[chosen].astype(np.float32))
        states = states + torch.randn_like(states) * 0.1 * states.std()
        wanted = finished[chosen]
        weights = torch.where(wanted > 0.5, 0.5 / share, 0.5 / (1 - share))
        logits = net(states, _there(lengths[chosen]))
        smooth = wanted * 0.94 + 0.03
        loss = functional.binary_cross_entropy_with_logits(logits, smooth, weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def logits_of(net: Ending, endings: Endings) -> Tensor:
    """What it makes of `endings`, shape (N,)."""
    states = torch.from_numpy(endings.states.astype(np.float32))
    there, every = _there(torch.from_numpy(endings.lengths)), range(0, len(states), 250)
    return torch.cat([net(states[start : start + 250], there[start : start + 250]) for start in every])


def area(logits: Tensor, finished: Tensor) -> float:
    """Under the curve: how often a finished ending is rated above an unfinished one."""
    above = logits[finished > 0][:, None] - logits[finished == 0][None]
    return float((above > 0).float().mean() + 0.5 * (above == 0).float().mean())


def _there(lengths: Tensor) -> Tensor:
    return torch.arange(STATES)[None] >= STATES - lengths[:, None]


def main(folder: Path, out: Path = WEIGHTS) -> None:
    net, checked = train(read(folder, checked=False)), read(folder, checked=True)
    logits, finished = logits_of(net, checked), torch.from_numpy(checked.finished)
    right = ((logits > 0) == (finished > 0)).float()
    print(f"{sum(p.numel() for p in net.parameters())} weights; of {len(finished)} that it has not seen")
    print(f"  {right.mean():.1%} right, area {area(logits, finished):.3f}")
    _export(net, out)


def _export(net: Ending, path: Path) -> None:
    torch.onnx.export(
        _Probability(net),
        (torch.zeros(1, 40, SIZE),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["states"],
        output_names=["finished"],
        dynamic_axes={"states": {1: "T"}},
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
