"""Mixes training examples of overlap: a sound over background noise and echo as the microphone captures it, by seed.

    recordings ─┐
    hums        ├─► pitch, room, band ─► level ─┐
    coughs ...  ┘                               ├─► Overlap: sound at 16 kHz, its class, its onset
    assistant's voice ─► loudspeaker, room, residue of echo cancellation ──┤
    fan, hum, babble ──────────────────────────────────────────────────────┘

Pure, apart from reading the recordings once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.resample import Resampler
from vivavoce.model.training.data import sounds
from vivavoce.model.training.data.acoustics import Acoustics, NoiseLoops, Random, Rooms, Sound, tilt

RATE: Final = 16_000
CLASSES: Final = ("interruption", "backchannel", "noise", "echo")
SHARES: Final = (0.42, 0.33, 0.17, 0.08)
"""Probabilities of the classes."""
LEAD_S: Final = (0.3, 0.5)
LENGTH: Final = int(2.0 * RATE)
"""Samples of an example, its lead included."""
LEVEL_DB: Final = (-38.0, -14.0)
"""Of a sound, dBFS: soft at the other side of the room, loud at the microphone."""
ECHO_DB: Final = (-68.0, -44.0)
"""Residual echo, dBFS: of the assistant's voice after echo cancellation in the browser or the server."""
DEVELOPMENT: Final = ("af_sky", "am_liam", "bm_lewis", "zf_xiaoyi", "if_sara", "em_alex")
"""Voices to choose thresholds with; the network is not trained on them."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """`sound`, float32 at 16 kHz, shape (LENGTH,); `kind`: index of `CLASSES`; `onset`: sample at which it begins."""

    sound: Sound
    kind: int
    onset: int


@dataclass(frozen=True, slots=True)
class Recordings:
    """Synthesized recordings by kind: "interruption", "backchannel", "story"; Kokoro's voices, and Piper's joe."""

    kokoro: dict[str, list[Sound]]
    joe: dict[str, list[Sound]]

    @staticmethod
    def read(folder: Path, development: bool) -> Recordings:
        """Reads the recordings of the development voices, or of all others."""
        kokoro: dict[str, list[Sound]] = {}
        joe: dict[str, list[Sound]] = {}
        for kind in ("interruption", "backchannel", "story"):
            kokoro[kind], joe[kind] = [], []
            for file in sorted((folder / kind).glob("*.npy")):
                voice = file.name.split("-")[0]
                if (voice in DEVELOPMENT) == development or kind == "story":
                    (joe if voice == "joe" else kokoro)[kind].append(np.load(file).astype(np.float32))
        return Recordings(kokoro, joe)

    def draw(self, kind: str, rng: Random) -> Sound:
        """Returns a recording of Kokoro's voices, or every third time of joe, who has spoken all phrases."""
        recordings = self.kokoro[kind]
        if self.joe[kind] and (not recordings or rng.random() < 0.33):
            recordings = self.joe[kind]
        return recordings[int(rng.integers(len(recordings)))]


