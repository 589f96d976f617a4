"""Trains the codebook, with encoder and decoder of the latents.

    shards of latents ─► crops, with noise or without ─► Autoencoder ─► latents without noise
                                                         OUT/state.pt every two minutes, OUT/curve.tsv, OUT/curve.png

    python -m vivavoce.model.training.codec.train_codebook LATENTS OUT [--steps N] [--surrogate STATE]
                                              [--perceptual WEIGHT] [--init STATE] [--decoder-only]

A channel of the latents is weighted by its effect on the vocoder, which differs by a factor of a thousand. The loss is
the mean square error, so weighted, as a share of the variance, and with a surrogate (see asr_surrogate.py) the
perceptual distance of the decoded latents. A stopped run continues from its last checkpoint. Under `torchrun` each
process draws its own crops and the gradients are averaged. With `--decoder-only` encoder and codebook are frozen, so
that the codes, and an audio encoder trained against them, remain valid. The first shards are held out: all columns of
the curve but the first two are theirs. 0.7 s of one core per step.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec import vocoder
from vivavoce.model.training.codec.asr_surrogate import AsrSurrogate, load_surrogate
from vivavoce.model.training.codec.autoencoder import CODES, PER_FRAME, Autoencoder
from vivavoce.model.training.loss_curve import plot

HELD_OUT: Final = 1
"""Shards that are not trained on."""
SAVED: Final = 120.0
"""Seconds between checkpoints."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters. `batch`: crops; `crop`: frames of one; `commitment`, `provisional`, `perceptual`: weights of the
    losses; `with_noise`: share of crops whose input has noise; `clip_starts`: share of crops at the start of a clip;
    `importance_frames`: frames on which the channels' importance is measured."""

    steps: int = 6000
    batch: int = 20
    crop: int = 48
    learning_rate: float = 1e-3
    warm_up: int = 100
    commitment: float = 0.25
    provisional: float = 0.3
    perceptual: float = 4.0
    with_noise: float = 0.5
    clip_starts: float = 0.25
    evaluated_every: int = 100
    importance_frames: int = 24
    seed: int = 11
    decoder_only: bool = False


