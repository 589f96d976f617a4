"""Synthesizes the training phrases, each a file.

    python -m vivavoce.model.training.turns.voices FOLDER

    phrases ─► some fifty voices at changing speed ─► FOLDER/<kind>/<voice>-<n>.npy      float16 mono at 16 kHz

Kokoro's voices for other languages speak English here, with an accent. Chinese words are given as phonemes. A second
run continues the first. Takes half an hour on one core.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.tts.kokoro import Kokoro
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.piper import Piper
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.data.speech import EVALUATION
from vivavoce.model.training.turns.phrases import BACKCHANNELS, COMMON, INTERRUPTIONS

SEED: Final = 4
RATE: Final = 16_000
INTERRUPTIONS_EACH: Final = 17
"""Interruptions of each voice, drawn from all."""
OTHERS_EACH: Final = 3
"""Of each voice, drawn from the less common backchannels."""
JOES: Final = 4
"""Times that Piper's voice says each interruption; backchannels twice as often."""
SPEEDS: Final = (0.85, 1.25)

CHINESE: Final = {
    "en": "ən↘.",
    "en en": "ən↘ ən↘.",
    "dui": "twei↘.",
    "dui dui": "twei↘ twei↘.",
    "hao": "xau↓.",
    "o": "o↗.",
    "shi": "ʂɨ↘.",
}
"""Backchannels: 嗯 对 好 哦 是."""
CHINESE_STOPS: Final = {
    "deng yixia": "təŋ↓ i↗ ɕja↘.",
    "bu shi": "pu↗ ʂɨ↘.",
    "bu dui": "pu↗ twei↘.",
    "ting": "tʰiŋ↗.",
    "bie shuo le": "pje↗ ʂwo→ lɤ.",
    "wei shenme": "wei↘ ʂən↗ mɤ?",
    "na mingtian ne": "na↘ miŋ↗ tʰjɛn→ nɤ?",
    "wo xiang wen": "wo↓ ɕjaŋ↓ wən↘.",
}
"""Interruptions: 等一下 不是 不对 停 别说了 为什么 那明天呢 我想问."""

STORY: Final = (
    "The next train to the coast leaves at a quarter past nine, and the one after that about an hour later.",
    "It will be sunny tomorrow morning, with a light wind from the west and some clouds in the afternoon.",
    "There are three ways to do it. The first one is the quickest, but it costs a little more than the others.",
    "To make the sauce, melt the butter, add two spoons of flour, and stir until it is smooth and golden.",
    "The museum opens at ten and closes at six, except on Mondays, when it is closed all day.",
    "That is a good question. Most people say that the older building is more beautiful, but the new one is bigger.",
)
"""Speech of the assistant meanwhile; its echo reaches the microphone."""


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to synthesize."""

    path: str
    text: str
    voice: str
    speed: float


class _PhonemeTexts(Phonemes):
    """The lexicon, and the Chinese words above for texts that begin with "zh "."""

    def pronounce(self, text: str) -> tuple[Word, ...]:
        if text.startswith("zh "):
            symbols = (CHINESE | CHINESE_STOPS)[text[3:].strip(" .")]
            return (Word(symbols, len(text)),)
        return super().pronounce(text)


def jobs(voices: list[str]) -> Iterator[Job]:
    """Yields all recordings, the same on every run."""
    draw = random.Random(SEED)
    for voice in sorted(voices):
        backchannels = [*COMMON, *draw.sample([text for text in BACKCHANNELS if text not in COMMON], OTHERS_EACH)]
        interruptions = draw.sample(INTERRUPTIONS, INTERRUPTIONS_EACH)
        if voice.startswith("z"):
            backchannels += [f"zh {name}" for name in CHINESE]
            interruptions += [f"zh {name}" for name in CHINESE_STOPS]
        if voice == "joe":  # fast to synthesize, and different each time
            backchannels, interruptions = list(BACKCHANNELS) * 2 * JOES, list(INTERRUPTIONS) * JOES
        for kind, texts in (("backchannel", backchannels), ("interruption", interruptions)):
            for n, text in enumerate(texts):
                yield Job(f"{kind}/{voice}-{n}.npy", text, voice, round(draw.uniform(*SPEEDS), 2))
    for voice in ("joe", "af_heart", "am_michael"):
        for n, text in enumerate(STORY):
            yield Job(f"story/{voice}-{n}.npy", text, voice, 1.0)


def main(folder: Path) -> None:
    """Synthesizes the recordings that are not in `folder` yet."""
    store = open_store()
    kokoro = Kokoro(store.path("kokoro"), 1, phonemes=_PhonemeTexts())
    names = sorted(file.stem for file in (store.path("kokoro") / "voices").glob("*.bin"))
    kokoro.names = tuple(name for name in names if name not in EVALUATION)
    piper = Piper(store.path("piper-joe"), 1)
    todo = list(jobs(["joe", *kokoro.names]))
    random.Random(SEED).shuffle(todo)  # so that an unfinished run has all voices
    todo.sort(key=lambda job: job.voice != "joe")
    for job in todo:
        path = folder / job.path
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        voice, name = (piper, "") if job.voice == "joe" else (kokoro, job.voice)
        sound = np.concatenate([part.samples for part in voice.speak(job.text, name=name, speed=job.speed)])
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, _trimmed(sound).astype(np.float16))
        part.replace(path)


def _trimmed(sound: Samples) -> Samples:
    """Resamples to 16 kHz; keeps 20 ms before the first and 60 ms after the last 10 ms above -40 dB of the loudest."""
    resampler = Resampler(SAMPLE_RATE, RATE)
    sound = np.concatenate((resampler.push(sound), resampler.flush()))
    frames = sound[: len(sound) // 160 * 160].reshape(-1, 160)
    level = np.sqrt(np.square(frames).mean(axis=1))
    loud = np.flatnonzero(level > level.max() / 100)
    return sound[max(0, (loud[0] - 2) * 160) : (loud[-1] + 7) * 160]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, help="where the recordings go")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(arguments().folder)
