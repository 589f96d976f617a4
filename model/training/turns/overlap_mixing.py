"""One overlap as the microphone hears it: a sound over background and echo, all by seed.

    recordings ─┐
    hums        ├─► pitch, place, band ─► level ─┐
    coughs ...  ┘                                ├─► Overheard: sound at 16 kHz, what it is, where it begins
    assistant's voice ─► loudspeaker, room, what echo cancellation leaves ─┤
    fan, hum, crowd ───────────────────────────────────────────────────────┘

Pure, apart from reading the recordings once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.resample import Resampler
from vivavoce.model.training.data import sounds

Sound = NDArray[np.float32]
Random = np.random.Generator

RATE: Final = 16_000
CLASSES: Final = ("interruption", "backchannel", "noise", "echo")
SHARES: Final = (0.42, 0.33, 0.17, 0.08)
"""How often each is drawn."""
LEAD_S: Final = (0.3, 0.5)
LENGTH: Final = int(2.0 * RATE)
"""Samples of an overlap, its lead included."""
LEVEL_DB: Final = (-38.0, -14.0)
"""Of a person, dBFS: soft at the other side of the room, loud at the microphone."""
ECHO_DB: Final = (-68.0, -44.0)
"""What is left of the assistant's voice where the browser, or the server, cancels echo."""
DEVELOPMENT: Final = ("af_sky", "am_liam", "bm_lewis", "zf_xiaoyi", "if_sara", "em_alex")
"""Voices to choose thresholds with; the network does not learn from them."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """`sound`, float32 at 16 kHz, shape (LENGTH,); `kind` is an index of `CLASSES`; the sound begins at `onset`."""

    sound: Sound
    kind: int
    onset: int


@dataclass(frozen=True, slots=True)
class Recordings:
    """What was spoken, by kind: "interruption", "backchannel", "story"; `joes` is the share of it that is Piper's."""

    of: dict[str, list[Sound]]
    joes: dict[str, list[Sound]]

    @staticmethod
    def read(folder: Path, development: bool) -> Recordings:
        """Those of the development voices, or of all others."""
        kept: dict[str, list[Sound]] = {}
        joes: dict[str, list[Sound]] = {}
        for kind in ("interruption", "backchannel", "story"):
            kept[kind], joes[kind] = [], []
            for file in sorted((folder / kind).glob("*.npy")):
                voice = file.name.split("-")[0]
                if (voice in DEVELOPMENT) == development or kind == "story":
                    (joes if voice == "joe" else kept)[kind].append(np.load(file).astype(np.float32))
        return Recordings(kept, joes)

    def draw(self, kind: str, rng: Random) -> Sound:
        """One of many voices, or every third time Piper's, which has said everything."""
        found = self.of[kind]
        if self.joes[kind] and (not found or rng.random() < 0.33):
            found = self.joes[kind]
        return found[int(rng.integers(len(found)))]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where it happens: some rooms (spectra of what they answer to a click) and some backgrounds. Made once for many
    overlaps."""

    rooms: list[NDArray[np.complex128]]
    backgrounds: list[Sound]

    @staticmethod
    def make(recordings: Recordings, rng: Random) -> Surroundings:
        click = np.zeros(RATE // 4, np.float32)
        click[0] = 1.0
        seeds = rng.integers(1 << 31, size=40)
        answers = [sounds.room(click, int(seed), rng.uniform(0.1, 0.6)) for seed in seeds]
        return Surroundings([np.fft.rfft(a, 1 << 16) for a in answers], [_background(rng, recordings) for _ in seeds])

    def room(self, sound: Sound, rng: Random) -> Sound:
        """`sound`, shorter than 3 s, in one of the rooms."""
        answer = self.rooms[int(rng.integers(len(self.rooms)))]
        heard = np.fft.irfft(np.fft.rfft(sound, 1 << 16) * answer)
        return heard[: len(sound) + RATE // 4].astype(np.float32)

    def background(self, rng: Random) -> Sound:
        """Shape (LENGTH,)."""
        found = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        return np.roll(found, int(rng.integers(len(found))))[:LENGTH] * np.float32(10 ** rng.uniform(-0.3, 0.3))


def overhear(recordings: Recordings, around: Surroundings, rng: Random) -> Overheard:
    """Draws one."""
    kind = int(rng.choice(len(CLASSES), p=SHARES))
    onset = int(rng.uniform(*LEAD_S) * RATE)
    scene = np.zeros(LENGTH, np.float32)
    echo_db = rng.uniform(*ECHO_DB)
    if CLASSES[kind] == "echo":
        scene[onset:] += _echo(recordings, around, rng, LENGTH - onset, echo_db)
    else:
        if rng.random() < 0.6:
            scene += _echo(recordings, around, rng, LENGTH, echo_db)
        sound = _levelled(_sound(CLASSES[kind], recordings, around, rng), rng.uniform(*LEVEL_DB))[: LENGTH - onset]
        scene[onset : onset + len(sound)] += sound
    scene += around.background(rng)
    if rng.random() < 0.15:
        scene = _band(scene, 300, 3400)
    return Overheard(np.clip(scene, -1, 1).astype(np.float32), kind, onset)


def _sound(kind: str, recordings: Recordings, around: Surroundings, rng: Random) -> Sound:
    """The event alone."""
    if kind == "noise":
        return _placed(_pitched(noise(rng), rng.uniform(0.75, 1.3)), around, rng)
    pitch = rng.uniform(0.8, 1.3)
    if kind == "backchannel":
        sound = hum(rng) if rng.random() < 0.2 else recordings.draw(kind, rng)
        if rng.random() < 0.1:
            sound = _after(sound, sound, rng.uniform(0.15, 0.5))
    else:
        sound = recordings.draw("story" if rng.random() < 0.08 else kind, rng)
        if rng.random() < 0.15:
            first = hum(rng) if rng.random() < 0.2 else recordings.draw("backchannel", rng)
            return _placed(_after(_pitched(first, pitch), _pitched(sound, pitch), rng.uniform(-0.08, 0.1)), around, rng)
    return _placed(_pitched(sound, pitch), around, rng)


def noise(rng: Random) -> Sound:
    """A cough, a bark, a door, keys, claps, at 16 kHz."""
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
    """A "mm", "mhm" or "mm-hmm": a closed mouth, one or two humps of level and pitch, maybe breath between them."""
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
    """One to four bursts of a few milliseconds, as hands, cups and microphones that are touched make them."""
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


def _echo(recordings: Recordings, around: Surroundings, rng: Random, length: int, level_db: float) -> Sound:
    """The assistant's voice after loudspeaker, room and an echo canceller that comes and goes."""
    story = recordings.draw("story", rng)
    start = int(rng.integers(max(1, len(story) - length)))
    voice = _band(np.resize(np.roll(story, -start), length), rng.uniform(80, 500), rng.uniform(3000, 7500))
    voice = _levelled(around.room(voice, rng)[:length], level_db)
    steps = np.repeat(rng.uniform(0.1, 1.0, length // 1600 + 2), 1600)
    return np.asarray(voice * np.convolve(steps, np.ones(400) / 400, "same")[:length], np.float32)


def _background(rng: Random, recordings: Recordings) -> Sound:
    """A fan, a machine, a crowd, or nearly nothing; of any level, 4 s."""
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
            made = sounds.babble([*recordings.of["story"], *recordings.joes["story"]][:12], seconds, seed)
    return _levelled(made[: 4 * RATE], rng.uniform(-62, -40))


def _placed(sound: Sound, around: Surroundings, rng: Random) -> Sound:
    """In a room or at the mouth, through one microphone or another."""
    if rng.random() < 0.5:
        sound = around.room(sound[: 2 * RATE], rng)
    if rng.random() < 0.5:
        sound = _tilted(sound, rng.uniform(-4, 4))
    if rng.random() < 0.2:
        sound = _band(sound, rng.uniform(60, 200), rng.uniform(3500, 7500))
    return sound


def _pitched(sound: Sound, factor: float) -> Sound:
    """Higher and faster by `factor`."""
    at = np.arange(0, len(sound) - 1, factor)
    return np.asarray(np.interp(at, np.arange(len(sound)), sound), np.float32)


def _after(first: Sound, second: Sound, gap: float) -> Sound:
    """`second` begins `gap` seconds after `first` ends; a negative gap overlaps them."""
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


def _tilted(sound: Sound, db_per_octave: float) -> Sound:
    """A duller or sharper microphone, around 1 kHz."""
    spectrum, hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / RATE)
    gain = (np.maximum(hz, 80.0) / 1000) ** (db_per_octave / 6.02 / 2)
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), np.float32)


def _at_16k(sound: Sound) -> Sound:
    resampler = Resampler(SAMPLE_RATE, RATE)
    return np.concatenate((resampler.push(sound), resampler.flush()))