@dataclass(frozen=True, slots=True)
class Clips:
    """Latents, (frames, 4 * 192) float16 each, of clips one after the other; `ends`: the frame after each clip."""

    clean: NDArray[np.float16]
    noisy: NDArray[np.float16]
    ends: NDArray[np.int64]

    @classmethod
    def read(cls, paths: list[Path]) -> Clips:
        """Reads shards. Raises `ValueError` when there are none."""
        if not paths:
            raise ValueError("expected shards latents-*.npz, found none")
        shards = [np.load(path) for path in paths]
        both = [
            np.concatenate([np.ascontiguousarray(shard[kind].T).reshape(-1, 768) for shard in shards])
            for kind in ("clean", "noisy")
        ]
        lengths = np.concatenate([shard["lengths"] for shard in shards]) // PER_FRAME
        return cls(both[0], both[1], np.cumsum(lengths))

    @property
    def starts(self) -> NDArray[np.int64]:
        """First frame of each clip."""
        return np.concatenate(([0], self.ends[:-1]))

    def crops(self, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields input and target crops, (batch, 4 * crop, 192) each, without end; they may span several clips."""
        while True:
            starts = rng.integers(0, len(self.clean) - recipe.crop, recipe.batch)
            first = rng.random(recipe.batch) < recipe.clip_starts
            starts[first] = rng.choice(self.starts[self.starts <= len(self.clean) - recipe.crop], int(first.sum()))
            targets = np.stack([self.clean[at : at + recipe.crop] for at in starts])
            inputs = np.stack([self.noisy[at : at + recipe.crop] for at in starts])
            same = rng.random(recipe.batch) >= recipe.with_noise
            inputs[same] = targets[same]
            yield _latents(inputs), _latents(targets)


def main(
    folder: Path,
    voice: vocoder.Vocoder,
    out: Path,
    recipe: Recipe,
    surrogate: AsrSurrogate | None = None,
    init: Path | None = None,
) -> Autoencoder:
    """Trains to the end of `recipe` on the shards in `folder`; returns the network. `init`: a checkpoint of another run
    to start from."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    paths = sorted(folder.glob("latents-*.npz"))
    held_out, clips = Clips.read(paths[:HELD_OUT]), Clips.read(paths[HELD_OUT:])
    model = Autoencoder()
    run = _Run(model, recipe, out, surrogate if surrogate is None else surrogate.to(device))
    resumed = run.resume()
    if not resumed and init is not None:
        model.load_state_dict(torch.load(init, weights_only=True)["model"])
    elif not resumed:
        model.mean.copy_(_latents(clips.clean[::7]).mean((0, 1)))
        model.std.copy_(_latents(clips.clean[::7]).std((0, 1)))
        measured = _latents(clips.clean[None, : recipe.importance_frames]).transpose(1, 2)
        model.importance.copy_(vocoder.importance(voice, measured))
    model.to(device)
    model.encoder.requires_grad_(not recipe.decoder_only)
    parallel = DistributedDataParallel(model) if world > 1 else model
    crops = clips.crops(recipe, np.random.default_rng((recipe.seed, rank, run.step)))
    saved = time.monotonic()
    while run.step < recipe.steps:
        run.train(parallel, *(x.to(device) for x in next(crops)))
        last = run.step == recipe.steps
        if rank == 0 and (run.step % recipe.evaluated_every == 0 or last):
            run.evaluate(held_out, device)
        if rank == 0 and (time.monotonic() - saved > SAVED or last):
            run.save()
            saved = time.monotonic()
    if world > 1:
        torch.distributed.destroy_process_group()
    return model


class _Run:
    """The state of a training run, as kept in a checkpoint."""

    def __init__(self, model: Autoencoder, recipe: Recipe, out: Path, surrogate: AsrSurrogate | None) -> None:
        self.model, self.recipe, self.out, self.surrogate, self.step = model, recipe, out, surrogate, 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(), recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.curve: list[tuple[float, ...]] = []  # rows as named in `evaluate`
        self.running_error = 1.0
        self.silence = 0
        out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Reads the checkpoint; returns whether there was one."""
        path = self.out / "state.pt"
        if not path.exists():
            return False
        checkpoint = torch.load(path, weights_only=True)
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.step, self.curve = checkpoint["step"], [tuple(row) for row in checkpoint["curve"]]
        return True

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        part = self.out / "state.part"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "curve": [list(row) for row in self.curve],
                "silence": self.silence,
                "recipe": asdict(self.recipe),
            },
            part,
        )
        part.replace(self.out / "state.pt")

    def train(self, parallel: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        """One step; `inputs`, `targets`: (B, 4T, 192)."""
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / recipe.warm_up)
        cooled = 0.5 * (1 + np.cos(np.pi * self.step / recipe.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * warm * max(0.02, float(cooled))
        model = self.model.train()
        model.codebook.train(not recipe.decoder_only)
        inputs, targets = (inputs - model.mean) / model.std, (targets - model.mean) / model.std
        final, provisional, _, commitment = parallel(inputs)
        error = model.weighted_error((final - targets)[:, :-PER_FRAME])
        early = model.weighted_error(provisional - targets)
        perceptual = self.perceptual(final[:, :-PER_FRAME], targets[:, :-PER_FRAME])
        loss = error + recipe.provisional * early + recipe.perceptual * perceptual + recipe.commitment * commitment
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        share = 0.02 if self.step > 50 else 1.0
        self.running_error += share * (float(error.detach()) - self.running_error)

    def perceptual(self, one: Tensor, other: Tensor) -> Tensor:
        """Perceptual distance of two sets of standard scores, (B, 4T, 192) each; 0 without a surrogate."""
        model = self.model
        if self.surrogate is None:
            return one.new_zeros(())
        return self.surrogate.distance(*(scores * model.std + model.mean for scores in (one, other)))

    @torch.no_grad()
    def evaluate(self, held_out: Clips, device: torch.device | str) -> None:
        """Adds a row to the curve: errors of the held-out shards, final and provisional, and the codes they use."""
        model = self.model.eval()
        targets = (_latents(held_out.clean[None].reshape(1, -1, 768)).to(device) - model.mean) / model.std
        errors, earlies, distances, used = [], [], [], []
        for part in torch.split(targets, 400 * PER_FRAME, 1):
            final, provisional, codes, _ = model(part)
            errors.append(model.weighted_error(final - part).item())
            earlies.append(model.weighted_error(provisional - part).item())
            distances.append(self.perceptual(final, part).item())
            used.append(codes.flatten())
        counts = torch.bincount(torch.cat(used), minlength=CODES).float()
        self.silence = int(counts.argmax())  # the most frequent code of speech with pauses
        share = counts[counts > 0] / counts.sum()
        means = (float(np.mean(values)) for values in (errors, earlies, distances))
        row = (self.step, self.running_error, *means, float((counts > 0).sum()))
        entropy = float(-(share * share.log2()).sum())
        print(*(f"{value:.4g}" for value in row), f"{entropy:.2f} bits", flush=True)
        self.curve.append(row)
        names = ("step", "error, training", "error, held out", "provisional, held out", "perceptual", "codes used")
        plot(self.out / "curve", names, self.curve, last=5)


def _latents(frames: NDArray[np.float16]) -> Tensor:
    """(..., T, 768) -> (B, 4T, 192)."""
    array = np.asarray(frames, np.float32)
    return torch.from_numpy(array.reshape(-1 if array.ndim > 2 else 1, array.shape[-2] * PER_FRAME, 192))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("latents", type=Path, help="folder of the shards latents-*.npz")
    parser.add_argument("out", type=Path, help="where checkpoint and loss curve go")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="to train to (default: %(default)s)")
    parser.add_argument("--surrogate", type=Path, help="checkpoint of asr_surrogate, for the perceptual loss")
    parser.add_argument(
        "--perceptual", type=float, default=Recipe().perceptual, help="weight of that loss (default: %(default)s)"
    )
    parser.add_argument("--init", type=Path, help="checkpoint of another run to start from")
    parser.add_argument("--decoder-only", action="store_true", help="freeze encoder and codebook")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    recipe = Recipe(options.steps, perceptual=options.perceptual, decoder_only=options.decoder_only)
    surrogate = options.surrogate and load_surrogate(options.surrogate)
    voice = vocoder.from_store(open_store())
    main(options.latents, voice, options.out, recipe, surrogate, options.init)
