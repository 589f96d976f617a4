"""Trains the encoder: hearing_train PAIRS EARS CODEBOOK LISTENER OUT [--steps N] [--earlier STATE].

    Lessons ─► Encoder.whole ─┬─► features as the ears have them, though it hears no more than a stream gives
                              ├─► joe's latents
                              └─► vector ─► logits of the 4096 codes ─► the code ─► writer ─► latents
                                            and what a listener hears in them: that of joe's, that of the sound
                                             OUT/state.pt every two minutes, OUT/curve.tsv, OUT/curve.png

EARS is Moonshine's encoder file, CODEBOOK a checkpoint of `codebook_train`, LISTENER one of `listener`; EARLIER, one
of this script, is begun with when the code book is another one than before. The last three losses reach the encoder
through the code as if choosing it changed nothing (van den Oord et al. 2017): of two wrong codes they tell it which is
worse. A stopped run goes on from its last checkpoint. Under `torchrun` each process takes its own crops and the
gradients are averaged. What is exported is the moving average of the weights.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from vivavoce.model.training.codec.asr_surrogate import Listener
from vivavoce.model.training.codec.asr_surrogate import read as read_listener
from vivavoce.model.training.codec.autoencoder import Autoencoder
from vivavoce.model.training.codec.dataset import Lesson, Lessons
from vivavoce.model.training.codec.encoder import FIRST, Encoder, paired
from vivavoce.model.training.codec.export_decoder import load
from vivavoce.model.training.loss_curve import plot

SAVED: Final = 120.0
"""Seconds between checkpoints."""
SOFT: Final = 0.5
"""Weight of the codes near the right one in what is to be said."""
KINDS: Final = ("features", "latents", "vectors", "codes", "decoded", "heard", "understood")
"""Parts of the loss; see `Learner`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained. `crop`: frames of an example; `cooling`: share of the steps in which the rate falls."""

    steps: int = 1500
    batch: int = 6
    crop: int = 64
    rate: float = 3e-4
    head_rate: float = 1.5e-3
    warm_up: int = 60
    cooling: float = 0.4
    features: float = 0.5
    latents: float = 0.3
    vectors: float = 1.0
    codes: float = 0.5
    decoded: float = 0.5
    heard: float = 0.7
    understood: float = 0.7
    average: float = 0.99
    checked_every: int = 200
    seed: int = 21


class Learner(nn.Module):
    """The encoder with what it is judged by: `forward` gives the parts of the loss."""

    def __init__(self, encoder: Encoder, codec: Autoencoder, listener: Listener, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = encoder
        self.codec = codec.requires_grad_(False)
        self.listener = listener.requires_grad_(False)
        self._recipe = recipe

    def forward(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The loss, and its parts: features, latents, vectors, codes, decoded, heard, understood."""
        hidden = self.encoder.whole(lesson.sound)
        vectors, logits, latents = self.encoder.frames(hidden)  # of the frames but the last
        weight = lesson.weight[:, :-1]
        doubled = lesson.weight.repeat_interleave(2, 1)
        wanted = lesson.read[:, :-1]
        said = functional.embedding(logits.argmax(2), self.codec.codebook.vectors)
        parts = torch.stack(
            (
                _mean((hidden - lesson.taught).square().mean(2), doubled) / _spread(lesson.taught, doubled),
                _mean((latents - lesson.latents[:, :-1]).square().mean(2), weight),
                _mean((vectors - wanted).square().mean(2), weight) / _spread(wanted, weight),
                _mean(self._surprise(logits, wanted), weight),
                *self.given_back(vectors + (said - vectors).detach(), lesson),
            )
        )
        recipe = self._recipe
        shares = torch.tensor([getattr(recipe, kind) for kind in KINDS])
        return (parts * shares).sum(), parts.detach()

    def given_back(self, vectors: Tensor, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
        """Of what the writer makes of `vectors`: what is left of the latents' variance, channels by importance; how
        differently the listener hears it from joe's latents; and from what was said to the encoder, before the noise.
        """
        codec, listener, weight = self.codec, self.listener, lesson.weight[:, :-1]
        final, _ = codec.writer(vectors)
        latents = lesson.latents[:, :-1]
        scores = torch.where(weight[:, :, None] > 0, latents, final.detach().reshape(latents.shape))
        wanted = scores.reshape(final.shape)  # between clips nothing is known, and nothing may sound wrong
        left = ((final - wanted).square() * codec.importance).reshape(latents.shape).mean(2)
        ours, theirs = (listener(scores * codec.spread + codec.mean) for scores in (final, wanted))
        source = (paired(lesson.taught[:, FIRST:][:, : 2 * latents.shape[1]]) - listener.middle) / listener.scale
        return (
            _mean(left, weight),
            _mean((ours - theirs).square().mean(2), weight),
            _mean((ours - source).square().mean(2), weight),
        )

    def _surprise(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Cross entropy against the nearest code and those about as near, (B, T)."""
        book = self.codec.codebook.vectors
        distance = wanted.square().sum(2, keepdim=True) - 2 * wanted @ book.T + book.square().sum(1)
        near = torch.softmax(-distance / distance.min(2).values.mean(), 2)
        truth = SOFT * near + (1 - SOFT) * functional.one_hot(distance.argmin(2), len(book))
        return -(truth * functional.log_softmax(logits, 2)).sum(2)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum()


def _spread(values: Tensor, weight: Tensor) -> Tensor:
    """Variance of what counts of `values`, (B, T, D)."""
    mean = (values * weight[:, :, None]).sum((0, 1)) / weight.sum()
    return _mean((values - mean).square().mean(2), weight)


class Run:
    """A training run: what is kept in its checkpoint."""

    def __init__(self, learner: Learner, recipe: Recipe, out: Path) -> None:
        self.learner, self.recipe, self.out = learner, recipe, out
        self.step = 0
        self.curve: list[list[float]] = []
        encoder = learner.encoder
        for part in (encoder.stem.conv1, encoder.stem.conv2, encoder.stem.conv3):
            part.requires_grad_(False)  # they hear well already; two fifths of the work of a step
        head = list(encoder.head.parameters())
        rest = [p for name, p in encoder.named_parameters() if not name.startswith("head.") and p.requires_grad]
        groups = [{"params": rest, "rate": recipe.rate}, {"params": head, "rate": recipe.head_rate}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))
        self.average = copy.deepcopy(encoder).requires_grad_(False)
        self.lately = torch.zeros(len(KINDS))
        out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """From the checkpoint, if there is one."""
        path = self.out / "state.pt"
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.learner.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.curve, self.lately = state["step"], state["curve"], state["lately"]

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        state = {
            "encoder": self.learner.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "curve": self.curve,
            "lately": self.lately,
        }
        part = self.out / "state.part"
        torch.save(state, part)
        part.replace(self.out / "state.pt")

    def train(self, parallel: nn.Module, lesson: Lesson) -> None:
        """One step."""
        recipe = self.recipe
        left = (recipe.steps - self.step) / (recipe.cooling * recipe.steps)
        share = min(1.0, (self.step + 1) / recipe.warm_up, max(0.02, left))
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * share
        loss, parts = parallel(lesson)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learner.encoder.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.lately += max(0.03, 1 / self.step) * (parts - self.lately)
        keep = min(recipe.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.learner.encoder.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)

    @torch.no_grad()
    def check(self, lessons: Lessons) -> None:
        """Of the clips kept apart: the parts of the loss, how often the code is right, and how differently the right
        codes are heard."""
        learner = self.learner
        averaged = Learner(self.average, learner.codec, learner.listener, self.recipe)
        codec, rows = learner.codec, []
        for lesson in lessons.check():
            _, parts = averaged(lesson)
            _, logits, _ = self.average.frames(self.average.whole(lesson.sound))
            weight, said = lesson.weight[:, :-1], logits.argmax(2)
            right = codec.codebook.codes(lesson.read[:, :-1])
            best = functional.embedding(right, codec.codebook.vectors)
            _, heard, _ = averaged.given_back(best, lesson)
            rows.append(torch.stack([*parts, _mean((said == right).float(), weight), heard]))
        row = [float(self.step), *self.lately.tolist(), *torch.stack(rows).mean(0).tolist()]
        self.curve.append(row)
        print(" ".join(f"{value:.4g}" for value in row), flush=True)
        names = ("step", *KINDS, *(f"{kind}, held out" for kind in KINDS), "codes right", "heard, right codes")
        plot(self.out / "curve", names, self.curve)


def begin(published: Encoder, codec: Autoencoder, earlier: Path | None = None) -> Encoder:
    """A copy of `published`, or what an earlier run made of it, its head put where the code book is."""
    encoder = copy.deepcopy(published)
    if earlier is not None:
        encoder.load_state_dict(torch.load(earlier, weights_only=True)["average"])
    book = codec.codebook.vectors
    spread = 2 * (book[:200, None] - book[None]).square().sum(2).topk(2, 1, largest=False).values[:, 1].mean()
    with torch.no_grad():
        encoder.head.codes.weight.copy_(2 * book / spread)
        encoder.head.codes.bias.copy_(-book.square().sum(1) / spread)
    return encoder


def main(pairs: Path, published: Encoder, learner: Learner, out: Path, recipe: Recipe) -> Encoder:
    """Trains the learner's encoder, see `begin`, to the end of `recipe`; gives the averaged one. `published` is the
    teacher."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(recipe.seed)
    lessons = Lessons(pairs, published, learner.codec, crop=recipe.crop, seed=recipe.seed)
    run = Run(learner, recipe, out)
    run.resume()
    if rank == 0:
        print("seconds of joe, of others:", *lessons.seconds, "from step", run.step, flush=True)
    parallel = DistributedDataParallel(run.learner) if world > 1 else run.learner
    rng = np.random.default_rng((recipe.seed, rank, run.step))
    saved = time.monotonic()
    while run.step < recipe.steps:
        run.train(parallel, lessons.batch(recipe.batch, rng))
        last = run.step == recipe.steps
        if rank == 0 and (run.step % recipe.checked_every == 0 or last):
            run.check(lessons)
        if rank == 0 and (time.monotonic() - saved > SAVED or last):
            run.save()
            saved = time.monotonic()
    if world > 1:
        torch.distributed.destroy_process_group()
    return run.average


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Trains the encoder.")
    for name in ("pairs", "ears", "codebook", "listener", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--earlier", type=Path)
    args = parser.parse_args()
    chosen = Recipe(steps=args.steps)
    torch.manual_seed(chosen.seed)
    book, teacher = load(args.codebook), Encoder.pretrained(args.ears).eval()
    begun = begin(teacher, book, args.earlier)
    main(args.pairs, teacher, Learner(begun, book, read_listener(args.listener), chosen), args.out, chosen)
