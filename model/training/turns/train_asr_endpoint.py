"""Trains what the ears say of a pause: python -m vivavoce.model.training.turns.train_asr_endpoint FOLDER

    FOLDER/endings-*.npz (asr_endpoint_dataset.py) ─► four places near the end ─► model/turns/asr_endpoint_head.onnx

One part in eight is left out and says how good it is. A minute on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vivavoce.model.training.turns.asr_endpoint_dataset import Endings
from vivavoce.model.training.turns.attention_head import Attention, export, fit
from vivavoce.model.turns.asr_endpoint_head import STATES, WEIGHTS

UNITS: Final = 48
EPOCHS: Final = 14
CHECKED: Final = 8
"""Of so many parts one takes no part in training."""


def read(folder: Path, checked: bool) -> Endings:
    """All parts, but for those that are `checked`; or these."""
    paths = sorted(folder.glob("endings-*[0-9].npz"), key=lambda path: int(path.stem.split("-")[1]))
    made = []
    for path in paths:
        if (int(path.stem.split("-")[1]) % CHECKED == 0) == checked:
            with np.load(path) as found:
                made.append(Endings(found["states"], found["lengths"], found["finished"]))
    return Endings(*(np.concatenate(column) for column in zip(*made, strict=True)))


def train(endings: Endings, epochs: int = EPOCHS) -> Attention:
    """About a minute for 5000."""
    torch.manual_seed(0)
    finished = torch.from_numpy(endings.finished).float()
    share = finished.mean()

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        wanted = finished[chosen]
        weights = torch.where(wanted > 0.5, 0.5 / share, 0.5 / (1 - share))  # both kinds count the same
        return functional.binary_cross_entropy_with_logits(logits[:, 0], wanted * 0.94 + 0.03, weights)

    return fit(Attention(UNITS, 1, near=STATES), endings.states, _there(endings), loss, epochs)


@torch.no_grad()
def logits_of(net: Attention, endings: Endings) -> Tensor:
    """What it makes of `endings`, shape (N,)."""
    states = torch.from_numpy(endings.states.astype(np.float32))
    there, every = _there(endings), range(0, len(states), 250)
    return torch.cat([net(states[start : start + 250], there[start : start + 250])[:, 0] for start in every])


def area(logits: Tensor, finished: Tensor) -> float:
    """Under the curve: how often a finished ending is rated above an unfinished one."""
    above = logits[finished > 0][:, None] - logits[finished == 0][None]
    return float((above > 0).float().mean() + 0.5 * (above == 0).float().mean())


def _there(endings: Endings) -> Tensor:
    return torch.arange(STATES)[None] >= STATES - torch.from_numpy(endings.lengths)[:, None]


def main(folder: Path, out: Path = WEIGHTS) -> None:
    net, checked = train(read(folder, checked=False)), read(folder, checked=True)
    logits, finished = logits_of(net, checked), torch.from_numpy(checked.finished)
    right = ((logits > 0) == (finished > 0)).float()
    print(f"{sum(p.numel() for p in net.parameters())} weights; of {len(finished)} that it has not seen")
    print(f"  {right.mean():.1%} right, area {area(logits, finished):.3f}")
    write(net, out)


def write(net: Attention, path: Path) -> None:
    """Writes what `Finished` loads."""
    export(net, lambda logits: torch.sigmoid(logits[:, 0]), "finished", path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
