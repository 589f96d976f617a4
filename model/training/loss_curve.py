"""Writes loss curves as a table and a picture, both anew at every call.

    names and rows ─► PATH.tsv, and PATH.png where matplotlib is installed

Called by the training runs at each evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path


def plot(path: Path, names: Sequence[str], rows: Sequence[Sequence[float]], last: int | None = None) -> None:
    """Writes both files. Column 0 of `rows` is the step; the others, up to `last`, are drawn over it on log axes."""
    table = ["\t".join(names), *("\t".join(f"{value:.5g}" for value in row) for row in rows)]
    path.with_suffix(".tsv").write_text("\n".join(table) + "\n", "utf-8")
    if find_spec("matplotlib") is None:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for column in range(1, last or len(names)):
        axes.plot([row[0] for row in rows], [row[column] for row in rows], label=names[column])
    axes.set(xlabel=names[0], xscale="log", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=110)
    pyplot.close(figure)
