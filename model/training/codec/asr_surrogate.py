"""ASR surrogate, a perceptual loss: a network that predicts the ASR encoder's features of latents without making sound.

    latents (B, 4T, 192) ─vocoder─► sound ─published ASR encoder─► features (B, T, 2 * 288)     seconds for a second
              └────────────────────AsrSurrogate──────────────────► the same, nearly             a hundredth of that

An ASR encoder's features hold which sounds were spoken and little else, so their distance separates what a mean square
of latents does not: "bull" and "blue". `train_codebook` takes it as a second loss, through which a codebook learns to
spend its bits on words; S3Tokenizer (Du et al. 2024) does the same with the recognizer in the loop.

    python -m vivavoce.model.training.codec.asr_surrogate LATENTS OUT CODEBOOK [CODEBOOK ...] [--steps N]

A CODEBOOK is a checkpoint of `train_codebook`: the surrogate is trained on each clip as it was, with the voice's noise,
and as decoded by each of the codebooks, or it would not know the errors of decoding. So the two are trained in turns: a
codebook by the mean square alone, a surrogate that knows it, a codebook by that surrogate, and again. The first shards
are held out. Features are cached in OUT. A stopped run continues. 0.3 s of one core per step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.store import Store
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec.autoencoder import (
    CHANNELS,
    FRAME,
    PER_FRAME,
    WIDTH,
    Autoencoder,
    ConvBlock,
    accept_old_names,
)
from vivavoce.model.training.codec.encoder import FIRST, STEP, Encoder
from vivavoce.model.training.codec.encoder import WIDTH as FEATURES
from vivavoce.model.training.codec.export_decoder import load_codec
from vivavoce.model.training.codec.shards import OnnxVocoder
from vivavoce.model.training.loss_curve import plot

HELD_OUT: Final = 1
"""Shards that are not trained on, the same as those of `train_codebook`."""
BLOCKS: Final = 5
REACH: Final = 3
"""Frames that a block covers to each side: 0.7 s in all."""
STEPS: Final = 1500
BATCH: Final = 12
CROP: Final = 64
RATE: Final = 1.5e-3
SAVED: Final = 60.0
"""Seconds between checkpoints."""
EVALUATED: Final = 100
"""Steps between evaluations."""
WARM_UP: Final = 50
STRETCH: Final = 20
"""Frames over which distances are averaged to be compared."""

Array = NDArray[np.float16]
Example = tuple[Array, Array]
"""Latents (T, 768) and their ASR features (T, 576)."""
Variant = Callable[[Array, Array], Array]
"""Latents of a clip without and with noise, (192, 4T) each -> latents to train on, (192, 4T)."""
Extract = Callable[[Array], Array]
"""Latents (192, 4T) -> ASR features (T, 576)."""


class AsrSurrogate(nn.Module):
    """Predicts features, in standard scores, from latents of the voice; holds the mean and std of both."""

    latent_mean: Tensor
    latent_std: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("latent_mean", torch.zeros(CHANNELS))
        self.register_buffer("latent_std", torch.ones(CHANNELS))
        self.register_buffer("feature_mean", torch.zeros(2 * FEATURES))
        self.register_buffer("feature_std", torch.ones(2 * FEATURES))
        self.first = nn.Linear(FRAME, WIDTH)
        self.blocks = nn.ModuleList(ConvBlock(REACH, REACH) for _ in range(BLOCKS))
        self.last = nn.Linear(WIDTH, 2 * FEATURES)
        old = {"mean": "latent_mean", "spread": "latent_std", "middle": "feature_mean", "scale": "feature_std"}
        accept_old_names(self, old)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 4T, 192) -> (B, T, 576), of mean 0 and variance 1 over speech."""
        scores = (latents - self.latent_mean) / self.latent_std
        x = self.first(scores.reshape(latents.shape[0], -1, FRAME))  # (B, T, WIDTH)
        for block in self.blocks:
            x = block(x)
        features: Tensor = self.last(x)
        return features

    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        """Perceptual distance of latents, (B, 4T, 192) each: a share of the variance; 2 if nothing is in common."""
        mean: Tensor = (self(one) - self(other)).square().mean()
        return mean

    def measure(self, latents: Array, features: Array) -> None:
        """Measures mean and std on some speech, (T, 768) and (T, 576)."""
        channels, wide = latents.reshape(-1, CHANNELS).astype(np.float32), features.astype(np.float32)
        self.latent_mean.copy_(torch.from_numpy(channels.mean(0)))
        self.latent_std.copy_(torch.from_numpy(channels.std(0)))
        self.feature_mean.copy_(torch.from_numpy(wide.mean(0)))
        self.feature_std.copy_(torch.from_numpy(wide.std(0)))

    def standardised(self, features: Tensor) -> Tensor:
        """(..., 576) -> standard scores, (..., 576)."""
        return (features - self.feature_mean) / self.feature_std


