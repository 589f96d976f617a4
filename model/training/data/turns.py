"""Synthesizes user turns with labelled pauses and ends: the data set for endpointing.

    turns.toml ──► spoken in one breath (TTS) ──cut at the end of a word──► pause inserted ──► condition ──► Turn
                    "I'd like to, order."        "…to," ▏"order."          250..1500 ms       noise, line

A part is spoken with its continuation and cut in the silence behind its last word, so that it sounds unfinished; where
the voice makes no silence, it is spoken alone, with a comma behind it. Parts marked "+" are sentences of their own. The
length of every pause follows from the seed.
"""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.training.data.sounds import FRAME, hum, levels, mix, pink, silence, telephone
from vivavoce.model.training.data.speech import DEVELOPMENT, EVALUATION, JOE, MARGIN, SILENT_DB, Synthesizer, audible

Part = Literal["evaluation", "development"]
Condition = Literal["clean", "noise", "babble", "telephone"]

CONDITIONS: Final[tuple[Condition, ...]] = ("clean", "noise", "babble", "telephone")
COMPLETE: Final = ("answers", "statements", "questions", "requests", "numbers")
"""Kinds of turns without an inner pause."""
PAUSES: Final = (0.25, 1.5)
"""Seconds of an inner pause, from the last audible sound before it to the first after it; evenly spread over the
logarithm."""
LEAD: Final = 1.0
"""Seconds of background before the speech, by default: the first words of a call. Echo cancellation and VAD settle in
them; the level of background speech is known after two seconds."""
TAIL: Final = 5.0
"""Seconds of background behind the speech: the longest endpointing timeout."""
SNR_DB: Final = 15.0
"""Signal-to-noise ratio of "noise" (a machine, or broadband noise) and "babble"."""
ROOM_DB: Final = 40.0
"""The same for "clean" and "telephone": a quiet room."""

SILENT: Final = 3
"""Shortest silence behind a word, in frames of 10 ms."""

_AROUND: Final = SAMPLE_RATE // 25  # 40 ms: largest error of the voice's word ends
_FADE: Final = SAMPLE_RATE // 200  # 5 ms


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; `samples` at 24 kHz. Positions in samples: `speech_start`, `speech_end`, and for each inner pause the
    end of the sound before and the start of the sound after it (both by `AUDIBLE_DB` of the clean speech)."""

    samples: Samples
    text: str
    voice: str
    kind: str
    condition: Condition
    pauses: tuple[tuple[int, int], ...]
    speech_start: int
    speech_end: int


def turns(
    synthesizer: Synthesizer,
    part: Part,
    conditions: Sequence[Condition] = CONDITIONS,
    *,
    seed: int = 4,
    lead: float = LEAD,
) -> Iterator[Turn]:
    """Yields all turns of a part, each in every condition, with the same voice in all of them."""
    voices = DEVELOPMENT if part == "development" else (*EVALUATION, JOE)
    number = 0
    for kind, texts in read_texts(part).items():
        for text in texts:
            voice = voices[number % len(voices)]
            number += 1
            for condition in conditions:
                yield make_turn(synthesizer, text, voice, kind, condition, seed, lead)


def read_texts(part: Part) -> dict[str, list[str]]:
    """Reads the texts of a part, by kind of turn."""
    tables = tomllib.loads(Path(__file__).with_name("turns.toml").read_text(encoding="utf-8"))
    return {kind: table["texts"] for kind, table in tables[part].items()}


def make_turn(
    synthesizer: Synthesizer,
    text: str,
    voice: str,
    kind: str,
    condition: Condition,
    seed: int,
    lead_seconds: float = LEAD,
) -> Turn:
    """Synthesizes one turn. The pauses depend on text and seed, not on voice or condition."""
    rng = np.random.default_rng([seed, zlib.crc32(text.encode())])
    pieces = spoken_parts(synthesizer, text, voice)
    speech, pauses = pieces[0], []
    for piece in pieces[1:]:
        gap = float(np.exp(rng.uniform(*np.log(PAUSES))))
        before = audible(speech)[1]
        after = before + round(gap * SAMPLE_RATE)
        pauses.append((before, after))
        nothing = np.zeros(after - audible(piece)[0] - len(speech), np.float32)
        speech = np.concatenate((speech, nothing, piece))
    lead = round(lead_seconds * SAMPLE_RATE)
    start, end = lead + audible(speech)[0], lead + audible(speech)[1]
    samples = np.concatenate((silence(lead_seconds), speech, silence(TAIL)))
    captured = _in_condition(synthesizer, samples, condition, int(rng.integers(1 << 30)))
    shifted = tuple((lead + before, lead + after) for before, after in pauses)
    return Turn(captured, text, voice, kind, condition, shifted, start, end)


def spoken_parts(synthesizer: Synthesizer, text: str, voice: str, speed: float = 1.0) -> list[Samples]:
    """Speaks the parts of a text between its pauses, with at most `MARGIN` of silence around each."""
    marked = [part.strip() for part in text.split("|")]
    if len(marked) > 1 and all(part.startswith("+") for part in marked):
        return [_trimmed(synthesizer.say(part[1:], voice, speed).samples) for part in marked]
    *earlier, last = marked
    parts = [part if part[-1] in ",.;:!?" else f"{part}," for part in earlier]
    spoken = synthesizer.say(" ".join([*parts, last]), voice, speed)
    sound, cuts, chars = spoken.samples, [0], 0
    for part in parts:
        chars += len(part) + 1
        ended = next(word.sample for word in spoken.words if word.chars >= chars - 2)
        following = next(word.sample for word in spoken.words if word.chars > chars) - 3 * _AROUND
        cut = _silence_in(sound, ended - _AROUND, min(following, ended + 8 * _AROUND))
        if cut is None:  # no silence: the part would hold the beginning of the next word
            return [_faded(_trimmed(synthesizer.say(part, voice, speed).samples)) for part in (*parts, last)]
        cuts.append(cut)
    cuts.append(len(sound))
    return [_faded(_trimmed(sound[start:stop])) for start, stop in pairwise(cuts)]


def _silence_in(sound: Samples, first: int, last: int) -> int | None:
    """Middle of the first silence between two samples; None when there is none."""
    first = max(0, first)
    soft = levels(sound[first:last]) < SILENT_DB
    runs = np.split(np.arange(len(soft)), np.flatnonzero(np.diff(soft)) + 1)
    silent = next((run for run in runs if len(run) >= SILENT and soft[run[0]]), None)
    return None if silent is None else first + int(silent[len(silent) // 2]) * FRAME


def _trimmed(sound: Samples) -> Samples:
    first, last = audible(sound)
    return sound[max(0, first - MARGIN) : last + MARGIN]


def _faded(sound: Samples) -> Samples:
    edge = np.linspace(0, 1, _FADE, dtype=np.float32)
    return np.concatenate((sound[:_FADE] * edge, sound[_FADE:-_FADE], sound[-_FADE:] * edge[::-1]))


def _in_condition(synthesizer: Synthesizer, speech: Samples, condition: Condition, seed: int) -> Samples:
    """Adds the noise or line of a condition."""
    seconds = len(speech) / SAMPLE_RATE
    match condition:
        case "clean":
            return mix(speech, pink(seconds, seed), ROOM_DB, seed)
        case "noise":
            bed = hum(seconds, seed) if seed % 2 else pink(seconds, seed)
            return mix(speech, bed, SNR_DB, seed)
        case "babble":
            return mix(speech, synthesizer.babble(seconds, seed), SNR_DB, seed)
        case "telephone":
            return telephone(mix(speech, pink(seconds, seed), ROOM_DB, seed))
