"""The code book's network: latents of the voice to codes, and codes to latents.

    latents (B, 4T, 192) ─Reader─► (B, T, D) ─Codebook─► codes (B, T) ─Writer─► latents of frame t - 1, final
       with noise           ± 3 frames                           what came before     latents of frame t, provisional
                                                                 and code t

Latents come and go in standard scores. The writer's final word on a frame waits for one more code (46.67 ms): the
vocoder needs four latents to the right of what it makes sound, and gets the provisional ones. All convolutions are
written as sums of shifted inputs, which is quickest on a CPU and shows what each looks at.

Vectors to one of 4096 numbers and back.

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

CHANNELS: Final = 192
PER_FRAME: Final = 4
"""Latents of a frame."""
FRAME: Final = CHANNELS * PER_FRAME
CODES: Final = 4096
VECTOR: Final = 64
WIDTH: Final = 256
PAST: Final = 4
"""Frames before its own that a block of the writer looks at."""
READER_BLOCKS: Final = 3
WRITER_BLOCKS: Final = 4


class Block(nn.Module):
    """A residual block, (B, T, WIDTH): each channel over time, then each moment over channels."""

    def __init__(self, past: int, future: int) -> None:
        super().__init__()
        self.past, self.future = past, future
        self.taps = nn.Parameter(torch.randn(past + 1 + future, WIDTH) * (past + 1 + future) ** -0.5)
        self.norm = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Zeros stand for what is before and behind."""
        return self.known(functional.pad(x, (0, 0, self.past, self.future)))

    def known(self, x: Tensor) -> Tensor:
        """(B, past + T + future, WIDTH) -> (B, T, WIDTH)."""
        count = x.shape[1] - self.past - self.future
        mixed = sum((x[:, k : k + count] * tap for k, tap in enumerate(self.taps.unbind())), torch.zeros(()))
        y: Tensor = self.narrow(functional.gelu(self.wide(self.norm(mixed))))
        return x[:, self.past : self.past + count] + y


class Reader(nn.Module):
    """Latents to what the code book sees of them: frame t with three frames to each side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FRAME, WIDTH)
        self.blocks = nn.ModuleList(Block(1, 1) for _ in range(READER_BLOCKS))
        self.last = nn.Linear(WIDTH, VECTOR)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 4T, 192) -> (B, T, VECTOR), each of mean 0 and variance 1."""
        x = self.first(latents.reshape(latents.shape[0], -1, FRAME))
        for block in self.blocks:
            x = block(x)
        return functional.layer_norm(self.last(x), (VECTOR,))  # else the code book runs after a growing cloud


class Writer(nn.Module):
    """Vectors of the code book to latents."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(VECTOR, WIDTH)
        self.blocks = nn.ModuleList(Block(PAST, 0) for _ in range(WRITER_BLOCKS))
        self.final = nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, FRAME))
        self.provisional = nn.Linear(WIDTH, FRAME)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, VECTOR) -> latents (B, 4T, 192) as known one code later, and as known at once.

        The last frame is only known as if a frame of zeros followed."""
        x = self.first(vectors)
        for block in self.blocks:
            x = block(x)
        after = functional.pad(x, (0, 0, 0, 1))[:, 1:]
        final = self.final(torch.cat([x, after], 2))
        shape = (x.shape[0], -1, CHANNELS)
        return final.reshape(shape), self.provisional(x).reshape(shape)


class Autoencoder(nn.Module):
    """All three, and the scale of the latents: `mean`, `spread` and `importance` (mean 1), (192,) each."""

    mean: Tensor
    spread: Tensor
    importance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("spread", torch.ones(CHANNELS))
        self.register_buffer("importance", torch.ones(CHANNELS))
        self.reader = Reader()
        self.codebook = Codebook(CODES, VECTOR)
        self.writer = Writer()

    def codes(self, latents: Tensor) -> Tensor:
        """Latents as the voice has them, (B, 4T, 192) -> codes (B, T)."""
        return self.codebook.codes(self.reader((latents - self.mean) / self.spread))

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> latents as the voice has them, (B, 4T, 192)."""
        final: Tensor = self.writer(functional.embedding(codes, self.codebook.vectors))[0]
        return final * self.spread + self.mean

    def left(self, error: Tensor) -> Tensor:
        """Error of standard scores, (B, 4T, 192) -> the part of the variance that it is, channels by importance."""
        part: Tensor = (error.square() * self.importance).mean()
        return part

    def forward(self, heard: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Standard scores (B, 4T, 192) -> final and provisional ones, codes (B, T), distance from the code book."""
        vectors, codes, commitment = self.codebook(self.reader(heard))
        return *self.writer(vectors), codes, commitment


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