def load_surrogate(state: Path) -> AsrSurrogate:
    """Opens the network of a checkpoint, for use as a loss."""
    surrogate = AsrSurrogate()
    surrogate.load_state_dict(_weights(torch.load(state, weights_only=True)))
    return surrogate.eval().requires_grad_(False)


def _weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The network's state; `listener` in checkpoints of earlier runs."""
    weights: dict[str, Tensor] = checkpoint["surrogate" if "surrogate" in checkpoint else "listener"]
    return weights


class FeatureExtractor:
    """Vocoder and published ASR encoder: the function that the surrogate learns."""

    def __init__(self, store: Store) -> None:
        self._vocoder = OnnxVocoder(store.path("piper-joe"))
        self._encoder = Encoder.from_store(store).eval()

    @torch.no_grad()
    def extract(self, latents: Array) -> Array:
        """Latents (192, 4T) -> features (T, 576)."""
        frames = latents.shape[1] // PER_FRAME
        sound = self._vocoder(latents)
        padded = np.pad(sound, (0, -len(sound) % STEP + STEP))
        hidden = self._encoder.offline(torch.from_numpy(padded)[None])[0, FIRST : FIRST + 2 * frames]  # (2 T, 288)
        return hidden.reshape(frames, -1).numpy().astype(np.float16)


def variants(codecs: Sequence[Autoencoder]) -> dict[str, Variant]:
    """Variants of the latents to train on, by name: as the voice makes them, and as each codec decodes them."""
    named: dict[str, Variant] = {"clean": lambda clean, _: clean, "noisy": lambda _, noisy: noisy}
    return named | {f"coded{n}": _decoded_by(codec) for n, codec in enumerate(codecs)}


def _decoded_by(codec: Autoencoder) -> Variant:
    @torch.no_grad()
    def decode(clean: Array, _: Array) -> Array:
        latents = torch.from_numpy(np.ascontiguousarray(clean.T, np.float32))[None]  # (1, 4T, 192)
        decoded = codec.latents(codec.codes(latents))[0]
        return np.ascontiguousarray(decoded.numpy().T).astype(np.float16)

    return decode


