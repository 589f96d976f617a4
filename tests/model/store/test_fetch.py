"""model/store/fetch.py and model/store/fetch.py against a real server on loopback, well behaved and not."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.file_server import Answer, FileServer
from vivavoce.model.errors import DiskFull, SourceFailed, StoreUnusable, Unreachable, WrongBytes
from vivavoce.model.store.fetch import Partial, Web

pytestmark = pytest.mark.integration

BODY = os.urandom(300_000)
SUM = hashlib.sha256(BODY).hexdigest()


class Receipt:
    """A partial file, and what is expected of it in the end."""

    def __init__(self, folder: Path, here: bytes = b"") -> None:
        self.part, self.target = folder / "x.part", folder / "model" / "x.onnx"
        self.lengths: list[int] = []
        self.part.write_bytes(here)
        self.partial = Partial(self.part, len(BODY), SUM, self.lengths.append)

    def placed(self) -> bytes:
        self.partial.place(self.target)
        return self.target.read_bytes()


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:

        def start(here: bytes = b"") -> Receipt:
            receipt = Receipt(tmp_path, here)
            stack.enter_context(receipt.partial)
            return receipt

        yield start


@pytest.fixture
def web() -> Iterator[Web]:
    with Web({}, connect=0.3, stall=0.3) as web:
        yield web


def test_whole_file_is_fetched_counted_and_placed(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.placed() == BODY
    assert not receipt.part.exists()
    assert receipt.lengths == sorted(receipt.lengths)
    assert receipt.lengths[-1] == len(BODY)


def test_what_is_there_already_is_not_fetched_again(web: Web, receive: Any) -> None:
    receipt = receive(BODY[:100_000])
    with FileServer({"/x": [Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
        assert server.asked("/x") == ["bytes=100000-"]
    assert receipt.placed() == BODY


def test_whole_partial_file_asks_nobody(web: Web, receive: Any) -> None:
    receipt = receive(BODY)
    web.fetch("http://127.0.0.1:9/x", receipt.partial)
    assert receipt.placed() == BODY


def test_server_that_ignores_the_range_is_taken_from_its_start(web: Web, receive: Any) -> None:
    receipt = receive(BODY[:100_000])
    with FileServer({"/x": [Answer(BODY, ranges=False)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.placed() == BODY


def test_transfer_that_breaks_is_taken_up_where_it_broke(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, cut=70_000), Answer(BODY, cut=80_000), Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
        assert server.asked("/x") == [None, "bytes=70000-", "bytes=150000-"]
    assert receipt.placed() == BODY


def test_transfer_that_ends_early_without_a_length_is_taken_up_too(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, cut=70_000, length=False), Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.placed() == BODY


def test_transfer_without_progress_is_given_up_and_kept(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, cut=70_000), Answer(BODY, cut=0)]}) as server:
        with pytest.raises(SourceFailed, match="broke off after 70000 bytes"):
            web.fetch(server.url("/x"), receipt.partial)
        assert len(server.requests) == 2
    assert receipt.part.read_bytes() == BODY[:70_000]


def test_transfer_that_always_breaks_is_given_up_in_the_end(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, cut=10)]}) as server:
        with pytest.raises(SourceFailed, match="broke off after 50 bytes"):
            web.fetch(server.url("/x"), receipt.partial)
        assert len(server.requests) == 5


@pytest.mark.slow
def test_server_that_stalls_in_the_body_is_left_after_the_deadline(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, stall=70_000), Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
        assert server.asked("/x") == [None, "bytes=70000-"]
    assert receipt.placed() == BODY


@pytest.mark.slow
def test_server_that_never_answers_is_left_after_the_deadline_and_not_asked_again(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY, stall=0)]}) as server:
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"0\.3 s|timed out"):
                web.fetch(server.url("/x"), receipt.partial)
        assert len(server.requests) == 1


def test_refused_connection_is_unreachable_at_once_and_remembered(receive: Any) -> None:
    down: dict[str, str] = {}
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    with Web(down) as web, pytest.raises(Unreachable, match=r"cannot be reached: .*refused"):
        web.fetch(f"http://{host}/x", receive().partial)
    assert "refused" in down[host]


@pytest.mark.slow
def test_host_that_swallows_connections_is_given_up_in_time(web: Web, receive: Any) -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fills the queue of connections that nobody accepts
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            web.fetch(f"http://127.0.0.1:{deaf.getsockname()[1]}/x", receive().partial)


@pytest.mark.slow
def test_name_resolution_has_the_same_deadline(web: Web, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> list[Any]:
        time.sleep(1)  # a resolver that nobody answers; nothing smaller can be had on loopback
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        web.fetch("http://models.invalid/x", receive().partial)
    time.sleep(1)  # the thread that was left behind ends before the test does


def test_name_that_does_not_exist_is_unreachable(web: Web, receive: Any) -> None:
    with pytest.raises(Unreachable):
        web.fetch("http://models.invalid/x", receive().partial)


@pytest.mark.parametrize("address", ["nonsense", "http://", "ftp://127.0.0.1/x"])
def test_address_that_makes_no_sense_fails_as_a_source(web: Web, receive: Any, address: str) -> None:
    with pytest.raises(SourceFailed):
        web.fetch(address, receive().partial)


def test_missing_file_names_the_status_and_leaves_the_host_in_use(web: Web, receive: Any) -> None:
    receipt = receive()
    with FileServer({"/x": [Answer(BODY)]}) as server:
        with pytest.raises(SourceFailed, match="answered 404"):
            web.fetch(server.url("/gone"), receipt.partial)
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.placed() == BODY


def test_redirect_is_followed_and_the_range_goes_along(web: Web, receive: Any) -> None:
    receipt = receive(BODY[:1000])
    with FileServer({"/x": [Answer(status=302, location="/y")], "/y": [Answer(BODY)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
        assert server.asked("/y") == ["bytes=1000-"]
    assert receipt.placed() == BODY


def test_redirects_without_end_are_a_failure_of_the_source(web: Web, receive: Any) -> None:
    with (
        FileServer({"/x": [Answer(status=302, location="/x")]}) as server,
        pytest.raises(SourceFailed, match="redirects"),
    ):
        web.fetch(server.url("/x"), receive().partial)


def test_page_in_place_of_the_file_is_refused_before_a_byte_is_kept(web: Web, receive: Any) -> None:
    receipt = receive()
    with (
        FileServer({"/x": [Answer(b"<html>please log in</html>")]}) as server,
        pytest.raises(WrongBytes, match="offers 26 bytes, expected 300000"),
    ):
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.part.read_bytes() == b""


def test_body_that_is_too_long_is_refused(web: Web, receive: Any) -> None:
    receipt = receive()
    with (
        FileServer({"/x": [Answer(BODY + b"x", length=False)]}) as server,
        pytest.raises(WrongBytes, match="more than the expected"),
    ):
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.part.read_bytes() == b""


def test_file_shorter_than_what_is_here_starts_over(web: Web, receive: Any) -> None:
    receipt = receive(BODY[:1000])
    with (
        FileServer({"/x": [Answer(BODY[:500])]}) as server,
        pytest.raises(WrongBytes, match="does not have 300000"),
    ):
        web.fetch(server.url("/x"), receipt.partial)
    assert receipt.part.read_bytes() == b""


def test_wrong_sum_is_never_placed_and_never_kept(web: Web, receive: Any) -> None:
    receipt = receive()
    wrong = b"\0" + BODY[1:]
    with FileServer({"/x": [Answer(wrong)]}) as server:
        web.fetch(server.url("/x"), receipt.partial)
    with pytest.raises(WrongBytes, match=f"expected {SUM[:12]}"):
        receipt.placed()
    assert not receipt.target.exists()
    assert receipt.part.read_bytes() == b""


def test_short_file_is_never_placed_but_kept(receive: Any) -> None:
    receipt = receive(BODY[:1000])
    with pytest.raises(WrongBytes, match="ended after 1000 of 300000"):
        receipt.placed()
    assert not receipt.target.exists()
    assert receipt.part.read_bytes() == BODY[:1000]


def test_partial_file_that_is_too_long_is_forgotten(receive: Any) -> None:
    receipt = receive(BODY + b"x")
    assert receipt.partial.length == 0
    assert receipt.part.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_says_what_to_do(web: Web, receive: Any) -> None:
    receipt = receive()
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), receipt.partial._file.fileno())  # from now on its file is on a full disk
    with (
        FileServer({"/x": [Answer(BODY)]}) as server,
        pytest.raises(DiskFull, match=r"free some space or set VIVAVOCE_HOME"),
    ):
        web.fetch(server.url("/x"), receipt.partial)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnusable, match="make the folder writable"):
        Partial(tmp_path / "x.part", 1, SUM, lambda _: None)


def test_place_that_is_taken_by_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(StoreUnusable, match=r"cannot write .*folder"):
        Partial(tmp_path / "folder" / "x.part", 1, SUM, lambda _: None)
