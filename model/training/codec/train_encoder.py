"""Trains the audio encoder: features, latents and codes of joe from anyone's speech.

    Dataset ─► Encoder.streamed ─┬─► features of the published ASR encoder, with only a stream's context
                                 ├─► joe's latents
                                 └─► vector ─► logits of the 4096 codes ─► code ─► latent decoder ─► latents ─► joe's
                                          features of the clean sound, and of joe's latents ◄─ ASR surrogate ◄──┘

    python -m vivavoce.model.training.codec.train_encoder PAIRS CODEBOOK SURROGATE OUT [--steps N] [--init STATE]

CODEBOOK is a checkpoint of `train_codebook`, SURROGATE one of `asr_surrogate`. With `--init`, a checkpoint of this
script, training starts from another run, of another codebook, too. The last three losses reach the encoder through the
choice of the code by a straight-through gradient (van den Oord et al. 2017): of two wrong codes they prefer the better
one. OUT gets state.pt every two minutes, curve.tsv and curve.png. A stopped run continues from its last checkpoint.
Under `torchrun` each process draws its own crops and the gradients are averaged. The moving average of the weights is
exported. 1.4 s of one core per step.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec.asr_surrogate import AsrSurrogate, load_surrogate
from vivavoce.model.training.codec.autoencoder import Autoencoder
from vivavoce.model.training.codec.dataset import Batch, Dataset
from vivavoce.model.training.codec.encoder import FIRST, Encoder, paired
from vivavoce.model.training.codec.export_decoder import load_codec
from vivavoce.model.training.loss_curve import plot

SAVED: Final = 120.0
"""Seconds between checkpoints."""
SOFT: Final = 0.5
"""Weight of the codes near the right one in the target distribution."""
KINDS: Final = ("features", "latents", "vectors", "codes", "decoded", "perceptual_target", "perceptual_source")
"""Parts of the loss; see `EncoderLoss`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters. `crop`: frames of an example; `cooling`: share of the steps in which the learning rate falls;
    `average`: decay of the weights' moving average; weights of the losses as in `KINDS`."""

    steps: int = 1500
    batch: int = 6
    crop: int = 64
    learning_rate: float = 3e-4
    head_rate: float = 1.5e-3
    warm_up: int = 60
    cooling: float = 0.4
    features: float = 0.5
    latents: float = 0.3
    vectors: float = 1.0
    codes: float = 0.5
    decoded: float = 0.5
    perceptual_target: float = 0.7
    perceptual_source: float = 0.7
    average: float = 0.99
    evaluated_every: int = 200
    seed: int = 21


