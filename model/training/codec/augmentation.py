"""Augments clean speech as microphones and lines do: rooms, noise, narrow bands, Opus, level; all by seed.

    clean (n,) at 24 kHz ─► room ─► microphone's tilt ─► noise ─► telephone | Opus | wide ─► level ─► (n,)

Rooms and noises are those of data/acoustics.py; bands and rates are torchaudio's. Nothing is delayed by more than a few
milliseconds, so that the frames keep their latents. Speed is not changed here: joe speaks at other speeds by its
durations, the other voices did when they were synthesized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torchaudio import functional

from vivavoce.codecs import g711
from vivavoce.codecs.tokenizer import SAMPLE_RATE
from vivavoce.model.training.data.acoustics import Acoustics, FreshNoise, Random, Rooms, Sound, impulse_response, tilt

CLEAN: Final = 0.2
"""Share of the clips of which only the level is changed."""
ROOMS: Final = 0.5
TILTS: Final = 0.4
NOISES: Final = 0.6
TELEPHONES: Final = 0.2
OPUSES: Final = 0.15
"""Shares of the others: in a room, tilted, with noise, over the telephone, through Opus."""
SNR_DB: Final = (5.0, 35.0)
LEVEL_DB: Final = (-38.0, -12.0)
"""Of the speech, dBFS: far from the microphone, close to it."""
ROOM_COUNT: Final = 60
BIT_RATES: Final = (10_000, 16_000, 24_000, 32_000)
"""Of Opus, bit/s."""


def acoustics(talkers: Sequence[Sound], rng: Random) -> Acoustics:
    """Draws the rooms; babble is made of `talkers`, (n,) each at 24 kHz."""
    return Acoustics(Rooms([impulse_response(rng) for _ in range(ROOM_COUNT)]), FreshNoise(talkers))


def augment(sound: Sound, acoustics: Acoustics, rng: Random) -> Sound:
    """Speech at 24 kHz, (n,) -> the same as a microphone or line delivers it, (n,)."""
    sound = sound * np.float32(_gain(sound, 1.0))
    if rng.random() >= CLEAN:
        if rng.random() < ROOMS:
            sound = acoustics.room(sound, rng)
        if rng.random() < TILTS:
            sound = tilt(sound, rng.uniform(-4, 4), SAMPLE_RATE)
        if rng.random() < NOISES:
            noise, speech_to_noise = acoustics.noise(len(sound), rng), 10 ** (rng.uniform(*SNR_DB) / 20)
            sound = sound + noise * np.float32(_gain(noise, 1 / speech_to_noise) / _gain(sound, 1.0))
    sound = sound * np.float32(_gain(sound, 10 ** (rng.uniform(*LEVEL_DB) / 20)))
    line = rng.random()
    if line < TELEPHONES:
        sound = telephone(sound)
    elif line < TELEPHONES + OPUSES:
        sound = opus(sound, int(rng.choice(BIT_RATES)))
    return np.clip(sound, -1, 1).astype(np.float32)


def telephone(sound: Sound) -> Sound:
    """A telephone line: 300 to 3 400 Hz, mu-law at 8 kHz, back at 24 kHz; shape (n,)."""
    wide = torch.from_numpy(sound)
    band = functional.highpass_biquad(functional.lowpass_biquad(wide, SAMPLE_RATE, 3400), SAMPLE_RATE, 300)
    narrow = _resampled(band.clamp(-1, 1).numpy(), SAMPLE_RATE, 8_000)
    line = g711.decode(g711.encode(narrow, "mu"), "mu")
    return _resampled(line, 8_000, SAMPLE_RATE)[: len(sound)]


def opus(sound: Sound, bit_rate: int) -> Sound:
    """Encodes and decodes with libopus for speech, its delay removed; `bit_rate` in bit/s; shape (n,)."""
    import av

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = SAMPLE_RATE, "mono", "s16", bit_rate
    encoder.options = {"application": "voip"}
    encoder.open()
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout, decoder.extradata = SAMPLE_RATE, "mono", encoder.extradata
    size = SAMPLE_RATE // 50
    padded = np.pad(np.round(sound * 32_767).astype(np.int16), (0, -len(sound) % size + 4 * size))
    pieces = []
    for at in range(0, len(padded), size):
        frame = av.AudioFrame.from_ndarray(padded[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, at
        for packet in encoder.encode(frame):
            pieces += [decoded.to_ndarray()[0] for decoded in decoder.decode(packet)]
    made = np.concatenate(pieces)
    scale = np.float32(1 / 32_768 if made.dtype == np.int16 else 1)
    return _resampled(made * scale, decoder.sample_rate, SAMPLE_RATE)[: len(sound)]


def _resampled(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    return np.asarray(functional.resample(torch.from_numpy(sound), from_hz, to_hz))


def _gain(sound: Sound, level: float) -> float:
    """Factor that brings the audible samples of `sound` to the root mean square `level`."""
    audible = np.abs(sound) > 0.05 * np.abs(sound).max()
    if not audible.any():
        return 1.0
    return float(level / (np.sqrt(np.square(sound[audible], dtype=np.float64).mean()) + 1e-9))
