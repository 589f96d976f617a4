"""Trains code book, reader and writer.

    shards of latents ─► crops, with noise or without ─► Autoencoder ─► latents without noise
                                                         OUT/state.pt every two minutes, OUT/curve.tsv, OUT/curve.png

    python -m vivavoce.model.training.codec.train_codebook LATENTS VOICE OUT [--steps N] [--listener STATE]
                                                              [--earlier STATE] [--writer-only]

VOICE is the ONNX file of Piper's en_US-joe-medium: a channel of the latents counts by what the vocoder makes of it,
which differs by a factor of a thousand. The loss is the part of the latents' variance, so weighted, that is left, and
with a listener (see `listener`) how differently a recogniser would hear what is given back. A stopped run goes on from
its last checkpoint. Under `torchrun` each process takes its own crops and the gradients are averaged. With
`--writer-only` the codes stay what they are, so that an encoder can be trained against them, and only what is made of
them gets better. The first shards are never trained on: the curve's lines but the first are theirs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vivavoce.model.training.codec import vocoder
from vivavoce.model.training.codec.asr_surrogate import Listener
from vivavoce.model.training.codec.asr_surrogate import read as read_listener
from vivavoce.model.training.codec.autoencoder import CODES, PER_FRAME, Autoencoder
from vivavoce.model.training.loss_curve import plot

CHECKED: Final = 1
"""Shards that only measure."""
SAVED: Final = 120.0
"""Seconds between checkpoints."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained. `crop`: frames of an example; `looked_at`: those from which the channels'
    importance is measured; `beginnings`: share of the examples that begin as a clip does, with nothing before."""

    steps: int = 6000
    batch: int = 20
    crop: int = 48
    rate: float = 1e-3
    warm_up: int = 100
    commitment: float = 0.25
    provisional: float = 0.3
    listened: float = 4.0
    with_noise: float = 0.5
    beginnings: float = 0.25
    checked_every: int = 100
    looked_at: int = 24
    seed: int = 11
    writer_only: bool = False


@dataclass(frozen=True, slots=True)
class Clips:
    """Latents, (frames, 4 * 192) float16 each, of many clips behind one another; where each clip begins and ends."""

    clean: NDArray[np.float16]
    noisy: NDArray[np.float16]
    ends: NDArray[np.int64]

    @classmethod
    def read(cls, paths: list[Path]) -> Clips:
        """Raises `ValueError` when there is nothing to read."""
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
        """Where each clip begins."""
        return np.concatenate(([0], self.ends[:-1]))

    def crops(self, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """What is heard and what is wanted, (batch, 4 * crop, 192), for ever; they may run from clip to clip."""
        while True:
            starts = rng.integers(0, len(self.clean) - recipe.crop, recipe.batch)
            first = rng.random(recipe.batch) < recipe.beginnings
            starts[first] = rng.choice(self.starts[self.starts <= len(self.clean) - recipe.crop], int(first.sum()))
            wanted = np.stack([self.clean[at : at + recipe.crop] for at in starts])
            heard = np.stack([self.noisy[at : at + recipe.crop] for at in starts])
            same = rng.random(recipe.batch) >= recipe.with_noise
            heard[same] = wanted[same]
            yield _latents(heard), _latents(wanted)


def main(
    folder: Path,
    voice: vocoder.Vocoder,
    out: Path,
    recipe: Recipe,
    listener: Listener | None = None,
    earlier: Path | None = None,
) -> Autoencoder:
    """Trains to the end of `recipe`; gives the network. The shards in `folder` are read when it starts; what the run
    `earlier` learned is where this one begins."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    paths = sorted(folder.glob("latents-*.npz"))
    checked, clips = Clips.read(paths[:CHECKED]), Clips.read(paths[CHECKED:])
    model = Autoencoder()
    run = _Run(model, recipe, out, listener if listener is None else listener.to(device))
    resumed = run.resume()
    if not resumed and earlier is not None:
        model.load_state_dict(torch.load(earlier, weights_only=True)["model"])
    elif not resumed:
        model.mean.copy_(_latents(clips.clean[::7]).mean((0, 1)))
        model.spread.copy_(_latents(clips.clean[::7]).std((0, 1)))
        looked_at = _latents(clips.clean[None, : recipe.looked_at]).transpose(1, 2)
        model.importance.copy_(vocoder.importance(voice, looked_at))
    model.to(device)
    model.reader.requires_grad_(not recipe.writer_only)
    parallel = DistributedDataParallel(model) if world > 1 else model
    crops = clips.crops(recipe, np.random.default_rng((recipe.seed, rank, run.step)))
    saved = time.monotonic()
    while run.step < recipe.steps:
        run.train(parallel, *(x.to(device) for x in next(crops)))
        last = run.step == recipe.steps
        if rank == 0 and (run.step % recipe.checked_every == 0 or last):
            run.check(checked, device)
        if rank == 0 and (time.monotonic() - saved > SAVED or last):
            run.save()
            saved = time.monotonic()
    if world > 1:
        torch.distributed.destroy_process_group()
    return model


