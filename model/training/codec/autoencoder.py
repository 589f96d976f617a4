"""The codebook's network, a quantised autoencoder of joe's latents.

    latents (B, 4T, 192) ─LatentEncoder─► (B, T, D) ─Codebook─► codes (B, T) ─LatentDecoder─► latents of frame t - 1,
       with noise          ± 3 frames                             past codes, code t           final; latents of
                                                                                               frame t, provisional

Latents are standard scores, in and out. The decoder's final latents of a frame wait for one more code (46.67 ms): the
vocoder needs four latents to the right of the sound it makes, and gets the provisional ones. All convolutions are
sums of shifted inputs, which is fastest on a CPU and shows what each one covers.

The codebook follows its vectors by moving averages instead of a gradient; a code without vectors is moved to a vector
of the batch, so that none dies. Sources: van den Oord et al. 2017, appendix A; restarts after Dhariwal et al. 2020
(Jukebox).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS: Final = 192
PER_FRAME: Final = 4
"""Latents of a frame."""
FRAME: Final = CHANNELS * PER_FRAME
"""Numbers of a frame."""
CODES: Final = 4096
VECTOR: Final = 64
WIDTH: Final = 256
PAST: Final = 4
"""Past frames that a block of the decoder covers."""
ENCODER_BLOCKS: Final = 3
DECODER_BLOCKS: Final = 4
DECAY: Final = 0.97
"""Of the codebook's moving averages, per batch."""
DEAD: Final = 0.2
"""Moving average of the vectors per batch and code, as a share of the even one, below which a code is restarted."""


class ConvBlock(nn.Module):
    """A residual block, (B, T, WIDTH): a convolution of each channel over time, then an MLP over channels."""

    def __init__(self, past: int, future: int) -> None:
        super().__init__()
        self.past, self.future = past, future
        self.taps = nn.Parameter(torch.randn(past + 1 + future, WIDTH) * (past + 1 + future) ** -0.5)
        self.norm = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, WIDTH) -> (B, T, WIDTH), zero-padded."""
        return self.valid(functional.pad(x, (0, 0, self.past, self.future)))

    def valid(self, x: Tensor) -> Tensor:
        """(B, past + T + future, WIDTH) -> (B, T, WIDTH), without padding."""
        count = x.shape[1] - self.past - self.future
        mixed = sum((x[:, k : k + count] * tap for k, tap in enumerate(self.taps.unbind())), torch.zeros(()))
        y: Tensor = self.narrow(functional.gelu(self.wide(self.norm(mixed))))
        return x[:, self.past : self.past + count] + y


class LatentEncoder(nn.Module):
    """Latents to the vectors that are quantised; covers three frames to each side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FRAME, WIDTH)
        self.blocks = nn.ModuleList(ConvBlock(1, 1) for _ in range(ENCODER_BLOCKS))
        self.last = nn.Linear(WIDTH, VECTOR)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 4T, 192) -> (B, T, VECTOR), each of mean 0 and variance 1."""
        x = self.first(latents.reshape(latents.shape[0], -1, FRAME))  # (B, T, WIDTH)
        for block in self.blocks:
            x = block(x)
        return functional.layer_norm(self.last(x), (VECTOR,))  # or the vectors grow, and the codebook cannot follow


class LatentDecoder(nn.Module):
    """Vectors of the codebook to latents."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(VECTOR, WIDTH)
        self.blocks = nn.ModuleList(ConvBlock(PAST, 0) for _ in range(DECODER_BLOCKS))
        self.final = nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, FRAME))
        self.provisional = nn.Linear(WIDTH, FRAME)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, VECTOR) -> final and provisional latents, (B, 4T, 192) each; the last frame is zero-padded."""
        x = self.first(vectors)  # (B, T, WIDTH)
        for block in self.blocks:
            x = block(x)
        after = functional.pad(x, (0, 0, 0, 1))[:, 1:]  # (B, T, WIDTH), one frame later
        final = self.final(torch.cat([x, after], 2))  # (B, T, FRAME)
        shape = (x.shape[0], -1, CHANNELS)
        return final.reshape(shape), self.provisional(x).reshape(shape)


class Autoencoder(nn.Module):
    """Encoder, codebook and decoder, and the scale of the latents: `mean`, `std` and `importance` (mean 1), (192,)."""

    mean: Tensor
    std: Tensor
    importance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("std", torch.ones(CHANNELS))
        self.register_buffer("importance", torch.ones(CHANNELS))
        self.encoder = LatentEncoder()
        self.codebook = Codebook(CODES, VECTOR)
        self.decoder = LatentDecoder()
        accept_old_names(self, {"spread": "std", "reader": "encoder", "writer": "decoder"})

    def codes(self, latents: Tensor) -> Tensor:
        """Latents of the voice, unscaled, (B, 4T, 192) -> codes (B, T)."""
        return self.codebook.codes(self.encoder((latents - self.mean) / self.std))

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> latents of the voice, unscaled, (B, 4T, 192)."""
        final: Tensor = self.decoder(functional.embedding(codes, self.codebook.vectors))[0]
        return final * self.std + self.mean

    def weighted_error(self, error: Tensor) -> Tensor:
        """Mean square of errors of standard scores, (B, 4T, 192), weighted by importance: 1 is all the variance."""
        mean: Tensor = (error.square() * self.importance).mean()
        return mean

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Standard scores (B, 4T, 192) -> final and provisional ones, codes (B, T), commitment loss."""
        vectors, codes, commitment = self.codebook(self.encoder(scores))
        return *self.decoder(vectors), codes, commitment


class Codebook(nn.Module):
    """`size` vectors of `width`, learned from the data by moving averages."""

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.randn(size, width))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))

    def codes(self, vectors: Tensor) -> Tensor:
        """(..., D) -> the nearest codes, (...)."""
        flat = vectors.reshape(-1, vectors.shape[-1])
        closeness = flat @ self.vectors.T - 0.5 * self.vectors.square().sum(1)
        return closeness.argmax(1).reshape(vectors.shape[:-1])

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., D) -> quantised vectors with straight-through gradient, (..., D); codes, (...); commitment loss.

        In training the codebook is updated."""
        codes = self.codes(vectors)
        quantised = functional.embedding(codes, self.vectors)
        commitment = (vectors - quantised).square().mean()
        if self.training:
            self._update(vectors.detach().float().reshape(-1, vectors.shape[-1]), codes.reshape(-1))
        return vectors + (quantised - vectors).detach(), codes, commitment

    @torch.no_grad()
    def _update(self, vectors: Tensor, codes: Tensor) -> None:
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


def accept_old_names(module: nn.Module, names: Mapping[str, str]) -> None:
    """Lets `module` read checkpoints of earlier runs, in which the children and buffers `names` (old: new) had other
    names."""

    def rename(owner: nn.Module, state: dict[str, Any], prefix: str, *others: object) -> None:
        for key in [key for key in state if key.startswith(prefix)]:
            child, _, rest = key.removeprefix(prefix).partition(".")
            if child in names:
                state[f"{prefix}{names[child]}" + (f".{rest}" if rest else "")] = state.pop(key)

    module.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call] # torch has no types for it
