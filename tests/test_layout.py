"""The folders are importable under one name each, and what is shipped is complete."""

import ast
import codecs
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from harness.sources import nodes

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


def pins(name: str) -> dict[str, set[str]]:
    """The lines "package==version" of a file of pins, each with its hashes."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().replace(" \\\n", " ").splitlines():
        requirement, *hashes = line.partition(" --")[0].partition(";")[0].split() + re.findall(r"--hash=(\S+)", line)
        found[requirement] = set(hashes)
    return found


@pytest.mark.parametrize("name", ["pins.txt", "pins-dev.txt"])
def test_pins_hold_names_versions_and_hashes_only(name: str) -> None:
    for requirement, hashes in pins(name).items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", requirement)
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes), requirement
    assert "/" not in (ROOT / name).read_text()


def test_the_pins_of_a_call_are_among_those_of_the_tests() -> None:
    run, everything = pins("pins.txt"), pins("pins-dev.txt")
    assert {pin: everything.get(pin) for pin in run} == run


def test_a_call_needs_no_training_package() -> None:
    names = {pin.partition("==")[0] for pin in pins("pins.txt")}
    assert not {name for name in names if name.startswith(("torch", "nvidia", "cuda", "triton"))}
    assert not names & {"matplotlib", "pyworld", "silero-vad", "speechmos", "pytest", "mypy", "ruff"}


BLOCKED = ("torch", "torchaudio", "matplotlib", "pyworld", "silero_vad", "speechmos", "openai", "hypothesis", "pytest")
"""What the extras of pyproject.toml bring."""

APART = {"training", "examples"}
"""Folders of which nothing runs in a call."""

IMPORT_ALL = f"""
import importlib, sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is not installed", name=name)

sys.meta_path.insert(0, Blocker())
for module in sys.argv[1:]:
    importlib.import_module(module)
"""


@pytest.mark.slow
def test_what_a_call_needs_is_imported_without_the_packages_of_training_and_tests() -> None:
    files = [file.relative_to(ROOT).with_suffix("") for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    modules = [".".join(["vivavoce", *file.parts]) for file in sorted(files) if not APART & set(file.parts)]
    assert len(modules) > 200
    subprocess.run([sys.executable, "-c", IMPORT_ALL, *modules], check=True, timeout=120)


def test_training_without_torch_says_what_to_install() -> None:
    code = "import importlib.util as util; util.find_spec = lambda name: None; import vivavoce.model.training.codec"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install -e '.[train]'" in told.stderr.splitlines()[-1]


@pytest.mark.slow
def test_every_package_that_a_call_imports_is_a_dependency() -> None:
    """Those it imports by name, not only what comes along with others."""
    dependencies = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["sip"]
    asked = {re.split(r"[^\w.-]", line)[0] for line in dependencies}
    modules = {
        name.split(".")[0]
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        if not APART & set(file.relative_to(ROOT).parts)
        for node in nodes(file)
        for name in imported(node)
    }
    packages = packages_distributions()
    foreign = {name for name in modules - {"vivavoce", ""} if name not in sys.stdlib_module_names}
    # `google` is a namespace of many packages.
    wanted = {name: {"protobuf"} if name == "google" else set(packages[name]) for name in foreign}
    assert {name: several for name, several in wanted.items() if not {one.lower() for one in several} & asked} == {}


def imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            return [node.module or ""]
    return []


def test_the_top_level_holds_what_was_agreed() -> None:
    agreed = {"pyproject.toml", "realtime", "codecs", "model", "web", "tests", "README.md"}
    agreed |= {"Makefile", "CHANGELOG.md", "LICENSE", "pins.txt", "pins-dev.txt"}
    passing = {"build", "dist", "vivavoce.egg-info"}  # made by commands, ignored by git
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert there - passing == agreed
