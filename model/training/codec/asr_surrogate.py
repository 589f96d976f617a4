"""What the ears would make of latents, without making the sound: a network that stands for vocoder and ears.

    latents (B, 4T, 192) ─vocoder─► sound ─ears as published─► features (B, T, 2 * 288)     seconds for a second
              └────────────────────Listener──────────────────► the same, nearly             a hundredth of that

A recogniser's features hold which sounds were spoken and little else, so that their distance tells apart what a mean
square of latents does not: "bull" and "blue". `codebook_train` takes it as a second loss, through which a code book
learns to spend its bits on words; S3Tokenizer (Du et al. 2024) does the same with the recogniser in the loop.

    python -m vivavoce.model.training.codec.asr_surrogate LATENTS STORED OUT CODEBOOK [CODEBOOK ...] [--steps N]

A CODEBOOK is a checkpoint of `codebook_train`: the listener hears each clip as it was, with the voice's noise, and as
each of the code books gives it back, or it would be deaf to what decoding does. So the two are trained in turns: a code
book by the mean square alone, a listener that knows it, a code book by that listener, and again. The first shards only
measure. What was heard is kept in OUT; STORED is the folder of the model store.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.store import Store, catalog
from vivavoce.model.training.codec.autoencoder import CHANNELS, FRAME, PER_FRAME, WIDTH, Autoencoder, Block
from vivavoce.model.training.codec.encoder import FIRST, STEP, Encoder
from vivavoce.model.training.codec.encoder import WIDTH as FEATURES
from vivavoce.model.training.codec.export_decoder import load
from vivavoce.model.training.codec.shards import Vocoder
from vivavoce.model.training.loss_curve import plot

CHECKED: Final = 1
"""Shards that only measure, the same as those of `codebook_train`."""
BLOCKS: Final = 5
REACH: Final = 3
"""Frames to each side that a block looks at: 0.7 s in all."""
STEPS: Final = 1500
BATCH: Final = 12
CROP: Final = 64
RATE: Final = 1.5e-3
SAVED: Final = 60.0
"""Seconds between checkpoints."""
EVERY: Final = 100
"""Steps between measurements."""
WARM_UP: Final = 50
STRETCH: Final = 20
"""Frames over which distances are compared."""

Array = NDArray[np.float16]
Spoken = tuple[Array, Array]
"""Latents (T, 768) and what the ears hear of them: features (T, 576)."""
Speak = Callable[[Array, Array], Array]
"""Latents of a clip without noise and with it, (192, 4T) each, to those that are to be heard."""
Hear = Callable[[Array], Array]
"""Latents (192, 4T) to features (T, 576)."""


class Listener(nn.Module):
    """Latents as the voice has them to features in standard scores; the scales of both are its own."""

    mean: Tensor
    spread: Tensor
    middle: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(CHANNELS))
        self.register_buffer("spread", torch.ones(CHANNELS))
        self.register_buffer("middle", torch.zeros(2 * FEATURES))
        self.register_buffer("scale", torch.ones(2 * FEATURES))
        self.first = nn.Linear(FRAME, WIDTH)
        self.blocks = nn.ModuleList(Block(REACH, REACH) for _ in range(BLOCKS))
        self.last = nn.Linear(WIDTH, 2 * FEATURES)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 4T, 192) -> (B, T, 576), of mean 0 and variance 1 over speech."""
        scores = (latents - self.mean) / self.spread
        x = self.first(scores.reshape(latents.shape[0], -1, FRAME))
        for block in self.blocks:
            x = block(x)
        made: Tensor = self.last(x)
        return made

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        """How differently two sets of latents sound, as a part of the features' variance; 2 if they have nothing in
        common."""
        part: Tensor = (self(one) - self(other)).square().mean()
        return part

    def measure(self, latents: Array, features: Array) -> None:
        """Takes over the scales of some speech, (T, 768) and (T, 576)."""
        channels, heard = latents.reshape(-1, CHANNELS).astype(np.float32), features.astype(np.float32)
        self.mean.copy_(torch.from_numpy(channels.mean(0)))
        self.spread.copy_(torch.from_numpy(channels.std(0)))
        self.middle.copy_(torch.from_numpy(heard.mean(0)))
        self.scale.copy_(torch.from_numpy(heard.std(0)))


