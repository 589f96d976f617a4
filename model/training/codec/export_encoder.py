"""The trained encoder as a file: python -m vivavoce.model.training.codec.export_encoder STATE CODEBOOK [FOLDER].

STATE is a checkpoint of `hearing_train`, CODEBOOK the one of `codebook_train` it was trained with; written is
`encoder.onnx`, into the package unless FOLDER is given: a step of two frames with states, see `stepping`.

Matrices are kept as 8-bit integers with a scale for each column, convolutions as 16-bit floats. Both become 32-bit
floats when the file is opened: arithmetic in integers would scale by what all slots of a batch hold, and no slot is to
know of the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivavoce.codecs.streaming import NEXT
from vivavoce.codecs.tokenizer import WEIGHTS
from vivavoce.model.training.codec.encoder import DELAY_FRAMES, STEP, Encoder
from vivavoce.model.training.codec.encoder_step import Stepper, state_shapes
from vivavoce.model.training.codec.export_decoder import fingerprint, load


def export(encoder: Encoder, path: Path, codebook: str) -> None:
    """Writes the step; `codebook` says whose codes it gives."""
    import onnx

    shapes, part = state_shapes(), path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    names_in, names_out = ["x", *shapes], ["codes", *(name + NEXT for name in shapes)]
    torch.onnx.export(
        Stepper(encoder).eval(),
        (torch.zeros(2, STEP), *(torch.zeros(2, *shape) for shape in shapes.values())),
        str(part),
        dynamo=False,
        opset_version=17,
        input_names=names_in,
        output_names=names_out,
        dynamic_axes={name: {0: "B"} for name in (*names_in, *names_out)},
    )
    model = onnx.load_model(part)
    _shrink(model.graph)
    onnx.helper.set_model_props(model, {"delay_frames": str(DELAY_FRAMES), "codebook": codebook})
    part.write_bytes(model.SerializeToString())
    part.replace(path)


def _shrink(graph: Any) -> None:
    """Large weights small; what makes them large again is put before all else, and done once, on opening."""
    from onnx import TensorProto, helper, numpy_helper

    made, scales = [], []
    for weight in graph.initializer:
        array, name = numpy_helper.to_array(weight), weight.name
        if array.dtype != np.float32 or array.ndim < 2 or array.size < 1024:
            continue
        if array.ndim == 2:
            scale = np.abs(array).max(0) / 127 + 1e-12
            small = np.round(array / scale).astype(np.int8)
            scales.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
            made.append(helper.make_node("Cast", [f"{name}_small"], [f"{name}_whole"], to=TensorProto.FLOAT))
            made.append(helper.make_node("Mul", [f"{name}_whole", f"{name}_scale"], [name]))
        else:
            small = array.astype(np.float16)
            made.append(helper.make_node("Cast", [f"{name}_small"], [name], to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(small, f"{name}_small"))
    graph.initializer.extend(scales)
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def main(state: Path, codebook: Path, folder: Path) -> None:
    encoder = Encoder()
    encoder.load_state_dict(torch.load(state, weights_only=True)["average"])
    export(encoder.eval(), folder / "encoder.onnx", fingerprint(load(codebook)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else WEIGHTS)
