"""The audio encoder in torch: sound to codes, for whole clips and step by step, and the ASR encoder it is made from.

    24 kHz (B, n * 1120) ─resample─► 16 457 Hz, read as 16 kHz ─Stem─► features (B, T, 288), 384 samples each
        ─Layer x 6, attention in chunks─► hidden (B, T, 288) ─Head─► codes, latents: two features a frame

Streaming is a matter of masks: in step c a layer's block of four features ends `AHEAD` features before the newest
sound, less in the first layer and more in each later one, and attends to `LEFT` features before it and to all that the
layer below has ready. `Encoder.streamed` computes all steps of a clip at once, `EncoderStep` one step, for the export:
the same numbers. The stem's normalisation over the whole clip became one over the last seconds, weighted by loudness,
so that a pause does not turn up the noise. `Encoder.offline` is the encoder as published: full attention.

    x (B, 2240) at 24 kHz ─┬─EncoderStep─┬─► codes (B, 2) of frames four earlier
    states, zeros at first ┘             └─► states: the inputs that each convolution and each layer still needs

Keys are kept without positions and rotated by their position in the window, so that a stream has no longest length.

`read_moonshine` reads the published weights out of their runtime file:

    encoder_model.ort (flatbuffer, int8) ─► {"layers.0.self_attn.q_proj.weight": tensor, ...}   float32

the file of the catalog's artefact `moonshine-tiny-en` (Jeffries et al. 2024, MIT). Its graph is not executed; quantised
matrices are multiplied by their scale. Names are those of the network as published.
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
from vivavoce.model.store import Store

WIDTH: Final = 288
HEADS: Final = 8
SIZE: Final = WIDTH // HEADS
ROTARY: Final = 32
"""Numbers of a head's 36 with rotary positions."""
UP: Final = 24
DOWN: Final = 35
"""24 000 Hz to 16 457 Hz."""
RESAMPLING_DELAY: Final = 24
"""Samples (16 kHz) by which the resampled stream is late: the filter's look-ahead, rounded up to a block."""
STEP_FRAMES: Final = 2
STEP: Final = STEP_FRAMES * FRAME_SIZE
BLOCK: Final = 2 * STEP_FRAMES
"""Features of a step."""
AHEAD: Final = (2, 1, 1, 1, 1, 1)
"""Look-ahead of each layer, in features. The sum is odd: see `FIRST`."""
FIRST: Final = 1
"""Index of the feature of the first half of frame 0. Feature 0 lies before the sound."""
DELAY_FRAMES: Final = (sum(AHEAD) + FIRST) // 2
"""Frames between a frame and its code."""
LEFT: Final = 64
"""Left context of a block, in features: 1.5 s."""
CONV1_STEP: Final = 6 * BLOCK
"""Outputs of the first convolution in a step."""
POWER_DECAY: Final = math.exp(-STEP / 24_000 / 3.0)
"""Of the running mean power, per step: a time constant of 3 s."""
PRIOR_POWER: Final = 0.0175
"""Power of the first convolution's outputs, weighted by itself, for speech at -22 dBFS; measured."""
PRIOR_WEIGHT: Final = 0.005
"""Weight of `PRIOR_POWER` against one step of speech of that power."""
PLAIN_MEAN: Final = 0.5
"""Ratio of the plain mean power over speech with its short pauses, which the published normalisation uses, to the mean
weighted by itself; measured."""
MASKED: Final = -1e9
"""Added to the scores of masked keys."""
LATENTS: Final = 4 * 192
VECTOR: Final = 64

_DTYPES: Final = {1: np.float32, 2: np.uint8, 3: np.int8, 7: np.int64}
_RENAMED: Final = {
    "conv1.weight_add_tensor": "conv1.weight",
    "conv2.weight_add_tensor": "conv2.weight",
    "conv3.weight_add_tensor": "conv3.weight",
    "onnx::Mul_2080": "groupnorm.weight",
    "onnx::Add_2081": "groupnorm.bias",
    "onnx::Expand_202": "inverse_frequency",
}


def resampling() -> Tensor:
    """Returns the resampler as weights of a convolution, (24, 1, taps): 24 samples out for 35 in."""
    rows = polyphase(UP, DOWN)  # (24, 2 * half)
    half = rows.shape[1] // 2
    weights = np.zeros((UP, DOWN + 2 * half), np.float32)
    for n in range(UP):
        whole, phase = divmod(n * DOWN, UP)
        weights[n, whole + 1 : whole + 1 + 2 * half] = rows[phase]  # tap 0 lies `half` before the block
    return torch.from_numpy(weights)[:, None]


