"""Writes feed-forward image networks as ONNX, layer by layer: the common end of the readers of TensorFlow's formats.

    frozen_graph.py ─┐
    tflite_graph.py ─┴─► Layers.conv · add · pool ... ──► Layers.model ──► bytes for onnxruntime

Images have the shape (1, height, width, channels) at TensorFlow and (1, channels, height, width) here. The networks are
converted on this machine when they are opened, so that what is fetched are the published files, with their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

OPSET: Final = 17
IR_VERSION: Final = 8

Array = NDArray[np.float32]


class Layers:
    """A network being written. Values are referred to by name."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper  # takes 0.2 s: only when a network is converted

        self._helper, self._numpy = helper, numpy_helper
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def conv(
        self, value: str, kernel: Array, bias: Array, stride: int, same: bool, activation: str, groups: int = 1
    ) -> str:
        """A convolution; `kernel`: (out, in / groups, height, width). `same`: padded as TensorFlow's SAME.
        `activation`: "" or "relu6"."""
        pads = "SAME_UPPER" if same else "VALID"
        inputs = [value, self._weight(kernel), self._weight(bias)]
        out = self.node("Conv", inputs, auto_pad=pads, strides=[stride, stride], group=groups)
        return self.relu6(out) if activation == "relu6" else out

    def relu6(self, value: str) -> str:
        return self.node("Clip", [value, self._weight(np.float32(0)), self._weight(np.float32(6))])

    def add(self, first: str, second: str) -> str:
        return self.node("Add", [first, second])

    def mean(self, value: str) -> str:
        """The mean over the image: (1, C, H, W) -> (1, C)."""
        return self.node("ReduceMean", [value], axes=[2, 3], keepdims=0)

    def dense(self, value: str, weights: Array, bias: Array) -> str:
        """`weights`: (out, in)."""
        return self.node("Gemm", [value, self._weight(weights), self._weight(bias)], transB=1)

    def softmax(self, value: str) -> str:
        return self.node("Softmax", [value], axis=-1)

    def rows(self, value: str, size: int) -> str:
        """(1, N * size, H, W) -> (1, H * W * N, size), in TensorFlow's order."""
        last = self.node("Transpose", [value], perm=[0, 2, 3, 1])
        return self.node("Reshape", [last, self._weight(np.array([1, -1, size], np.int64))])

    def concatenated(self, values: Sequence[str]) -> str:
        """Rows below each other."""
        return self.node("Concat", values, axis=1)

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Any other operator. Returns the name of its output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, side: int, outputs: Sequence[str]) -> bytes:
        """The network as an ONNX file; its input "image" has the shape (1, 3, side, side)."""
        from onnx import TensorProto

        value, kind = self._helper.make_tensor_value_info, TensorProto.FLOAT
        graph = self._helper.make_graph(
            self._nodes,
            "image",
            [value("image", kind, [1, 3, side, side])],
            [value(name, kind, None) for name in outputs],
            self._weights,
        )
        opset = self._helper.make_opsetid("", OPSET)
        model = self._helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())

    def _weight(self, array: Any) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name
