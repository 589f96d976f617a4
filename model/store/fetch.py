"""Downloads files: `Web` fetches from an address, `Partial` collects the bytes of one file.

    url ──► Web.fetch() ──► Partial.write() block by block
    any source ───────────► Partial (<sha256>.part in the staging folder) ──place()──► the file, under its name

`Web` resumes where the partial file ends, if the server can (Range). There is no If-Range: the catalog names the sum,
so only the sum of the whole counts. Deadlines: a host that does not connect within `connect` seconds, name resolution
included, is unreachable, and the same Web does not try it again; a transfer without a byte for `stall` seconds is
broken off. A broken transfer is resumed as long as it makes progress. Proxies and certificates are those of the
environment (httpx).

`Partial` appends, counts and hashes. It continues the bytes of an interrupted run, whichever source they came from:
bytes of the same sum are the same bytes. `place` refuses a file that is not whole or of another sum.
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
ATTEMPTS = 5  # transfers of one file from one source, each of which made progress

_CONNECTED = ".connect_tcp.complete"  # httpcore's trace event: the connection stands


class _Broken(SourceFailed):
    """A transfer began and did not end."""


class Web:
    """Fetches from web addresses, for one run. A context manager.

    `down` (host -> reason) is the caller's, so that unreachable hosts are shared between several of these.
    """

    def __init__(self, down: dict[str, str], *, connect: float = CONNECT, stall: float = STALL) -> None:
        self._down = down
        self._connect, self._stall = connect, stall
        timeout = httpx.Timeout(stall, connect=connect)
        # identity: a compressed body would have neither the size nor the ranges of the file
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers={"accept-encoding": "identity"})

    def __enter__(self) -> Web:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fetch(self, url: str, partial: Partial) -> None:
        """Fetches the rest of `partial`. Raises SourceFailed, Unreachable or WrongBytes; DiskFull."""
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
            if start != partial.length:  # the server ignores ranges
                partial.restart()
            try:
                for block in response.iter_raw():  # raw: a block still filling is lost with the connection
                    partial.write(block)
            except httpx.TransportError as error:
                raise _Broken(f"broke off after {partial.length} bytes: {_message(error)}") from error
            if partial.length < partial.size:
                raise _Broken(f"ended after {partial.length} of {partial.size} bytes")

    @contextmanager
    def _opened(self, url: str, start: int) -> Iterator[httpx.Response]:
        """Requests the bytes from `start` on; yields the response, headers read.

        The request runs on its own thread, because name resolution has no timeout, and a host of several addresses has
        one timeout for each. After the deadline the thread is abandoned to its own timeouts.
        """
        arrivals: queue.SimpleQueue[str | httpx.Response | Exception] = queue.SimpleQueue()
        abandoned = threading.Event()

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
                if abandoned.is_set():
                    response.close()
                arrivals.put(response)

        threading.Thread(target=open_request, name="open-source", daemon=True).start()
        try:
            response = self._answer(arrivals)
        finally:
            abandoned.set()
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
                case httpx.ConnectTimeout():  # its deadline is ours
                    raise Unreachable(f"no answer within {self._connect:g} s") from arrival
                case Exception():
                    raise Unreachable(f"cannot be reached: {_message(arrival)}") from arrival
                case "connection.connect_tcp.started":  # again for the host of a redirect
                    patience = self._connect
                case str() if arrival.endswith(_CONNECTED):
                    patience = self._stall


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """Returns (first byte, total) of a response's content; total is None where the server does not name it."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        if not found:
            raise SourceFailed("answered with a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__


BLOCK = 1 << 20  # bytes read or written at a time


class Partial:
    """Collects the `size` bytes of sum `sha256`; calls `grown(n)` with each new length. A context manager."""

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
        """Appends. Raises WrongBytes past the end (and starts over); DiskFull or StoreUnusable for disk errors."""
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
        """Discards all bytes."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.length = 0
        self._grown(0)

    def check(self) -> None:
        """Raises WrongBytes if the file is too short or (then it starts over) of another sum."""
        if self.length < self.size:
            raise WrongBytes(f"ended after {self.length} of {self.size} bytes")
        if (found := self._hash.hexdigest()) != self.sha256:
            self.restart()
            raise WrongBytes(f"has the sum {found[:12]}…, expected {self.sha256[:12]}…")

    def place(self, target: Path) -> None:
        """Moves the file to `target`, atomically and durably. Raises as `check`."""
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
    """Returns the sha256 of a file, in hex. Raises StoreUnusable if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreUnusable(f"cannot read {path}: {error.strerror}; make it readable") from error


def disk_full(path: Path) -> DiskFull:
    """Returns the error for a full disk at `path`."""
    return DiskFull(
        f"the disk is full at {path.parent}: free some space or set VIVAVOCE_HOME to a folder on a larger disk,"
        " then pull again; what has come so far is kept"
    )


def disk_error(error: OSError, path: Path) -> DiskFull | StoreUnusable:
    """Returns the error for an OSError at `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return StoreUnusable(
        f"cannot write {path}: {error.strerror}; make the folder writable or set VIVAVOCE_HOME to another one"
    )
