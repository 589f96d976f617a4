"""The encoder as a torch network: sound to codes, whole or step by step, and the ears' encoder it was made from.

    24 kHz (B, n * 1120) ─resample─► 16 457 Hz, read as 16 kHz ─Stem─► features (B, T, 288), 384 samples each
        ─Layer x 6, attention in chunks─► hidden (B, T, 288) ─Head─► codes, latents: two features a frame

Streaming is a matter of masks: in step c a layer's block of four features ends `AHEAD` features before the newest
sound, less in the first layer and more in each later one, and sees `LEFT` features before it and whatever the layer
before has ready. `Encoder.whole` computes all steps of a clip at once, `stepping.Stepper` one step, with states: the
same numbers. The stem's normalisation over all of the clip has become one over the last seconds, weighted by loudness,
so that a pause does not turn up the noise. `teach` is the encoder as published: everything sees everything.

Moonshine's encoder out of its runtime file: weights for torch.

    encoder_model.ort (flatbuffer, int8) ─► {"layers.0.self_attn.q_proj.weight": tensor, ...}   float32

The file of the catalogue's artefact `moonshine-tiny-en` (Jeffries et al. 2024, MIT). Its graph is not executed; its
quantised matrices are taken times their scale. Names are those of the network as published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.codecs.resample import polyphase
from vivavoce.codecs.tokenizer import CARDINALITY, FRAME_SIZE
from vivavoce.model.training.codec import encoder as moonshine

WIDTH: Final = 288
HEADS: Final = 8
SIZE: Final = WIDTH // HEADS
ROTARY: Final = 32
"""Of a head's 36 numbers, those which turn with time."""
UP: Final = 24
DOWN: Final = 35
"""24 000 Hz to 16 457 Hz."""
LATE: Final = 24
"""Samples (16 kHz) by which the resampled stream runs behind: the filter's look-ahead, made a whole block."""
STEP_FRAMES: Final = 2
STEP: Final = STEP_FRAMES * FRAME_SIZE
BLOCK: Final = 2 * STEP_FRAMES
"""Features of a step."""
AHEAD: Final = (2, 1, 1, 1, 1, 1)
"""Features that wait before each layer for those after them. Their sum is odd: see `FIRST`."""
FIRST: Final = 1
"""The feature that belongs to the first half of frame 0. Feature 0 lies before the sound."""
DELAY_FRAMES: Final = (sum(AHEAD) + FIRST) // 2
LEFT: Final = 64
"""Features of the past that a block sees: 1.5 s."""
MOMENTS: Final = 6 * BLOCK
"""Values of the first convolution in a step."""
KEEP: Final = math.exp(-STEP / 24_000 / 3.0)
"""What a step leaves of the loudness before it: three seconds."""
USUAL: Final = 0.0175
"""Loudness, weighted by itself, of the first convolution's values for speech at -22 dBFS; measured."""
SHARE: Final = 0.5
"""Of it is the plain mean over speech and its short pauses, which the published normalisation takes; measured."""
DOUBT: Final = 0.005
"""Weight of `USUAL` against one step of speech that loud."""
LATENTS: Final = 4 * 192
VECTOR: Final = 64


def resampling() -> Tensor:
    """Weights of the resampler as a convolution, (24, 1, taps): 24 samples out for 35 in."""
    rows = polyphase(UP, DOWN)  # (24, 2 * half)
    half = rows.shape[1] // 2
    weights = np.zeros((UP, DOWN + 2 * half), np.float32)
    for n in range(UP):
        whole, phase = divmod(n * DOWN, UP)
        weights[n, whole + 1 : whole + 1 + 2 * half] = rows[phase]  # tap 0 lies `half` before the block
    return torch.from_numpy(weights)[:, None]


def resampled(sound: Tensor) -> Tensor:
    """(B, n * 35) -> (B, n * 24), by `LATE` samples late."""
    weights = resampling()
    taps = weights.shape[2]
    half = (taps - DOWN) // 2
    # Block b of the output is that of input block b - 1, and needs `half` samples on both sides of it.
    padded = functional.pad(sound, (DOWN + half, half - DOWN))
    return functional.conv1d(padded[:, None], weights, stride=DOWN).transpose(1, 2).flatten(1)


