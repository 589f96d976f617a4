"""Rules that the code keeps, read from its source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harness.sources import nodes, tree

pytestmark = pytest.mark.slow  # whichever is first reads all sources

ROOT = Path(__file__).parents[1]
FOLDERS = ("codecs", "model", "realtime")
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

ROOMS = (
    "codecs",
    "model/errors",
    "model/dialogue",
    "model/abilities",
    "model/tool_schemas",
    "model/store",
    "model/settings",
    "model/turns",
    "model/vision",
    "model/cascade",
    "model/training",
    "model/evaluation",
    "realtime/wire",
    "realtime/config",
    "realtime/transports",
    "realtime/events",
    "realtime/audio",
    "realtime/turns",
    "realtime/tools",
    "realtime/session",
    "realtime/monitor",
    "realtime/peers",
    "realtime/decoding",
    "realtime/pipeline",
    "realtime/recording",
    "realtime/engine",
    "realtime/call",
    "realtime/admission",
    "realtime/telephony",
    "realtime/gateway",
    "realtime/bench",
    "realtime/cli",
    "realtime/__main__",
    "realtime/docs",
)
"""The order of the house: a room imports only itself and rooms before it."""

PURE = (
    "codecs",
    "model/tool_schemas",
    "model/turns",
    "realtime/wire",
    "realtime/config",
    "realtime/events",
    "realtime/audio",
    "realtime/turns",
    "realtime/tools",
    "realtime/session",
    "realtime/monitor",
    "realtime/recording",
    "realtime/telephony",
    "realtime/admission",
    "realtime/bench/measure",
    "realtime/bench/report",
    "realtime/bench/turns",
)
"""Rooms that decide: no I/O, no clock, no threads, but in their shells."""

SHELLS = {
    "codecs": "g722 media onnx_session",
    "realtime/turns": "classifiers",
    "realtime/tools": "builtin mcp_client notes runner safe_http",
    "realtime/session": "tool_settings",
    "realtime/recording": "reader recorder writer",
    "realtime/telephony": "phones switchboard transport",
    "realtime/telephony/asterisk": "audiosocket_server chan_websocket_server",
    "realtime/telephony/providers": "media_stream routes",
    "realtime/telephony/sip": "calls connection endpoint sockets",
    "realtime/telephony/webhooks": "post ringing",
    "realtime/admission": "rest",
    "realtime/bench/report": "machine",
}
"""Modules of pure rooms that move data in and out."""

SHELL_ONLY = frozenset("aioice aiortc asyncio av httpx httpx2 onnxruntime socket starlette".split())  # noqa: SIM905 - reads better
SHELL_ONLY |= frozenset("subprocess threading time torch urllib.request uvicorn websockets".split())  # noqa: SIM905
TORCH = ("model/training", "model/omni")
"""The only folders that may import torch: nothing of them runs in a call."""

MAX_LINES, MAX_TEST_LINES, MAX_FUNCTION, MAX_ARGUMENTS = 600, 700, 60, 8

OTHERS = [
    ROOT / name
    for name in ("README.md", "Makefile", "CHANGELOG.md", "pins.txt", "pins-dev.txt", "model/store/catalog.toml")
]
OTHERS += [file for kind in ("md", "mjs") for file in (ROOT / "realtime/docs").rglob(f"*.{kind}")]
OTHERS += [file for kind in ("md", "yml") for file in (ROOT / ".github").rglob(f"*.{kind}")]
HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "/work" + "/")


@cache
def imports(file: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + str(node.module))
    return frozenset(names)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_no_import_is_relative() -> None:
    assert [name_of(file) for file in SOURCES if any(name.startswith(".") for name in imports(file))] == []


def room_of(place: str) -> str:
    """The room of a module: `realtime/turns/floor` -> `realtime/turns`."""
    top, _, rest = place.partition("/")
    return top if top == "codecs" or not rest else f"{top}/{rest.partition('/')[0]}"


def modules_named(file: Path) -> set[str]:
    """Our modules that a file imports, as places: `realtime/turns/floor`."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vivavoce."):
            place = str(node.module).removeprefix("vivavoce.").replace(".", "/")
            found |= {f"{place}/{alias.name}" if "/" not in place else place for alias in node.names}
    return found


def test_a_room_imports_only_rooms_before_it() -> None:
    upward = []
    for file in SOURCES:
        here = room_of(name_of(file).removesuffix(".py"))
        if here.endswith("__init__"):
            continue
        for there in map(room_of, modules_named(file)):
            if ROOMS.index(there) > ROOMS.index(here):
                upward.append(f"{name_of(file)} imports {there}")
    assert upward == []


SELF_IMPORTS = {
    "realtime/session/response_output",
    "realtime/telephony/providers/dialects",
    "realtime/telephony/providers/routes",
    "realtime/telephony/sip/sdp",
    "realtime/wire/validation",
}
"""Modules that may import themselves, under a name that they had before a merge. To be emptied."""


