"""A web server on loopback that serves files well or badly, as each answer in its script says.

with FileServer({"/model.bin": [Answer(body, cut=1000), Answer(body)]}) as server:
    server.url("/model.bin")       # the first request is cut off after 1000 bytes, all later ones are answered
    server.requests                # what was asked for, in order: (path, Range header or None)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

STEP = 1 << 16  # bytes between two pauses


@dataclass(frozen=True)
class Answer:
    """One answer. `body` is the whole file; what goes out depends on the request's range and on the faults below."""

    body: bytes = b""
    status: int = 200
    ranges: bool = True  # False: ranges are ignored, the whole is sent
    cut: int | None = None  # the connection is closed after so many bytes
    stall: int | None = None  # after so many bytes nothing more comes, until the server is closed; 0: not even headers
    pause: float = 0.0  # seconds before every STEP bytes
    length: bool = True  # False: no Content-Length
    location: str | None = None  # for redirects
    kind: str = "application/octet-stream"


class FileServer:
    """Serves each path by its answers in turn, the last one for ever. A context manager."""

    def __init__(self, paths: Mapping[str, Sequence[Answer]]) -> None:
        self.paths = dict(paths)
        self.requests: list[tuple[str, str | None]] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._requests_class())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="file-server")

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def asked(self, path: str) -> list[str | None]:
        """The Range headers of the requests for a path."""
        return [asked_range for asked_path, asked_range in self.requests if asked_path == path]

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()  # joins the threads of requests
        self._thread.join()

    def _next(self, path: str, asked_range: str | None) -> Answer:
        earlier = len(self.asked(path))
        self.requests.append((path, asked_range))
        answers = self.paths.get(path, [Answer(status=404)])
        return answers[min(earlier, len(answers) - 1)]

    def _requests_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Request(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("range")
                answer = server._next(self.path, asked)
                try:
                    server._send(self, answer, asked)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Request

    def _send(self, request: BaseHTTPRequestHandler, answer: Answer, asked: str | None) -> None:
        if answer.stall == 0:
            self._closing.wait(30)
            return
        found = re.fullmatch(r"bytes=(\d+)-", asked or "") if answer.ranges and answer.status == 200 else None
        start = int(found[1]) if found else 0
        beyond = bool(found) and start >= len(answer.body)
        request.send_response(416 if beyond else 206 if found else answer.status)
        if answer.location:
            request.send_header("Location", answer.location)
        body = b"" if beyond else answer.body[start:]
        if found and not beyond:
            request.send_header("Content-Range", f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}")
        if answer.length:
            request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", answer.kind)
        request.end_headers()
        end = min(len(body) if limit is None else limit for limit in (answer.cut, answer.stall))
        for at in range(0, end, STEP):
            if answer.pause and self._closing.wait(answer.pause):
                return
            request.wfile.write(body[at : min(end, at + STEP)])
        if answer.stall is not None:
            self._closing.wait(30)
