"""Rules that the code keeps, read from its source."""

import ast
from functools import cache
from pathlib import Path

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
    "model/gguf.py",
    "realtime/access.py",
    "realtime/client_secrets.py",
    "realtime/conversation.py",
    "realtime/events.py",
    "realtime/fader.py",
    "realtime/front_end.py",
    "realtime/front_end_gain.py",
    "realtime/front_end_headset.py",
    "realtime/front_end_own.py",
    "realtime/front_end_reference.py",
    "realtime/latency.py",
    "realtime/played.py",
    "realtime/playout.py",
    "realtime/rates.py",
    *(f"realtime/recording/{name}.py" for name in ("diary", "stereo", "summary", "values")),
    "realtime/transports/confirmation.py",
    *(
        f"realtime/tools/{name}.py"
        for name in ("__init__", "addresses", "arithmetic", "clock", "schemas", "timers", "units")
    ),
    *(
        f"realtime/bench/{name}.py"
        for name in (
            "compare",
            "distribution",
            "evidence",
            "impair",
            "loudspeaker",
            "measures",
            "mouth",
            "plots",
            "truth",
        )
    ),
    "realtime/bench/sounds.py",
    *(
        f"realtime/telephony/{name}.py"
        for name in (
            "asterisk",
            "asterisk_queue",
            "asterisk_sound",
            "audiosocket",
            "gaps",
            "keypad",
            "leaving",
            "safety",
            "safety_guard",
            *(f"streams/{core}" for core in ("__init__", "answers", "codecs", "detect", "dialects", "frames")),
            *(f"streams/{core}" for core in ("inbound", "playback", "signatures", "tickets")),
            *(
                f"sip/{core}"
                for core in ("agent", "keys", "leg", "leg_events", "messages", "offers", "outbox", "outgoing")
            ),
            *(f"sip/{core}" for core in ("registration", "rtp", "session_timer", "settings", "transactions")),
            "tones",
            "webhooks",
        )
    ),
    "realtime/turns/crowd.py",
    "realtime/turns/dictation.py",
    "realtime/turns/endpoint.py",
    "realtime/turns/floor.py",
    "realtime/turns/onset.py",
    "realtime/turns/overheard.py",
    "realtime/turns/overlap.py",
    "realtime/turns/phrases.py",
    "realtime/turns/vad.py",
    "realtime/watchdog.py",
    *(str(file.relative_to(ROOT)) for file in (ROOT / "realtime/protocol").glob("*.py")),
}
"""Modules that decide: no I/O, no clock, no threads."""

SHELL_ONLY = set("asyncio threading time socket aiortc av websockets torch httpx starlette uvicorn".split())  # noqa: SIM905 - reads better
MAY_USE = {"codecs": {"codecs"}, "model": {"codecs", "model"}, "realtime": {"codecs", "model", "realtime"}}
WORKSHOPS = {"codecs/training": {"codecs", "model"}}
"""Folders of which nothing runs in a call: joe and Kokoro speak what the codec is trained on."""
MAX_LINES, MAX_TEST_LINES, MAX_FUNCTION, MAX_CLASS, MAX_ARGUMENTS = 300, 700, 60, 200, 8


OTHERS = [ROOT / name for name in ("README.md", "Makefile", "CHANGELOG.md", "pins.txt", "model/catalog.toml")]
HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "/work" + "/")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def imports(file: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + str(node.module))
    return frozenset(names)


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_no_import_is_relative() -> None:
    assert [name_of(file) for file in SOURCES if any(name.startswith(".") for name in imports(file))] == []


def test_dependencies_point_one_way() -> None:
    for file in SOURCES:
        ours = {name.split(".")[1] for name in imports(file) if name.startswith("vivavoce.")}
        may_use = WORKSHOPS.get(name_of(file.parent), MAY_USE[file.relative_to(ROOT).parts[0]])
        assert ours <= may_use, name_of(file)


def test_cores_do_no_io() -> None:
    for core in sorted(CORES):
        assert not {name.split(".")[0] for name in imports(ROOT / core)} & SHELL_ONLY, core


def test_files_are_short() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in [*SOURCES, *TESTS]}
    bounds = {file: MAX_LINES if file in SOURCES else MAX_TEST_LINES for file in lines}
    assert {name_of(file): n for file, n in lines.items() if n > bounds[file]} == {}


def test_functions_and_classes_are_short() -> None:
    long = []
    for file in SOURCES:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
                lines = int(node.end_lineno or 0) - node.lineno + 1
                long += [f"{name_of(file)}: {node.name} has {lines} lines"] if lines > bound else []
    assert long == []


def test_functions_take_few_arguments() -> None:
    greedy = []
    for file in SOURCES:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]]
                if len([name for name in names if name not in ("self", "cls")]) > MAX_ARGUMENTS:
                    greedy.append(f"{name_of(file)}: {node.name}")
    assert greedy == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(file) for file in SOURCES if not ast.get_docstring(tree(file))] == []


def test_broad_excepts_stand_at_borders_only() -> None:
    for file in SOURCES:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "except Exception" in line or "except:" in line:
                assert "border" in line, f"{name_of(file)}:{number}: a broad except says which border it is"


def test_no_registry_and_no_machine_is_named() -> None:
    named = [(name_of(f), host) for f in [*SOURCES, *TESTS, *OTHERS] for host in HOSTS if host in f.read_text().lower()]
    assert named == []
