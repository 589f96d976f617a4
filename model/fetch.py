"""Downloads from a web address into a Partial.

    url ──► Web.fetch() ──► Partial.write() block by block

Goes on where the partial file ends, where the server can (Range). There is no If-Range: the catalog names the sum,
so what the server's file was yesterday does not matter, only whether the whole has the sum in the end.

Deadlines: a host that is not connected to within `connect` seconds, name resolution included, is unreachable, and is
not asked again by the same Web; a transfer that gives nothing for `stall` seconds is broken off. A broken transfer is
taken up again as long as it makes progress. Proxies and certificates are those of the environment (httpx).
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from vivavoce.model.errors import SourceFailed, Unreachable, WrongBytes
from vivavoce.model.partial import Partial

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
