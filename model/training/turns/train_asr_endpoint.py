"""Trains the endpoint head: whether the turn is over, by the ASR encoder's states at a pause.

    python -m vivavoce.model.training.turns.train_asr_endpoint FOLDER [OUT]

    FOLDER/endings-*.npz (asr_endpoint_dataset.py) ─► AttentionHead ─► OUT, else model/turns/asr_endpoint_head.onnx

One part in eight is held out; accuracy and area under the curve on it are printed. A minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vivavoce.model.training import command_line
from vivavoce.model.training.turns.asr_endpoint_dataset import EndpointExamples
from vivavoce.model.training.turns.attention_head import AttentionHead, export, fit
from vivavoce.model.turns.asr_endpoint_head import STATES, WEIGHTS

UNITS: Final = 48
EPOCHS: Final = 14
HELD_OUT: Final = 8
"""One of so many parts is not trained on."""


def read(folder: Path, held_out: bool) -> EndpointExamples:
    """Reads the parts to train on, or those held out."""
    paths = sorted(folder.glob("endings-*[0-9].npz"), key=lambda path: int(path.stem.split("-")[1]))
    made = []
    for path in paths:
        if (int(path.stem.split("-")[1]) % HELD_OUT == 0) == held_out:
            with np.load(path) as part:
                made.append(EndpointExamples(part["states"], part["lengths"], part["finished"]))
    return EndpointExamples(*(np.concatenate(column) for column in zip(*made, strict=True)))


def train(examples: EndpointExamples, epochs: int = EPOCHS) -> AttentionHead:
    """Trains a head; about a minute for 5000 examples."""
    torch.manual_seed(0)
    finished = torch.from_numpy(examples.finished).float()
    share = finished.mean()

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        targets = finished[chosen]
        weights = torch.where(targets > 0.5, 0.5 / share, 0.5 / (1 - share))  # both classes count the same
        return functional.binary_cross_entropy_with_logits(logits[:, 0], targets * 0.94 + 0.03, weights)

    return fit(AttentionHead(UNITS, 1, max_states=STATES), examples.states, _mask(examples), loss, epochs)


@torch.no_grad()
def logits_of(net: AttentionHead, examples: EndpointExamples) -> Tensor:
    """Logits of `examples`, shape (N,)."""
    states = torch.from_numpy(examples.states.astype(np.float32))
    mask, starts = _mask(examples), range(0, len(states), 250)
    return torch.cat([net(states[start : start + 250], mask[start : start + 250])[:, 0] for start in starts])


def area(logits: Tensor, finished: Tensor) -> float:
    """Area under the ROC curve: how often a finished example is rated above an unfinished one."""
    above = logits[finished > 0][:, None] - logits[finished == 0][None]
    return float((above > 0).float().mean() + 0.5 * (above == 0).float().mean())


def _mask(examples: EndpointExamples) -> Tensor:
    """(N, STATES), false for padding."""
    return torch.arange(STATES)[None] >= STATES - torch.from_numpy(examples.lengths)[:, None]


def main(folder: Path, out: Path = WEIGHTS) -> None:
    """Trains on the data set in `folder` and writes the head."""
    net, held_out = train(read(folder, held_out=False)), read(folder, held_out=True)
    logits, finished = logits_of(net, held_out), torch.from_numpy(held_out.finished)
    right = ((logits > 0) == (finished > 0)).float()
    print(f"{sum(p.numel() for p in net.parameters())} weights; on {len(finished)} held-out examples:")
    print(f"  {right.mean():.1%} correct, area under the curve {area(logits, finished):.3f}")
    write(net, out)


def write(net: AttentionHead, path: Path) -> None:
    """Writes the file that `AsrEndpointHead` reads."""
    export(net, lambda logits: torch.sigmoid(logits[:, 0]), "finished", path)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="folder of the data set of asr_endpoint_dataset")
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS, help="the ONNX file (default: the package's)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.folder, options.out)
