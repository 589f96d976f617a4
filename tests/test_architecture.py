"""Rules that the code keeps, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("codecs", "model", "realtime")
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

CORES = {
    "codecs/g711.py",
    "model/cascade/context.py",
    "model/cascade/ears/agreement.py",
    "model/cascade/ears/listening.py",
    "model/cascade/ears/loudness.py",
    "model/cascade/language/calls.py",
    "model/cascade/language/chatml.py",
    "model/cascade/voice/clauses.py",
    "model/cascade/voice/spoken.py",
    "realtime/access.py",
    "realtime/conversation.py",
    "realtime/events.py",
    "realtime/latency.py",
    "realtime/playout.py",
    "realtime/turns/barge_in.py",
    "realtime/turns/endpoint.py",
    "realtime/turns/floor.py",
    "realtime/turns/vad.py",
    *(str(file.relative_to(ROOT)) for file in (ROOT / "realtime/protocol").glob("*.py")),
}
"""Modules that decide: no I/O, no clock, no threads."""

SHELL_ONLY = set("asyncio threading time socket aiortc av websockets torch httpx starlette uvicorn".split())
MAY_USE = {"codecs": {"codecs"}, "model": {"codecs", "model"}, "realtime": {"codecs", "model", "realtime"}}
MAX_LINES, MAX_FUNCTION, MAX_CLASS, MAX_ARGUMENTS = 300, 60, 200, 8


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield str(node.module)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_dependencies_point_one_way(file: Path) -> None:
    folder = file.relative_to(ROOT).parts[0]
    ours = {name.split(".")[1] for name in imports(file) if name.startswith("vivavoce.")}
    assert ours <= MAY_USE[folder]


@pytest.mark.parametrize("core", sorted(CORES))
def test_cores_do_no_io(core: str) -> None:
    used = {name.split(".")[0] for name in imports(ROOT / core)}
    assert not used & SHELL_ONLY


@pytest.mark.parametrize("file", [*SOURCES, *TESTS], ids=name_of)
def test_files_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= (MAX_LINES if file in SOURCES else 2 * MAX_LINES)


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_functions_and_classes_are_short(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            lines = int(node.end_lineno or 0) - node.lineno + 1
            allowed = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
            assert lines <= allowed, f"{node.name}: {lines} lines"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
            taken = len([name for name in names if name not in ("self", "cls")])
            assert taken <= MAX_ARGUMENTS, f"{node.name}: {taken} arguments"


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_every_module_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_broad_excepts_stand_at_borders_only(file: Path) -> None:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if "except Exception" in line or "except:" in line:
            assert "the border" in line, f"line {number}: a broad except says which border it is"


OTHERS = [ROOT / name for name in ("README.md", "Makefile", "CHANGELOG.md", "pins.txt", "model/catalog.toml")]


@pytest.mark.parametrize("file", [*SOURCES, *TESTS, *OTHERS], ids=name_of)
def test_no_registry_and_no_machine_is_named(file: Path) -> None:
    text = file.read_text().lower()
    for host in ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "/work" + "/"):
        assert host not in text