def resampled(sound: Tensor) -> Tensor:
    """Resamples 24 kHz to 16 457 Hz, `RESAMPLING_DELAY` samples late: (B, n * 35) -> (B, n * 24)."""
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

    def first(self, sound: Tensor) -> Tensor:
        """First convolution, before normalisation: (B, samples) -> (B, 288, n)."""
        return torch.tanh(self.conv1(sound[:, None]))

    def normalised(self, x: Tensor, power: Tensor) -> Tensor:
        """Group norm with a given mean square: x (B, 288, n), `power` (B, 1, n) -> (B, 288, n)."""
        scale, shift = self.groupnorm.weight[:, None], self.groupnorm.bias[:, None]
        return x * torch.rsqrt(power + 1e-8) * scale + shift


class Layer(nn.Module):
    """A transformer layer: attention and MLP, each after a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(WIDTH, bias=False)
        self.post_attention_layernorm = nn.LayerNorm(WIDTH, bias=False)
        self.self_attn = nn.ModuleDict(
            {f"{name}_proj": nn.Linear(WIDTH, WIDTH, bias=False) for name in ("q", "k", "v", "o")}
        )
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})

    def project(self, name: str, normed: Tensor) -> Tensor:
        """Queries, keys or values: (B, T, 288) -> (B, 8, T, 36)."""
        projected: Tensor = self.self_attn[f"{name}_proj"](normed)
        return split_heads(projected)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Rest of the layer: x (B, T, 288), attended (B, 8, T, 36) -> (B, T, 288)."""
        x = x + self.self_attn["o_proj"](attended.transpose(1, 2).flatten(2))
        inner: Tensor = functional.gelu(self.mlp["fc1"](self.post_attention_layernorm(x)))
        outer: Tensor = self.mlp["fc2"](inner)
        return x + outer


