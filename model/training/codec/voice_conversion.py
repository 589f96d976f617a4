"""Voices in disguise: sound whose latents are known, made into many people's.

    shard of `latents` ─noisy─► vocoder ─► WORLD: pitch, size of the mouth, breath ─► sound ┐
                       └clean──────────────────────────────────────────────────────► latents┴► pairs
    python -m vivavoce.model.training.codec.voice_conversion LATENTS FOLDER FIRST LAST
    python -m vivavoce.model.training.codec.voice_conversion FOLDER   each shard spoken-* once more, as again-*

Pitch and formants change, timing does not (Morise et al. 2016, WORLD). One of joe's clips in seven stays as it is.
Seeded by the shard's number; shards that exist are left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.tokenizer import SAMPLE_RATE
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.codec.shards import FRAME, Pair, Sound, Vocoder, read, write

HIMSELF: Final = 1 / 7
PITCH: Final = (0.75, 2.3)
"""Factors: a low man's voice to a child's; joe speaks at about 100 Hz."""
PITCH_OF_OTHERS: Final = (0.75, 1.35)
"""Less, since they are high and low already."""
MOUTH: Final = (0.86, 1.22)
"""Factors of the formants; it goes with the pitch, loosely."""
BREATH: Final = 0.35
"""At most so much of the voice is made noise."""
LIVELY: Final = (0.6, 1.6)
"""Factors of the range of the pitch."""
PERIOD_MS: Final = 5.0
SPAN: Final = 8
"""Frames that a pair's length is a multiple of."""
LONGEST: Final = 192
"""Frames of a pair: 9 s. More is cut off."""


def disguised(sound: Sound, rng: np.random.Generator, pitch: tuple[float, float] = PITCH) -> Sound:
    """The same words by somebody else, as long as before, the loudness kept; `pitch`: by what factors it may change."""
    import pyworld

    x = sound.astype(np.float64)
    rough, times = pyworld.dio(x, SAMPLE_RATE, f0_floor=60, f0_ceil=400, frame_period=PERIOD_MS)
    pitch_hz = pyworld.stonemask(x, rough, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(x, pitch_hz, times, SAMPLE_RATE)
    noise = pyworld.d4c(x, pitch_hz, times, SAMPLE_RATE)
    higher = rng.uniform(*np.log(pitch))
    mouth = float(np.clip(np.exp(0.2 * higher + rng.normal(0, 0.05)), *MOUTH))
    voiced = pitch_hz > 0
    if voiced.any():
        middle = np.exp(np.log(pitch_hz[voiced]).mean())
        knots = np.arange(0, len(times) + 40, 40)  # the pitch wanders a little, every 0.2 s elsewhere
        drift = np.interp(np.arange(len(times)), knots, rng.normal(0, 0.04, len(knots)))
        lively = rng.uniform(*LIVELY)
        pitch_hz = np.where(voiced, middle * np.exp(higher + drift) * (np.maximum(pitch_hz, 1) / middle) ** lively, 0.0)
    noise = np.maximum(noise, rng.uniform(0, BREATH) * rng.random())
    made = pyworld.synthesize(pitch_hz, _stretched(envelope, mouth), _stretched(noise, mouth), SAMPLE_RATE, PERIOD_MS)
    made = np.pad(made, (0, max(0, len(x) - len(made))))[: len(x)]
    made *= np.sqrt(np.square(x).mean() / (np.square(made).mean() + 1e-12))
    return np.asarray(np.clip(made, -1, 1), np.float32)


def _stretched(spectra: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Spectra (n, bins) with what was at f now at f * factor."""
    bins = spectra.shape[1]
    places = np.minimum(np.arange(bins) / factor, bins - 1)
    low = places.astype(int)
    high, share = np.minimum(low + 1, bins - 1), places - low
    return np.ascontiguousarray(spectra[:, low] * (1 - share) + spectra[:, high] * share)


def pairs(shard: Path, vocoder: Vocoder, seed: int) -> Iterator[Pair]:
    """Those of one shard of latents."""
    rng = np.random.default_rng(seed)
    with np.load(shard) as made:
        clean, noisy, ends = made["clean"], made["noisy"], np.cumsum(made["lengths"])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        frames = min((int(end) - int(start)) // 4 // SPAN * SPAN, LONGEST)
        stretch = slice(int(start), int(start) + 4 * frames)
        sound = vocoder(noisy[:, stretch])[: frames * FRAME]
        yield Pair(sound if rng.random() < HIMSELF else disguised(sound, rng), clean[:, stretch])


def main(latents: Path, folder: Path, first: int, last: int) -> None:
    vocoder = Vocoder(Store(default_home(os.environ, sys.platform), catalog.load()).path("piper-joe"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        path = folder / f"joe-{number:04}.npz"
        if not path.exists():
            write(path, list(pairs(latents / f"latents-{number:04d}.npz", vocoder, number)))
            print(path, flush=True)


def again(folder: Path) -> None:
    """The other voices' shards in `folder`, each clip as somebody else's."""
    for number, shard in enumerate(sorted(folder.glob("spoken-*.npz"))):
        path, rng = folder / f"again-{shard.stem.removeprefix('spoken-')}.npz", np.random.default_rng((1, number))
        if not path.exists():
            write(path, [Pair(disguised(p.sound, rng, PITCH_OF_OTHERS), p.latents) for p in read(shard)])
            print(path, flush=True)


if __name__ == "__main__":
    if sys.argv[2:]:
        main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        again(Path(sys.argv[1]))
