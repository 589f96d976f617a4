"""An OpenAI-compatible endpoint on loopback that answers as its script says, well or badly.

with ChatServer([event({"content": "Hello"}), event({}, finish="stop"), DONE]) as server:
    Endpoint(server.url, "model")
    server.requests                # bodies of the requests so far, and their headers
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

DONE = b"data: [DONE]\n\n"
Step = bytes | float | Literal["hang", "cut"]
"""Bytes to send; seconds to wait; "hang": nothing more comes, until the client leaves or the server is closed; "cut":
the connection is broken."""


def event(delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None) -> bytes:
    """One chunk of a streamed answer."""
    chunk: dict[str, Any] = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if usage is not None:
        chunk["usage"] = usage
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@dataclass(frozen=True)
class Request:
    body: dict[str, Any]
    headers: dict[str, str]
    client: Any  # its address: the same for requests over one connection


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server joins them

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is what these tests are about; all else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # only printed


Answer = Callable[[dict[str, Any]], tuple[int, Sequence[Step]]]
"""Status and steps for the body of a request."""


class ChatServer:
    """Answers every request with `steps`, after the status line; "hang" as first step: not even that. `answer`: decides
    for each request instead. A context manager."""

    def __init__(
        self,
        steps: Sequence[Step] = (),
        status: int = 200,
        content_type: str = "text/event-stream",
        answer: Answer | None = None,
    ) -> None:
        self._answer_to: Answer = answer or (lambda body: (status, steps))
        self._content_type = content_type
        self.requests: list[Request] = []
        self.left = threading.Event()
        """The client has closed its connection while it was kept waiting."""
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._requests_class())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="chat-server")
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()  # joins the threads of requests
        self._thread.join()

    def _requests_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10  # seconds an idle connection is kept

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append(Request(body, dict(self.headers), self.client_address))
                try:
                    server._answer(self, *server._answer_to(body))
                except (BrokenPipeError, ConnectionResetError):
                    server.left.set()
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Answering

    def _answer(self, request: BaseHTTPRequestHandler, status: int, steps: Sequence[Step]) -> None:
        if [*steps[:1]] != ["hang"]:
            request.send_response(status)
            request.send_header("Content-Type", self._content_type)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
        for step in steps:
            if step == "hang":
                self._hang(request)
                return
            if step == "cut":
                request.close_connection = True
                return
            if isinstance(step, float):
                if self._closing.wait(step):
                    return
                continue
            assert isinstance(step, bytes)
            request.wfile.write(b"%x\r\n%s\r\n" % (len(step), step))
        request.wfile.write(b"0\r\n\r\n")

    def _hang(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.connection.settimeout(0.02)
        while not self._closing.is_set():
            try:
                if not request.connection.recv(1):
                    self.left.set()
                    return
            except TimeoutError:
                continue
