"""Trains the overlap classifier: the class of a sound over the assistant, from audio features.

    python -m vivavoce.model.training.turns.train_overlap FOLDER [OUT]

    FOLDER (voices.py) ─► Overlap ─Silero VAD─► first voiced window ─► features of LEAD + 1 + WINDOWS windows, class
    features (B, FRAMES, 40) ─► convolutions over two windows' frames ─► GRU ─► scores after each window (B, W, 4)

Every window from the first voiced one on counts in the loss, the early ones less, because little can be known then.
Overlaps that the VAD does not detect are left out: in a call the classifier never runs on them. OUT, else
model/turns/overlap_classifier.onnx, is one window's step. A few minutes on two cores; reproducible on one machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.turns.overlap_mixing import CLASSES, LENGTH, Overlap, Recordings, acoustics, draw_overlap
from vivavoce.model.turns.overlap_classifier import FRAME, HOP, LEAD, MELS, STEP, UNITS, WEIGHTS, WINDOW, Features
from vivavoce.model.turns.silero_vad import SileroVad

EXAMPLES: Final = 10_000
HELD_OUT: Final = 800
"""Examples of the development voices, measured after each epoch."""
EPOCHS: Final = 14
CHUNK: Final = 400
"""Examples that a process makes at a time."""
BATCH: Final = 64
RATE: Final = 2e-3
SEED: Final = 5
WINDOWS: Final = 40
"""Windows of an example from the first voiced one on: 1.28 s."""
FRAMES: Final = (LEAD + 1 + WINDOWS) * STEP
"""Feature frames of an example, one window before included."""
VOICED: Final = 0.5
"""Probability of speech from which on a window is voiced."""
EARLIEST: Final = 2 * WINDOW
"""Samples by which the VAD may precede the onset."""


class Classifier(nn.Module):
    """About 90 000 weights. Each window is convolved together with the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.second = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.squeeze = nn.Linear(16 * 2 * 10, 96)
        self.gru = nn.GRU(96, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, len(CLASSES))
        self.drop = nn.Dropout(0.25)

    def embed(self, features: Tensor) -> Tensor:
        """Embeds windows: (N, 2 * STEP, MELS) -> (N, 96)."""
        x = functional.relu(self.first(features[:, None]))  # (N, 12, 4, 20)
        x = functional.relu(self.second(x))  # (N, 16, 2, 10)
        return functional.relu(self.squeeze(self.drop(x.flatten(1))))

    def forward(self, features: Tensor) -> Tensor:
        """(B, FRAMES, MELS) -> logits (B, LEAD + WINDOWS, 4)."""
        count = features.shape[0]
        windows = features.unfold(1, 2 * STEP, STEP).transpose(2, 3)  # (B, LEAD + WINDOWS, 8, MELS)
        x = self.embed(windows.reshape(-1, 2 * STEP, MELS)).view(count, -1, 96)  # (B, LEAD + WINDOWS, 96)
        x, _ = self.gru(x)  # (B, LEAD + WINDOWS, UNITS)
        logits: Tensor = self.head(self.drop(x))
        return logits


