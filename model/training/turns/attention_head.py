"""A small network that looks at a few places of what the recogniser's encoder hears: how one learns and is written.

states (B, T, 288) ─► fewer numbers each ─► a little of what is around ─► four places, by what is there ─► logits
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.training.onnx_files import save

SIZE: Final = 288
PLACES: Final = 4
BATCH: Final = 64
RATE: Final = 3e-3


class Attention(nn.Module):
    """`outputs` logits from `PLACES` places. With `near`, the longest sound in states, it also counts how far a place
    is from the end."""

    def __init__(self, units: int, outputs: int, near: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)
        self.narrow = nn.Linear(SIZE, units)
        self.around = nn.Conv1d(units, units, 5, padding=2)
        self.places = nn.Linear(units, PLACES)
        self.distance = nn.Parameter(torch.zeros(near, PLACES)) if near else None
        self.head = nn.Linear(PLACES * units, outputs)
        self.drop = nn.Dropout(0.3)

    def forward(self, states: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, T, SIZE) -> logits (B, outputs); `there` (B, T): which states are no padding."""
        x = functional.relu(self.narrow(self.drop(self.norm(states))))
        x = functional.relu(self.around(x.transpose(1, 2)).transpose(1, 2))
        where = self.places(x)  # (B, T, PLACES)
        if self.distance is not None:
            where = where + self.distance[len(self.distance) - states.shape[1] :]
        if there is not None:
            where = where.masked_fill(~there[..., None], -1e9)
        seen = torch.softmax(where, 1).transpose(1, 2) @ x  # (B, PLACES, units)
        logits: Tensor = self.head(self.drop(seen.flatten(1)))
        return logits


class _Answering(nn.Module):
    def __init__(self, net: Attention, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net
        self.answer = answer

    def forward(self, states: Tensor) -> Tensor:
        return self.answer(self.net(states))


def fit(
    net: Attention, states: NDArray[np.float16], there: Tensor, loss: Callable[[Tensor, Tensor], Tensor], epochs: int
) -> Attention:
    """Trains `net` on `states` (N, T, SIZE), as far as they are `there` (N, T). `loss`: of the logits (B, outputs) of
    the examples that its second argument names, (B,). A few minutes for ten thousand; the caller has seeded torch."""
    count = len(states)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    each = count // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * each)
    for step in range(epochs * each):
        if step % each == 0:
            order = np.random.default_rng(step).permutation(count)
        chosen = torch.from_numpy(order[step % each * BATCH :][:BATCH])
        seen = torch.from_numpy(states[chosen.numpy()].astype(np.float32))
        seen = seen + torch.randn_like(seen) * 0.1 * seen.std()
        wrong = loss(net(seen, there[chosen]), chosen)
        optimizer.zero_grad()
        wrong.backward()  # type: ignore[no-untyped-call] # torch
        optimizer.step()
        schedule.step()
    return net.eval()


def export(net: Attention, answer: Callable[[Tensor], Tensor], name: str, path: Path) -> None:
    """Writes `answer` of the logits as the output `name` of an ONNX file; its input "states" is (1, T, SIZE)."""
    save(path, _Answering(net, answer), (torch.zeros(1, 40, SIZE),), ["states"], [name], {}, {"states": {1: "T"}})
