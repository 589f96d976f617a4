"""A small attention head on the states of the ASR encoder: network, training, export.

    states (B, T, 288) ─project─► (B, T, units) ─conv 5─► (B, T, units) ─attention, 4 heads─► (B, 4 * units) ─► logits

Both heads of turn-taking are such networks (train_asr_overlap.py, train_asr_endpoint.py).
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
HEADS: Final = 4
BATCH: Final = 64
RATE: Final = 3e-3


class AttentionHead(nn.Module):
    """`outputs` logits from `HEADS` weighted means of the states. With `max_states`, the longest input, a learned bias
    for each distance from the end is added to the attention."""

    def __init__(self, units: int, outputs: int, max_states: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)
        self.project = nn.Linear(SIZE, units)
        self.conv = nn.Conv1d(units, units, 5, padding=2)
        self.attention = nn.Linear(units, HEADS)
        self.distance = nn.Parameter(torch.zeros(max_states, HEADS)) if max_states else None
        self.logits = nn.Linear(HEADS * units, outputs)
        self.drop = nn.Dropout(0.3)

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, SIZE) -> logits (B, outputs); `mask` (B, T): false for padding."""
        x = functional.relu(self.project(self.drop(self.norm(states))))  # (B, T, units)
        x = functional.relu(self.conv(x.transpose(1, 2)).transpose(1, 2))
        scores = self.attention(x)  # (B, T, HEADS)
        if self.distance is not None:
            scores = scores + self.distance[len(self.distance) - states.shape[1] :]
        if mask is not None:
            scores = scores.masked_fill(~mask[..., None], -1e9)
        pooled = torch.softmax(scores, 1).transpose(1, 2) @ x  # (B, HEADS, units)
        logits: Tensor = self.logits(self.drop(pooled.flatten(1)))
        return logits


class _WithOutput(nn.Module):
    """(B, T, SIZE) -> `activation` of the logits."""

    def __init__(self, net: AttentionHead, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net
        self.activation = activation

    def forward(self, states: Tensor) -> Tensor:
        return self.activation(self.net(states))


def fit(
    net: AttentionHead, states: NDArray[np.float16], mask: Tensor, loss: Callable[[Tensor, Tensor], Tensor], epochs: int
) -> AttentionHead:
    """Trains `net` on `states` (N, T, SIZE) with `mask` (N, T). `loss(logits, chosen)`: logits (B, outputs) of the
    examples with the indices `chosen`, (B,). A few minutes for ten thousand examples; the caller seeds torch."""
    count = len(states)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.03)
    batches = count // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches)
    for step in range(epochs * batches):
        if step % batches == 0:
            order = np.random.default_rng(step).permutation(count)
        chosen = torch.from_numpy(order[step % batches * BATCH :][:BATCH])
        batch = torch.from_numpy(states[chosen.numpy()].astype(np.float32))  # (B, T, SIZE)
        batch = batch + torch.randn_like(batch) * 0.1 * batch.std()
        value = loss(net(batch, mask[chosen]), chosen)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call] # torch
        optimizer.step()
        schedule.step()
    return net.eval()


def export(net: AttentionHead, activation: Callable[[Tensor], Tensor], name: str, path: Path) -> None:
    """Writes an ONNX file: input "states", (1, T, SIZE); output `name`, `activation` of the logits."""
    save(path, _WithOutput(net, activation), (torch.zeros(1, 40, SIZE),), ["states"], [name], {}, {"states": {1: "T"}})
