"""One step of the encoder, its states in and out, as it is exported: the same numbers as `Encoder.whole`.

    x (B, 2240) at 24 kHz ──► codes (B, 2) of the frames that began four before
    states ─────────────────► states, zeros at first: the ends of what each convolution and each layer still needs

Keys are kept as they were made and turned by their place in the window, so that a call may last as long as it likes.
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
    DOUBT,
    DOWN,
    KEEP,
    LEFT,
    MOMENTS,
    SHARE,
    SIZE,
    STEP,
    USUAL,
    WIDTH,
    Encoder,
    Layer,
    by_head,
    paired,
    resampling,
    turned,
    turns,
)

FAR: Final = -1e9
"""Added to what must not be seen."""


def state_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the states, without the batch."""
    half = (resampling().shape[2] - DOWN) // 2
    shapes: dict[str, tuple[int, ...]] = {
        "sound": (DOWN + half,),
        "slow": (63,),
        "normed": (WIDTH, 4),
        "inner": (2 * WIDTH, 1),
        "loudness": (2,),
        "seen": (1,),
    }
    for number, ahead in enumerate(AHEAD):
        shapes[f"waiting_{number}"] = (ahead, WIDTH)
        shapes[f"keys_{number}"] = (LEFT + ahead, WIDTH)
        shapes[f"values_{number}"] = (LEFT + ahead, WIDTH)
    return shapes


class Stepper(nn.Module):
    """Wraps an `Encoder`; `forward(x, *states)` gives the codes and the states' successors."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("resampling", resampling())
        self.resampling: Tensor

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        before = dict(zip(state_shapes(), states, strict=True))
        hidden, after = self.hidden(x, before)
        _, logits, _ = self.encoder.head(paired(hidden))
        return (logits.argmax(2), *(after[name] for name in before))

    def hidden(self, x: Tensor, before: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """x: (B, STEP) -> (B, BLOCK, 288), and the states after it."""
        h, after = self._features(x, before)
        late = 0
        for number, (layer, ahead) in enumerate(zip(self.encoder.each(), AHEAD, strict=True)):
            newest = before["seen"] - late - LEFT - ahead + torch.arange(LEFT + ahead + BLOCK)  # (B, window)
            mask = torch.where(newest < 0, FAR, 0.0)[:, None, None]
            h = self._attend(number, layer, h, mask, before, after)
            late += ahead
        after["seen"] = torch.clamp(before["seen"] + BLOCK, max=4.0 * LEFT)  # more makes no difference
        return self.encoder.layer_norm(h), after

    def _features(self, x: Tensor, before: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, STEP) -> (B, BLOCK, 288)."""
        stem, after = self.encoder.stem, {}
        sound = torch.cat((before["sound"], x), 1)
        half = (self.resampling.shape[2] - DOWN) // 2
        after["sound"] = sound[:, STEP:]
        blocks = functional.conv1d(sound[:, None, : STEP + 2 * half], self.resampling, stride=DOWN)
        slow = torch.cat((before["slow"], blocks.transpose(1, 2).flatten(1)), 1)
        after["slow"] = slow[:, -63:]
        moments = stem.moments(slow)  # (B, 288, MOMENTS)
        power = moments.square().mean((1, 2))[:, None]
        loudness = before["loudness"] * KEEP + torch.cat((power.square(), power), 1)
        after["loudness"] = loudness
        usual = (loudness[:, :1] + DOUBT * USUAL**2) / (loudness[:, 1:] + DOUBT * USUAL) * SHARE
        normed = torch.cat((before["normed"], stem.normalised(moments, usual[:, None])), 2)
        after["normed"] = normed[:, :, MOMENTS:]
        inner = torch.cat((before["inner"], functional.gelu(stem.conv2(normed))), 2)
        after["inner"] = inner[:, :, -1:]
        return functional.gelu(stem.conv3(inner)).transpose(1, 2), after

    def _attend(
        self, number: int, layer: Layer, x: Tensor, mask: Tensor, before: dict[str, Tensor], after: dict[str, Tensor]
    ) -> Tensor:
        """The layer on what has waited long enough; (B, BLOCK, 288) in and out."""
        kept: dict[str, Tensor] = {}
        normed = layer.input_layernorm(x)
        for name, short in (("keys", "k"), ("values", "v")):
            new = layer.self_attn[f"{short}_proj"](normed)
            kept[name] = torch.cat((before[f"{name}_{number}"], new), 1)
            after[f"{name}_{number}"] = kept[name][:, BLOCK:]
        waiting = torch.cat((before[f"waiting_{number}"], x), 1)
        after[f"waiting_{number}"] = waiting[:, BLOCK:]
        due = waiting[:, :BLOCK]
        turn = turns(self.encoder.inverse_frequency, LEFT + AHEAD[number] + BLOCK)
        here = slice(LEFT, LEFT + BLOCK)
        query = turned(layer.project("q", layer.input_layernorm(due)), (turn[0][here], turn[1][here]))
        key = turned(by_head(kept["keys"]), turn)
        scores = query @ key.transpose(2, 3) / math.sqrt(SIZE) + mask
        return layer.finish(due, torch.softmax(scores, -1) @ by_head(kept["values"]))