class Step(nn.Module):
    """One window of one call: features (1, 2 * STEP, MELS) and state (1, UNITS) -> scores (1, 4), state."""

    def __init__(self, trained: Classifier) -> None:
        super().__init__()
        self.trained = trained

    def forward(self, features: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        gru = self.trained.gru
        weight_x, weight_h, bias_x, bias_h = gru.all_weights[0]
        x = functional.linear(self.trained.embed(features), weight_x, bias_x)
        h = functional.linear(before, weight_h, bias_h)
        (x_reset, x_update, x_new), (h_reset, h_update, h_new) = x.chunk(3, 1), h.chunk(3, 1)
        update = torch.sigmoid(x_update + h_update)
        new = torch.tanh(x_new + torch.sigmoid(x_reset + h_reset) * h_new)
        after = new + update * (before - new)
        return torch.softmax(self.trained.head(after), 1), after


def main(folder: Path, out: Path = WEIGHTS) -> None:
    """Trains on the recordings in `folder`; writes the network of the best epoch."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    features, kinds = _examples(folder, EXAMPLES, SEED, development=False)
    held_out, truth = _examples(folder, HELD_OUT, SEED + 1, development=True)
    model = Classifier()
    print(sum(p.numel() for p in model.parameters()), "weights,", len(kinds), "examples")
    best, rng = 1e9, np.random.default_rng(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.02)
    steps = EPOCHS * (len(kinds) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    for epoch in range(EPOCHS):
        model.train()
        order = rng.permutation(len(kinds))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            loss = _loss(model(_masked(features[chosen], rng)), kinds[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        loss_held_out, rates = _evaluate(model, held_out, truth)
        print(f"epoch {epoch + 1}: {loss_held_out:.3f}  {rates}", flush=True)
        if loss_held_out < best:
            best = loss_held_out
            _export(model, out)


def _masked(features: Tensor, rng: np.random.Generator) -> Tensor:
    """Augments features, (B, FRAMES, MELS): up to 5 dB louder or softer, every other one with a band of mels masked."""
    changed = features.float() + torch.from_numpy(rng.uniform(-0.17, 0.17, (len(features), 1, 1)).astype(np.float32))
    for row in np.flatnonzero(rng.random(len(features)) < 0.5):
        low, width = int(rng.integers(0, MELS - 6)), int(rng.integers(1, 7))
        changed[row, :, low : low + width] = changed[row].mean()
    return changed


def _loss(logits: Tensor, kinds: Tensor) -> Tensor:
    """Cross entropy, later windows weighted more: logits (B, LEAD + WINDOWS, 4), kinds (B,)."""
    targets = kinds[:, None].expand(-1, WINDOWS)
    each = functional.cross_entropy(logits[:, LEAD:].transpose(1, 2), targets, reduction="none", label_smoothing=0.02)
    weights = torch.ones(WINDOWS)
    weights[:4] = torch.tensor([0.1, 0.2, 0.4, 0.7])
    weights[24:] = 0.5
    return (each * weights).mean()


@torch.no_grad()
def _evaluate(model: Classifier, features: Tensor, kinds: Tensor) -> tuple[float, str]:
    """Returns the loss, and the shares of interruptions and of others classified correctly after some windows."""
    model.eval()
    logits = torch.cat([model(part.float()) for part in torch.split(features, 250)])
    interruption = torch.softmax(logits, 2)[:, LEAD:, 0]  # (B, WINDOWS)
    stops = kinds == 0
    rates = " ".join(
        f"{n}:{(interruption[stops, n - 1] >= 0.5).float().mean():.3f}"
        f"/{(interruption[~stops, n - 1] < 0.5).float().mean():.3f}"
        for n in (6, 9, 14, 18, 24)
    )
    return float(_loss(logits, kinds)), rates


def _export(model: Classifier, path: Path) -> None:
    model.eval()
    inputs = (torch.zeros(1, 2 * STEP, MELS), torch.zeros(1, UNITS))
    torch.onnx.export(
        Step(model),
        inputs,
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["features", "before"],
        output_names=["scores", "after"],
    )
    model.train()


def _examples(folder: Path, count: int, seed: int, development: bool) -> tuple[Tensor, Tensor]:
    """Features and classes; made once, then kept in `folder`."""
    path = folder / f"examples-{seed}-{count}.npz"
    if not path.exists():
        chunks = range(0, count, CHUNK)
        with ProcessPoolExecutor(2) as workers:
            jobs = [
                workers.submit(make, folder, min(CHUNK, count - at), seed * 1000 + at, development) for at in chunks
            ]
            made = [job.result() for job in jobs]
        np.savez(path, features=np.concatenate([m[0] for m in made]), kinds=np.concatenate([m[1] for m in made]))
    with np.load(path) as file:
        return torch.from_numpy(file["features"]), torch.from_numpy(file["kinds"])


def make(folder: Path, count: int, seed: int, development: bool) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Makes examples: features, shape (count, FRAMES, 40), and classes, shape (count,)."""
    recordings, rng = Recordings.read(folder, development), np.random.default_rng(seed)
    surroundings = acoustics(recordings, rng)
    store = open_store()
    vad, features = SileroVad(store.path("silero-vad")), Features()
    made: list[NDArray[np.float16]] = []
    kinds: list[int] = []
    while len(made) < count:
        overlap = draw_overlap(recordings, surroundings, rng)
        first = first_voiced(overlap, vad)
        if first is None:
            continue
        start = (first - LEAD - 1) * WINDOW
        end = (first + WINDOWS) * WINDOW
        sound = np.pad(overlap.sound, (FRAME - HOP, max(0, end - LENGTH)))[start : end + FRAME - HOP]
        made.append(features(sound).astype(np.float16))
        kinds.append(overlap.kind)
    return np.stack(made), np.array(kinds)


def first_voiced(overlap: Overlap, vad: SileroVad) -> int | None:
    """Window in which the VAD detects the overlap; None when it does not."""
    state = vad.init_state()
    for window in range(LENGTH // WINDOW):
        voiced = vad.step(overlap.sound[window * WINDOW : (window + 1) * WINDOW], state) >= VOICED
        if voiced and window > LEAD and (window + 1) * WINDOW > overlap.onset - EARLIEST:
            return window
    return None


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="folder of the recordings of turns.voices")
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS, help="the ONNX file (default: the package's)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.folder, options.out)
