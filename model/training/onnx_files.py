"""Writes networks as ONNX files, for `vivavoce.codecs.streaming.Network` and others, with compressed weights.

    torch module ─torch.onnx.export─► graph ─halve─► weights float16, cast to float32 on opening ─► file, with metadata

The arithmetic is that of 32 bits: half the size, the same results to rounding.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

OPSET: Final = 17
SMALL: Final = 64
"""Numbers up to which a weight is not compressed."""


def save(
    path: Path,
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
    compress: Callable[[Any], None] | None = None,
) -> None:
    """Writes `network`, traced with `example`, whole or not at all. `inputs`, `outputs`: names; `axes`: dynamic axes by
    name, by default the first one, the batch, of everything; `compress`: changes the graph, by default `halve`."""
    import onnx

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's: what it does not fold, what replaces it
        torch.onnx.export(
            network.eval(),
            example,
            buffer,  # type: ignore[arg-type] # a file is as good as a path, says its documentation
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes or {name: {0: "B"} for name in (*inputs, *outputs)},
        )
    model = onnx.load_from_string(buffer.getvalue())
    (compress or halve)(model.graph)
    onnx.helper.set_model_props(model, dict(metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(model.SerializeToString())
    part.replace(path)


def halve(graph: Any) -> None:
    """Stores weights as float16; nodes in front cast them to float32, once, on opening."""
    import onnx
    from onnx import numpy_helper

    casts = []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.data_type != onnx.TensorProto.FLOAT or array.size <= SMALL:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(array.astype("float16"), f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
