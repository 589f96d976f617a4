"""model/cascade/__init__.py: how often a language model is loaded, and on how many threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vivavoce.model import cascade
from vivavoce.model.cascade import LARGE, open_llm
from vivavoce.model.settings import CascadeSettings


@pytest.mark.parametrize(
    ("size", "cores", "settings", "opened"),
    [
        (LARGE - 1, 2, CascadeSettings(), (4, 1, 2)),
        (LARGE, 2, CascadeSettings(), (4, 2, 1)),
        (LARGE, 16, CascadeSettings(), (4, 2, 1)),
        (LARGE, 1, CascadeSettings(), (4, 1, 1)),
        (LARGE, 2, CascadeSettings(copies=2, threads=1), (4, 1, 2)),
        (LARGE - 1, 2, CascadeSettings(conversations=2), (2, 1, 1)),
        (None, 2, CascadeSettings(), (4, 1, 2)),
    ],
)
def test_a_large_model_gets_both_cores_and_is_loaded_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int | None,
    cores: int,
    settings: CascadeSettings,
    opened: tuple[int, int, int],
) -> None:
    file = tmp_path / "model.gguf"
    if size is not None:
        with file.open("wb") as sparse:
            sparse.truncate(size)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(cascade, "LlamaModel", lambda *arguments: arguments)
    monkeypatch.chdir(tmp_path)
    settings = replace(settings, language="model.gguf")
    llm: Any = open_llm(settings, Path, settings.threads or 1)
    assert llm == (Path("model.gguf"), *opened)
