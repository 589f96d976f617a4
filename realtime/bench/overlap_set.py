"""Overlaps with labels, the same on every run: who says what over the assistant, where, and what it should do.

    phrases × evaluation voices ─┐                         ┌─► Case: microphone sound, label, where the sound begins
    coughs, barks, doors, keys ──┼─► level ─► condition ───┤
    nothing but its own echo ────┘                         └─► seed

Conditions: clean, a fan or a crowd 20 and 10 dB below the voice, a telephone line, the assistant's echo at -35 dB,
5 % of the packets lost in bursts. The voices take no part in training, nor do most of the phrases; the noises come
from the same makers with other seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from vivavoce.model.dialogue import SAMPLE_RATE, Samples
from vivavoce.realtime.bench import sounds
from vivavoce.realtime.bench.studio import EVALUATION, Studio
from vivavoce.realtime.turns.training.phrases import (
    EVALUATION_BACKCHANNELS,
    EVALUATION_INTERRUPTIONS,
    EVALUATION_TURNED,
)

Kind = Literal["interruption", "turned", "backchannel", "noise", "echo"]
STOPS: Final = ("interruption", "turned")
"""Kinds that should stop the assistant. "turned" begins as a backchannel does: "yeah, but ..."."""

CONDITIONS: Final = (
    "clean",
    "fan 20 dB",
    "fan 10 dB",
    "crowd 20 dB",
    "crowd 10 dB",
    "telephone",
    "echo -35 dB",
    "loss 5 %",
)
LEAD: Final = 3 * SAMPLE_RATE // 4
TAIL: Final = SAMPLE_RATE
FRAME: Final = SAMPLE_RATE // 50
"""Samples of a packet."""
LEVELS_DB: Final = (-34.0, -18.0)
NOISES: Final = 80
ECHOES_DB: Final = (-25.0, -30.0, -35.0, -40.0)


@dataclass(frozen=True, slots=True)
class Case:
    """`microphone`: what the user's side sends, 24 kHz, without echo; the sound in it begins at `onset`. The
    assistant's own voice comes back `echo_db` below its level (None: it does not)."""

    kind: Kind
    text: str
    voice: str
    condition: str
    microphone: Samples
    onset: int
    echo_db: float | None


def cases(studio: Studio, seed: int, each: tuple[int, int, int] = (12, 2, 8), takes: int = 2) -> Iterator[Case]:
    """Of every voice `each` interruptions, turned ones and backchannels, each in `takes` conditions; then noises, and
    echo alone."""
    draw = random.Random(seed)
    for voice in EVALUATION:
        for kind, texts, count in (
            ("interruption", EVALUATION_INTERRUPTIONS, each[0]),
            ("turned", EVALUATION_TURNED, each[1]),
            ("backchannel", EVALUATION_BACKCHANNELS, each[2]),
        ):
            for text in draw.sample(texts, count):
                said = studio.say(text, voice)
                for condition in draw.sample(CONDITIONS, takes):
                    sound = said.samples[said.speech_start : said.speech_end]
                    yield _case(kind, text, voice, condition, sound, studio, draw)  # type: ignore[arg-type] # the three above
    for n in range(NOISES):
        name, sound = _noise(n, seed * 1000 + n)
        yield _case("noise", name, "", draw.choice(CONDITIONS), sound, studio, draw)
    for n in range(4 * len(ECHOES_DB)):
        quiet = sounds.silence(5.0)
        yield Case("echo", "", "", "echo", quiet, LEAD, ECHOES_DB[n % len(ECHOES_DB)])


def _case(
    kind: Kind, text: str, voice: str, condition: str, sound: Samples, studio: Studio, draw: random.Random
) -> Case:
    sound = sounds.at_level(sound, draw.uniform(*LEVELS_DB))
    seed = draw.randrange(1 << 30)
    loud = sounds.loudness(sound)
    microphone = sounds.place(sounds.white(3.6, seed) * 1e-3, sound, LEAD)
    microphone = np.pad(microphone, (0, max(0, LEAD + len(sound) + TAIL - len(microphone))))
    name, _, decibels = condition.partition(" ")
    if name in ("fan", "crowd"):
        bed = sounds.pink(4.0, seed) if name == "fan" else studio.crowd(4.0, seed)
        bed = np.resize(bed, len(microphone)) * 10 ** ((loud - float(decibels.split()[0]) - sounds.loudness(bed)) / 20)
        microphone = np.clip(microphone + bed, -1, 1).astype(np.float32)
    elif name == "telephone":
        microphone = sounds.telephone(microphone)
    elif name == "loss":
        microphone = _lossy(microphone, seed)
    return Case(kind, text, voice, condition, microphone, LEAD, -35.0 if name == "echo" else None)


def _noise(n: int, seed: int) -> tuple[str, Samples]:
    match n % 8:
        case 0 | 1 | 2:
            return "cough", sounds.cough(seed)
        case 3 | 4 | 5:
            return "bark", sounds.bark(seed)
        case 6:
            return "door", sounds.door(seed)
        case _:
            return "keyboard", sounds.keyboard(1.5, seed)


def _lossy(samples: Samples, seed: int) -> Samples:
    """5 % of the 20 ms packets lost, two in a row on the average; each is concealed by the one before, fading."""
    rng = np.random.default_rng(seed)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).copy()
    lost = False
    for n in range(1, len(frames)):
        lost = bool(rng.random() < (0.5 if lost else 0.026))
        if lost:
            frames[n] = frames[n - 1] * 0.6
    return frames.reshape(-1)