@cache
def module_graph() -> dict[str, frozenset[str]]:
    """Our modules, and those that each imports: at its top, inside functions, and for type checking."""
    modules = {name_of(file).removesuffix(".py").removesuffix("/__init__"): file for file in SOURCES}

    def imported(file: Path) -> Iterator[str]:
        for node in nodes(file):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vivavoce."):
                package = str(node.module).removeprefix("vivavoce.").replace(".", "/")
                for alias in node.names:
                    yield f"{package}/{alias.name}" if f"{package}/{alias.name}" in modules else package

    graph = {module: set(imported(file)) & modules.keys() for module, file in modules.items()}
    return {module: frozenset(graph[module] - ({module} & SELF_IMPORTS)) for module in modules}


def reachable(module: str) -> set[str]:
    """The modules that `module` imports, directly or not."""
    found: set[str] = set()
    waiting = list(module_graph()[module])
    while waiting:
        if (other := waiting.pop()) not in found:
            found.add(other)
            waiting += module_graph()[other]
    return found


def test_no_module_imports_itself_in_a_circle() -> None:
    assert [module for module in module_graph() if module in reachable(module)] == []


ALONE = {
    "realtime/transports": ("realtime/transports",),
    "realtime/peers/resumable.py": ("realtime/transports",),
}
"""Places that know no other room of `realtime/` but these: a transport knows nothing of the call above it."""


def test_transports_know_nothing_above_them() -> None:
    known = []
    for place, rooms in ALONE.items():
        files = (ROOT / place).rglob("*.py") if (ROOT / place).is_dir() else [ROOT / place]
        for file in files:
            others = {there for there in map(room_of, modules_named(file)) if there.startswith("realtime/")}
            known += [f"{name_of(file)} imports {there}" for there in sorted(others - set(rooms))]
    assert known == []


def test_rooms_that_decide_do_no_io() -> None:
    for room in PURE:
        files = (ROOT / room).rglob("*.py") if (ROOT / room).is_dir() else [ROOT / f"{room}.py"]
        for file in files:
            folder = name_of(file.parent)
            used = {name for name in imports(file) if name in SHELL_ONLY or name.split(".")[0] in SHELL_ONLY}
            shell = file.stem in SHELLS.get(folder, "").split()
            assert bool(used) == shell, f"{name_of(file)} imports {sorted(used)}"


def test_torch_is_imported_by_training_only() -> None:
    users = [
        name_of(file) for file in SOURCES if {name.split(".")[0] for name in imports(file)} & {"torch", "torchaudio"}
    ]
    assert [name for name in users if not name.startswith(TORCH)] == []


def test_the_libraries_of_sip_are_imported_by_its_package_only() -> None:
    users = {file.parent for file in SOURCES if {name.split(".")[0] for name in imports(file)} & {"aiosipua", "aiortp"}}
    assert {name_of(folder) for folder in users} == {"realtime/telephony/sip"}


def test_files_are_short() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in [*SOURCES, *TESTS]}
    bounds = {file: MAX_LINES if file in SOURCES else MAX_TEST_LINES for file in lines}
    assert {name_of(file): n for file, n in lines.items() if n > bounds[file]} == {}


def test_functions_are_short() -> None:
    long = []
    for file in SOURCES:
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = int(node.end_lineno or 0) - node.lineno + 1
                long += [f"{name_of(file)}: {node.name} has {lines} lines"] if lines > MAX_FUNCTION else []
    assert long == []


def test_functions_take_few_arguments() -> None:
    greedy = []
    for file in SOURCES:
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
                if len([name for name in names if name not in ("self", "cls")]) > MAX_ARGUMENTS:
                    greedy.append(f"{name_of(file)}: {node.name}")
    assert greedy == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(file) for file in SOURCES if not ast.get_docstring(tree(file))] == []


def test_exceptions_of_the_models_are_one_tree() -> None:
    errors = ROOT / "model/errors.py"
    tree_of_errors = {
        node.name: ast.unparse(node.bases[0]) for node in tree(errors).body if isinstance(node, ast.ClassDef)
    }
    drawing = str(ast.get_docstring(tree(errors)))
    assert [name for name in tree_of_errors if f"{name} " not in drawing] == []
    assert [name for name, base in tree_of_errors.items() if base not in tree_of_errors] == ["ModelError"]
    kinds = {"Exception", "BaseException", "ValueError", "RuntimeError", "OSError", "KeyError", *tree_of_errors}
    elsewhere = [
        f"{name_of(file)}: {node.name}"
        for file in SOURCES
        if name_of(file).startswith("model/") and file != errors
        for node in nodes(file)
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and kinds & set(map(ast.unparse, node.bases))
    ]
    assert elsewhere == []


def test_broad_excepts_stand_at_borders_only() -> None:
    for file in SOURCES:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "except Exception" in line or "except:" in line:
                assert "border" in line, f"{name_of(file)}:{number}: a broad except says which border it is"


def test_no_registry_and_no_machine_is_named() -> None:
    named = [(name_of(f), host) for f in [*SOURCES, *TESTS, *OTHERS] for host in HOSTS if host in f.read_text().lower()]
    assert named == []


def test_tests_stand_in_the_tree_of_the_sources() -> None:
    tested = {name_of(file.parent).removeprefix("tests/") for file in TESTS if file.name.startswith("test_")}
    tested -= {"tests", "harness", "clients", "web"}
    assert [place for place in sorted(tested) if not (ROOT / place).is_dir()] == []
