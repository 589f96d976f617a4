"""Endings of turns, finished and not, as the ears hear them.

    python -m vivavoce.model.training.turns.asr_endpoint_dataset FOLDER

    sentences ─► spoken, cut at their marks (turns_set) ─┬─► all of it, or its first half as a sentence: finished
                 joe, and other training voices          └─► up to a mark: not
                 ─► noise, telephone ─► cut off soon after the last sound ─► the ears' encoder ─► FOLDER/<part>.npz

A pair that shares its words ("I sold the sofa." and "I sold the sofa, | last Friday.") differs in the voice alone,
which is what is to be learned. A second run goes on where the first was stopped. A part takes a minute or two.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import SAMPLE_RATE as EARS_RATE
from vivavoce.model.cascade.asr.moonshine import Moonshine
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.sounds import hum, mix, pink, silence, telephone
from vivavoce.model.training.data.speech import EVALUATION, JOE, Studio, audible
from vivavoce.model.training.data.turns import spoken_parts
from vivavoce.model.training.turns.overlap_mixing import DEVELOPMENT
from vivavoce.model.training.turns.sentences import first_half, sentences

SEED: Final = 21
PARTS: Final = 40
EACH: Final = 32
"""Texts of a part."""
JOES: Final = 0.72
"""Share of the texts that joe says, who is quick; the others are Kokoro's English voices."""
MIXED: Final = 12
"""Parts with several voices; the rest are joe's alone."""
SPEEDS: Final = (0.88, 1.2)
STATES: Final = 48
"""States kept: the last 1.15 s."""
LEAD: Final = (0.25, 0.5)
AGAIN: Final = 0.35
"""How often something was said before, with a pause behind it of so many seconds:"""
PAUSE: Final = (0.25, 1.2)
SOON: Final = (0.05, 0.13)
LATER: Final = (0.2, 0.5)
"""Seconds of silence behind the last sound when the ears look."""


class Endings(NamedTuple):
    """`states` (N, STATES, 288) float16, of which the last `lengths` (N,) count; `finished` (N,) 0 or 1."""

    states: NDArray[np.float16]
    lengths: NDArray[np.int64]
    finished: NDArray[np.int64]


def spoken(studio: Studio, part: int) -> Iterator[tuple[str, Samples, bool]]:
    """Voices of a part, what they say up to a pause, and whether that is all."""
    draw = random.Random(f"{SEED} {part}")
    everyone = sorted(file.stem for file in (studio.folder("af_heart") / "voices").glob("[ab]*.bin"))
    voices = [name for name in everyone if name not in EVALUATION and name not in DEVELOPMENT]
    for text in islice(sentences(SEED * 1000 + part), EACH):
        voice = JOE if part >= MIXED or draw.random() < JOES else draw.choice(voices)
        speed = round(draw.uniform(*SPEEDS), 2)
        pieces = spoken_parts(studio, text, voice, speed)
        for end in range(1, len(pieces) + 1):
            yield voice, np.concatenate(pieces[:end]), end == len(pieces)
        half = first_half(text)
        if half is not None:
            yield voice, spoken_parts(studio, half, voice, speed)[0], True


def heard(speech: Samples, before: Samples | None, rng: np.random.Generator) -> Samples:
    """`speech` in some noise, up to a little silence behind its last sound; `before` it something else, and a pause."""
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


def make(studio: Studio, ears: Moonshine, part: int) -> Endings:
    """A part, the same on every run. That something was said before tells nothing about the end."""
    rng = np.random.default_rng([SEED, part])
    earlier: dict[str, list[Samples]] = {}
    states, lengths, finished = [], [], []
    for voice, speech, whole in spoken(studio, part):
        others = earlier.setdefault(voice, [])
        before = others[int(rng.integers(len(others)))] if others and rng.random() < AGAIN else None
        resampler = Resampler(SAMPLE_RATE, EARS_RATE)
        found = ears.states(resampler.push(heard(speech, before, rng)))[0, -STATES:]
        states.append(np.pad(found, ((STATES - len(found), 0), (0, 0))).astype(np.float16))
        lengths.append(len(found))
        finished.append(int(whole))
        if not whole:
            others.append(speech)
    return Endings(np.stack(states), np.array(lengths), np.array(finished))


def main(folder: Path, first: int = 0, last: int = PARTS) -> None:
    """Makes the parts from `first` up to `last` that are not there yet."""
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    studio, ears = Studio(store, folder / "studio"), Moonshine(store.path("moonshine-tiny-en"), 1)
    for part in range(first, last):
        path = folder / f"endings-{part}.npz"
        if not path.exists():
            np.savez(path.with_suffix(".part.npz"), **make(studio, ears, part)._asdict())
            path.with_suffix(".part.npz").replace(path)
            print(part, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