class Stem(nn.Module):
    """Three convolutions: (B, samples) -> (B, T, 288)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, WIDTH, 127, 64, bias=False)
        self.conv2 = nn.Conv1d(WIDTH, 2 * WIDTH, 7, 3)
        self.conv3 = nn.Conv1d(2 * WIDTH, WIDTH, 3, 2)
        self.groupnorm = nn.GroupNorm(1, WIDTH)

    def moments(self, sound: Tensor) -> Tensor:
        """What is to be normalised, (B, 288, n)."""
        return torch.tanh(self.conv1(sound[:, None]))

    def normalised(self, moments: Tensor, power: Tensor) -> Tensor:
        """`power`: (B, 1, n), the mean square that counts at each moment."""
        scale, shift = self.groupnorm.weight[:, None], self.groupnorm.bias[:, None]
        return moments * torch.rsqrt(power + 1e-8) * scale + shift


class Layer(nn.Module):
    """Attention and a small network, each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(WIDTH, bias=False)
        self.post_attention_layernorm = nn.LayerNorm(WIDTH, bias=False)
        self.self_attn = nn.ModuleDict(
            {f"{name}_proj": nn.Linear(WIDTH, WIDTH, bias=False) for name in ("q", "k", "v", "o")}
        )
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})

    def project(self, name: str, normed: Tensor) -> Tensor:
        """Queries, keys or values by head: (B, 8, T, 36)."""
        made: Tensor = self.self_attn[f"{name}_proj"](normed)
        return by_head(made)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """x: (B, T, 288), attended: (B, 8, T, 36) -> the layer's output."""
        x = x + self.self_attn["o_proj"](attended.transpose(1, 2).flatten(2))
        inner: Tensor = functional.gelu(self.mlp["fc1"](self.post_attention_layernorm(x)))
        outer: Tensor = self.mlp["fc2"](inner)
        return x + outer