class Head(nn.Module):
    """Predicts a frame from its two features: a vector of the codebook's space, logits of the codes, latents."""

    def __init__(self, inner: int = 512) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * WIDTH, inner)
        self.vector = nn.Linear(inner, VECTOR)
        self.codes = nn.Linear(VECTOR, CARDINALITY)
        self.latents = nn.Linear(inner, LATENTS)

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 2 * 288) -> (B, T, 64), (B, T, 4096), (B, T, 768)."""
        inner = functional.gelu(self.inner(pairs))  # (B, T, 512)
        vector = self.vector(inner)  # (B, T, 64)
        return vector, self.codes(vector), self.latents(inner)


class Encoder(nn.Module):
    """The network; see the module's docstring."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.layers = nn.ModuleList(Layer() for _ in AHEAD)
        self.layer_norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = Head()
        self.register_buffer("inverse_frequency", torch.zeros(ROTARY // 2))
        self.inverse_frequency: Tensor

    @staticmethod
    def from_store(store: Store) -> Encoder:
        """Opens Moonshine's weights; those of the head are random."""
        encoder = Encoder()
        encoder.load_published(read_moonshine(store.path("moonshine-tiny-en") / "encoder_model.ort"))
        return encoder

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over the weights of `read_moonshine`. Raises `ValueError` for those of another network."""
        names = {f"stem.{name}" if name.startswith(("conv", "group")) else name: name for name in weights}
        missing, unexpected = self.load_state_dict({ours: weights[name] for ours, name in names.items()}, strict=False)
        if unexpected or any(not name.startswith("head.") for name in missing):
            raise ValueError(f"not the weights of this encoder: {missing} missing, {unexpected} unexpected")

    def layer_list(self) -> list[Layer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def streamed(self, sound: Tensor) -> Tensor:
        """24 kHz, (B, steps * STEP) -> hidden (B, steps * BLOCK, 288), as the steps of a stream compute them."""
        x = self.features(sound)  # (B, T, 288)
        rotation = rotary(self.inverse_frequency, x.shape[1])
        late = 0
        for layer, ahead in zip(self.layer_list(), AHEAD, strict=True):
            late += ahead
            x = _attend(layer, x, rotation, attention_mask(x.shape[1], late, ahead))
        hidden: Tensor = self.layer_norm(x)
        return hidden

    def features(self, sound: Tensor) -> Tensor:
        """Applies the streaming stem: (B, steps * STEP) -> (B, T, 288)."""
        stem = self.stem
        x = stem.first(functional.pad(resampled(sound), (63, 0)))  # (B, 288, steps * CONV1_STEP)
        power = running_power(x.square().mean(1).reshape(len(sound), -1, CONV1_STEP).mean(2))  # (B, steps)
        normed = stem.normalised(x, power.repeat_interleave(CONV1_STEP, 1)[:, None])
        inner = functional.gelu(stem.conv2(functional.pad(normed, (4, 0))))  # (B, 576, 2 * T)
        return functional.gelu(stem.conv3(functional.pad(inner, (1, 0)))).transpose(1, 2)

    def offline(self, sound: Tensor) -> Tensor:
        """The encoder as published, the teacher: (B, steps * STEP) -> (B, T, 288), the features of `streamed`."""
        stem = self.stem
        inner = functional.gelu(stem.conv2(stem.groupnorm(stem.first(functional.pad(resampled(sound), (511, 0))))))
        x = functional.gelu(stem.conv3(inner)).transpose(1, 2)
        rotation = rotary(self.inverse_frequency, x.shape[1])
        for layer in self.layer_list():
            x = _attend(layer, x, rotation, None)
        hidden: Tensor = self.layer_norm(x)
        return hidden

    def frames(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Applies the head: hidden (B, 2 T, 288) -> its outputs for the frames from 0 on, (B, T - 1, ...); of the last
        frame one half is missing."""
        pairs = hidden[:, FIRST : FIRST + (hidden.shape[1] - FIRST) // 2 * 2]
        outputs: tuple[Tensor, Tensor, Tensor] = self.head(paired(pairs))
        return outputs


def paired(hidden: Tensor) -> Tensor:
    """(B, 2 T, 288) -> (B, T, 576), the two features of a frame side by side."""
    return hidden.reshape(hidden.shape[0], -1, 2 * WIDTH)


def split_heads(x: Tensor) -> Tensor:
    """(B, T, 288) -> (B, 8, T, 36)."""
    return x.reshape(x.shape[0], -1, HEADS, SIZE).transpose(1, 2)


def running_power(powers: Tensor) -> Tensor:
    """Loudness-weighted running mean square of the last 3 s: powers of the steps, (B, steps) -> (B, steps)."""
    steps = powers.shape[1]
    age = torch.arange(steps)[:, None] - torch.arange(steps)[None]
    decay = torch.where(age >= 0, POWER_DECAY ** age.clamp(min=0).float(), 0.0)  # (now, then)
    total, weight = powers.square() @ decay.T, powers @ decay.T
    return (total + PRIOR_WEIGHT * PRIOR_POWER**2) / (weight + PRIOR_WEIGHT * PRIOR_POWER) * PLAIN_MEAN


def attention_mask(length: int, late: int, ahead: int) -> Tensor:
    """Mask (query, key), (length, length), of a layer whose blocks end `late` features before the newest ones, `ahead`
    of them the layer's own look-ahead."""
    start = (torch.arange(length) + late) // BLOCK * BLOCK - late  # first feature of each one's block
    key = torch.arange(length)
    return (key >= start[:, None] - LEFT) & (key < start[:, None] + BLOCK + ahead)


def rotary(inverse_frequency: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions 0..length - 1, each (length, 32)."""
    angles = torch.arange(length)[:, None] * inverse_frequency[None]
    return angles.cos().repeat_interleave(2, 1), angles.sin().repeat_interleave(2, 1)


def rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotates queries or keys, (B, 8, T, 36), by their positions, neighbours being pairs. Source: Su et al. 2021."""
    cos, sin = rotation
    turned, fixed = x[..., :ROTARY], x[..., ROTARY:]
    across = torch.stack((-turned[..., 1::2], turned[..., 0::2]), -1).flatten(-2)  # (B, 8, T, 32)
    return torch.cat((turned * cos + across * sin, fixed), -1)


def _attend(layer: Layer, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
    """(B, T, 288) -> (B, T, 288)."""
    normed = layer.input_layernorm(x)
    query, key = (rotated(layer.project(name, normed), rotation) for name in ("q", "k"))
    value = layer.project("v", normed)
    return layer.finish(x, functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))


def state_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the states, without the batch axis."""
    half = (resampling().shape[2] - DOWN) // 2
    shapes: dict[str, tuple[int, ...]] = {
        "sound": (DOWN + half,),
        "resampled": (63,),
        "normed": (WIDTH, 4),
        "inner": (2 * WIDTH, 1),
        "power": (2,),
        "count": (1,),
    }
    for number, ahead in enumerate(AHEAD):
        shapes[f"waiting_{number}"] = (ahead, WIDTH)
        shapes[f"keys_{number}"] = (LEFT + ahead, WIDTH)
        shapes[f"values_{number}"] = (LEFT + ahead, WIDTH)
    return shapes


class EncoderStep(nn.Module):
    """Wraps an `Encoder`: `forward(x, *states)` returns codes (B, 2) and the new states."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("resampling", resampling())
        self.resampling: Tensor

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        before = dict(zip(state_shapes(), states, strict=True))
        hidden, after = self.hidden(x, before)  # (B, BLOCK, 288)
        _, logits, _ = self.encoder.head(paired(hidden))  # (B, 2, 4096)
        return (logits.argmax(2), *(after[name] for name in before))

    def hidden(self, x: Tensor, before: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """x (B, STEP) -> hidden (B, BLOCK, 288), and the new states."""
        h, after = self._features(x, before)  # (B, BLOCK, 288)
        late = 0
        for number, (layer, ahead) in enumerate(zip(self.encoder.layer_list(), AHEAD, strict=True)):
            position = before["count"] - late - LEFT - ahead + torch.arange(LEFT + ahead + BLOCK)  # (B, window)
            mask = torch.where(position < 0, MASKED, 0.0)[:, None, None]
            h = self._attend(number, layer, h, mask, before, after)
            late += ahead
        after["count"] = torch.clamp(before["count"] + BLOCK, max=4.0 * LEFT)  # of features; more makes no difference
        return self.encoder.layer_norm(h), after

    def _features(self, x: Tensor, before: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The stem: (B, STEP) -> (B, BLOCK, 288), and the new states."""
        stem, after = self.encoder.stem, {}
        sound = torch.cat((before["sound"], x), 1)
        half = (self.resampling.shape[2] - DOWN) // 2
        after["sound"] = sound[:, STEP:]
        blocks = functional.conv1d(sound[:, None, : STEP + 2 * half], self.resampling, stride=DOWN)  # (B, 24, 64)
        narrow = torch.cat((before["resampled"], blocks.transpose(1, 2).flatten(1)), 1)  # (B, 63 + 1536)
        after["resampled"] = narrow[:, -63:]
        convolved = stem.first(narrow)  # (B, 288, CONV1_STEP)
        power = convolved.square().mean((1, 2))[:, None]  # (B, 1)
        sums = before["power"] * POWER_DECAY + torch.cat((power.square(), power), 1)  # (B, 2)
        after["power"] = sums
        mean = (sums[:, :1] + PRIOR_WEIGHT * PRIOR_POWER**2) / (sums[:, 1:] + PRIOR_WEIGHT * PRIOR_POWER) * PLAIN_MEAN
        normed = torch.cat((before["normed"], stem.normalised(convolved, mean[:, None])), 2)
        after["normed"] = normed[:, :, CONV1_STEP:]
        inner = torch.cat((before["inner"], functional.gelu(stem.conv2(normed))), 2)  # (B, 576, 9)
        after["inner"] = inner[:, :, -1:]
        return functional.gelu(stem.conv3(inner)).transpose(1, 2), after

    def _attend(
        self, number: int, layer: Layer, x: Tensor, mask: Tensor, before: dict[str, Tensor], after: dict[str, Tensor]
    ) -> Tensor:
        """Applies a layer to the features whose look-ahead is complete: (B, BLOCK, 288) -> (B, BLOCK, 288)."""
        window: dict[str, Tensor] = {}  # (B, LEFT + ahead + BLOCK, 288)
        normed = layer.input_layernorm(x)
        for name, short in (("keys", "k"), ("values", "v")):
            new = layer.self_attn[f"{short}_proj"](normed)
            window[name] = torch.cat((before[f"{name}_{number}"], new), 1)
            after[f"{name}_{number}"] = window[name][:, BLOCK:]
        waiting = torch.cat((before[f"waiting_{number}"], x), 1)
        after[f"waiting_{number}"] = waiting[:, BLOCK:]
        ready = waiting[:, :BLOCK]  # (B, BLOCK, 288)
        rotation = rotary(self.encoder.inverse_frequency, LEFT + AHEAD[number] + BLOCK)
        own = slice(LEFT, LEFT + BLOCK)
        query = rotated(layer.project("q", layer.input_layernorm(ready)), (rotation[0][own], rotation[1][own]))
        key = rotated(split_heads(window["keys"]), rotation)
        scores = query @ key.transpose(2, 3) / math.sqrt(SIZE) + mask  # (B, 8, BLOCK, window)
        return layer.finish(ready, torch.softmax(scores, -1) @ split_heads(window["values"]))


def read_moonshine(path: Path) -> dict[str, Tensor]:
    """Reads the weights in `path`; matrices are (out, in). Raises `ValueError` for another network's file."""
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
