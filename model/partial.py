"""A file on its way in: bytes are appended, counted and hashed until they are the file that the catalog names.

    sources ──write()──► Partial (<sha256>.part in the staging folder) ──place()──► the file, under its name

What an earlier, interrupted run has left is kept and gone on with, whichever source it came from: bytes that belong
to the same sum are the same bytes. Nobody reads a partial file but this class, and `place` lets nothing pass that is
not whole and of the right sum.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from vivavoce.model.errors import DiskFull, StoreUnusable, WrongBytes

BLOCK = 1 << 20  # bytes read or written at a time


class Partial:
    """`size` bytes of sum `sha256`, as far as they have come; `grown(n)` is told each new length. A context manager."""

    def __init__(self, path: Path, size: int, sha256: str, grown: Callable[[int], None]) -> None:
        self.path, self.size, self.sha256 = path, size, sha256
        self.length = 0
        self._grown = grown
        self._hash = hashlib.sha256()
        try:
            path.touch()
            self._file = path.open("r+b", buffering=0)  # unbuffered: a full disk shows in write(), not in close()
        except OSError as error:
            raise disk_error(error, path) from error
        self._resume()

    def _resume(self) -> None:
        while block := self._file.read(BLOCK):
            self._hash.update(block)
            self.length += len(block)
            if self.length > self.size:
                self.restart()
                return
        self._grown(self.length)

    def write(self, block: bytes) -> None:
        """Append. Raises WrongBytes past the end (and starts over), DiskFull or StoreUnusable when the disk says so."""
        if self.length + len(block) > self.size:
            self.restart()
            raise WrongBytes(f"more than the expected {self.size} bytes")
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise disk_error(error, self.path) from error
        self._hash.update(block)
        self.length += len(block)
        self._grown(self.length)

    def restart(self) -> None:
        """Forget all bytes."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.length = 0
        self._grown(0)

    def check(self) -> None:
        """Raises WrongBytes if it is not the file: too short, or (then it starts over) of another sum."""
        if self.length < self.size:
            raise WrongBytes(f"ended after {self.length} of {self.size} bytes")
        if (found := self._hash.hexdigest()) != self.sha256:
            self.restart()
            raise WrongBytes(f"has the sum {found[:12]}…, expected {self.sha256[:12]}…")

    def place(self, target: Path) -> None:
        """Make it the file `target`, at once and for good. Raises as `check`."""
        self.check()
        try:
            os.fsync(self._file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path, target)
        except OSError as error:
            raise disk_error(error, target) from error

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def sum_of(path: Path) -> str:
    """sha256 of a file, in hex. Raises StoreUnusable if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreUnusable(f"cannot read {path}: {error.strerror}; make it readable") from error


def disk_full(path: Path) -> DiskFull:
    """The disk has no room for what was to be written to `path`."""
    return DiskFull(
        f"the disk is full at {path.parent}: free some space or set VIVAVOCE_HOME to a folder on a larger disk,"
        " then pull again; what has come so far is kept"
    )


def disk_error(error: OSError, path: Path) -> DiskFull | StoreUnusable:
    """Our error for what the operating system said about `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return StoreUnusable(
        f"cannot write {path}: {error.strerror}; make the folder writable or set VIVAVOCE_HOME to another one"
    )
