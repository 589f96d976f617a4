"""Cuts a part out of an ONNX model, in memory.

`Graph.between(inputs, outputs)` is the smallest model that computes the tensors `outputs` from the tensors `inputs`.
Nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vivavoce.model.errors import BrokenTts


class Graph:
    """An ONNX model, read from `path`. Raises `BrokenTts` when it is missing or not a model."""

    def __init__(self, path: Path) -> None:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

        try:
            self._model: Any = onnx.load_model(path, load_external_data=False)
        except (OSError, DecodeError) as error:
            raise BrokenTts(f"cannot read the voice model {path}: {error}") from error
        graph = self._model.graph
        self._path = path
        self._nodes: list[Any] = list(graph.node)
        self._known = {value.name: value for value in [*graph.input, *graph.output]}
        self._maker = {name: index for index, node in enumerate(self._nodes) for name in node.output}

    def between(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The serialised model that computes `outputs` from `inputs`; float where the model does not say.

        Raises `BrokenTts` when the model has no such tensors.
        """
        import onnx

        tensors = self._maker.keys() | self._known.keys()
        if missing := {*inputs, *outputs} - tensors:
            raise BrokenTts(f"{self._path} is not the expected model: it has no {', '.join(sorted(missing))}")
        needed, seen = list(outputs), set(inputs)
        kept: set[int] = set()
        while needed:
            name = needed.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._maker and self._maker[name] not in kept:
                kept.add(self._maker[name])
                needed += self._nodes[self._maker[name]].input
        whole = onnx.ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import)
        part = whole.graph  # filled in place: the weights are copied once only
        part.name = "part"
        part.node.extend(self._nodes[index] for index in sorted(kept))
        part.initializer.extend(weight for weight in self._model.graph.initializer if weight.name in seen)
        part.input.extend(self._value(name) for name in inputs)
        part.output.extend(self._value(name) for name in outputs)
        return bytes(whole.SerializeToString())

    def _value(self, name: str) -> Any:
        import onnx

        value = self._known.get(name)
        return value or onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
