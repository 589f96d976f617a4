"""Exports the trained encoder as an ONNX file for streaming.

    python -m vivavoce.model.training.codec.export_encoder STATE CODEBOOK [FOLDER]

    STATE, a checkpoint of `train_encoder` ─EncoderStep─► encoder.onnx: a step of two frames with states
    CODEBOOK, the checkpoint of `train_codebook` it was trained with ─► fingerprint, in the metadata

The file goes into the package (codecs/weights) unless FOLDER is given. Matrices are stored as 8-bit integers with a
scale for each column, convolutions as 16-bit floats. Both become 32-bit floats when the file is opened: integer
arithmetic would scale by the values of all slots of a batch, and no slot may affect another. A few seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivavoce.codecs.streaming import NEXT
from vivavoce.codecs.tokenizer import WEIGHTS
from vivavoce.model.training import command_line
from vivavoce.model.training.codec.encoder import DELAY_FRAMES, STEP, Encoder, EncoderStep, state_shapes
from vivavoce.model.training.codec.export_decoder import fingerprint, load_codec
from vivavoce.model.training.onnx_files import save

LARGE = 1024
"""Numbers from which on a weight is compressed."""


def export(encoder: Encoder, path: Path, codebook: str) -> None:
    """Writes the step; `codebook`: fingerprint of the codebook of its codes."""
    shapes = state_shapes()
    example = (torch.zeros(2, STEP), *(torch.zeros(2, *shape) for shape in shapes.values()))
    outputs = ["codes", *(name + NEXT for name in shapes)]
    metadata = {"delay_frames": str(DELAY_FRAMES), "codebook": codebook}
    save(path, EncoderStep(encoder), example, ["x", *shapes], outputs, metadata, compress=_compress)


def _compress(graph: Any) -> None:
    """Stores large weights as int8 or float16. The nodes that expand them come first, and run once, on opening."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, scales = [], []
    for weight in graph.initializer:
        array, name = numpy_helper.to_array(weight), weight.name
        if array.dtype != np.float32 or array.ndim < 2 or array.size < LARGE:
            continue
        if array.ndim == 2:
            scale = np.abs(array).max(0) / 127 + 1e-12
            small = np.round(array / scale).astype(np.int8)
            scales.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
            nodes.append(helper.make_node("Cast", [f"{name}_small"], [f"{name}_whole"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [f"{name}_whole", f"{name}_scale"], [name]))
        else:
            small = array.astype(np.float16)
            nodes.append(helper.make_node("Cast", [f"{name}_small"], [name], to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(small, f"{name}_small"))
    graph.initializer.extend(scales)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def main(state: Path, codebook: Path, folder: Path) -> None:
    """Exports the checkpoint `state` into `folder`."""
    encoder = Encoder()
    encoder.load_state_dict(torch.load(state, weights_only=True)["average"])
    export(encoder.eval(), folder / "encoder.onnx", fingerprint(load_codec(codebook)))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("state", type=Path, help="checkpoint of train_encoder")
    parser.add_argument("codebook", type=Path, help="checkpoint of train_codebook that it was trained with")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=WEIGHTS, help="where the file goes (default: the package)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.state, options.codebook, options.folder)
