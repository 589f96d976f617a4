"""Vectors to one of 4096 numbers and back.

    vector (N, D) ─nearest of the codebook─► code (N,) ─► codebook vector (N, D)

The codebook follows its vectors by moving averages instead of a gradient; a code that nothing falls upon any more is
put where a vector of the batch is, so that none dies. Source: van den Oord et al. 2017, appendix A; restarts after
Dhariwal et al. 2020 (Jukebox).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

DECAY: Final = 0.97
DEAD: Final = 0.2
"""Moving average of the vectors per batch and code, as a share of the even one, below which a code is restarted."""


class Codebook(nn.Module):
    """`size` vectors of `width`, gathered from the data as training goes on."""

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.randn(size, width))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))

    def codes(self, vectors: Tensor) -> Tensor:
        """(..., D) -> (...), the nearest code."""
        flat = vectors.reshape(-1, vectors.shape[-1])
        closeness = flat @ self.vectors.T - 0.5 * self.vectors.square().sum(1)
        return closeness.argmax(1).reshape(vectors.shape[:-1])

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., D) -> the same quantised, with the gradient passed through; codes; how far the vectors are from them.

        In training the codebook moves."""
        codes = self.codes(vectors)
        quantised = functional.embedding(codes, self.vectors)
        commitment = (vectors - quantised).square().mean()
        if self.training:
            self._follow(vectors.detach().float().reshape(-1, vectors.shape[-1]), codes.reshape(-1))
        return vectors + (quantised - vectors).detach(), codes, commitment

    @torch.no_grad()
    def _follow(self, vectors: Tensor, codes: Tensor) -> None:
        size = len(self.counts)
        counts = torch.bincount(codes, minlength=size).float()
        sums = torch.zeros_like(self.sums).index_add_(0, codes, vectors)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        self.counts.lerp_(counts, 1 - DECAY)
        self.sums.lerp_(sums, 1 - DECAY)
        self.vectors.copy_(self.sums / self.counts.clamp_min(1e-6)[:, None])
        even = counts.sum() / size
        dead = torch.nonzero(self.counts < DEAD * even).flatten()
        fresh = vectors[torch.randint(len(vectors), (len(dead),))]
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(fresh, 0)
        self.vectors[dead] = fresh
        self.counts[dead] = even
        self.sums[dead] = fresh * even
