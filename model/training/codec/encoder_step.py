"""One streaming step of the encoder, as it is exported: the same numbers as `Encoder.streamed`.

    x (B, 2240) at 24 kHz ──► codes (B, 2) of frames four earlier
    states ─────────────────► states, zeros at first: the inputs that each convolution and each layer still needs

Keys are kept without positions and rotated by their position in the window, so that a stream has no longest length.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.model.training.codec.encoder import (
    AHEAD,
    BLOCK,
    CONV1_STEP,
    DOWN,
    LEFT,
    PLAIN_MEAN,
    POWER_DECAY,
    PRIOR_POWER,
    PRIOR_WEIGHT,
    SIZE,
    STEP,
    WIDTH,
    Encoder,
    Layer,
    paired,
    resampling,
    rotary,
    rotated,
    split_heads,
)

MASKED: Final = -1e9
"""Added to the scores of masked keys."""


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
