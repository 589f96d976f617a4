"""Synthesize a scenario's speech before the first call, so that no TTS takes processor time during one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.training.data import sounds
from vivavoce.model.training.data.speech import LOUDNESS_DB, Synthesizer
from vivavoce.realtime.bench.caller.caller import Clip
from vivavoce.realtime.bench.caller.scenario import Cue, Line, Scenario
from vivavoce.realtime.bench.measure.audio_truth import AUDIBLE
from vivavoce.realtime.bench.measure.call_record import Kind

NOISE_SECONDS: Final = 20.0
"""Length of the background noise, which then repeats."""

NOISES: Final = ("cough", "bark", "door", "keyboard")


@dataclass(frozen=True, slots=True)
class PreparedOverlap:
    """A clip to play over the reply, `after` seconds from its first sound."""

    kind: Kind
    after: float
    clip: Clip


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """One turn as sound. `overlaps` meet its reply; `expect`: see `Line`."""

    clip: Clip
    overlaps: tuple[PreparedOverlap, ...] = ()
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedScenario:
    """A scenario as sound. `noise`: in the background; `echo`: gain from loudspeaker to microphone."""

    scenario: Scenario
    turns: tuple[PreparedTurn, ...]
    noise: Samples | None
    echo: float


def prepare(scenario: Scenario, studio: Synthesizer, seed: int) -> PreparedScenario:
    """Synthesizes all turns; the voices alternate. Raises the exceptions of `Synthesizer`."""
    turns = tuple(_turn(line, studio, _voice(scenario.voices, n), seed + n) for n, line in enumerate(scenario.lines))
    noise = None
    if scenario.noise is not None:
        bed = studio.babble(NOISE_SECONDS, seed) if scenario.crowd else sounds.pink(NOISE_SECONDS, seed)
        noise = sounds.at_level(bed, LOUDNESS_DB - scenario.noise)
    return PreparedScenario(scenario, turns, noise, 0.0 if scenario.echo is None else 10 ** (-scenario.echo / 20))


def _voice(voices: Sequence[str], number: int) -> str:
    return voices[number % len(voices)]


def _turn(line: Line, studio: Synthesizer, voice: str, seed: int) -> PreparedTurn:
    pieces: list[Samples] = []
    for part in line.say:
        if isinstance(part, str):
            pieces.append(studio.say(part, voice).samples)
        else:
            pieces.append(np.zeros(round(part * SAMPLE_RATE), np.float32))
    return PreparedTurn(
        clip(line.text, np.concatenate(pieces)), tuple(_overlap(c, studio, voice, seed) for c in line.cues), line.expect
    )


def _overlap(cue: Cue, studio: Synthesizer, voice: str, seed: int) -> PreparedOverlap:
    assert cue.kind in ("interruption", "backchannel", "noise")
    kind: Kind = cue.kind  # type: ignore[assignment]  # checked when the scenario was read
    if cue.say:
        return PreparedOverlap(kind, cue.after, clip(cue.say, studio.say(cue.say, voice).samples))
    return PreparedOverlap(kind, cue.after, clip(f"({cue.sound})", noise(cue.sound, seed)))


def noise(name: str, seed: int) -> Samples:
    """Generates the noise `name`, one of `NOISES`. Raises ValueError."""
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
    """`samples` as a clip that begins and ends with the first and last audible 10 ms: by the threshold of the replies
    (audio_truth.py), so that the "s" of "France" still belongs to the question."""
    loud = np.flatnonzero(sounds.levels(samples) > 20 * np.log10(AUDIBLE))
    if not len(loud):
        return Clip(text, samples, 0, len(samples))
    return Clip(text, samples, int(loud[0]) * sounds.FRAME, (int(loud[-1]) + 1) * sounds.FRAME)
