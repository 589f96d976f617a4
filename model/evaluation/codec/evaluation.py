"""Runs the comparison: every clip through every system, heard by every recogniser, rated by DNSMOS.

    Material ─► clip ─► System ─► speech ─┬─► 16 kHz ─► recognisers ─► words ─► errors ─┐
                         │ codes, bits    └─► DNSMOS ───────────────────────────────────┴─► Row ─► rows.jsonl

What was found is written down clip by clip, so a run that was stopped goes on where it was: rows which are there, made
with the same weights, are taken as they are.
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
from vivavoce.model.evaluation.codec.scores import Heard, Row
from vivavoce.model.evaluation.codec.systems import ORIGINAL, System, open_system
from vivavoce.model.evaluation.phone_words import errors
from vivavoce.model.store import Store

JUDGES: Final = ("moonshine", "whisper")
"""Recognisers. Moonshine's encoder is the codec's own front end, so it alone would flatter the codec."""
AROUND: Final = 8_000
"""Samples of silence (16 kHz) before and behind each clip."""
EARS_RATE: Final = 16_000

Judge = Callable[[Samples], str]
"""Sound at 24 kHz to words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which sets, how many clips of each at most, through which systems."""

    sets: tuple[str, ...]
    systems: tuple[str, ...]
    clips: int


class Rows:
    """What was found, in a file of one JSON object a line; `path` None: kept in memory only."""

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
    """The parts of a comparison, opened as they are needed. `quality` None: not rated."""

    def __init__(self, store: Store, material: Material, judges: Mapping[str, Judge], quality: Dnsmos | None) -> None:
        self._store = store
        self._material = material
        self._judges = dict(judges)
        self._quality = quality
        self._systems: dict[str, System] = {}

    def run(self, plan: Plan, rows: Rows) -> Iterator[Row]:
        """Every row of the plan, the original's first; new ones are added to `rows`.

        Raises `MissingSystem`, `MaterialError`, `ModelError`, `OSError`."""
        names = dict.fromkeys((ORIGINAL, *plan.systems))
        self._systems |= {name: open_system(name, self._store) for name in names if name not in self._systems}
        for group in plan.sets:
            for clip in self._material.clips(group, plan.clips):
                mark: Row | None = None
                for name in names:
                    row = rows.find(group, clip.name, name)
                    if row is None or not self._complete(row):
                        row = self._judged(group, clip, name, mark)
                        rows.add(row)
                    mark = mark or row
                    yield row

    def _complete(self, row: Row) -> bool:
        same = row.about == self._systems[row.system].about
        return same and set(self._judges) <= set(row.heard) and bool(row.quality or self._quality is None)

    def _judged(self, group: str, clip: Clip, name: str, mark: Row | None) -> Row:
        system = self._systems[name]
        rendered = system.render(clip)
        heard = {}
        for judge, hear in self._judges.items():
            words = hear(rendered.samples)
            wrong, said = errors(clip.text, words)
            changed, original = errors(mark.heard[judge].text if mark else words, words)
            heard[judge] = Heard(words, wrong, said, changed, original)
        quality: tuple[float, ...] = ()
        if self._quality is not None:
            rated = self._quality.rate(rendered.samples)
            quality = rated.speech, rated.background, rated.overall
        codes = () if rendered.codes is None else tuple(rendered.codes[0].tolist())
        return Row(
            group, clip.name, clip.speaker, name, system.about, clip.seconds, rendered.bits, heard, quality, codes
        )


def open_judges(names: Sequence[str], store: Store, threads: int = 1) -> dict[str, Judge]:
    """The recognisers, set to English. Raises `BrokenAsr`, `ModelError`."""
    makers = {"moonshine": _moonshine, "whisper": _whisper}
    return {name: makers[name](store, threads) for name in names}


def _moonshine(store: Store, threads: int) -> Judge:
    ears = open_asr("en", store.path, threads)

    def hear(samples: Samples) -> str:
        listening, sound = ears.open(), _for_ears(samples)
        for start in range(0, len(sound), 10 * EARS_RATE):  # a long clip is settled bit by bit, as in a call
            listening.push(sound[start : start + 10 * EARS_RATE])
            listening.update()
        heard = listening.finish()
        return f"{heard.stable} {heard.tail}".strip()

    return hear


def _whisper(store: Store, threads: int) -> Judge:
    """Not as our ears use it: they look at the sound there is, and then it repeats short sentences; here it gets the
    30 s that it was trained with."""
    from vivavoce.model.cascade.asr.whisper import Whisper

    model = Whisper(store.path("whisper-base"), "en", threads).model

    def hear(samples: Samples) -> str:
        options = {"language": "en", "beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}
        segments, _ = model.transcribe(_for_ears(samples), **options)
        return " ".join(segment.text.strip() for segment in segments)

    return hear


def _for_ears(samples: Samples) -> Samples:
    """24 kHz to 16 kHz, with silence around it."""
    resampler = Resampler(SAMPLE_RATE, EARS_RATE)
    return np.pad(np.concatenate((resampler.push(samples), resampler.flush())), AROUND)


def _key(row: Row) -> tuple[str, str, str]:
    return row.set, row.clip, row.system


def _row(line: str) -> Row | None:
    """A line of the file; None for one whose writing was cut off, or that another version wrote."""
    try:
        found: dict[str, Any] = json.loads(line)
        heard = {judge: Heard(**one) for judge, one in found.pop("heard").items()}
        quality, codes = tuple(found.pop("quality")), tuple(found.pop("codes"))
        return Row(**found, heard=heard, quality=quality, codes=codes)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
