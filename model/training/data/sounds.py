"""Synthesizes noises and sound events; applies rooms, lines and levels. Pure: everything follows from its seed.

    white pink hum ─┐
    keyboard door   ├─► mix(speech, noise, snr_db) ─► room ─► telephone ─► microphone signal
    cough bark      │
    babble(voices) ─┘

All sound is float32 mono at 24 kHz, shape (samples,). Sounds have about the level of a voice (-22 dBFS); `mix` and
`at_level` set others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

Spectrum = NDArray[np.float64]

FRAME: Final = SAMPLE_RATE // 100
"""Samples of one level measurement, 10 ms."""
USUAL_DB: Final = -22.0
_GATE_DB: Final = 25.0  # frames so far below the loudest one do not count for the loudness


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def levels(samples: Samples) -> NDArray[np.float32]:
    """Root mean square of each whole 10 ms in dBFS, shape (samples // FRAME,)."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return np.asarray(10 * np.log10(np.square(frames).mean(axis=1) + 1e-12), np.float32)


def loudness(samples: Samples) -> float:
    """Level of the sounding frames, in dBFS: pauses do not make speech softer."""
    frames = levels(samples)
    if not len(frames):
        return -120.0
    sounding = frames[frames > frames.max() - _GATE_DB]
    return float(10 * np.log10(np.mean(10 ** (sounding / 10))))


def at_level(samples: Samples, level_db: float) -> Samples:
    """Scales to a loudness of `level_db` dBFS, clipped; shape (n,)."""
    return _clipped(samples * 10 ** ((level_db - loudness(samples)) / 20))


def mix(speech: Samples, noise: Samples, snr_db: float, seed: int) -> Samples:
    """Adds `noise` at `snr_db` below `speech`, from a random position on, repeated as needed; shape of `speech`."""
    start = int(np.random.default_rng(seed).integers(len(noise)))
    bed = np.resize(np.roll(noise, -start), len(speech))
    return _clipped(speech + bed * 10 ** ((loudness(speech) - snr_db - loudness(bed)) / 20))


def overlay(bed: Samples, sound: Samples, at: int) -> Samples:
    """Adds `sound` to `bed` from sample `at` on; longer than `bed` if the sound ends behind it."""
    mixed = np.pad(bed, (0, max(0, at + len(sound) - len(bed))))
    mixed[at : at + len(sound)] += sound
    return _clipped(mixed)


# --- steady noises -----------------------------------------------------------------------------------------------


def white(seconds: float, seed: int) -> Samples:
    return _shaped(seconds, seed, lambda hz: np.ones_like(hz))


def pink(seconds: float, seed: int) -> Samples:
    """Equal power in each octave above 20 Hz: fans, distant traffic."""
    return _shaped(seconds, seed, lambda hz: 1 / np.sqrt(np.maximum(hz, 20.0)))


def hum(seconds: float, seed: int) -> Samples:
    """Mains hum of a machine: harmonics of 50 Hz over soft low noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * (50 * k * t + rng.random())) / k for k in range(1, 12)]
    return at_level(np.asarray(np.sum(tones, axis=0), np.float32) + pink(seconds, seed) * 3, USUAL_DB)


def babble(voices: Sequence[Samples], seconds: float, seed: int, talkers: int = 6) -> Samples:
    """Background speech: loops of `talkers` over the given speech, each at its own position, level and pitch."""
    rng = np.random.default_rng(seed)
    mixed = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    for _ in range(talkers):
        said = np.concatenate([voices[i] for i in rng.permutation(len(voices))])
        pitch = rng.uniform(0.9, 1.12)
        said = np.interp(np.arange(0, len(said) - 1, pitch), np.arange(len(said)), said)
        mixed += np.resize(np.roll(said, int(rng.integers(len(said)))), len(mixed)) * rng.uniform(0.5, 1.0)
    return at_level(mixed, USUAL_DB)


# --- events ------------------------------------------------------------------------------------------------------


def keyboard(seconds: float, seed: int) -> Samples:
    """Typing: about seven keys a second, each a press and a softer release."""
    rng = np.random.default_rng(seed)
    sound = silence(seconds)
    at = 0.0
    while (at := at + rng.gamma(4.0, 0.035)) < seconds - 0.15:
        for delay, strength in ((0.0, 1.0), (rng.uniform(0.05, 0.1), 0.4)):
            key = _burst(rng, rng.uniform(0.012, 0.03), (rng.uniform(1500, 2500), rng.uniform(5000, 9000)), 0.006)
            sound = overlay(sound, key * strength, round((at + delay) * SAMPLE_RATE))
    return at_level(sound, USUAL_DB - 6)


def door(seed: int) -> Samples:
    """A slamming door: a low thump, a rattle, the room's reverberation. About half a second."""
    rng = np.random.default_rng(seed)
    sound = overlay(_burst(rng, 0.35, (30, 220), 0.07), 0.5 * _burst(rng, 0.06, (300, 3000), 0.012), 0)
    for _ in range(int(rng.integers(2, 5))):
        rattle = 0.15 * _burst(rng, 0.05, (800, 4000), 0.015)
        sound = overlay(sound, rattle, int(rng.integers(800, 6000)))
    return at_level(room(sound, seed, 0.4), USUAL_DB + 4)


def cough(seed: int) -> Samples:
    """One to three coughs: a burst of air, rough noise through the throat, and often a short voiced end."""
    rng = np.random.default_rng(seed)
    sound = silence(0.05)
    for _ in range(int(rng.integers(1, 4))):
        burst = _burst(rng, rng.uniform(0.04, 0.07), (400, 6000), 0.02)
        throat = _throat(rng, _burst(rng, rng.uniform(0.15, 0.28), (250, 5000), rng.uniform(0.05, 0.09)))
        voiced = _voiced(rng, rng.uniform(0.06, 0.14), rng.uniform(110, 220), -0.35) * rng.uniform(0.0, 0.6)
        one = overlay(overlay(throat * 0.8, burst, 0), voiced, len(throat) * 2 // 3)
        sound = np.concatenate((sound, one, silence(rng.uniform(0.06, 0.25))))
    return at_level(sound, USUAL_DB + 2)


def bark(seed: int) -> Samples:
    """A dog: one to four barks, each a rough tone that rises and falls within 0.2 s."""
    rng = np.random.default_rng(seed)
    pitch, sound = rng.uniform(250, 600), silence(0.02)
    for _ in range(int(rng.integers(1, 5))):
        seconds = rng.uniform(0.12, 0.22)
        tone = _voiced(rng, seconds, pitch * rng.uniform(0.9, 1.1), -0.4)
        rough = _burst(rng, seconds, (500, 5000), seconds / 2) * 0.5
        sound = np.concatenate((sound, overlay(tone, rough[: len(tone)], 0), silence(rng.uniform(0.12, 0.45))))
    return at_level(sound, USUAL_DB + 4)


# --- rooms and lines ---------------------------------------------------------------------------------------------


def room(samples: Samples, seed: int, rt60: float) -> Samples:
    """Reverberates the sound in a room of reverberation time `rt60` (seconds for 60 dB); longer by that time. The
    direct sound is not delayed, and is 6 dB above all reflections."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(rt60 * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(t)) * 10 ** (-3 * t / rt60)
    response[: SAMPLE_RATE // 400] = 0.0  # 2.5 ms: the nearest wall
    response *= 0.5 / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    size = len(samples) + len(response) - 1
    return _clipped(np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size))


def telephone(samples: Samples) -> Samples:
    """Sends the sound over a telephone line: 300 to 3400 Hz, mu-law at 8 kHz, back at 24 kHz, without delay; (n,)."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    band = np.asarray(np.fft.irfft(spectrum * ((hz > 300) & (hz < 3400)), len(samples)), np.float32)
    down, up = Resampler(SAMPLE_RATE, 8_000), Resampler(8_000, SAMPLE_RATE)
    narrow = np.concatenate((down.push(band), down.flush()))
    line = g711.decode(g711.encode(np.clip(narrow, -1, 1), "mu"), "mu")
    return np.concatenate((up.push(line), up.flush()))[: len(samples)]


# --- parts -------------------------------------------------------------------------------------------------------


def _shaped(seconds: float, seed: int, gain: Callable[[Spectrum], Spectrum]) -> Samples:
    """Noise whose spectrum has `gain(hz)` at each frequency."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    hz = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(np.fft.rfft(noise) * gain(np.asarray(hz, np.float64)), len(noise))
    return at_level(np.asarray(shaped, np.float32), USUAL_DB)


def _burst(rng: np.random.Generator, seconds: float, band: tuple[float, float], decay: float) -> Samples:
    """Noise between the two frequencies of `band`, after a rise of 2 ms falling to 1/e in `decay` seconds; peak 1."""
    size = round(seconds * SAMPLE_RATE)
    t = np.arange(size) / SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    sound = np.fft.irfft(spectrum * ((hz >= band[0]) & (hz <= band[1])), size)
    sound *= np.minimum(1.0, t / 0.002) * np.exp(-t / decay)
    return np.asarray(sound / (np.abs(sound).max() + 1e-9), np.float32)


def _throat(rng: np.random.Generator, sound: Samples) -> Samples:
    """Filters with three resonances of a vocal tract; peak 1."""
    hz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    centres = (rng.uniform(500, 800), rng.uniform(1200, 1700), rng.uniform(2400, 3200))
    gain = sum(1 / (1 + ((hz - centre) / 150) ** 2) for centre in centres) + 0.1
    shaped = np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))
    return np.asarray(shaped / (np.abs(shaped).max() + 1e-9), np.float32)


def _voiced(rng: np.random.Generator, seconds: float, pitch_hz: float, glide: float) -> Samples:
    """A rough tone that begins at `pitch_hz` and changes by the fraction `glide`, swelling and dying away; peak 1."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    course = (
        pitch_hz * (1 + glide * t / seconds) * (1 + 0.03 * np.cumsum(rng.standard_normal(len(t))) / np.sqrt(len(t)))
    )
    phase = 2 * np.pi * np.cumsum(course) / SAMPLE_RATE
    tones = sum(np.sin(k * phase) / k for k in range(1, 14))
    return _throat(rng, np.asarray(tones * np.sin(np.pi * t / seconds) ** 0.6, np.float32))


def _clipped(samples: NDArray[np.floating]) -> Samples:
    return np.asarray(np.clip(samples, -1.0, 1.0), np.float32)
