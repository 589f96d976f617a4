"""Trains the overlap classifier: python -m vivavoce.model.training.turns.train_overlap FOLDER (see speak.py).

    features (B, FRAMES, 40) ─► two frames' convolutions per window ─► GRU ─► scores after each window (B, W, 4)

Every window counts from the first voiced one on, the early ones less: then much cannot be known. The result is a step
for one window, in ONNX: model/turns/overlap_classifier.onnx. A few minutes on two cores; the same on every run of one
machine.

Overlaps to what the network sees of them: features from three windows before the first voiced one on.

    Overheard ─► Silero, window by window ─► first voiced window ─► features of LEAD + WINDOWS windows, label

Sounds at which the speech net stays silent are left out: nobody asks about them.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.turns.overlap_mixing import CLASSES, LENGTH, Overheard, Recordings, Surroundings, overhear
from vivavoce.model.turns.overlap_classifier import FRAME, HOP, LEAD, MELS, STEP, UNITS, WEIGHTS, WINDOW, Features
from vivavoce.model.turns.silero_vad import SileroVad

EXAMPLES: Final = 10_000
CHECKED: Final = 800
EPOCHS: Final = 14
CHUNK: Final = 400
"""Examples that one process makes at a time."""
BATCH: Final = 64
RATE: Final = 2e-3
SEED: Final = 5


class Classifier(nn.Module):
    """About 90 000 weights. A window is seen with the window before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.second = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.squeeze = nn.Linear(16 * 2 * 10, 96)
        self.gru = nn.GRU(96, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, len(CLASSES))
        self.drop = nn.Dropout(0.25)

    def seen(self, features: Tensor) -> Tensor:
        """(N, 2 * STEP, MELS) -> (N, 96): what a window looks like."""
        x = functional.relu(self.first(features[:, None]))  # (N, 12, 4, 20)
        x = functional.relu(self.second(x))  # (N, 16, 2, 10)
        return functional.relu(self.squeeze(self.drop(x.flatten(1))))

    def forward(self, features: Tensor) -> Tensor:
        """(B, FRAMES, MELS) -> logits (B, LEAD + WINDOWS, 4)."""
        count = features.shape[0]
        windows = features.unfold(1, 2 * STEP, STEP).transpose(2, 3)  # (B, LEAD + WINDOWS, 8, MELS)
        x = self.seen(windows.reshape(-1, 2 * STEP, MELS)).view(count, -1, 96)
        x, _ = self.gru(x)
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
        x = functional.linear(self.trained.seen(features), weight_x, bias_x)
        h = functional.linear(before, weight_h, bias_h)
        (x_reset, x_update, x_new), (h_reset, h_update, h_new) = x.chunk(3, 1), h.chunk(3, 1)
        update = torch.sigmoid(x_update + h_update)
        new = torch.tanh(x_new + torch.sigmoid(x_reset + h_reset) * h_new)
        after = new + update * (before - new)
        return torch.softmax(self.trained.head(after), 1), after


def main(folder: Path, out: Path = WEIGHTS) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    features, kinds = _examples(folder, EXAMPLES, SEED, development=False)
    checked, truth = _examples(folder, CHECKED, SEED + 1, development=True)
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
        loss_checked, told = _check(model, checked, truth)
        print(f"epoch {epoch + 1}: {loss_checked:.3f}  {told}", flush=True)
        if loss_checked < best:
            best = loss_checked
            _export(model, out)


def _masked(features: Tensor, rng: np.random.Generator) -> Tensor:
    """Louder or softer by up to 5 dB, and with a band of mels hidden now and then: what varies in life."""
    changed = features.float() + torch.from_numpy(rng.uniform(-0.17, 0.17, (len(features), 1, 1)).astype(np.float32))
    for row in np.flatnonzero(rng.random(len(features)) < 0.5):
        low, width = int(rng.integers(0, MELS - 6)), int(rng.integers(1, 7))
        changed[row, :, low : low + width] = changed[row].mean()
    return changed


def _loss(logits: Tensor, kinds: Tensor) -> Tensor:
    wanted = kinds[:, None].expand(-1, WINDOWS)
    each = functional.cross_entropy(logits[:, LEAD:].transpose(1, 2), wanted, reduction="none", label_smoothing=0.02)
    weights = torch.ones(WINDOWS)
    weights[:4] = torch.tensor([0.1, 0.2, 0.4, 0.7])
    weights[24:] = 0.5
    return (each * weights).mean()


@torch.no_grad()
def _check(model: Classifier, features: Tensor, kinds: Tensor) -> tuple[float, str]:
    """The loss; and, after 6, 9, 14, 18, 24 windows: how many interruptions and others are taken for what they are."""
    model.eval()
    logits = torch.cat([model(part.float()) for part in torch.split(features, 250)])
    sure = torch.softmax(logits, 2)[:, LEAD:, 0]
    stops = kinds == 0
    told = " ".join(
        f"{n}:{(sure[stops, n - 1] >= 0.5).float().mean():.3f}/{(sure[~stops, n - 1] < 0.5).float().mean():.3f}"
        for n in (6, 9, 14, 18, 24)
    )
    return float(_loss(logits, kinds)), told


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
    """Made once, then kept in `folder`."""
    kept = folder / f"examples-{seed}-{count}.npz"
    if not kept.exists():
        chunks = range(0, count, CHUNK)
        with ProcessPoolExecutor(2) as workers:
            jobs = [
                workers.submit(make, folder, min(CHUNK, count - at), seed * 1000 + at, development) for at in chunks
            ]
            made = [job.result() for job in jobs]
        np.savez(kept, features=np.concatenate([m[0] for m in made]), kinds=np.concatenate([m[1] for m in made]))
    with np.load(kept) as all_of_them:
        return torch.from_numpy(all_of_them["features"]), torch.from_numpy(all_of_them["kinds"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))


WINDOWS: Final = 40
"""From the first voiced one on: 1.28 s."""
FRAMES: Final = (LEAD + 1 + WINDOWS) * STEP
"""Feature frames of an example, those of one window before included."""
VOICED: Final = 0.5
EARLIEST: Final = 2 * WINDOW
"""Samples by which the speech net may be ahead of the marked beginning."""


def make(folder: Path, count: int, seed: int, development: bool) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """`count` examples: features, shape (count, FRAMES, 40), and classes, shape (count,)."""
    recordings, rng = Recordings.read(folder, development), np.random.default_rng(seed)
    around = Surroundings.make(recordings, rng)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    net, features = SileroVad(store.path("silero-vad")), Features()
    made: list[NDArray[np.float16]] = []
    kinds: list[int] = []
    while len(made) < count:
        overheard = overhear(recordings, around, rng)
        first = first_voiced(overheard, net)
        if first is None:
            continue
        start = (first - LEAD - 1) * WINDOW
        end = (first + WINDOWS) * WINDOW
        sound = np.pad(overheard.sound, (FRAME - HOP, max(0, end - LENGTH)))[start : end + FRAME - HOP]
        made.append(features(sound).astype(np.float16))
        kinds.append(overheard.kind)
    return np.stack(made), np.array(kinds)


def first_voiced(overheard: Overheard, net: SileroVad) -> int | None:
    """The window at which an overlap begins; None when the speech net does not notice it."""
    state = net.init_state()
    for window in range(LENGTH // WINDOW):
        voiced = net.step(overheard.sound[window * WINDOW : (window + 1) * WINDOW], state) >= VOICED
        if voiced and window > LEAD and (window + 1) * WINDOW > overheard.onset - EARLIEST:
            return window
    return None