def acoustics(recordings: Recordings, rng: Random) -> Acoustics:
    """Draws 40 rooms and 40 backgrounds of 4 s."""
    click = np.zeros(RATE // 4, np.float32)
    click[0] = 1.0
    seeds = rng.integers(1 << 31, size=40)
    responses = [sounds.room(click, int(seed), rng.uniform(0.1, 0.6)) for seed in seeds]
    return Acoustics(Rooms(responses, tail=RATE // 4), NoiseLoops([_background(rng, recordings) for _ in seeds]))


def draw_overlap(recordings: Recordings, acoustics: Acoustics, rng: Random) -> Overlap:
    """Draws one example."""
    kind = int(rng.choice(len(CLASSES), p=SHARES))
    onset = int(rng.uniform(*LEAD_S) * RATE)
    mixed = np.zeros(LENGTH, np.float32)
    echo_db = rng.uniform(*ECHO_DB)
    if CLASSES[kind] == "echo":
        mixed[onset:] += _echo(recordings, acoustics, rng, LENGTH - onset, echo_db)
    else:
        if rng.random() < 0.6:
            mixed += _echo(recordings, acoustics, rng, LENGTH, echo_db)
        sound = _levelled(_event(CLASSES[kind], recordings, acoustics, rng), rng.uniform(*LEVEL_DB))[: LENGTH - onset]
        mixed[onset : onset + len(sound)] += sound
    mixed += acoustics.noise(LENGTH, rng)
    if rng.random() < 0.15:
        mixed = _band(mixed, 300, 3400)
    return Overlap(np.clip(mixed, -1, 1).astype(np.float32), kind, onset)


def _event(kind: str, recordings: Recordings, acoustics: Acoustics, rng: Random) -> Sound:
    """The sound alone, as captured."""
    if kind == "noise":
        return _captured(_pitched(noise(rng), rng.uniform(0.75, 1.3)), acoustics, rng)
    pitch = rng.uniform(0.8, 1.3)
    if kind == "backchannel":
        sound = hum(rng) if rng.random() < 0.2 else recordings.draw(kind, rng)
        if rng.random() < 0.1:
            sound = _after(sound, sound, rng.uniform(0.15, 0.5))
    else:
        sound = recordings.draw("story" if rng.random() < 0.08 else kind, rng)
        if rng.random() < 0.15:
            first = hum(rng) if rng.random() < 0.2 else recordings.draw("backchannel", rng)
            return _captured(
                _after(_pitched(first, pitch), _pitched(sound, pitch), rng.uniform(-0.08, 0.1)), acoustics, rng
            )
    return _captured(_pitched(sound, pitch), acoustics, rng)


def noise(rng: Random) -> Sound:
    """A cough, a bark, a door, keys or claps, at 16 kHz."""
    seed = int(rng.integers(1 << 31))
    match int(rng.choice(5, p=(0.35, 0.3, 0.1, 0.1, 0.15))):
        case 0:
            made = sounds.cough(seed)
        case 1:
            made = sounds.bark(seed)
        case 2:
            made = sounds.door(seed)
        case 3:
            made = sounds.keyboard(1.2, seed)
        case _:
            made = _claps(rng)
    return _at_16k(made)


def hum(rng: Random) -> Sound:
    """A "mm", "mhm" or "mm-hmm" at 16 kHz: closed mouth, one or two humps of level and pitch, breath between them."""
    seconds = rng.uniform(0.2, 0.6)
    t = np.linspace(0, 1, int(seconds * RATE))
    pitch_hz = rng.uniform(85, 260)
    double = rng.random() < 0.5
    course = 1 + rng.uniform(-0.2, 0.35) * t + rng.uniform(-0.15, 0.15) * np.sin(np.pi * t)
    if double:
        course += rng.uniform(0.05, 0.3) * (t > 0.5)
    phase = 2 * np.pi * np.cumsum(pitch_hz * course) / RATE
    formants = (
        (rng.uniform(220, 330), 70, 1.0),
        (rng.uniform(900, 1300), 150, 0.08),
        (rng.uniform(2000, 2600), 200, 0.03),
    )
    sound = np.zeros_like(t)
    for harmonic in range(1, 24):
        gain = sum(w / (1 + ((harmonic * pitch_hz - hz) / width) ** 2) for hz, width, w in formants)
        sound += gain * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    swell = np.minimum(1, np.minimum(t / rng.uniform(0.08, 0.25), (1 - t) / rng.uniform(0.15, 0.4)))
    if double:
        dip = np.exp(-(((t - 0.48) / rng.uniform(0.05, 0.09)) ** 2))
        sound = (
            sound * (1 - rng.uniform(0.6, 1.0) * dip) + 0.15 * dip * rng.standard_normal(len(t)) * np.abs(sound).max()
        )
    return np.asarray(sound * swell, np.float32)


def _claps(rng: Random) -> Sound:
    """One to four bursts of a few milliseconds: claps, cups, touched microphones."""
    sound = np.zeros(SAMPLE_RATE, np.float32)
    at = 0
    for _ in range(int(rng.integers(1, 5))):
        size = int(rng.uniform(0.01, 0.06) * SAMPLE_RATE)
        burst = rng.standard_normal(size) * np.exp(-np.arange(size) / size * rng.uniform(3, 8))
        sound[at : at + size] += np.convolve(burst, np.ones(int(rng.integers(1, 20))), "same")[: len(sound) - at]
        at += int(rng.uniform(0.12, 0.3) * SAMPLE_RATE)
        if at + 1500 > len(sound):
            break
    return sound / np.float32(np.abs(sound).max() + 1e-9)


def _echo(recordings: Recordings, acoustics: Acoustics, rng: Random, length: int, level_db: float) -> Sound:
    """The assistant's voice after loudspeaker, room and an echo canceller of varying effect; shape (length,)."""
    story = recordings.draw("story", rng)
    start = int(rng.integers(max(1, len(story) - length)))
    voice = _band(np.resize(np.roll(story, -start), length), rng.uniform(80, 500), rng.uniform(3000, 7500))
    voice = _levelled(acoustics.room(voice, rng)[:length], level_db)
    steps = np.repeat(rng.uniform(0.1, 1.0, length // 1600 + 2), 1600)
    return np.asarray(voice * np.convolve(steps, np.ones(400) / 400, "same")[:length], np.float32)


def _background(rng: Random, recordings: Recordings) -> Sound:
    """A fan, a machine, babble, or near silence; of any level, 4 s."""
    seed, seconds = int(rng.integers(1 << 31)), 6.0
    match int(rng.choice(5, p=(0.25, 0.25, 0.15, 0.15, 0.2))):
        case 0:
            return np.asarray(rng.standard_normal(4 * RATE) * 10 ** (rng.uniform(-90, -65) / 20), np.float32)
        case 1:
            made = sounds.pink(seconds, seed)
        case 2:
            made = sounds.white(seconds, seed)
        case 3:
            made = sounds.hum(seconds, seed)
        case _:
            made = sounds.babble([*recordings.kokoro["story"], *recordings.joe["story"]][:12], seconds, seed)
    return _levelled(made[: 4 * RATE], rng.uniform(-62, -40))


def _captured(sound: Sound, acoustics: Acoustics, rng: Random) -> Sound:
    """In a room or close to the microphone, through one microphone or another."""
    if rng.random() < 0.5:
        sound = acoustics.room(sound[: 2 * RATE], rng)
    if rng.random() < 0.5:
        sound = tilt(sound, rng.uniform(-4, 4) / 2, RATE)
    if rng.random() < 0.2:
        sound = _band(sound, rng.uniform(60, 200), rng.uniform(3500, 7500))
    return sound


def _pitched(sound: Sound, factor: float) -> Sound:
    """Raises pitch and speed by `factor`."""
    at = np.arange(0, len(sound) - 1, factor)
    return np.asarray(np.interp(at, np.arange(len(sound)), sound), np.float32)


def _after(first: Sound, second: Sound, gap: float) -> Sound:
    """Joins both: `second` begins `gap` seconds after `first` ends; a negative gap overlaps them."""
    start = max(0, len(first) + int(gap * RATE))
    joined = np.zeros(max(len(first), start + len(second)), np.float32)
    joined[: len(first)] += first * np.float32(0.1 / (np.sqrt(np.mean(first**2)) + 1e-9))
    joined[start : start + len(second)] += second * np.float32(0.1 / (np.sqrt(np.mean(second**2)) + 1e-9))
    return joined


def _levelled(sound: Sound, level_db: float) -> Sound:
    loudest = sounds.loudness(sound)
    return np.asarray(sound * 10 ** ((level_db - loudest) / 20), np.float32)


def _band(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    spectrum, hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / RATE)
    edges = 1 / (1 + (low_hz / np.maximum(hz, 1.0)) ** 8) / (1 + (hz / high_hz) ** 16)
    return np.asarray(np.fft.irfft(spectrum * edges, len(sound)), np.float32)


def _at_16k(sound: Sound) -> Sound:
    resampler = Resampler(SAMPLE_RATE, RATE)
    return np.concatenate((resampler.push(sound), resampler.flush()))