class Head(nn.Module):
    """Two features of a frame to what it says: a vector of the code book's space, logits of the codes, latents."""

    def __init__(self, inner: int = 512) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * WIDTH, inner)
        self.vector = nn.Linear(inner, VECTOR)
        self.codes = nn.Linear(VECTOR, CARDINALITY)
        self.latents = nn.Linear(inner, LATENTS)

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 2 * 288) -> (B, T, 64), (B, T, 4096), (B, T, 768)."""
        inner = functional.gelu(self.inner(pairs))
        vector = self.vector(inner)
        return vector, self.codes(vector), self.latents(inner)


class Encoder(nn.Module):
    """Weights; see the module's page."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.layers = nn.ModuleList(Layer() for _ in AHEAD)
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = Head()
        self.register_buffer("inverse_frequency", torch.zeros(ROTARY // 2))
        self.inverse_frequency: Tensor

    @staticmethod
    def pretrained(path: Path) -> Encoder:
        """With Moonshine's weights out of `path`; the head's are drawn."""
        made = Encoder()
        made.load_published(moonshine.read(path))
        return made

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        names = {f"stem.{name}" if name.startswith(("conv", "group")) else name: name for name in weights}
        missing, unexpected = self.load_state_dict({ours: weights[name] for ours, name in names.items()}, strict=False)
        if unexpected or any(not name.startswith("head.") for name in missing):
            raise ValueError(f"not the weights of this encoder: {missing} missing, {unexpected} unexpected")

    def each(self) -> list[Layer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def whole(self, sound: Tensor) -> Tensor:
        """24 kHz, (B, steps * STEP) -> hidden (B, steps * BLOCK, 288), as the steps of a stream would compute them."""
        x = self.features(sound)  # (B, T, 288)
        turn = turns(self.inverse_frequency, x.shape[1])
        late = 0
        for layer, ahead in zip(self.each(), AHEAD, strict=True):
            late += ahead
            x = _attend(layer, x, turn, visible(x.shape[1], late, ahead))
        made: Tensor = self.layer_norm(x)
        return made

    def features(self, sound: Tensor) -> Tensor:
        """The stem over all of a stream that begins with `sound`: (B, T, 288)."""
        stem = self.stem
        moments = stem.moments(functional.pad(resampled(sound), (63, 0)))  # (B, 288, steps * MOMENTS)
        power = running(moments.square().mean(1).reshape(len(sound), -1, MOMENTS).mean(2))  # (B, steps)
        normed = stem.normalised(moments, power.repeat_interleave(MOMENTS, 1)[:, None])
        inner = functional.gelu(stem.conv2(functional.pad(normed, (4, 0))))
        return functional.gelu(stem.conv3(functional.pad(inner, (1, 0)))).transpose(1, 2)

    def teach(self, sound: Tensor) -> Tensor:
        """The encoder as published, on the same features: (B, T, 288); feature 0 is left out of nothing."""
        stem = self.stem
        moments = stem.moments(functional.pad(resampled(sound), (511, 0)))
        inner = functional.gelu(stem.conv2(stem.groupnorm(moments)))
        x = functional.gelu(stem.conv3(inner)).transpose(1, 2)
        turn = turns(self.inverse_frequency, x.shape[1])
        for layer in self.each():
            x = _attend(layer, x, turn, None)
        made: Tensor = self.layer_norm(x)
        return made

    def frames(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """hidden (B, 2 T, 288) -> what `Head` makes of the frames from 0 on, (B, T - 1, ...); of the last one half is
        missing."""
        pairs = hidden[:, FIRST : FIRST + (hidden.shape[1] - FIRST) // 2 * 2]
        made: tuple[Tensor, Tensor, Tensor] = self.head(paired(pairs))
        return made


def paired(hidden: Tensor) -> Tensor:
    """(B, 2 T, 288) -> (B, T, 576), the two features of a frame side by side."""
    return hidden.reshape(hidden.shape[0], -1, 2 * WIDTH)


def by_head(x: Tensor) -> Tensor:
    """(B, T, 288) -> (B, 8, T, 36)."""
    return x.reshape(x.shape[0], -1, HEADS, SIZE).transpose(1, 2)


def running(powers: Tensor) -> Tensor:
    """The mean square to normalise by in each step, of those of the steps, (B, steps): that of the last seconds, each
    weighted by itself."""
    steps = powers.shape[1]
    age = torch.arange(steps)[:, None] - torch.arange(steps)[None]
    decay = torch.where(age >= 0, KEEP ** age.clamp(min=0).float(), 0.0)  # (now, then)
    total, weight = powers.square() @ decay.T, powers @ decay.T
    return (total + DOUBT * USUAL**2) / (weight + DOUBT * USUAL) * SHARE


def visible(length: int, late: int, ahead: int) -> Tensor:
    """Which features a feature sees, (length, length), in a layer whose blocks end `late` features before the newest
    ones, `ahead` of them its own wait."""
    start = (torch.arange(length) + late) // BLOCK * BLOCK - late  # of each one's block
    key = torch.arange(length)
    return (key >= start[:, None] - LEFT) & (key < start[:, None] + BLOCK + ahead)


def turns(inverse_frequency: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions 0..length - 1, each (length, 32)."""
    angles = torch.arange(length)[:, None] * inverse_frequency[None]
    return angles.cos().repeat_interleave(2, 1), angles.sin().repeat_interleave(2, 1)


def turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys, (B, 8, T, 36), turned by their positions (Su et al. 2021), neighbours being pairs."""
    cos, sin = turn
    moving, still = x[..., :ROTARY], x[..., ROTARY:]
    across = torch.stack((-moving[..., 1::2], moving[..., 0::2]), -1).flatten(-2)
    return torch.cat((moving * cos + across * sin, still), -1)


def _attend(layer: Layer, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
    normed = layer.input_layernorm(x)
    query, key = (turned(layer.project(name, normed), turn) for name in ("q", "k"))
    value = layer.project("v", normed)
    return layer.finish(x, functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))


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
