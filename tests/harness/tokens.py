"""A codec of a few operations in the real one's form: ONNX files with states, delays and a code book's digits.

A code is how loud a frame is, and as long as it stays below full scale the decoder plays a hum of that loudness; so
what comes out can be told from what went in. The encoder takes two frames at a time and is late by two; the decoder is
late by one code, whose sound it keeps as its state. Latents are coded by the loudness of their first channel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vivavoce.codecs.tokenizer import CARDINALITY, FRAME_SIZE

if TYPE_CHECKING:
    import onnx

CODEBOOK = "0123456789ab"
HUM = np.sin(2 * np.pi * 6 * np.arange(FRAME_SIZE) / FRAME_SIZE).astype(np.float32)
"""A frame of the decoder's sound at full loudness (129 Hz); its mean magnitude is 2 / pi."""
_AT_ONCE, _LATE = 2, 2


def make_weights(folder: Path, codebook: str = CODEBOOK) -> Path:
    """Writes encoder.onnx, decoder.onnx and latents.onnx into `folder`; returns it."""
    _save(folder / "encoder.onnx", *_encoder(), {"codebook": codebook, "delay_frames": str(_LATE)})
    facts = {"codebook": codebook, "delay_samples": str(FRAME_SIZE), "silence": "0"}
    _save(folder / "decoder.onnx", *_decoder(), facts)
    _save(folder / "latents.onnx", *_latents(), {"codebook": codebook})
    return folder


def _encoder() -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto], list[onnx.ValueInfoProto], dict[str, object]]:
    from onnx import TensorProto, helper

    constants: dict[str, object] = {
        "frames": np.array([0, _AT_ONCE, FRAME_SIZE], np.int64),
        "scale": np.float32((CARDINALITY - 1) * np.pi / 2),
        "top": np.float32(CARDINALITY - 1),
        "zero": np.float32(0),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "frames"], ["framed"]),
        helper.make_node("Abs", ["framed"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["loud"]),
        helper.make_node("Clip", ["loud", "zero", "top"], ["bound"]),
        helper.make_node("Cast", ["bound"], ["late_next"], to=TensorProto.INT64),
        helper.make_node("Identity", ["late"], ["codes"]),
    ]
    inputs = [_value("x", TensorProto.FLOAT, _AT_ONCE * FRAME_SIZE), _value("late", TensorProto.INT64, _AT_ONCE)]
    outputs = [_value("codes", TensorProto.INT64, _AT_ONCE), _value("late_next", TensorProto.INT64, _AT_ONCE)]
    return nodes, inputs, outputs, constants


def _decoder() -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto], list[onnx.ValueInfoProto], dict[str, object]]:
    from onnx import TensorProto, helper

    constants: dict[str, object] = {"hum": HUM[None], "scale": np.float32(1 / (CARDINALITY - 1))}
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "scale"], ["loud"]),
        helper.make_node("Mul", ["loud", "hum"], ["held_next"]),
        helper.make_node("Identity", ["held"], ["sound"]),
    ]
    inputs = [_value("x", TensorProto.INT64, 1), _value("held", TensorProto.FLOAT, FRAME_SIZE)]
    outputs = [_value("sound", TensorProto.FLOAT, FRAME_SIZE), _value("held_next", TensorProto.FLOAT, FRAME_SIZE)]
    return nodes, inputs, outputs, constants


def _latents() -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto], list[onnx.ValueInfoProto], dict[str, object]]:
    from onnx import TensorProto, helper

    constants: dict[str, object] = {
        "frames": np.array([0, 192, -1, 4], np.int64),
        "scale": np.float32(500),
        "top": np.float32(CARDINALITY - 1),
        "zero": np.float32(0),
    }
    nodes = [
        helper.make_node("Abs", ["latents"], ["size"]),
        helper.make_node("Reshape", ["size", "frames"], ["framed"]),
        helper.make_node("ReduceMean", ["framed"], ["mean"], axes=[1, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["loud"]),
        helper.make_node("Clip", ["loud", "zero", "top"], ["bound"]),
        helper.make_node("Cast", ["bound"], ["codes"], to=TensorProto.INT64),
    ]
    inputs = [helper.make_tensor_value_info("latents", TensorProto.FLOAT, [1, 192, "n"])]
    outputs = [helper.make_tensor_value_info("codes", TensorProto.INT64, [1, "T"])]
    return nodes, inputs, outputs, constants


def _value(name: str, kind: int, width: int) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["B", width])


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, object],
    facts: dict[str, str],
) -> None:
    import onnx
    from onnx import helper, numpy_helper

    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