def read_examples(shard: Path, variants: Mapping[str, Variant], extract: Extract, out: Path) -> dict[str, Example]:
    """Reads the clips of a shard, one after the other, in each variant; computes those that are not in `out`."""
    examples: dict[str, Example] = {}
    for name, vary in variants.items():
        cache = out / f"{name}-{shard.stem}.npz"
        if not cache.exists():
            with np.load(shard) as file:
                clean, noisy, ends = file["clean"], file["noisy"], np.cumsum(file["lengths"])
            clips = [vary(clean[:, a:b], noisy[:, a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
            latents = np.concatenate([np.ascontiguousarray(clip.T).reshape(-1, FRAME) for clip in clips])
            part = cache.with_suffix(".part")
            with part.open("wb") as target:
                np.savez(target, latents=latents, features=np.concatenate([extract(clip) for clip in clips]))
            part.replace(cache)
            print(cache.name, flush=True)
        with np.load(cache) as file:
            examples[name] = file["latents"], file["features"]
    return examples


def main(
    folder: Path, variants: Mapping[str, Variant], extract: Extract, out: Path, steps: int = STEPS
) -> AsrSurrogate:
    """Trains to `steps`, from OUT/state.pt on if there is one. `variants`: see the function of that name."""
    shards = sorted(folder.glob("latents-*.npz"))
    if len(shards) <= HELD_OUT:
        raise ValueError(f"expected more than {HELD_OUT} shards latents-*.npz in {folder}, found {len(shards)}")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    examples = [read_examples(shard, variants, extract, out) for shard in shards]
    run = _Run(out, steps)
    if not run.resume():
        run.surrogate.measure(*examples[HELD_OUT]["clean"])
    trained = [example for shard in examples[HELD_OUT:] for example in shard.values()]
    rng, saved = np.random.default_rng(run.step), time.monotonic()
    while run.step < steps:
        run.train(*_crops(trained, rng))
        last = run.step == steps
        if run.step % EVALUATED == 0 or last:
            run.curve.append([float(run.step), run.running_loss, *evaluate(run.surrogate, examples[:HELD_OUT])])
            print(*(f"{value:.4g}" for value in run.curve[-1]), flush=True)
            plot(out / "curve", ("step", "training", *variants, "distances agree"), run.curve)
        if time.monotonic() - saved > SAVED or last:
            run.save()
            saved = time.monotonic()
    return run.surrogate.eval().requires_grad_(False)


class _Run:
    """The state of a training run, as kept in a checkpoint."""

    def __init__(self, out: Path, steps: int) -> None:
        self.surrogate, self.steps, self.step = AsrSurrogate(), steps, 0
        self.optimizer = torch.optim.AdamW(self.surrogate.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01)
        self.curve: list[list[float]] = []
        self.running_loss = 1.0
        self._path = out / "state.pt"

    def resume(self) -> bool:
        """Reads the checkpoint; returns whether there was one."""
        if not self._path.exists():
            return False
        checkpoint = torch.load(self._path, weights_only=True)
        self.surrogate.load_state_dict(_weights(checkpoint))
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.step, self.curve = checkpoint["step"], checkpoint["curve"]
        return True

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        states = {"surrogate": self.surrogate.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = self._path.with_suffix(".part")
        torch.save({**states, "step": self.step, "curve": self.curve}, part)
        part.replace(self._path)

    def train(self, latents: Tensor, features: Tensor) -> None:
        """One step on latents (B, 4T, 192) and features (B, T, 576)."""
        cooled = 0.5 * (1 + np.cos(np.pi * self.step / self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (self.step + 1) / WARM_UP) * max(0.02, float(cooled))
        surrogate = self.surrogate.train()
        loss = functional.mse_loss(surrogate(latents), surrogate.standardised(features))
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(surrogate.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.running_loss += max(0.02, 1 / self.step) * (float(loss.detach()) - self.running_loss)


@torch.no_grad()
def evaluate(surrogate: AsrSurrogate, shards: Sequence[Mapping[str, Example]]) -> list[float]:
    """Evaluates on held-out shards: the error of each variant, as a share of the features' variance; the correlation of
    predicted and true distances between the first and the last variant, over stretches of 20 frames."""
    errors: dict[str, list[float]] = {}
    distances: list[Tensor] = []  # predicted and true ones, (2, stretches)
    for shard in shards:
        pairs = []
        for name, (latents, features) in shard.items():
            given = torch.from_numpy(latents.astype(np.float32)).reshape(1, -1, CHANNELS)
            target = surrogate.standardised(torch.from_numpy(features.astype(np.float32)))  # (T, 576)
            pairs.append(torch.stack((surrogate(given)[0], target)))
            errors.setdefault(name, []).append(float((pairs[-1][0] - target).square().mean()))
        distance = (pairs[0] - pairs[-1]).square().mean(2)  # (2, T)
        whole = distance.shape[1] // STRETCH * STRETCH
        distances.append(distance[:, :whole].reshape(2, -1, STRETCH).mean(2))
    agreement = torch.corrcoef(torch.cat(distances, 1))[0, 1]
    return [*(float(np.mean(values)) for values in errors.values()), float(agreement)]


def _crops(examples: Sequence[Example], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draws crops: latents (B, 4T, 192) and features (B, T, 576)."""
    latents, features = [], []
    for _ in range(BATCH):
        example = examples[int(rng.integers(len(examples)))]
        at = int(rng.integers(0, len(example[0]) - CROP))
        latents.append(example[0][at : at + CROP])
        features.append(example[1][at : at + CROP])
    given = torch.from_numpy(np.stack(latents).astype(np.float32)).reshape(BATCH, -1, CHANNELS)
    return given, torch.from_numpy(np.stack(features).astype(np.float32))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("latents", type=Path, help="folder of the shards latents-*.npz")
    parser.add_argument("out", type=Path, help="where checkpoint, loss curve and cached features go")
    parser.add_argument("codebooks", type=Path, nargs="+", help="checkpoints of train_codebook")
    parser.add_argument("--steps", type=int, default=STEPS, help="to train to (default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    torch.set_num_threads(1)
    extractor = FeatureExtractor(open_store())
    codecs = [load_codec(state) for state in options.codebooks]
    main(options.latents, variants(codecs), extractor.extract, options.out, options.steps)
