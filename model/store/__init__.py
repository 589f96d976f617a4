"""Stores the model files of this machine: finds them, verifies them, and pulls those that are missing.

    $VIVAVOCE_HOME/models/
        piper-joe/en_US-joe-medium.onnx ...     what `path` returns: whole and verified files only
        piper-joe/.verified.json                size and time of each file when its sum was last found right
        .staging/piper-joe/                     lock, partial files, archives being fetched

A file gets its name only when it is whole and of the right sum (fetch.Partial), so a process that dies leaves nothing
that looks like a model. `path` compares size and time with `.verified.json`, which costs microseconds; where they
differ (copied, restored, damaged) the sum is computed once. Once pulled, nothing here needs a network.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vivavoce.model.errors import DamagedModel, MissingModel, StoreUnusable
from vivavoce.model.store.catalog import Artefact, Catalog, File
from vivavoce.model.store.fetch import Web, disk_error, sum_of
from vivavoce.model.store.pull import Progress, Puller

State = Literal["present", "incomplete", "missing", "damaged"]
Stamp = tuple[int, int, str]  # size in bytes, time of change in ns, sha256

_STAMPS = ".verified.json"


@dataclass(frozen=True, slots=True)
class Status:
    """State of one artefact on this machine; `present`: bytes of the files that are here."""

    artefact: Artefact
    state: State
    present: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of verifying one file; `problem` is None when its sum is right."""

    artefact: str
    file: str
    problem: str | None


