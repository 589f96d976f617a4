"""model/training/runs/*.sh: the commands exist and take their arguments; a stopped run continues."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
RUNS = sorted((ROOT / "model/training/runs").glob("*.sh"))
ARGUMENTS = {"codec.sh": ["/texts", "/out"], "turns.sh": ["/out"]}
WEIGHTS = {
    "codec.sh": {"decoder", "latents", "encoder"},
    "turns.sh": {"overlap_classifier", "asr_overlap_head", "asr_endpoint_head"},
}

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)]


def started(run: Path, *arguments: str, python: str = "python") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": python}
    return subprocess.run(["bash", str(run), *arguments], env=environment, capture_output=True, text=True, check=False)


def commands(run: Path) -> list[tuple[str, list[str]]]:
    """Module and arguments of each command of a dry run."""
    lines = started(run, "--dry-run", *ARGUMENTS[run.name]).stdout.splitlines()
    found = [re.fullmatch(r"python .*?-m (vivavoce\.\S+) (.*)", line) for line in lines]
    assert all(found), lines
    return [(match[1], shlex.split(match[2])) for match in found if match]


def test_the_shell_understands_a_run(run: Path) -> None:
    assert subprocess.run(["bash", "-n", str(run)], check=False).returncode == 0
    assert run.stat().st_mode & 0o111


def test_without_arguments_a_run_says_how_it_is_called(run: Path) -> None:
    said = started(run)
    assert said.returncode == 2
    assert f"model/training/runs/{run.name} [--dry-run]" in said.stdout
    assert "set -euo" not in said.stdout


def test_every_command_is_a_script_of_ours(run: Path) -> None:
    modules = [module for module, _ in commands(run)]
    assert len(modules) >= 5
    for module in modules:
        source = ROOT / (module.removeprefix("vivavoce.").replace(".", "/") + ".py")
        assert 'if __name__ == "__main__":' in source.read_text(), module


@pytest.mark.slow
def test_every_script_takes_its_arguments(run: Path) -> None:
    for module, arguments in commands(run):
        import_module(module).arguments(arguments)  # exits with an error otherwise


@pytest.mark.slow
def test_a_run_makes_every_weight_file(run: Path) -> None:
    made = set()
    for module, arguments in commands(run):
        made |= {Path(argument).stem for argument in arguments if argument.endswith(".onnx")}
        if "export_" in module:
            made |= set(re.findall(r"folder / \"(\w+)\.onnx\"", Path(str(import_module(module).__file__)).read_text()))
    assert made == WEIGHTS[run.name]


def test_a_stopped_run_continues_with_the_step_that_failed(run: Path, tmp_path: Path) -> None:
    log, broken = tmp_path / "log", tmp_path / "broken"
    python = tmp_path / "python"
    python.write_text(f'#!{sys.executable}\nimport sys\nprint(*sys.argv[1:], file=open("{log}", "a"))\n')
    python.write_text(
        python.read_text() + f'import os\nsys.exit(os.path.exists("{broken}") and len(open("{log}").readlines()) > 2)\n'
    )
    python.chmod(0o755)
    arguments = [str(tmp_path / name) for name in ("texts", "out")][-len(ARGUMENTS[run.name]) :]
    total = len(commands(run))

    broken.touch()
    assert started(run, *arguments, python=str(python)).returncode != 0
    assert len(log.read_text().splitlines()) == 3
    broken.unlink()
    assert started(run, *arguments, python=str(python)).returncode == 0
    lines = log.read_text().splitlines()
    assert len(lines) == total + 1
    assert lines[2] == lines[3], "the third step again, the first two not"
    assert started(run, *arguments, python=str(python)).returncode == 0
    assert len(log.read_text().splitlines()) == total + 1, "everything is done"
