"""Networks as ONNX files for `vivavoce.codecs.streaming.Network`: half the size, the same results to rounding.

Weights are kept as 16-bit floats and become 32-bit ones when the file is opened; the arithmetic is that of 32 bits.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

OPSET: Final = 17
SMALL: Final = 64
"""Numbers in a weight that is left as it is."""


def save(
    path: Path,
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    facts: Mapping[str, str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Writes `network` with its metadata `facts`. The first axis of everything is the batch, unless `axes` says."""
    import onnx

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on itself: what it does not fold, what replaces it
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
    _halve(model.graph)
    onnx.helper.set_model_props(model, dict(facts))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(model.SerializeToString())
    part.replace(path)


def _halve(graph: object) -> None:
    import onnx
    from onnx import numpy_helper

    assert isinstance(graph, onnx.GraphProto)
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
