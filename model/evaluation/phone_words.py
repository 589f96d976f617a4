"""Measures word error rates of the ASR on wideband speech and over telephone lines.

    python -m vivavoce.model.evaluation.phone_words

    sentences of turns.toml ──TTS──► 24 kHz ──┬────────────────────────────────────► ASR ──► words ──► errors
                                              └─ telephone codecs, encode, decode ──►

`errors` is pure; `main` opens the models of this machine. Intervals are the middle 95 % of a seeded bootstrap over
sentences.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from vivavoce.codecs import phone as codecs
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.codecs.phone import Encoding
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import Asr, open_asr
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.sounds import mix, pink
from vivavoce.model.training.data.speech import EVALUATION, Synthesizer
from vivavoce.model.training.data.turns import COMPLETE, ROOM_DB, read_texts

RESAMPLES: Final = 2000
AROUND: Final = SAMPLE_RATE // 2
"""Samples of quiet room before and behind each sentence."""

_NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SMALL: Final = {str(number): word for number, word in enumerate(_NUMBERS)}


def errors(said: str, recognized: str) -> tuple[int, int]:
    """Counts word errors (substitutions, deletions, insertions) and the words of the transcript `said`.

    Case, punctuation and the spelling of small numbers do not count."""
    expected, found = _words(said), _words(recognized)
    row = list(range(len(found) + 1))
    for i, word in enumerate(expected, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            before, row[j] = row[j], min(before + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1], len(expected)


def over(encoding: Encoding, rate: int) -> Callable[[Samples], Samples]:
    """Returns a function that encodes and decodes sound, (n,), frame by frame."""

    def line(samples: Samples) -> Samples:
        encoder, decoder = codecs.encoder(encoding, rate), codecs.decoder(encoding, rate)
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
        return np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames])

    return line


LINES: Final[dict[str, Callable[[Samples], Samples]]] = {
    "16 kHz": lambda samples: samples,
    "G.711 mu-law, 8 kHz": over("pcmu", 8000),
    "G.711 A-law, 8 kHz": over("pcma", 8000),
    "G.722, 16 kHz": over("g722", 16000),
}


def rate(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Error rate of (errors, words) of some sentences, and the ends of its interval."""
    table = np.array(counts, float)
    rng = np.random.default_rng(1)
    drawn = table[rng.integers(len(table), size=(RESAMPLES, len(table)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return float(table[:, 0].sum() / table[:, 1].sum()), float(low), float(high)


def recognized(asr: Asr, samples: Samples) -> str:
    """The words of `samples`, (n,) at 24 kHz."""
    resampler, stream = Resampler(SAMPLE_RATE, 16_000), asr.open()
    stream.push(np.concatenate((resampler.push(samples), resampler.flush())))
    words = stream.finish()
    return f"{words.stable} {words.tail}"


def main() -> None:
    """Prints the rate of each line."""
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    synthesizer, asr = Synthesizer(store), open_asr("en", store.path, threads=1)
    texts = [text for kind, texts in read_texts("evaluation").items() if kind in COMPLETE for text in texts]
    counts: dict[str, list[tuple[int, int]]] = {name: [] for name in LINES}
    for number, text in enumerate(texts):
        speech = synthesizer.say(text, EVALUATION[number % len(EVALUATION)]).samples
        sound = mix(np.pad(speech, AROUND), pink((len(speech) + 2 * AROUND) / SAMPLE_RATE, number), ROOM_DB, number)
        for name, line in LINES.items():
            counts[name].append(errors(text, recognized(asr, line(sound))))
    for name, found in counts.items():
        share, low, high = rate(found)
        words = sum(said for _, said in found)
        print(f"{name:20} WER {share:6.1%} ({low:.1%}..{high:.1%})   n {len(found)} sentences, {words} words")


def _words(text: str) -> list[str]:
    """Lower-case words; numbers up to ten in letters, longer ones digit by digit, as dictated."""
    words = re.findall(r"[a-z]+|[0-9]+", text.lower().replace("'", ""))
    return [
        _SMALL.get(one, one) for word in words for one in (word if word.isdigit() and word not in _SMALL else [word])
    ]


if __name__ == "__main__":
    main()