def read(state: Path) -> Listener:
    """The network of a checkpoint, for use as a loss."""
    listener = Listener()
    listener.load_state_dict(torch.load(state, weights_only=True)["listener"])
    return listener.eval().requires_grad_(False)


class Ears:
    """Vocoder and recogniser, as they are."""

    def __init__(self, store: Store) -> None:
        self._vocoder = Vocoder(store.path("piper-joe"))
        self._ears = Encoder.pretrained(store.path("moonshine-tiny-en") / "encoder_model.ort").eval()

    @torch.no_grad()
    def hear(self, latents: Array) -> Array:
        """(192, 4T) -> (T, 576)."""
        frames = latents.shape[1] // PER_FRAME
        sound = self._vocoder(latents)
        padded = np.pad(sound, (0, -len(sound) % STEP + STEP))
        hidden = self._ears.teach(torch.from_numpy(padded)[None])[0, FIRST : FIRST + 2 * frames]
        return hidden.reshape(frames, -1).numpy().astype(np.float16)


def kinds(codecs: Sequence[Autoencoder]) -> dict[str, Speak]:
    """All that is heard, by name: the first two are how the voice speaks, the others what code books make of it."""
    named: dict[str, Speak] = {"clean": lambda clean, _: clean, "noisy": lambda _, noisy: noisy}
    return named | {f"coded{n}": _again(codec) for n, codec in enumerate(codecs)}


def _again(codec: Autoencoder) -> Speak:
    @torch.no_grad()
    def speak(clean: Array, _: Array) -> Array:
        given = torch.from_numpy(np.ascontiguousarray(clean.T, np.float32))[None]
        again = codec.latents(codec.codes(given))[0]
        return np.ascontiguousarray(again.numpy().T).astype(np.float16)

    return speak


