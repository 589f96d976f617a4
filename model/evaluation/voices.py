"""Measures voices: how soon they begin, what they cost, how well they are understood, and how they sound.

    python -m vivavoce.model.evaluation.voices heart joe af_heart --sentences 60 [--style whisper]

    sentences of turns.toml ──TTS──► sound ─┬─► ASR (Moonshine) ──► word errors
      openings of three words ──TTS──► CPU  └─► DNSMOS
                                time to the first sound

`measure` takes any TTS. Everything runs on one thread; times are processor time. Intervals are the middle 95 % of a
seeded bootstrap over sentences.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.asr import Asr, open_asr
from vivavoce.model.cascade.tts import PLAIN, Style, Tts, open_tts
from vivavoce.model.cascade.tts.styles import STYLES
from vivavoce.model.errors import DnsmosMissing
from vivavoce.model.evaluation.codec.dnsmos import Dnsmos
from vivavoce.model.evaluation.phone_words import errors, rate, recognized
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data.turns import COMPLETE, read_texts

OPENINGS: Final = ("Sure thing, boss.", "Yes, I can.", "That is right.", "I do not.", "Good morning, Anna.")
"""Clauses of three words, with which answers begin."""
REPEATS: Final = 8
"""Times that each of them is begun."""
FEWEST_WORDS: Final = 4
"""Of a sentence: shorter ones are guessed by recognisers."""
AROUND: Final = SAMPLE_RATE // 2
"""Samples of silence before and behind each sentence."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one voice: `first` are the processor seconds to each first sound, `work` those for a second of sound; `words`
    are (errors, words) and `quality` DNSMOS overall, sentence by sentence."""

    first: tuple[float, ...]
    work: float
    words: tuple[tuple[int, int], ...]
    quality: tuple[float, ...]


def measure(
    tts: Tts, name: str, texts: Sequence[str], asr: Asr, dnsmos: Dnsmos | None, style: Style = PLAIN
) -> Measured:
    """Measures the voice `name` of `tts` with `texts`; they alone are spoken in `style`."""
    first = [_first_sound(tts, name, text) for text in OPENINGS for _ in range(REPEATS)]
    seconds = worked = 0.0
    words, quality = [], []
    for text in texts:
        began = time.process_time()
        sound = np.concatenate([speech.samples for speech in tts.speak(text, name=name, style=style)])
        worked += time.process_time() - began
        seconds += len(sound) / SAMPLE_RATE
        words.append(errors(text, recognized(asr, np.pad(sound, AROUND))))
        if dnsmos is not None:
            quality.append(dnsmos.rate(sound).overall)
    return Measured(tuple(first), worked / seconds, tuple(words), tuple(quality))


def line(name: str, found: Measured) -> str:
    """One voice in one line."""
    share, low, high = rate(found.words)
    slowest = float(np.percentile(found.first, 95))
    said = sum(count for _, count in found.words)
    quality = f"{statistics.mean(found.quality):.2f}" if found.quality else "not installed"
    soon = f"{statistics.median(found.first) * 1e3:.1f} ms, p95 {slowest * 1e3:.1f} (n {len(found.first)})"
    wer = f"{share:.1%} ({low:.1%}..{high:.1%}; {len(found.words)} sentences, {said} words)"
    return f"{name:10} first sound {soon}   work {found.work:.3f} s/s   WER {wer}   DNSMOS {quality}"


def sentences(most: int) -> list[str]:
    """Up to `most` complete sentences of turns.toml."""
    both = (read_texts(part) for part in ("evaluation", "development"))
    texts = [text for part in both for kind, texts in part.items() if kind in COMPLETE for text in texts]
    return [text for text in dict.fromkeys(texts) if len(text.split()) >= FEWEST_WORDS][:most]


def main() -> None:
    """Prints a line for each voice."""
    parser = argparse.ArgumentParser(prog="python -m vivavoce.model.evaluation.voices")
    parser.add_argument("voices", nargs="+", metavar="VOICE")
    parser.add_argument("--sentences", type=int, default=60, metavar="N")
    parser.add_argument("--style", choices=STYLES, metavar="NAME", help=", ".join(STYLES))
    chosen = parser.parse_args()
    style = STYLES[chosen.style] if chosen.style else PLAIN
    texts = sentences(chosen.sentences)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    asr = open_asr("en", store.path, threads=1)
    try:
        dnsmos = Dnsmos()
    except DnsmosMissing:
        dnsmos = None
    for name in chosen.voices:
        print(line(name, measure(open_tts(name, store.path, 1), name, texts, asr, dnsmos, style)))


def _first_sound(tts: Tts, name: str, text: str) -> float:
    """Processor seconds from a text to its first sound."""
    speech = tts.speak(text, name=name)
    began = time.process_time()
    sound: Samples = next(iter(speech)).samples
    assert len(sound)
    return time.process_time() - began


if __name__ == "__main__":
    main()
