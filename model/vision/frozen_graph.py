"""Reads the network of an object detector out of a frozen graph of TensorFlow 1 (SSD with MobileNet V2).

    .pb ──protobuf──► nodes ──from the heads backwards──► Layers (layers.py) ──► ONNX: boxes, scores

Only what such a network is made of is read: convolutions, batch normalisation (already constants, folded into the
convolution before it), Relu6, residuals, heads. The resizing in front and the choice of boxes behind it, written as
loops in the graph, are ours (`objects.py`). Messages: tensorflow/core/framework/graph.proto and those it imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.vision.layers import Array, Layers

_MESSAGES: Final = {
    "Graph": (("node", 1, "Node", True),),
    "Node": (
        ("name", 1, "string", False),
        ("op", 2, "string", False),
        ("input", 3, "string", True),
        ("attr", 5, "Entry", True),
    ),
    "Entry": (("key", 1, "string", False), ("value", 2, "Value", False)),
    "Value": (("list", 1, "List", False), ("tensor", 8, "Tensor", False)),
    "List": (("i", 3, "int64", True),),
    "Tensor": (
        ("dtype", 1, "int64", False),
        ("shape", 2, "Shape", False),
        ("content", 4, "bytes", False),
        ("floats", 5, "float", True),
    ),
    "Shape": (("dim", 2, "Dim", True),),
    "Dim": (("size", 1, "int64", False),),
}
"""The fields that are read: name, number, kind, repeated. Others are skipped."""

_FLOAT: Final = 1
"""TensorFlow's DT_FLOAT."""


@dataclass(slots=True)
class _Pending:
    """A convolution that is not written yet: what is multiplied and added behind it is folded into it."""

    value: str
    kernel: Array  # (out, in / groups, height, width)
    bias: Array  # (out,)
    stride: int
    groups: int


class FrozenGraph:
    """The nodes of a graph by name. `read` is memoised: each node is written once."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and `google.protobuf.message.DecodeError` for another file."""
        graph = _message("Graph")
        graph.ParseFromString(path.read_bytes())
        self._nodes = {node.name: node for node in graph.node}
        self._layers = Layers()
        self._read: dict[str, str | _Pending] = {}

    def onnx(self, image: str, side: int, outputs: Sequence[tuple[Sequence[str], int]]) -> bytes:
        """The part between the node `image` and the heads. `outputs`: for each output the nodes of its heads, whose
        rows of the given size are put below each other. Raises KeyError for another network."""
        self._read[image] = "image"
        ends = []
        for heads, size in outputs:
            rows = [self._layers.rows(self._value(head), size) for head in heads]
            ends.append(self._layers.concatenated(rows))
        return self._layers.model(side, ends)

    def _value(self, name: str) -> str:
        read = self._node(name)
        if isinstance(read, str):
            return read
        out = self._layers.conv(read.value, read.kernel, read.bias, read.stride, True, "", read.groups)
        self._read[name] = out
        return out

    def _node(self, name: str) -> str | _Pending:
        if name not in self._read:
            self._read[name] = self._written(self._nodes[name])
        return self._read[name]

    def _written(self, node: Any) -> str | _Pending:
        inputs = list(node.input)
        if node.op == "Identity":
            return self._node(inputs[0])
        if node.op in ("Conv2D", "DepthwiseConv2dNative"):
            kernel = self._constant(inputs[1])  # (height, width, in, out), or (height, width, channels, 1)
            deep = node.op == "Conv2D"
            kernel = kernel.transpose(3, 2, 0, 1) if deep else kernel.transpose(2, 3, 0, 1)
            stride = next(entry.value.list.i[1] for entry in node.attr if entry.key == "strides")
            bias = np.zeros(len(kernel), np.float32)
            return _Pending(self._value(inputs[0]), kernel, bias, stride, 1 if deep else len(kernel))
        if node.op == "Relu6":
            return self._layers.relu6(self._value(inputs[0]))
        if node.op in ("Mul", "Add", "BiasAdd"):
            constant = next((at for at, name in enumerate(inputs) if self._is_constant(name)), None)
            if constant is None and node.op == "Add":
                return self._layers.add(self._value(inputs[0]), self._value(inputs[1]))
            if constant is not None and isinstance(before := self._node(inputs[1 - constant]), _Pending):
                return _folded(before, node.op, self._constant(inputs[constant]))
        raise KeyError(f"{node.op} {node.name}")

    def _is_constant(self, name: str) -> bool:
        node = self._nodes[name]
        return node.op == "Const" or (bool(node.input) and all(map(self._is_constant, node.input)))

    def _constant(self, name: str) -> Array:
        """The value of a node that depends on constants only."""
        node = self._nodes[name]
        values = [self._constant(given) for given in node.input]
        match node.op:
            case "Const":
                return _tensor(next(entry.value.tensor for entry in node.attr if entry.key == "value"))
            case "Identity":
                return values[0]
            case "Add":
                return values[0] + values[1]
            case "Sub":
                return values[0] - values[1]
            case "Mul":
                return values[0] * values[1]
            case "Rsqrt":
                return np.asarray(1 / np.sqrt(values[0]), np.float32)
        raise KeyError(f"{node.op} {name}")


def _folded(conv: _Pending, op: str, by: Array) -> _Pending:
    if op == "Mul":
        return _Pending(conv.value, conv.kernel * by[:, None, None, None], conv.bias * by, conv.stride, conv.groups)
    return _Pending(conv.value, conv.kernel, conv.bias + by, conv.stride, conv.groups)


def _tensor(tensor: Any) -> NDArray[np.float32]:
    if tensor.dtype != _FLOAT:
        raise KeyError(f"a tensor of the type {tensor.dtype}")
    shape = [dim.size for dim in tensor.shape.dim]
    if tensor.content:
        return np.frombuffer(tensor.content, "<f4").astype(np.float32).reshape(shape)
    values = np.array(tensor.floats, np.float32)
    return np.full(shape, values[0]) if len(values) == 1 else values.reshape(shape)


def _message(name: str) -> Any:
    """An empty message of TensorFlow's, made from `_MESSAGES`: its own package takes a gigabyte."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]  # no stubs

    file = descriptor_pb2.FileDescriptorProto(name="graph.proto", package="frozen", syntax="proto2")
    kinds = {"string": 9, "bytes": 12, "int64": 3, "float": 2}
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for field, number, kind, repeated in fields:
            added = made.field.add(name=field, number=number, type=kinds.get(kind, 11), label=3 if repeated else 1)
            if kind not in kinds:
                added.type_name = f".frozen.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"frozen.{name}"))()
