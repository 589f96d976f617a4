"""From a scenario's words to sound: all is spoken before the first call, so that no voice computes during one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.training.data import sounds
from vivavoce.model.training.data.speech import LOUDNESS_DB, Studio
from vivavoce.realtime.bench.caller.call_record import Kind
from vivavoce.realtime.bench.caller.caller import Clip
from vivavoce.realtime.bench.caller.scenario import Cue, Line, Scenario
from vivavoce.realtime.bench.measure.audio_truth import AUDIBLE

NOISE_SECONDS: Final = 20.0
"""The room's noise repeats after so long."""

NOISES: Final = ("cough", "bark", "door", "keyboard")


@dataclass(frozen=True, slots=True)
class Over:
    """A clip that begins `after` seconds of the reply."""

    kind: Kind
    after: float
    clip: Clip


@dataclass(frozen=True, slots=True)
class Act:
    """One turn, ready to be played."""

    clip: Clip
    over: tuple[Over, ...] = ()
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario, ready to be played. `noise`: of the room; `echo`: share of the loudspeaker that comes back."""

    scenario: Scenario
    acts: tuple[Act, ...]
    noise: Samples | None
    echo: float


def prepare(scenario: Scenario, studio: Studio, seed: int) -> Play:
    """Speaks all of it; the voices take turns. Raises what the studio raises."""
    acts = tuple(_act(line, studio, _voice(scenario.voices, n), seed + n) for n, line in enumerate(scenario.lines))
    noise = None
    if scenario.noise is not None:
        bed = studio.crowd(NOISE_SECONDS, seed) if scenario.crowd else sounds.pink(NOISE_SECONDS, seed)
        noise = sounds.at_level(bed, LOUDNESS_DB - scenario.noise)
    return Play(scenario, acts, noise, 0.0 if scenario.echo is None else 10 ** (-scenario.echo / 20))


def _voice(voices: Sequence[str], number: int) -> str:
    return voices[number % len(voices)]


def _act(line: Line, studio: Studio, voice: str, seed: int) -> Act:
    pieces: list[Samples] = []
    for part in line.say:
        if isinstance(part, str):
            pieces.append(studio.say(part, voice).samples)
        else:
            pieces.append(np.zeros(round(part * SAMPLE_RATE), np.float32))
    return Act(
        clip(line.text, np.concatenate(pieces)), tuple(_over(c, studio, voice, seed) for c in line.cues), line.expect
    )


def _over(cue: Cue, studio: Studio, voice: str, seed: int) -> Over:
    assert cue.kind in ("interruption", "backchannel", "noise")
    kind: Kind = cue.kind  # type: ignore[assignment]  # the scenario's reader has checked it
    if cue.say:
        return Over(kind, cue.after, clip(cue.say, studio.say(cue.say, voice).samples))
    return Over(kind, cue.after, clip(f"({cue.sound})", noise(cue.sound, seed)))


def noise(name: str, seed: int) -> Samples:
    """A noise by its name, of `NOISES`. Raises ValueError."""
    match name:
        case "cough":
            return sounds.cough(seed)
        case "bark":
            return sounds.bark(seed)
        case "door":
            return sounds.door(seed)
        case "keyboard":
            return sounds.keyboard(1.0, seed)
        case _:
            raise ValueError(f"there is no noise {name!r}; there are: {', '.join(NOISES)}")


def clip(text: str, samples: Samples) -> Clip:
    """`samples`, with the first and last 10 ms that can be heard as its beginning and end: by the measure that the
    answer is heard by (truth.py), so that the "s" of "France" still belongs to the question."""
    heard = np.flatnonzero(sounds.levels(samples) > 20 * np.log10(AUDIBLE))
    if not len(heard):
        return Clip(text, samples, 0, len(samples))
    return Clip(text, samples, int(heard[0]) * sounds.FRAME, (int(heard[-1]) + 1) * sounds.FRAME)
