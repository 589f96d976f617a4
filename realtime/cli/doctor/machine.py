"""Tests of the machine: Python, packages, models, disk, memory, cores."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from vivavoce.model.errors import ModelError
from vivavoce.model.settings import needed
from vivavoce.model.store import Store
from vivavoce.realtime.cli.doctor.findings import Finding, sentence
from vivavoce.realtime.config import Config

PYTHON: Final = (3, 11)
CORES: Final = 2
"""With fewer, ASR waits for TTS."""
MEMORY: Final = 2_500_000_000
"""Bytes that the default models take with one call."""
SPARE: Final = 256_000_000
"""Bytes of disk beyond the models, for archives that are being unpacked."""
SHOWN: Final = ("aiortc", "av", "numpy", "onnxruntime", "xllamacpp")
"""Packages whose versions are shown: most faults depend on them."""
REPLACED: Final = {"onnxruntime": "onnxruntime-gpu"}
"""Packages that another one may replace: of the two only one can be installed."""

GIGA: Final = 1e9


def look(config: Config, store: Store) -> Iterator[Finding]:
    """All findings that need no loaded model."""
    yield _python()
    yield _packages()
    yield _training()
    names = needed(config.model)
    yield from (_model(store, name) for name in names)
    missing = {status.artefact.name: status.artefact.size - status.present for status in store.status()}
    pulled = store.catalog.with_origins(name for name in names if missing.get(name))
    yield _disk(config.home, sum(missing.get(name, 0) for name in pulled))
    yield _memory()
    yield _cores()


def _python() -> Finding:
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < PYTHON:
        return Finding("broken", "python", value, f"Install Python {PYTHON[0]}.{PYTHON[1]} or newer.")
    return Finding("ok", "python", value)


def _packages() -> Finding:
    names = [re.split(r"[^\w.-]", line)[0] for line in requires("vivavoce") or [] if "extra ==" not in line]
    missing = [name for name in names if not _version(name)]
    if missing:
        return Finding(
            "missing", "packages", ", ".join(missing), f"Install what is missing: pip install {' '.join(missing)}"
        )
    return Finding("ok", "packages", ", ".join(f"{name} {_version(name)}" for name in SHOWN))


def _training() -> Finding:
    """No call needs it, so its absence is no fault."""
    if found := _version("torch"):
        return Finding("ok", "training", f"torch {found}")
    return Finding("ok", "training", "not installed; install it in the checkout: pip install -e '.[train]'")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return _version(REPLACED[name]) if name in REPLACED else ""


def _model(store: Store, name: str) -> Finding:
    try:
        folder = store.path(name)
    except ModelError as error:
        return Finding("missing", f"model {name}", "not usable", sentence(error))
    size = sum(file.size for file in store.catalog[name].files)
    return Finding("ok", f"model {name}", f"{size / 1e6:.0f} MB in {folder}")


def _disk(home: Path, missing: int) -> Finding:
    """`missing`: bytes of models to fetch."""
    folder = home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    value = f"{free / GIGA:.1f} GB free at {folder}"
    if missing and free < missing + SPARE:
        needed_space = (missing + SPARE) / GIGA
        advice = f"The models still need {needed_space:.1f} GB: free some, or set VIVAVOCE_HOME to a larger disk."
        return Finding("broken", "disk", value, advice)
    return Finding("ok", "disk", value)


def memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _memory() -> Finding:
    size = memory()
    value = f"{size / GIGA:.1f} GB"
    if size < MEMORY:
        advice = f"One call takes up to {MEMORY / GIGA:.1f} GB: use a smaller language model (--language smollm2-135m)."
        return Finding("slow", "memory", value, advice)
    return Finding("ok", "memory", value)


def _cores() -> Finding:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    value = f"{cores}, of which {load:.1f} were busy in the last minute"
    if cores < CORES:
        return Finding("slow", "cores", value, f"Answers come late with less than {CORES} cores: use a larger machine.")
    if load > cores / 2:
        return Finding(
            "note", "cores", value, "Other programs are at work, so the speeds below look worse than they are."
        )
    return Finding("ok", "cores", value)
