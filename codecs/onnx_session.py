"""Opens ONNX networks: the one place with onnxruntime's settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_onnx(model: Path | bytes, threads: int = 1, *, optimise: bool = True) -> InferenceSession:
    """Opens the file `model`, or its bytes, on `threads` CPU threads, which sleep between runs.

    Networks that run for less than a millisecond use one thread: distributing their work would cost more. Without
    `optimise` the graph runs as it is written, which opens sooner. onnxruntime raises for a missing or broken model."""
    import onnxruntime as ort  # takes 0.2 s: only when a network is opened

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning would take the cores from the other stages of a reply.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # published files hold unused initialisers; each would be a warning
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )
