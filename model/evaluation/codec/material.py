"""Speech for the evaluation: recordings of people, and voices held out of training. None of it is in the repository.

    prompts    telephone prompts, one speaker, 16 kHz    Debian asterisk-core-sounds-en-g722   CC-BY-SA-3.0
    readings   a novel read, playing cards named         Debian pocketsphinx-testdata          BSD-2-Clause
               another novel read                        catalog "speech-clips"                MIT
    voices     sentences of turns.toml, in the held-out voices                                   made here

Recordings are fetched by the name of their package, with apt, into `folder`, and never trained on. Each clip has the
transcript of its source. The same clips on every run.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.errors import Unreadable
from vivavoce.codecs.media import read_sound
from vivavoce.model.errors import MaterialError
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import EVALUATION, Synthesizer
from vivavoce.model.training.data.turns import COMPLETE, read_texts

T = TypeVar("T")

SETS: Final = ("prompts", "readings", "voices")
PATIENCE: Final = 300.0
"""Timeout for fetching or unpacking a package, seconds."""
FEWEST_WORDS: Final = 4
"""Of a prompt or sentence: shorter ones are guessed by recognisers."""

_PROMPTS: Final = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en")
_READINGS: Final = "pocketsphinx-testdata"
_CLIPS: Final = "speech-clips"
_TWO_CITIES: Final = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it "
    "was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way, in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only"
)


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech of one person: float32 mono 24 kHz. `name` is unique within its set; `text`: the transcript."""

    name: str
    speaker: str
    text: str
    samples: Samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class _Entry:
    """A clip that is not read or synthesized yet."""

    name: str
    speaker: str
    text: str
    sound: Callable[[], Samples]


class Material:
    """The sets. `folder` keeps the fetched packages; it is made when missing."""

    def __init__(self, store: Store, folder: Path, threads: int = 1) -> None:
        self._store = store
        self._folder = folder
        self._synthesizer = Synthesizer(store, threads=threads)
        self._sets = dict(zip(SETS, (self._prompts, self._readings, self._voices), strict=True))

    def clips(self, name: str, most: int) -> Iterator[Clip]:
        """Reads up to `most` clips of a set, spread evenly over it, one by one.

        Raises `MaterialError`, `ModelError`, and `KeyError` for an unknown set."""
        try:
            for entry in spread(self._sets[name](), most):
                yield Clip(entry.name, entry.speaker, entry.text, entry.sound())
        except Unreadable as error:
            raise MaterialError(str(error)) from error

    def _prompts(self) -> list[_Entry]:
        sounds, texts = (self._package(name) for name in _PROMPTS)
        folder = sounds / "usr/share/asterisk/sounds/en_US_f_Allison"
        with gzip.open(texts / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz", "rt") as file:
            texts_by_name = read_prompts(file.read())
        paths = {name: folder / f"{name}.g722" for name in texts_by_name}
        return [
            _Entry(name, "allison", texts_by_name[name], partial(read_sound, path))
            for name, path in paths.items()
            if path.is_file()
        ]

    def _readings(self) -> list[_Entry]:
        root = self._package(_READINGS) / "usr/share/pocketsphinx/test/data"
        entries = [
            _Entry(name, folder, text, partial(read_sound, root / folder / f"{name}.wav"))
            for folder, listed in {"librivox": "transcription", "cards": "cards.transcription"}.items()
            for name, text in read_transcription((root / folder / listed).read_text()).items()
        ]
        clip = self._store.path(_CLIPS) / "two_cities.wav"
        return [*entries, _Entry("two_cities", "two_cities", _TWO_CITIES, partial(read_sound, clip))]

    def _voices(self) -> list[_Entry]:
        listed = [text for kind, texts in read_texts("evaluation").items() if kind in COMPLETE for text in texts]
        texts = [text for text in listed if len(text.split()) >= FEWEST_WORDS]
        voices = [EVALUATION[number % len(EVALUATION)] for number in range(len(texts))]
        return [
            _Entry(f"{number:03}", voice, text, partial(self._say, text, voice))
            for number, (text, voice) in enumerate(zip(texts, voices, strict=True))
        ]

    def _say(self, text: str, voice: str) -> Samples:
        return self._synthesizer.say(text, voice).samples

    def _package(self, name: str) -> Path:
        """Fetches and unpacks a Debian package, without installing it; returns its folder. Raises `MaterialError`."""
        folder = self._folder / name
        if folder.is_dir():
            return folder
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise MaterialError(f"This needs Debian's package {name}: unpack it (its folder 'usr') into {folder}.")
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            _run(["apt-get", "download", name], Path(scratch), name)
            (archive,) = Path(scratch).glob("*.deb")
            _run(["dpkg-deb", "-x", archive.name, "unpacked"], Path(scratch), name)
            (Path(scratch) / "unpacked").rename(folder)
        return folder


def read_prompts(table: str) -> dict[str, str]:
    """Reads the texts of prompts by name, of lines `name: words`; without sounds and short ones."""
    found = re.findall(r"^([\w/-]+): *(.+)$", table, re.MULTILINE)
    return {name: text for name, text in found if not re.search(r"[\[(]", text) and len(text.split()) >= FEWEST_WORDS}


def read_transcription(table: str) -> dict[str, str]:
    """Reads transcripts by name, of lines `<s> words </s> (name)`."""
    return {name: text.strip() for text, name in re.findall(r"^<s>(.+)</s> *\((\S+)\)$", table, re.MULTILINE)}


def spread(entries: Sequence[T], most: int) -> list[T]:
    """Chooses up to `most` of the entries, evenly from first to last."""
    if len(entries) <= most:
        return list(entries)
    return [entries[number * len(entries) // most] for number in range(most)]


def _run(command: list[str], folder: Path, package: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise MaterialError(
            f"Debian's package {package} cannot be fetched: {output[-1] if output else error}"
        ) from error
