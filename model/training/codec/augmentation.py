"""Clean speech as a microphone or a line delivers it: rooms, noise, narrow bands, Opus, level; all by seed.

    clean (n,) at 24 kHz ─► room ─► microphone's tilt ─► noise ─► telephone | Opus | wide ─► level ─► (n,)

Rooms, bands, filters and rates are torchaudio's. Nothing moves by more than a few milliseconds, so that the frames keep
their latents. Speed is not changed here: joe speaks at other speeds by his durations, the other voices did when they
were recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torchaudio import functional

from vivavoce.codecs import g711
from vivavoce.codecs.tokenizer import SAMPLE_RATE
from vivavoce.model.training.codec.shards import Sound

Random = np.random.Generator

CLEAN: Final = 0.2
"""Share of the clips to which only the level happens."""
ROOMS: Final = 0.5
TILTS: Final = 0.4
NOISES: Final = 0.6
TELEPHONES: Final = 0.2
OPUSES: Final = 0.15
SNR_DB: Final = (5.0, 35.0)
LEVEL_DB: Final = (-38.0, -12.0)
"""Of the speech, dBFS: far from the microphone, close to it."""
DECAY_S: Final = (0.1, 0.7)
"""In which a room's echo falls by 60 dB."""
ROOM_COUNT: Final = 60
BIT_RATES: Final = (10_000, 16_000, 24_000, 32_000)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Rooms, as their answers to a click, and speech to make crowds of. Made once."""

    rooms: list[Sound]
    crowd: list[Sound]

    @staticmethod
    def make(crowd: list[Sound], rng: Random) -> Surroundings:
        return Surroundings([_answer(rng) for _ in range(ROOM_COUNT)], crowd)

    def room(self, sound: Sound, rng: Random) -> Sound:
        """`sound` in one of the rooms."""
        answer = self.rooms[int(rng.integers(len(self.rooms)))]
        heard: torch.Tensor = functional.fftconvolve(torch.from_numpy(sound), torch.from_numpy(answer))
        return np.asarray(heard[: len(sound)])

    def noise(self, length: int, rng: Random) -> Sound:
        """A fan, traffic, a machine's hum or a crowd."""
        match int(rng.integers(4)):
            case 0:
                return _coloured(length, rng, 0.0)
            case 1:
                return _coloured(length, rng, rng.uniform(-6, -3))
            case 2:
                t = np.arange(length) / SAMPLE_RATE
                tones = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3, 4, 6, 8))
                return np.asarray(tones + _coloured(length, rng, -3.0), np.float32)
        people = [self.crowd[int(rng.integers(len(self.crowd)))] for _ in range(int(rng.integers(3, 8)))]
        voices = [
            np.roll(np.resize(voice, length), int(rng.integers(length))) * rng.uniform(0.3, 1) for voice in people
        ]
        return np.asarray(sum(voices), np.float32)


def scene(sound: Sound, around: Surroundings, rng: Random) -> Sound:
    """`sound`, (n,), somewhere; (n,)."""
    sound = sound * np.float32(_gain(sound, 1.0))
    if rng.random() >= CLEAN:
        if rng.random() < ROOMS:
            sound = around.room(sound, rng)
        if rng.random() < TILTS:
            sound = _tilted(sound, rng.uniform(-4, 4))
        if rng.random() < NOISES:
            noise, speech_to_noise = around.noise(len(sound), rng), 10 ** (rng.uniform(*SNR_DB) / 20)
            sound = sound + noise * np.float32(_gain(noise, 1 / speech_to_noise) / _gain(sound, 1.0))
    sound = sound * np.float32(_gain(sound, 10 ** (rng.uniform(*LEVEL_DB) / 20)))
    line = rng.random()
    if line < TELEPHONES:
        sound = telephone(sound)
    elif line < TELEPHONES + OPUSES:
        sound = opus(sound, int(rng.choice(BIT_RATES)))
    return np.clip(sound, -1, 1).astype(np.float32)


def telephone(sound: Sound) -> Sound:
    """300 to 3 400 Hz, mu-law at 8 kHz, back at 24 kHz."""
    wide = torch.from_numpy(sound)
    band = functional.highpass_biquad(functional.lowpass_biquad(wide, SAMPLE_RATE, 3400), SAMPLE_RATE, 300)
    narrow = _at(band.clamp(-1, 1).numpy(), SAMPLE_RATE, 8_000)
    heard = g711.decode(g711.encode(narrow, "mu"), "mu")
    return _at(heard, 8_000, SAMPLE_RATE)[: len(sound)]


def opus(sound: Sound, bit_rate: int) -> Sound:
    """After libopus for speech, its delay taken off."""
    import av

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = SAMPLE_RATE, "mono", "s16", bit_rate
    encoder.options = {"application": "voip"}
    encoder.open()
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout, decoder.extradata = SAMPLE_RATE, "mono", encoder.extradata
    size = SAMPLE_RATE // 50
    padded = np.pad(np.round(sound * 32_767).astype(np.int16), (0, -len(sound) % size + 4 * size))
    heard = []
    for at in range(0, len(padded), size):
        frame = av.AudioFrame.from_ndarray(padded[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, at
        for packet in encoder.encode(frame):
            heard += [got.to_ndarray()[0] for got in decoder.decode(packet)]
    made = np.concatenate(heard)
    scale = np.float32(1 / 32_768 if made.dtype == np.int16 else 1)
    return _at(made * scale, decoder.sample_rate, SAMPLE_RATE)[: len(sound)]


def _at(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    return np.asarray(functional.resample(torch.from_numpy(sound), from_hz, to_hz))


def _gain(sound: Sound, level: float) -> float:
    """Factor that brings what can be heard of `sound` to the root mean square `level`."""
    heard = np.abs(sound) > 0.05 * np.abs(sound).max()
    return float(level / (np.sqrt(np.square(sound[heard], dtype=np.float64).mean()) + 1e-9)) if heard.any() else 1.0


def _answer(rng: Random) -> Sound:
    """A room's answer to a click: the click itself, some reflections, and an echo that falls away, sooner where the
    sound is high."""
    decay = rng.uniform(*DECAY_S)
    length = int(decay * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    noise = rng.standard_normal(length)
    dull = np.convolve(noise, np.ones(6) / 6, "same")
    tail = noise * np.exp(-t * 11 / decay) * 0.5 + dull * np.exp(-t * 6.9 / decay)
    tail[: int(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(0, 14) / 20) / np.sqrt(np.square(tail).sum())
    for _ in range(int(rng.integers(2, 7))):
        tail[int(rng.uniform(0.002, 0.03) * SAMPLE_RATE) % length] += rng.uniform(-0.5, 0.5)
    tail[0] = 1.0
    return tail.astype(np.float32)


def _coloured(length: int, rng: Random, db_per_octave: float) -> Sound:
    return _tilted(rng.standard_normal(length).astype(np.float32), db_per_octave)


def _tilted(sound: Sound, db_per_octave: float) -> Sound:
    """Duller or sharper, around 1 kHz."""
    spectrum, hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    gain = (np.maximum(hz, 80.0) / 1000) ** (db_per_octave / 6.02)
    return np.fft.irfft(spectrum * gain, len(sound)).astype(np.float32)
