"""Augments training pairs by voice conversion: other speakers' timbres with joe's timing and latents.

    shard of latents ─noisy─► vocoder ─► WORLD: pitch, formants, breathiness ─► sound ┐
                     └clean──────────────────────────────────────────────► latents ───┴► pairs, shards joe-*

    python -m vivavoce.model.training.codec.voice_conversion FOLDER --latents LATENTS [--shards FIRST LAST]
    python -m vivavoce.model.training.codec.voice_conversion FOLDER     converts the shards spoken-* to again-*

Pitch and formants change, timing does not (Morise et al. 2016, WORLD). One of joe's clips in seven stays as it is.
Seeded by the shard's number; existing shards are kept. (The names of the shards are those of earlier runs: with other
ones a stopped run would begin anew.)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec.shards import FRAME, OnnxVocoder, Pair, read, write

UNCONVERTED: Final = 1 / 7
"""Share of joe's clips that stay as they are."""
PITCH: Final = (0.75, 2.3)
"""Factors of the pitch, from a low male voice to a child's; joe speaks at about 100 Hz."""
PITCH_OF_OTHERS: Final = (0.75, 1.35)
"""Factors for the other voices: less, because they differ already."""
FORMANTS: Final = (0.86, 1.22)
"""Factors of the formants, loosely correlated with the pitch."""
BREATHINESS: Final = 0.35
"""Largest share of the voice that is replaced by noise."""
PITCH_RANGE: Final = (0.6, 1.6)
"""Factors of the range of the pitch."""
PERIOD_MS: Final = 5.0
SPAN: Final = 8
"""The length of a pair is a multiple of so many frames."""
LONGEST: Final = 192
"""Frames of a pair, 9 s; longer ones are cut."""


def convert(sound: Samples, rng: np.random.Generator, pitch: tuple[float, float] = PITCH) -> Samples:
    """Converts to another speaker's voice, drawn at random: same words, timing and loudness; (n,) at 24 kHz.

    `pitch`: range of the factors of the pitch."""
    import pyworld

    x = sound.astype(np.float64)
    rough, times = pyworld.dio(x, SAMPLE_RATE, f0_floor=60, f0_ceil=400, frame_period=PERIOD_MS)
    pitch_hz = pyworld.stonemask(x, rough, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(x, pitch_hz, times, SAMPLE_RATE)
    noise = pyworld.d4c(x, pitch_hz, times, SAMPLE_RATE)
    shift = rng.uniform(*np.log(pitch))
    formants = float(np.clip(np.exp(0.2 * shift + rng.normal(0, 0.05)), *FORMANTS))
    voiced = pitch_hz > 0
    if voiced.any():
        mean_hz = np.exp(np.log(pitch_hz[voiced]).mean())
        knots = np.arange(0, len(times) + 40, 40)  # a slow drift of the pitch, drawn every 0.2 s
        drift = np.interp(np.arange(len(times)), knots, rng.normal(0, 0.04, len(knots)))
        exponent = rng.uniform(*PITCH_RANGE)
        curve = mean_hz * np.exp(shift + drift) * (np.maximum(pitch_hz, 1) / mean_hz) ** exponent
        pitch_hz = np.where(voiced, curve, 0.0)
    noise = np.maximum(noise, rng.uniform(0, BREATHINESS) * rng.random())
    envelope, noise = _warped(envelope, formants), _warped(noise, formants)
    made = pyworld.synthesize(pitch_hz, envelope, noise, SAMPLE_RATE, PERIOD_MS)
    made = np.pad(made, (0, max(0, len(x) - len(made))))[: len(x)]
    made *= np.sqrt(np.square(x).mean() / (np.square(made).mean() + 1e-12))
    return np.asarray(np.clip(made, -1, 1), np.float32)


def _warped(spectra: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Moves the content of spectra, (n, bins), from f to f * factor."""
    bins = spectra.shape[1]
    sources = np.minimum(np.arange(bins) / factor, bins - 1)
    low = sources.astype(int)
    high, share = np.minimum(low + 1, bins - 1), sources - low
    return np.ascontiguousarray(spectra[:, low] * (1 - share) + spectra[:, high] * share)


def convert_shard(shard: Path, vocoder: OnnxVocoder, seed: int) -> Iterator[Pair]:
    """Yields the pairs of one shard of latents."""
    rng = np.random.default_rng(seed)
    with np.load(shard) as file:
        clean, noisy, ends = file["clean"], file["noisy"], np.cumsum(file["lengths"])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        frames = min((int(end) - int(start)) // 4 // SPAN * SPAN, LONGEST)
        stretch = slice(int(start), int(start) + 4 * frames)
        sound = vocoder(noisy[:, stretch])[: frames * FRAME]
        yield Pair(sound if rng.random() < UNCONVERTED else convert(sound, rng), clean[:, stretch])


def main(latents: Path, folder: Path, first: int, last: int) -> None:
    """Converts the shards `first` to `last` - 1 of joe's latents that are not in `folder` yet."""
    vocoder = OnnxVocoder(open_store().path("piper-joe"))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        path = folder / f"joe-{number:04}.npz"
        if not path.exists():
            write(path, list(convert_shard(latents / f"latents-{number:04d}.npz", vocoder, number)))
            print(path, flush=True)


def convert_others(folder: Path) -> None:
    """Converts each clip of the other voices' shards in `folder` to one more voice."""
    for number, shard in enumerate(sorted(folder.glob("spoken-*.npz"))):
        path, rng = folder / f"again-{shard.stem.removeprefix('spoken-')}.npz", np.random.default_rng((1, number))
        if not path.exists():
            write(path, [Pair(convert(p.sound, rng, PITCH_OF_OTHERS), p.latents) for p in read(shard)])
            print(path, flush=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="where the shards of pairs go, and those of other voices are")
    parser.add_argument(
        "--latents",
        type=Path,
        metavar="LATENTS",
        help="convert joe's shards in this folder; without it the shards spoken-* in FOLDER",
    )
    parser.add_argument(
        "--shards",
        type=int,
        nargs=2,
        default=(0, 7),
        metavar=("FIRST", "LAST"),
        help="of LATENTS, the last not included (default: 0 7)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    if options.latents:
        main(options.latents, options.folder, *options.shards)
    else:
        convert_others(options.folder)
