"""Runs the comparison: every clip through every system and every recogniser, rated by DNSMOS.

    Material ─► clip ─► System ─► speech ─┬─► 16 kHz ─► recognisers ─► words ─► errors ─┐
                         │ codes, bits    └─► DNSMOS ───────────────────────────────────┴─► Row ─► rows.jsonl

Rows are written clip by clip, so that a stopped run continues: existing rows of the same weights are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import open_asr
from vivavoce.model.evaluation.codec.dnsmos import Dnsmos
from vivavoce.model.evaluation.codec.material import Clip, Material
from vivavoce.model.evaluation.codec.scores import Recognition, Row
from vivavoce.model.evaluation.codec.systems import ORIGINAL, System, open_system
from vivavoce.model.evaluation.phone_words import errors
from vivavoce.model.store import Store

RECOGNIZERS: Final = ("moonshine", "whisper")
"""Moonshine's encoder is the codec's own front end: alone it would flatter the codec."""
AROUND: Final = 8_000
"""Samples of silence (16 kHz) before and behind each clip."""
ASR_RATE: Final = 16_000

Recognizer = Callable[[Samples], str]
"""Speech at 24 kHz, (n,) -> words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sets, systems, and the largest number of clips of each set."""

    sets: tuple[str, ...]
    systems: tuple[str, ...]
    clips: int


class Rows:
    """Results, in a file of one JSON object a line; `path` None: in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[tuple[str, str, str], Row] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if (row := _row(line)) is not None:
                    self._rows[_key(row)] = row

    def find(self, group: str, clip: str, system: str) -> Row | None:
        return self._rows.get((group, clip, system))

    def add(self, row: Row) -> None:
        """Raises `OSError`."""
        self._rows[_key(row)] = row
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(asdict(row), ensure_ascii=False)}\n")


class Evaluation:
    """Runs a comparison; systems are opened when needed. `quality` None: not rated."""

    def __init__(
        self, store: Store, material: Material, recognizers: Mapping[str, Recognizer], quality: Dnsmos | None
    ) -> None:
        self._store = store
        self._material = material
        self._recognizers = dict(recognizers)
        self._quality = quality
        self._systems: dict[str, System] = {}

    def run(self, plan: Plan, rows: Rows) -> Iterator[Row]:
        """Yields every row of the plan, the original's first; adds new ones to `rows`.

        Raises `MissingSystem`, `MaterialError`, `ModelError`, `OSError`."""
        names = dict.fromkeys((ORIGINAL, *plan.systems))
        self._systems |= {name: open_system(name, self._store) for name in names if name not in self._systems}
        for group in plan.sets:
            for clip in self._material.clips(group, plan.clips):
                reference: Row | None = None
                for name in names:
                    row = rows.find(group, clip.name, name)
                    if row is None or not self._complete(row):
                        row = self._evaluate(group, clip, name, reference)
                        rows.add(row)
                    reference = reference or row
                    yield row

    def _complete(self, row: Row) -> bool:
        same = row.about == self._systems[row.system].about
        return same and set(self._recognizers) <= set(row.recognized) and bool(row.quality or self._quality is None)

    def _evaluate(self, group: str, clip: Clip, name: str, reference: Row | None) -> Row:
        system = self._systems[name]
        rendered = system.render(clip)
        recognized = {}
        for recognizer, recognize in self._recognizers.items():
            words = recognize(rendered.samples)
            wrong, spoken = errors(clip.text, words)
            changed, original = errors(reference.recognized[recognizer].text if reference else words, words)
            recognized[recognizer] = Recognition(words, wrong, spoken, changed, original)
        quality: tuple[float, ...] = ()
        if self._quality is not None:
            rated = self._quality.rate(rendered.samples)
            quality = rated.speech, rated.background, rated.overall
        codes = () if rendered.codes is None else tuple(rendered.codes[0].tolist())
        return Row(
            group, clip.name, clip.speaker, name, system.about, clip.seconds, rendered.bits, recognized, quality, codes
        )


def open_recognizers(names: Sequence[str], store: Store, threads: int = 1) -> dict[str, Recognizer]:
    """Opens recognisers for English. Raises `BrokenAsr`, `ModelError`."""
    makers = {"moonshine": _moonshine, "whisper": _whisper}
    return {name: makers[name](store, threads) for name in names}


def _moonshine(store: Store, threads: int) -> Recognizer:
    asr = open_asr("en", store.path, threads)

    def recognize(samples: Samples) -> str:
        stream, sound = asr.open(), _at_16k(samples)
        for start in range(0, len(sound), 10 * ASR_RATE):  # piece by piece, as in a call
            stream.push(sound[start : start + 10 * ASR_RATE])
            stream.update()
        words = stream.finish()
        return f"{words.stable} {words.tail}".strip()

    return recognize


def _whisper(store: Store, threads: int) -> Recognizer:
    """Whisper on windows padded to 30 s, as it was trained: unpadded, as in calls, it repeats short sentences."""
    from vivavoce.model.cascade.asr.whisper import Whisper

    model = Whisper(store.path("whisper-base"), "en", threads).model

    def recognize(samples: Samples) -> str:
        options = {"language": "en", "beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}
        segments, _ = model.transcribe(_at_16k(samples), **options)
        return " ".join(segment.text.strip() for segment in segments)

    return recognize


def _at_16k(samples: Samples) -> Samples:
    """24 kHz to 16 kHz, with silence around it: (n,) -> (m,)."""
    resampler = Resampler(SAMPLE_RATE, ASR_RATE)
    return np.pad(np.concatenate((resampler.push(samples), resampler.flush())), AROUND)


def _key(row: Row) -> tuple[str, str, str]:
    return row.set, row.clip, row.system


def _row(line: str) -> Row | None:
    """Reads a line of the file; None for one cut off, or of another version (but `heard`, an earlier name, is read)."""
    try:
        values: dict[str, Any] = json.loads(line)
        found = values.pop("heard" if "heard" in values else "recognized")
        recognized = {recognizer: Recognition(**one) for recognizer, one in found.items()}
        quality, codes = tuple(values.pop("quality")), tuple(values.pop("codes"))
        return Row(**values, recognized=recognized, quality=quality, codes=codes)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
