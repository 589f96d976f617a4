"""Reads an image classifier out of a file of TensorFlow Lite whose weights have 8 bits (EfficientNet-Lite).

    .tflite ──flatbuffers──► operators ──in order──► Layers (layers.py) ──► ONNX: probabilities

The weights are multiplied out to 32 bits, and the arithmetic is that of 32 bits, so results differ a little from those
of TensorFlow Lite. Only the operators of such a network are read. Tables and numbers of fields:
tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.model.vision.layers import Array, Layers


class _Operator(IntEnum):
    """BuiltinOperator of the schema."""

    ADD = 0
    POOL = 1
    CONV = 3
    DEPTHWISE = 4
    DENSE = 9
    RESHAPE = 22
    SOFTMAX = 25
    QUANTIZE = 114


_TYPES: Final = {0: np.float32, 2: np.int32, 3: np.uint8, 9: np.int8}
_SAME: Final = 0
_RELU6: Final = 3


class Table:
    """A table of a flatbuffer; fields by their number in the schema."""

    def __init__(self, data: bytes, at: int) -> None:
        from flatbuffers import table

        self._table = table.Table(data, at)
        self._data = data

    def number(self, field: int, flags: Any, default: int = 0) -> int:
        offset = self._offset(field)
        return int(self._table.Get(flags, offset + self._table.Pos)) if offset else default

    def table(self, field: int) -> Table:
        """Raises KeyError where there is none."""
        offset = self._offset(field)
        if not offset:
            raise KeyError(field)
        return Table(self._data, self._table.Indirect(offset + self._table.Pos))

    def tables(self, field: int) -> list[Table]:
        offset = self._offset(field)
        if not offset:
            return []
        start = self._table.Vector(offset)
        places = range(start, start + 4 * self._table.VectorLen(offset), 4)
        return [Table(self._data, self._table.Indirect(place)) for place in places]

    def array(self, field: int, kind: Any) -> NDArray[Any]:
        offset = self._offset(field)
        if not offset:
            return np.zeros(0, kind)
        size = self._table.VectorLen(offset)
        return np.frombuffer(self._data, kind, size, self._table.Vector(offset))

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))


class TfliteGraph:
    """One file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and LookupError, ValueError or struct.error for another file."""
        data = path.read_bytes()
        model = Table(data, int.from_bytes(data[:4], "little"))
        self._kinds = [_builtin(code) for code in model.tables(1)]
        (graph,) = model.tables(2)
        self._tensors, self._operators = graph.tables(0), graph.tables(3)
        self._buffers = model.tables(4)
        (self._input,) = graph.array(1, "<i4").tolist()
        (self._output,) = graph.array(2, "<i4").tolist()

    def onnx(self, side: int) -> bytes:
        """The network from `image`, (1, 3, side, side), to the probabilities, (1, classes)."""
        layers, names = Layers(), {self._input: "image"}
        for operator in self._operators:
            kind = self._kinds[operator.number(0, _flags().Uint32Flags)]
            inputs = [int(number) for number in operator.array(1, "<i4")]
            (output,) = operator.array(2, "<i4").tolist()
            names[output] = self._written(layers, kind, operator, inputs, names)
        return layers.model(side, [names[self._output]])

    def _written(
        self, layers: Layers, kind: _Operator, operator: Table, inputs: list[int], names: dict[int, str]
    ) -> str:
        value = names[inputs[0]]
        match kind:
            case _Operator.ADD:
                return layers.add(value, names[inputs[1]])
            case _Operator.POOL:  # of the whole image
                return layers.mean(value)
            case _Operator.CONV | _Operator.DEPTHWISE:
                return self._conv(layers, kind is _Operator.DEPTHWISE, operator.table(4), value, inputs)
            case _Operator.DENSE:
                return layers.dense(value, self._real(inputs[1]), self._real(inputs[2]))
            case _Operator.SOFTMAX:
                return layers.softmax(value)
            case _Operator.RESHAPE | _Operator.QUANTIZE:  # of no effect here
                return value

    def _conv(self, layers: Layers, depthwise: bool, options: Table, value: str, inputs: list[int]) -> str:
        flags = _flags()
        kernel = self._real(inputs[1])  # (out, height, width, in), or (1, height, width, channels)
        kernel = kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
        same = options.number(0, flags.Int8Flags) == _SAME
        activation = options.number(4 if depthwise else 3, flags.Int8Flags)
        stride = options.number(1, flags.Int32Flags)
        groups = len(kernel) if depthwise else 1
        bias = self._real(inputs[2])
        return layers.conv(value, kernel, bias, stride, same, "relu6" if activation == _RELU6 else "", groups)

    def _real(self, number: int) -> Array:
        """A constant tensor, its numbers multiplied by their scales."""
        tensor = self._tensors[number]
        kind = _TYPES[tensor.number(1, _flags().Int8Flags)]
        buffer = self._buffers[tensor.number(2, _flags().Uint32Flags)]
        values = buffer.array(0, np.uint8).view(kind).reshape(tensor.array(0, "<i4")).astype(np.float32)
        quantisation = tensor.table(4)
        scales, zeros = quantisation.array(2, "<f4"), quantisation.array(3, "<i8")
        shape = [1] * values.ndim
        shape[quantisation.number(6, _flags().Int32Flags)] = len(scales)
        return np.asarray((values - zeros.reshape(shape)) * scales.reshape(shape), np.float32)


def _builtin(code: Table) -> _Operator:
    """Files of earlier versions have the small field only. Raises ValueError for an operator that is not read."""
    flags = _flags()
    return _Operator(max(code.number(0, flags.Int8Flags), code.number(3, flags.Int32Flags)))


def _flags() -> Any:
    from flatbuffers import number_types

    return number_types