class EncoderLoss(nn.Module):
    """The encoder with its losses against the dataset's targets."""

    def __init__(self, encoder: Encoder, codec: Autoencoder, surrogate: AsrSurrogate, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = encoder
        self.codec = codec.requires_grad_(False)
        self.surrogate = surrogate.requires_grad_(False)
        self._recipe = recipe

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the loss and its parts, (7,), as in `KINDS`."""
        hidden = self.encoder.streamed(batch.sound)  # (B, 2 T, 288)
        vectors, logits, latents = self.encoder.frames(hidden)  # (B, T - 1, ...): all frames but the last
        weight = batch.weight[:, :-1]
        doubled = batch.weight.repeat_interleave(2, 1)  # (B, 2 T)
        targets = batch.vectors[:, :-1]
        chosen = functional.embedding(logits.argmax(2), self.codec.codebook.vectors)  # (B, T - 1, 64)
        parts = torch.stack(
            (
                _mean((hidden - batch.teacher).square().mean(2), doubled) / _variance(batch.teacher, doubled),
                _mean((latents - batch.latents[:, :-1]).square().mean(2), weight),
                _mean((vectors - targets).square().mean(2), weight) / _variance(targets, weight),
                _mean(self._cross_entropy(logits, targets), weight),
                *self.decoded_losses(vectors + (chosen - vectors).detach(), batch),
            )
        )
        recipe = self._recipe
        weights = torch.tensor([getattr(recipe, kind) for kind in KINDS])
        return (parts * weights).sum(), parts.detach()

    def decoded_losses(self, vectors: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Decodes `vectors`, (B, T - 1, 64); returns (latent MSE weighted by importance, perceptual loss to the target,
        perceptual loss to the clean input)."""
        codec, surrogate, weight = self.codec, self.surrogate, batch.weight[:, :-1]
        final, _ = codec.decoder(vectors)  # (B, 4 (T - 1), 192)
        latents = batch.latents[:, :-1]  # (B, T - 1, 768)
        scores = torch.where(weight[:, :, None] > 0, latents, final.detach().reshape(latents.shape))
        target = scores.reshape(final.shape)  # between clips there is no target, and the loss is 0
        error = ((final - target).square() * codec.importance).reshape(latents.shape).mean(2)  # (B, T - 1)
        predicted, expected = (surrogate(scores * codec.std + codec.mean) for scores in (final, target))
        source = surrogate.standardised(paired(batch.teacher[:, FIRST:][:, : 2 * latents.shape[1]]))
        return (
            _mean(error, weight),
            _mean((predicted - expected).square().mean(2), weight),
            _mean((predicted - source).square().mean(2), weight),
        )

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Against the nearest code and those about as near: logits (B, T, 4096), targets (B, T, 64) -> (B, T)."""
        book = self.codec.codebook.vectors
        distance = targets.square().sum(2, keepdim=True) - 2 * targets @ book.T + book.square().sum(1)
        near = torch.softmax(-distance / distance.min(2).values.mean(), 2)
        truth = SOFT * near + (1 - SOFT) * functional.one_hot(distance.argmin(2), len(book))
        return -(truth * functional.log_softmax(logits, 2)).sum(2)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; both (B, T)."""
    return (values * weight).sum() / weight.sum()


def _variance(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted variance of `values`, (B, T, D), mean of the channels."""
    mean = (values * weight[:, :, None]).sum((0, 1)) / weight.sum()
    return _mean((values - mean).square().mean(2), weight)


class Run:
    """The state of a training run, as kept in a checkpoint."""

    def __init__(self, objective: EncoderLoss, recipe: Recipe, out: Path) -> None:
        self.objective, self.recipe, self.out = objective, recipe, out
        self.step = 0
        self.curve: list[list[float]] = []
        encoder = objective.encoder
        for part in (encoder.stem.conv1, encoder.stem.conv2, encoder.stem.conv3):
            part.requires_grad_(False)  # as published: two fifths of a step's work are saved
        head = list(encoder.head.parameters())
        rest = [p for name, p in encoder.named_parameters() if not name.startswith("head.") and p.requires_grad]
        groups = [{"params": rest, "rate": recipe.learning_rate}, {"params": head, "rate": recipe.head_rate}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))
        self.average = copy.deepcopy(encoder).requires_grad_(False)
        self.running_parts = torch.zeros(len(KINDS))
        out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Reads the checkpoint, if there is one."""
        path = self.out / "state.pt"
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.objective.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.curve, self.running_parts = state["step"], state["curve"], state["lately"]

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        state = {
            "encoder": self.objective.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "curve": self.curve,
            "lately": self.running_parts,
        }
        part = self.out / "state.part"
        torch.save(state, part)
        part.replace(self.out / "state.pt")

    def train(self, parallel: nn.Module, batch: Batch) -> None:
        """One step."""
        recipe = self.recipe
        left = (recipe.steps - self.step) / (recipe.cooling * recipe.steps)
        share = min(1.0, (self.step + 1) / recipe.warm_up, max(0.02, left))
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * share
        loss, parts = parallel(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.objective.encoder.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.running_parts += max(0.03, 1 / self.step) * (parts - self.running_parts)
        decay = min(recipe.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.objective.encoder.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)

    @torch.no_grad()
    def evaluate(self, dataset: Dataset) -> None:
        """Adds a row to the curve: of the held-out clips the parts of the loss, the accuracy of the codes, and the
        perceptual loss of the right codes."""
        objective = self.objective
        averaged = EncoderLoss(self.average, objective.codec, objective.surrogate, self.recipe)
        codec, rows = objective.codec, []
        for batch in dataset.held_out_batches():
            _, parts = averaged(batch)
            _, logits, _ = self.average.frames(self.average.streamed(batch.sound))
            weight, chosen = batch.weight[:, :-1], logits.argmax(2)  # (B, T - 1)
            right = codec.codebook.codes(batch.vectors[:, :-1])
            best = functional.embedding(right, codec.codebook.vectors)
            _, perceptual, _ = averaged.decoded_losses(best, batch)
            rows.append(torch.stack([*parts, _mean((chosen == right).float(), weight), perceptual]))
        row = [float(self.step), *self.running_parts.tolist(), *torch.stack(rows).mean(0).tolist()]
        self.curve.append(row)
        print(" ".join(f"{value:.4g}" for value in row), flush=True)
        names = ("step", *KINDS, *(f"{kind}, held out" for kind in KINDS), "accuracy", "perceptual, right codes")
        plot(self.out / "curve", names, self.curve)


def initial_encoder(published: Encoder, codec: Autoencoder, init: Path | None = None) -> Encoder:
    """Copies `published`, or reads the encoder of the checkpoint `init`; sets the head's codes to the codebook."""
    encoder = copy.deepcopy(published)
    if init is not None:
        encoder.load_state_dict(torch.load(init, weights_only=True)["average"])
    book = codec.codebook.vectors
    spread = 2 * (book[:200, None] - book[None]).square().sum(2).topk(2, 1, largest=False).values[:, 1].mean()
    with torch.no_grad():
        encoder.head.codes.weight.copy_(2 * book / spread)
        encoder.head.codes.bias.copy_(-book.square().sum(1) / spread)
    return encoder


def main(pairs: Path, published: Encoder, objective: EncoderLoss, out: Path, recipe: Recipe) -> Encoder:
    """Trains the encoder of `objective` to the end of `recipe`; returns the averaged one. `published`: the teacher."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(recipe.seed)
    dataset = Dataset(pairs, published, objective.codec, crop=recipe.crop, seed=recipe.seed)
    run = Run(objective, recipe, out)
    run.resume()
    if rank == 0:
        print("seconds of joe, of others:", *dataset.seconds, "from step", run.step, flush=True)
    parallel = DistributedDataParallel(run.objective) if world > 1 else run.objective
    rng = np.random.default_rng((recipe.seed, rank, run.step))
    saved = time.monotonic()
    while run.step < recipe.steps:
        run.train(parallel, dataset.batch(recipe.batch, rng))
        last = run.step == recipe.steps
        if rank == 0 and (run.step % recipe.evaluated_every == 0 or last):
            run.evaluate(dataset)
        if rank == 0 and (time.monotonic() - saved > SAVED or last):
            run.save()
            saved = time.monotonic()
    if world > 1:
        torch.distributed.destroy_process_group()
    return run.average


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("pairs", type=Path, help="folder of the shards of pairs")
    parser.add_argument("codebook", type=Path, help="checkpoint of train_codebook")
    parser.add_argument("surrogate", type=Path, help="checkpoint of asr_surrogate, for the perceptual losses")
    parser.add_argument("out", type=Path, help="where checkpoint and loss curve go")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="to train to (default: %(default)s)")
    parser.add_argument("--init", type=Path, help="checkpoint of another run of this script to start from")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    chosen = Recipe(steps=options.steps)
    torch.manual_seed(chosen.seed)
    store = open_store()
    codec, teacher = load_codec(options.codebook), Encoder.from_store(store).eval()
    encoder, surrogate = initial_encoder(teacher, codec, options.init), load_surrogate(options.surrogate)
    main(options.pairs, teacher, EncoderLoss(encoder, codec, surrogate, chosen), options.out, chosen)
