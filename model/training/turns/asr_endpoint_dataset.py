"""Data set for the endpoint head: states of the ASR encoder at pauses, of finished and unfinished turns.

    python -m vivavoce.model.training.turns.asr_endpoint_dataset FOLDER [--parts FIRST LAST]

    sentences ─► spoken, cut at their marks (data/turns.py) ─┬─► all of it, or its first half as a sentence: finished
                 joe, and other training voices              └─► up to a mark: unfinished
                 ─► noise, telephone ─► cut soon after the last sound ─► ASR encoder ─► FOLDER/endings-<part>.npz

Pairs with the same words ("I sold the sofa." and "I sold the sofa, | last Friday.") differ in prosody alone, so that
the head learns prosody. A second run continues the first. A part takes a minute or two.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import SAMPLE_RATE as ASR_RATE
from vivavoce.model.cascade.asr.moonshine import Moonshine
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.data.sounds import hum, mix, pink, silence, telephone
from vivavoce.model.training.data.speech import EVALUATION, JOE, Synthesizer, audible
from vivavoce.model.training.data.turns import spoken_parts
from vivavoce.model.training.turns.overlap_mixing import DEVELOPMENT
from vivavoce.model.training.turns.sentences import first_half, sentences

SEED: Final = 21
PARTS: Final = 40
TEXTS: Final = 32
"""Texts of a part."""
JOE_SHARE: Final = 0.72
"""Share of the texts spoken by joe, who is fast to synthesize; the others are Kokoro's English voices."""
MIXED: Final = 12
"""Parts with several voices; the others are joe's alone."""
SPEEDS: Final = (0.88, 1.2)
STATES: Final = 48
"""States of an example: the last 1.15 s."""
LEAD: Final = (0.25, 0.5)
"""Seconds of silence before the first sound."""
CONTINUED: Final = 0.35
"""Share of the examples with earlier speech, and the seconds of pause behind it:"""
PAUSE: Final = (0.25, 1.2)
SOON: Final = (0.05, 0.13)
LATER: Final = (0.2, 0.5)
"""Seconds of silence behind the last sound when the encoder runs: 70 % and 30 % of the examples."""


class EndpointExamples(NamedTuple):
    """`states` (N, STATES, 288) float16, of which the last `lengths` (N,) are valid; `finished` (N,) 0 or 1."""

    states: NDArray[np.float16]
    lengths: NDArray[np.int64]
    finished: NDArray[np.int64]


def utterances(synthesizer: Synthesizer, part: int) -> Iterator[tuple[str, Samples, bool]]:
    """Yields (voice, speech up to a pause, whether the turn is finished) of a part."""
    draw = random.Random(f"{SEED} {part}")
    names = sorted(file.stem for file in (synthesizer.folder("af_heart") / "voices").glob("[ab]*.bin"))
    voices = [name for name in names if name not in EVALUATION and name not in DEVELOPMENT]
    for text in islice(sentences(SEED * 1000 + part), TEXTS):
        voice = JOE if part >= MIXED or draw.random() < JOE_SHARE else draw.choice(voices)
        speed = round(draw.uniform(*SPEEDS), 2)
        pieces = spoken_parts(synthesizer, text, voice, speed)
        for end in range(1, len(pieces) + 1):
            yield voice, np.concatenate(pieces[:end]), end == len(pieces)
        half = first_half(text)
        if half is not None:
            yield voice, spoken_parts(synthesizer, half, voice, speed)[0], True


def augmented(speech: Samples, before: Samples | None, rng: np.random.Generator) -> Samples:
    """`speech`, (n,), in noise, cut shortly after its last sound; `before` it earlier speech and a pause; (m,)."""
    end = audible(speech)[1] + round(rng.uniform(*(SOON if rng.random() < 0.7 else LATER)) * SAMPLE_RATE)
    sound = np.concatenate((speech[:end], np.zeros(max(0, end - len(speech)), np.float32)))
    if before is not None:
        sound = np.concatenate((before, silence(float(rng.uniform(*PAUSE))), sound))
    sound = np.concatenate((silence(float(rng.uniform(*LEAD))), sound))
    seconds, seed = len(sound) / SAMPLE_RATE, int(rng.integers(1 << 30))
    bed = hum(seconds, seed) if seed % 2 else pink(seconds, seed)
    sound = mix(sound, bed, float(rng.uniform(30, 45) if rng.random() < 0.7 else rng.uniform(12, 30)), seed)
    sound = telephone(sound) if rng.random() < 0.15 else sound
    return sound * np.float32(10 ** rng.uniform(-0.4, 0.3))


def make(synthesizer: Synthesizer, asr: Moonshine, part: int) -> EndpointExamples:
    """Makes a part, the same on every run. Earlier speech is independent of the label."""
    rng = np.random.default_rng([SEED, part])
    earlier: dict[str, list[Samples]] = {}
    states, lengths, finished = [], [], []
    for voice, speech, complete in utterances(synthesizer, part):
        others = earlier.setdefault(voice, [])
        before = others[int(rng.integers(len(others)))] if others and rng.random() < CONTINUED else None
        resampler = Resampler(SAMPLE_RATE, ASR_RATE)
        last = asr.states(resampler.push(augmented(speech, before, rng)))[0, -STATES:]  # (T, 288)
        states.append(np.pad(last, ((STATES - len(last), 0), (0, 0))).astype(np.float16))
        lengths.append(len(last))
        finished.append(int(complete))
        if not complete:
            others.append(speech)
    return EndpointExamples(np.stack(states), np.array(lengths), np.array(finished))


def main(folder: Path, first: int = 0, last: int = PARTS) -> None:
    """Makes the parts `first` to `last` - 1 that do not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store()
    synthesizer, asr = Synthesizer(store, folder / "studio"), Moonshine(store.path("moonshine-tiny-en"), 1)
    for part in range(first, last):
        path = folder / f"endings-{part}.npz"
        if not path.exists():
            np.savez(path.with_suffix(".part.npz"), **make(synthesizer, asr, part)._asdict())
            path.with_suffix(".part.npz").replace(path)
            print(part, flush=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="where the parts go")
    parser.add_argument(
        "--parts",
        type=int,
        nargs=2,
        default=(0, PARTS),
        metavar=("FIRST", "LAST"),
        help="make these, the last not included (default: all)",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.folder, *options.parts)