def default_home(environ: Mapping[str, str], platform: str) -> Path:
    """Returns the folder for Vivavoce's files: VIVAVOCE_HOME, else the platform's folder for user data.

    `platform` as sys.platform. Raises StoreUnusable when the environment names no home.
    """
    if chosen := environ.get("VIVAVOCE_HOME"):
        return Path(chosen)
    if platform != "darwin" and os.path.isabs(data := environ.get("XDG_DATA_HOME", "")):
        return Path(data) / "vivavoce"
    if not (home := environ.get("HOME")):
        raise StoreUnusable("neither HOME nor VIVAVOCE_HOME is set: set VIVAVOCE_HOME to a folder for the models")
    if platform == "darwin":
        return Path(home) / "Library" / "Application Support" / "vivavoce"
    return Path(home) / ".local" / "share" / "vivavoce"


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Store:
    """The models under `home`. Several processes may use the same store, and pull into it."""

    def __init__(self, home: Path, catalog: Catalog, free: Callable[[Path], int] = _free_bytes) -> None:
        self.root = home.absolute() / "models"
        self.catalog = catalog
        self._free = free

    def path(self, name: str) -> Path:
        """Returns the folder of an artefact, verified. Raises UnknownModel, MissingModel, DamagedModel."""
        artefact = self.catalog[name]
        folder = self.root / name
        pull = f"vivavoce models pull {name}"
        for file in artefact.files:
            if not (folder / file.name).is_file():
                raise MissingModel(f"the model {name} is not in {self.root} ({file.name}); fetch it: {pull}")
        for file, problem in self._problems(artefact):
            raise DamagedModel(f"{folder / file.name} {problem}; fetch it again: {pull}")
        return folder

    def status(self) -> list[Status]:
        """Returns the state of every artefact by presence and sizes only; `path` and `verify` compare sums."""
        return [self._status(artefact) for artefact in self.catalog]

    def verify(self, names: Iterable[str] = ()) -> list[Verdict]:
        """Computes the sum of every file of these artefacts (default: those that are here, complete or not)."""
        chosen = tuple(names) or tuple(s.artefact.name for s in self.status() if s.state != "missing")
        verdicts = []
        for artefact in map(self.catalog.__getitem__, chosen):
            problems = dict(self._problems(artefact, thorough=True))
            verdicts += [Verdict(artefact.name, file.name, problems.get(file)) for file in artefact.files]
        return verdicts

    def pull(self, names: Iterable[str], progress: Progress) -> None:
        """Fetches missing and damaged files of these artefacts. Raises NoSource, DiskFull, StoreUnusable.

        Two processes may pull the same artefact: the second waits for the first and then finds it complete.
        """
        artefacts = [self.catalog[name] for name in names]
        down: dict[str, str] = {}
        with Web(down) as web:
            puller = Puller(web, down, progress, self._free)
            for artefact in artefacts:
                self._pull(artefact, puller, progress)

    def _pull(self, artefact: Artefact, puller: Puller, progress: Progress) -> None:
        if any(self._problems(artefact)):  # before the lock: a complete store may be read-only
            for origin in artefact.origins:
                self._pull(self.catalog[origin], puller, progress)
            self._pull_missing(artefact, puller)
        progress(artefact.name, artefact.size, artefact.size)

    def _pull_missing(self, artefact: Artefact, puller: Puller) -> None:
        with self._locked(artefact.name) as staging:
            for file, _ in list(self._problems(artefact)):
                self._adopt(artefact, file)
            if missing := [file for file, _ in self._problems(artefact)]:  # another process may have pulled them
                puller.pull(artefact, missing, self.root / artefact.name, staging)
                for file in missing:
                    self._stamp(artefact.name, file)

    def _adopt(self, artefact: Artefact, file: File) -> None:
        """Moves a file here from another artefact that listed it in an earlier catalog."""
        target = self.root / artefact.name / file.name
        for other in self.catalog:
            source = self.root / other.name / file.name
            if source == target or file.name in (known.name for known in other.files) or not source.is_file():
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)
            except OSError as error:
                raise disk_error(error, target) from error

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        """Yields the staging folder of an artefact, locked for this process. The lock ends with its owner."""
        staging = self.root / ".staging" / name
        try:
            staging.mkdir(parents=True, exist_ok=True)
            lock = (staging / "lock").open("w")
        except OSError as error:
            raise disk_error(error, staging) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield staging

    def _status(self, artefact: Artefact) -> Status:
        here = [file for file in artefact.files if (self.root / artefact.name / file.name).is_file()]
        wrong = [file for file in here if self._size(artefact.name, file) != file.size]
        present = sum(file.size for file in here if file not in wrong)
        state: State = "present"
        if not here:
            state = "missing"
        elif wrong:
            state = "damaged"
        elif len(here) < len(artefact.files):
            state = "incomplete"
        return Status(artefact, state, present)

    def _problems(self, artefact: Artefact, *, thorough: bool = False) -> Iterator[tuple[File, str]]:
        """Yields each wrong file and its problem. Computes sums where stamps differ; of all files if `thorough`."""
        stamps = self._stamps(artefact.name)
        for file in artefact.files:
            path = self.root / artefact.name / file.name
            if not path.is_file():
                yield file, "is missing"
            elif (size := self._size(artefact.name, file)) != file.size:
                yield file, f"has {size} bytes instead of {file.size}"
            elif thorough or stamps.get(file.name) != self._stamp_now(artefact.name, file):
                if sum_of(path) == file.sha256:
                    with suppress(OSError):  # a read-only store: the sum is computed again next time
                        self._stamp(artefact.name, file)
                else:
                    yield file, "does not have the bytes that the catalog names"

    def _size(self, name: str, file: File) -> int:
        return (self.root / name / file.name).stat().st_size

    def _stamp_now(self, name: str, file: File) -> Stamp:
        facts = (self.root / name / file.name).stat()
        return facts.st_size, facts.st_mtime_ns, file.sha256

    def _stamps(self, name: str) -> dict[str, Stamp]:
        try:
            written = json.loads((self.root / name / _STAMPS).read_text(encoding="utf-8"))
            return {file: (int(size), int(time), str(sha256)) for file, (size, time, sha256) in written.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # no stamps or damaged ones: sums will be computed

    def _stamp(self, name: str, file: File) -> None:
        """Records that the sum of a file was found right."""
        stamps = self._stamps(name) | {file.name: self._stamp_now(name, file)}
        fresh = self.root / name / f"{_STAMPS}.{os.getpid()}"
        fresh.write_text(json.dumps(stamps, indent=1), encoding="utf-8")
        os.replace(fresh, self.root / name / _STAMPS)
