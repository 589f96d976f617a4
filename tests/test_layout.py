"""The folders are importable under one name each, and what is shipped is complete."""

import codecs
import importlib
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("codecs", "model", "realtime")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages() -> list[str]:
    folders = [init.parent.relative_to(ROOT) for folder in FOLDERS for init in (ROOT / folder).rglob("__init__.py")]
    return sorted([*(".".join(["vivavoce", *folder.parts]) for folder in folders), "vivavoce.web"])


@pytest.mark.parametrize("name", [f"vivavoce.{folder}" for folder in FOLDERS])
def test_each_folder_is_a_package_of_the_namespace(name: str) -> None:
    assert importlib.import_module(name).__file__


def test_the_standard_codecs_module_is_untouched() -> None:
    assert callable(codecs.lookup)
    assert Path(str(codecs.__file__)).parent != ROOT / "codecs"


def test_every_package_is_listed_in_pyproject() -> None:
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == packages()


def test_no_module_of_ours_is_loaded_under_its_bare_name() -> None:
    bare = [name for name in sys.modules if name.split(".")[0] in ("model", "realtime")]
    assert not bare


def test_the_page_lies_where_the_server_looks_for_it() -> None:
    from vivavoce.realtime.gateway.app import WEB

    assert (WEB / "index.html").is_file()


def test_every_module_of_the_page_is_shipped() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    kept = {file for pattern in patterns for file in (ROOT / "web").glob(pattern)}
    assert kept == {file for file in (ROOT / "web").iterdir() if file.is_file()}


def test_pins_hold_names_and_versions_only() -> None:
    for line in (ROOT / "pins.txt").read_text().splitlines():
        requirement = line.partition(";")[0].strip()
        assert "==" in requirement, line
        assert "/" not in requirement, line


def test_the_top_level_holds_what_was_agreed() -> None:
    agreed = {"pyproject.toml", "realtime", "codecs", "model", "web", "tests", "README.md"}
    agreed |= {"Makefile", "CHANGELOG.md", "LICENSE", "pins.txt"}
    passing = {"build", "dist", "vivavoce.egg-info"}  # made by commands, ignored by git
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert there - passing == agreed