def heard(shard: Path, speak: Mapping[str, Speak], hear: Hear, out: Path) -> dict[str, Spoken]:
    """The clips of a shard one after the other, in each kind, computed where they are not in `out`."""
    made: dict[str, Spoken] = {}
    for kind, way in speak.items():
        kept = out / f"{kind}-{shard.stem}.npz"
        if not kept.exists():
            with np.load(shard) as file:
                clean, noisy, ends = file["clean"], file["noisy"], np.cumsum(file["lengths"])
            clips = [way(clean[:, a:b], noisy[:, a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
            latents = np.concatenate([np.ascontiguousarray(clip.T).reshape(-1, FRAME) for clip in clips])
            part = kept.with_suffix(".part")
            with part.open("wb") as target:
                np.savez(target, latents=latents, features=np.concatenate([hear(clip) for clip in clips]))
            part.replace(kept)
            print(kept.name, flush=True)
        with np.load(kept) as file:
            made[kind] = file["latents"], file["features"]
    return made


def main(folder: Path, speak: Mapping[str, Speak], hear: Hear, out: Path, steps: int = STEPS) -> Listener:
    """Trains to `steps`, going on from OUT/state.pt if it is there. `speak`: see `kinds`."""
    shards = sorted(folder.glob("latents-*.npz"))
    if len(shards) <= CHECKED:
        raise ValueError(f"expected more than {CHECKED} shards latents-*.npz in {folder}, found {len(shards)}")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    known = [heard(shard, speak, hear, out) for shard in shards]
    run = _Run(out, steps)
    if not run.resume():
        run.listener.measure(*known[CHECKED]["clean"])
    spoken = [pair for shard in known[CHECKED:] for pair in shard.values()]
    rng, saved = np.random.default_rng(run.step), time.monotonic()
    while run.step < steps:
        run.train(*_crops(spoken, rng))
        last = run.step == steps
        if run.step % EVERY == 0 or last:
            run.curve.append([float(run.step), run.lately, *check(run.listener, known[:CHECKED])])
            print(*(f"{value:.4g}" for value in run.curve[-1]), flush=True)
            plot(out / "curve", ("step", "training", *speak, "distances agree"), run.curve)
        if time.monotonic() - saved > SAVED or last:
            run.save()
            saved = time.monotonic()
    return run.listener.eval().requires_grad_(False)


class _Run:
    """One training run: what a checkpoint keeps."""

    def __init__(self, out: Path, steps: int) -> None:
        self.listener, self.steps, self.step = Listener(), steps, 0
        self.optimizer = torch.optim.AdamW(self.listener.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01)
        self.curve: list[list[float]] = []
        self.lately = 1.0
        self._path = out / "state.pt"

    def resume(self) -> bool:
        """Whether there was a checkpoint to go on from."""
        if not self._path.exists():
            return False
        kept = torch.load(self._path, weights_only=True)
        self.listener.load_state_dict(kept["listener"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.curve = kept["step"], kept["curve"]
        return True

    def save(self) -> None:
        kept = {"listener": self.listener.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = self._path.with_suffix(".part")
        torch.save({**kept, "step": self.step, "curve": self.curve}, part)
        part.replace(self._path)

    def train(self, latents: Tensor, features: Tensor) -> None:
        cooled = 0.5 * (1 + np.cos(np.pi * self.step / self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (self.step + 1) / WARM_UP) * max(0.02, float(cooled))
        listener = self.listener.train()
        loss = functional.mse_loss(listener(latents), (features - listener.middle) / listener.scale)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(listener.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.lately += max(0.02, 1 / self.step) * (float(loss.detach()) - self.lately)


@torch.no_grad()
def check(listener: Listener, shards: Sequence[Mapping[str, Spoken]]) -> list[float]:
    """Of what was never trained on: what is left of the features' variance for each kind, and how well the distance
    between the first and the last kind agrees with that of the true features, over stretches of 20 frames (r)."""
    left: dict[str, list[float]] = {}
    apart: list[Tensor] = []  # ours and the true one, (2, stretches)
    for shard in shards:
        pairs = []
        for kind, (latents, features) in shard.items():
            given = torch.from_numpy(latents.astype(np.float32)).reshape(1, -1, CHANNELS)
            wanted = (torch.from_numpy(features.astype(np.float32)) - listener.middle) / listener.scale
            pairs.append(torch.stack((listener(given)[0], wanted)))
            left.setdefault(kind, []).append(float((pairs[-1][0] - wanted).square().mean()))
        distance = (pairs[0] - pairs[-1]).square().mean(2)
        whole = distance.shape[1] // STRETCH * STRETCH
        apart.append(distance[:, :whole].reshape(2, -1, STRETCH).mean(2))
    agreement = torch.corrcoef(torch.cat(apart, 1))[0, 1]
    return [*(float(np.mean(values)) for values in left.values()), float(agreement)]


def _crops(spoken: Sequence[Spoken], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Latents (B, 4T, 192) and features (B, T, 576) of the same moments."""
    latents, features = [], []
    for _ in range(BATCH):
        speech, ears = spoken[int(rng.integers(len(spoken)))]
        at = int(rng.integers(0, len(speech) - CROP))
        latents.append(speech[at : at + CROP])
        features.append(ears[at : at + CROP])
    given = torch.from_numpy(np.stack(latents).astype(np.float32)).reshape(BATCH, -1, CHANNELS)
    return given, torch.from_numpy(np.stack(features).astype(np.float32))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Trains the stand-in for vocoder and ears.")
    for name in ("latents", "stored", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("codebooks", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    ears = Ears(Store(args.stored, catalog.load()))
    main(args.latents, kinds([load(state) for state in args.codebooks]), ears.hear, args.out, args.steps)
