"""Downloads from a web address into a Partial.

    url ──► Web.fetch() ──► Partial.write() block by block

Goes on where the partial file ends, where the server can (Range). There is no If-Range: the catalog names the sum,
so what the server's file was yesterday does not matter, only whether the whole has the sum in the end.

Deadlines: a host that is not connected to within `connect` seconds, name resolution included, is unreachable, and is
not asked again by the same Web; a transfer that gives nothing for `stall` seconds is broken off. A broken transfer is
taken up again as long as it makes progress. Proxies and certificates are those of the environment (httpx).

A file on its way in: bytes are appended, counted and hashed until they are the file that the catalog names.

    sources ──write()──► Partial (<sha256>.part in the staging folder) ──place()──► the file, under its name

What an earlier, interrupted run has left is kept and gone on with, whichever source it came from: bytes that belong
to the same sum are the same bytes. Nobody reads a partial file but this class, and `place` lets nothing pass that is
not whole and of the right sum.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from vivavoce.model.errors import DiskFull, SourceFailed, StoreUnusable, Unreachable, WrongBytes

CONNECT = 3.0  # seconds
STALL = 10.0  # seconds
ATTEMPTS = 5  # transfers of one file from one source, each further than the one before

_CONNECTED = ".connect_tcp.complete"  # httpcore's trace event at which the other side has answered


class _Broken(SourceFailed):
    """A transfer that began and did not come to its end."""


class Web:
    """The web, for one run. A context manager.

    `down` (host -> reason) is the caller's, so that several of these can share what was found out.
    """

    def __init__(self, down: dict[str, str], *, connect: float = CONNECT, stall: float = STALL) -> None:
        self._down = down
        self._connect, self._stall = connect, stall
        timeout = httpx.Timeout(stall, connect=connect)
        # identity: a body that the server compresses on the way would have neither the size nor the ranges we count in
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers={"accept-encoding": "identity"})

    def __enter__(self) -> Web:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fetch(self, url: str, partial: Partial) -> None:
        """Bring `partial` to its full length. Raises SourceFailed, Unreachable or WrongBytes; DiskFull."""
        host = urlsplit(url).netloc
        if reason := self._down.get(host):
            raise Unreachable(reason)
        try:
            for attempt in range(ATTEMPTS):
                before = partial.length
                if before == partial.size:
                    return
                try:
                    self._transfer(url, partial)
                except _Broken:
                    if partial.length <= before or attempt == ATTEMPTS - 1:
                        raise
        except Unreachable as error:
            self._down[host] = str(error)
            raise

    def _transfer(self, url: str, partial: Partial) -> None:
        with self._opened(url, partial.length) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                partial.restart()
                raise WrongBytes(f"does not have {partial.size} bytes")
            if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise SourceFailed(f"answered {response.status_code} {response.reason_phrase}".rstrip())
            start, total = _extent(response)
            if total not in (None, partial.size):
                raise WrongBytes(f"offers {total} bytes, expected {partial.size}")
            if start != partial.length:  # the server gives the whole, whatever was asked
                partial.restart()
            try:
                for block in response.iter_raw():  # as it comes: a block that waits to be full is lost
                    partial.write(block)
            except httpx.TransportError as error:
                raise _Broken(f"broke off after {partial.length} bytes: {_words(error)}") from error
            if partial.length < partial.size:
                raise _Broken(f"ended after {partial.length} of {partial.size} bytes")

    @contextmanager
    def _opened(self, url: str, start: int) -> Iterator[httpx.Response]:
        """The response to a request for the bytes from `start` on, headers read.

        The request is opened on a thread of its own, because name resolution has no timeout of its own and a host of
        several addresses has one for each. A thread that is given up is left to its own timeouts.
        """
        arrivals: queue.SimpleQueue[str | httpx.Response | Exception] = queue.SimpleQueue()
        gone = threading.Event()

        def trace(event: str, _: dict[str, Any]) -> None:
            arrivals.put(event)

        def open_request() -> None:
            headers = {"range": f"bytes={start}-"} if start else {}
            request = self._client.build_request("GET", url, headers=headers, extensions={"trace": trace})
            try:
                response = self._client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                arrivals.put(error)
            else:
                if gone.is_set():
                    response.close()
                arrivals.put(response)

        threading.Thread(target=open_request, name="open-source", daemon=True).start()
        try:
            response = self._answer(arrivals)
        finally:
            gone.set()
        try:
            yield response
        finally:
            response.close()

    def _answer(self, arrivals: queue.SimpleQueue[str | httpx.Response | Exception]) -> httpx.Response:
        patience = self._connect
        while True:
            try:
                arrival = arrivals.get(timeout=patience)
            except queue.Empty:
                raise Unreachable(f"no answer within {patience:g} s") from None
            match arrival:
                case httpx.Response():
                    return arrival
                case Exception():
                    raise Unreachable(f"cannot be reached: {_words(arrival)}") from arrival
                case "connection.connect_tcp.started":  # also of the host that a redirect leads to
                    patience = self._connect
                case str() if arrival.endswith(_CONNECTED):
                    patience = self._stall


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """(first byte, total) of the file that a response carries; total is None where it is not said."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        if not found:
            raise SourceFailed("answered with a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


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