class _Run:
    """One training run: what a checkpoint keeps."""

    def __init__(self, model: Autoencoder, recipe: Recipe, out: Path, listener: Listener | None) -> None:
        self.model, self.recipe, self.out, self.listener, self.step = model, recipe, out, listener, 0
        self.optimizer = torch.optim.AdamW(model.parameters(), recipe.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.curve: list[tuple[float, ...]] = []  # step, left in training; of the checked: left, early, heard, codes
        self.left = 1.0
        self.silence = 0
        out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Whether there was a checkpoint to go on from."""
        path = self.out / "state.pt"
        if not path.exists():
            return False
        kept = torch.load(path, weights_only=True)
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.curve = kept["step"], [tuple(row) for row in kept["curve"]]
        return True

    def save(self) -> None:
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

    def train(self, parallel: nn.Module, heard: Tensor, wanted: Tensor) -> None:
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / recipe.warm_up)
        cooled = 0.5 * (1 + np.cos(np.pi * self.step / recipe.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate * warm * max(0.02, float(cooled))
        model = self.model.train()
        model.codebook.train(not recipe.writer_only)
        heard, wanted = (heard - model.mean) / model.spread, (wanted - model.mean) / model.spread
        final, provisional, _, commitment = parallel(heard)
        left = model.left((final - wanted)[:, :-PER_FRAME])
        early = model.left(provisional - wanted)
        apart = self.apart(final[:, :-PER_FRAME], wanted[:, :-PER_FRAME])
        loss = left + recipe.provisional * early + recipe.listened * apart + recipe.commitment * commitment
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.left += 0.02 * (float(left.detach()) - self.left) if self.step > 50 else float(left.detach()) - self.left

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        """How differently two sets of standard scores are heard; 0 when nobody listens."""
        model = self.model
        if self.listener is None:
            return one.new_zeros(())
        return self.listener.apart(*(scores * model.spread + model.mean for scores in (one, other)))

    @torch.no_grad()
    def check(self, checked: Clips, device: torch.device | str) -> None:
        """Of the shards never trained on: what is left of the variance, early too, and how many codes they use."""
        model = self.model.eval()
        wanted = (_latents(checked.clean[None].reshape(1, -1, 768)).to(device) - model.mean) / model.spread
        lefts, earlies, aparts, used = [], [], [], []
        for part in torch.split(wanted, 400 * PER_FRAME, 1):
            final, provisional, codes, _ = model(part)
            lefts.append(model.left(final - part).item())
            earlies.append(model.left(provisional - part).item())
            aparts.append(self.apart(final, part).item())
            used.append(codes.flatten())
        counts = torch.bincount(torch.cat(used), minlength=CODES).float()
        self.silence = int(counts.argmax())  # speech with pauses: what occurs most is nothing
        share = counts[counts > 0] / counts.sum()
        means = (float(np.mean(values)) for values in (lefts, earlies, aparts))
        row = (self.step, self.left, *means, float((counts > 0).sum()))
        entropy = float(-(share * share.log2()).sum())
        print(*(f"{value:.4g}" for value in row), f"{entropy:.2f} bits", flush=True)
        self.curve.append(row)
        names = ("step", "left of the variance, training", "held out", "held out, at once", "heard apart", "codes used")
        plot(self.out / "curve", names, self.curve, last=5)


def _latents(frames: NDArray[np.float16]) -> Tensor:
    """(..., T, 768) -> (B, 4T, 192)."""
    array = np.asarray(frames, np.float32)
    return torch.from_numpy(array.reshape(-1 if array.ndim > 2 else 1, array.shape[-2] * PER_FRAME, 192))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Trains code book, reader and writer.")
    parser.add_argument("latents", type=Path)
    parser.add_argument("voice", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--listener", type=Path)
    parser.add_argument("--earlier", type=Path)
    parser.add_argument("--writer-only", action="store_true")
    args = parser.parse_args()
    main(
        args.latents,
        vocoder.read(args.voice),
        args.out,
        Recipe(args.steps, writer_only=args.writer_only),
        args.listener and read_listener(args.listener),
        args.earlier,
    )
