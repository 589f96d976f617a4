"""Moonshine's encoder out of its runtime file: weights for torch.

    encoder_model.ort (flatbuffer, int8) ─► {"layers.0.self_attn.q_proj.weight": tensor, ...}   float32

The file of the catalogue's artefact `moonshine-tiny-en` (Jeffries et al. 2024, MIT). Its graph is not executed; its
quantised matrices are taken times their scale. Names are those of the network as published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

_DTYPES: Final = {1: np.float32, 2: np.uint8, 3: np.int8, 7: np.int64}
_RENAMED: Final = {
    "conv1.weight_add_tensor": "conv1.weight",
    "conv2.weight_add_tensor": "conv2.weight",
    "conv3.weight_add_tensor": "conv3.weight",
    "onnx::Mul_2080": "groupnorm.weight",
    "onnx::Add_2081": "groupnorm.bias",
    "onnx::Expand_202": "inverse_frequency",
}


def read(path: Path) -> dict[str, Tensor]:
    """The weights in `path`; matrices are (out, in). Raises `ValueError` for another network's file."""
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    graph = InferenceSession.GetRootAsInferenceSession(path.read_bytes(), 0).Model().Graph()
    constants = {}
    for index in range(graph.InitializersLength()):
        tensor = graph.Initializers(index)
        constants[tensor.Name().decode()] = _array(tensor)
    weights = {
        _RENAMED.get(name, name): torch.from_numpy(value.astype(np.float32).squeeze() if "onnx::" in name else value)
        for name, value in constants.items()
        if name in _RENAMED or name.endswith((".weight", ".bias"))
    }
    for index in range(graph.NodesLength()):
        node = graph.Nodes(index)
        inputs = [node.Inputs(n).decode() for n in range(node.InputsLength())]
        quantised = next((name for name in inputs if name.endswith("_quantized") and name in constants), None)
        if quantised is None:
            continue
        stem = quantised.removesuffix("_quantized")
        offset = constants[f"{stem}_zero_point"].astype(np.float32)
        matrix = (constants[quantised].astype(np.float32) - offset) * constants[f"{stem}_scale"]
        weights[_matrix_name(node.Name().decode())] = torch.from_numpy(np.ascontiguousarray(matrix.T))
    if len(weights) != 69:
        raise ValueError(f"{path}: expected the 69 weights of Moonshine tiny's encoder, got {len(weights)}")
    return weights


def _matrix_name(node: str) -> str:
    """ "/layers.0/self_attn/k_proj/MatMul_quant" to "layers.0.self_attn.k_proj.weight"."""
    return node.partition("/MatMul")[0].strip("/").replace("/", ".") + ".weight"


def _array(tensor: Any) -> np.ndarray:
    shape = [tensor.Dims(n) for n in range(tensor.DimsLength())]
    return np.frombuffer(tensor.RawDataAsNumpy().tobytes(), _DTYPES[tensor.DataType()]).reshape(shape).copy()
