"""The vocoder of the voice "joe", a HiFi-GAN, in torch: latents to sound, whole or a frame at a time.

    latents (B, 192, 4T) ─low─► (B, 128, 32T) ─middle─► (B, 64, 256T) ─high─► sound (B, 1, 1024T)
      conv 7, up 8                 up 8                     up 4, conv 7

`StreamingVocoder` makes the sound of a frame when the four latents behind it are known, at least provisionally. Each
layer keeps the end of its input as state, and gets zeros to the right of what is known: an error of -26 dB in the low
part, which reaches 12 latents ahead, and none in the other two. Source: Kong et al. 2020 (HiFi-GAN); weights of the
Piper project's en_US-joe-medium, read from its ONNX file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.codecs.resample import polyphase
from vivavoce.model.store import Store

KERNELS: Final = (3, 5, 7)
DILATIONS: Final = ((1, 2), (2, 6), (3, 12))
UPS: Final = ((256, 128, 16, 8), (128, 64, 16, 8), (64, 32, 8, 4))
"""Channels in and out, kernel, stride of the three upsamplings."""
SLOPE: Final = 0.1
LAST_SLOPE: Final = 0.01
PER_FRAME: Final = 4
AHEAD: Final = (4, 10, 20, 20)
"""Positions that each part computes beyond its frame, for the next one: latents, then 1/8, 1/64, 1/256 of a latent."""
MIN_IMPORTANCE: Final = 0.03
MAX_IMPORTANCE: Final = 12.0
UP: Final = 35
DOWN: Final = 32
"""The vocoder's 1024 samples of a frame are 1120 at 24 kHz."""
SAMPLES: Final = 1024


class Conv(nn.Conv1d):
    """A convolution that keeps the length, zero-padded."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int = 1, *, bias: bool = True) -> None:
        reach = dilation * (kernel - 1) // 2
        super().__init__(before, after, kernel, dilation=dilation, padding=reach, bias=bias)
        self.reach = reach


class Up(nn.ConvTranspose1d):
    """An upsampling by `stride`, kernel twice as long: an output depends on the inputs before and after it."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__(before, after, kernel, stride=stride, padding=(kernel - stride) // 2)
        self.factor = stride
        self.reach = 1


class Stage(nn.Module):
    """One upsampling and the mean of three residual chains."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.up = Up(before, after, kernel, stride)
        self.chains = nn.ModuleList(
            nn.ModuleList(Conv(after, after, size, dilation) for dilation in dilations)
            for size, dilations in zip(KERNELS, DILATIONS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, n) -> (B, after, n * stride)."""
        x = self.up(functional.leaky_relu(x, SLOPE))
        total = torch.zeros(())
        for chain in self.convs():
            y = x
            for conv in chain:
                y = y + conv(functional.leaky_relu(y, SLOPE))
            total = total + y
        return total / len(KERNELS)

    def convs(self) -> list[list[Conv]]:
        """The convolutions of each chain."""
        return [list(cast("Iterable[Conv]", chain)) for chain in self.chains]


class Vocoder(nn.Module):
    """The whole vocoder; 1.7 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Conv(192, 256, 7)
        self.stages = nn.ModuleList(Stage(*up) for up in UPS)
        self.last = Conv(32, 1, 7, bias=False)

    def parts(self) -> list[Stage]:
        """The stages."""
        return list(cast("Iterable[Stage]", self.stages))

    def low(self, latents: Tensor) -> Tensor:
        """(B, 192, n) -> (B, 128, 8n)."""
        x: Tensor = self.parts()[0](self.first(latents))
        return x

    def high(self, x: Tensor) -> Tensor:
        """(B, 128, 8n) -> (B, 1, 256n), -1..1."""
        for stage in self.parts()[1:]:
            x = stage(x)
        return torch.tanh(self.last(functional.leaky_relu(x, LAST_SLOPE)))

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 192, n) -> (B, 1, 256n), -1..1."""
        return self.high(self.low(latents))


def from_store(store: Store) -> Vocoder:
    """Opens the vocoder of Piper's en_US-joe-medium."""
    return read(next(iter(sorted(store.path("piper-joe").glob("*.onnx")))))


def read(path: Path) -> Vocoder:
    """Reads the weights from the voice's ONNX file."""
    import onnx
    from onnx import numpy_helper

    arrays = {
        weight.name: torch.from_numpy(numpy_helper.to_array(weight).astype(np.float32))
        for weight in onnx.load_model(path).graph.initializer
        if weight.name.startswith("dec.")
    }
    named: dict[str, Tensor] = {}
    for name, array in arrays.items():
        at = name.split(".")  # dec.ups.0.weight, dec.resblocks.4.convs.1.bias, dec.conv_pre.bias
        match at[1]:
            case "ups":
                named[f"stages.{at[2]}.up.{at[3]}"] = array
            case "resblocks":
                named[f"stages.{int(at[2]) // 3}.chains.{int(at[2]) % 3}.{at[4]}.{at[5]}"] = array
            case "conv_pre":
                named[f"first.{at[2]}"] = array
            case "conv_post":
                named[f"last.{at[2]}"] = array
    vocoder = Vocoder()
    vocoder.load_state_dict(named)
    return vocoder.eval()


@torch.no_grad()
def importance(vocoder: Vocoder, latents: Tensor) -> Tensor:
    """Effect of each channel of the latents, (1, 192, n), on the output of the low part: (192,), mean 1.

    Measured with noise of half the channel's standard deviation; bounded by `MIN_IMPORTANCE` and `MAX_IMPORTANCE`, or
    one channel would outweigh all others."""
    low = vocoder.low(latents)
    scale = low.var(2, keepdim=True)
    std = latents.std(2, keepdim=True)
    noise = 0.5 * std * torch.randn_like(latents)
    each = []
    for channel in range(latents.shape[1]):
        changed = latents.clone()
        changed[:, channel] += noise[:, channel]
        each.append(((vocoder.low(changed) - low).square() / scale).mean())
    weights = torch.stack(each)
    weights = (weights / weights.mean()).clamp(MIN_IMPORTANCE, MAX_IMPORTANCE)
    return weights / weights.mean()


class StreamingVocoder(nn.Module):
    """A step of one frame: latents (B, 192, 8), its own four and the next four -> sound at 24 kHz, (B, 1120).

    `states`: shapes (channels, positions) of the states, all zeros at the beginning.
    """

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.vocoder = vocoder
        bank, self.left, self.right = _resampling()
        self.bank: Tensor
        self.register_buffer("bank", bank)
        self.states: list[tuple[int, int]] = []
        self._record = True
        self._before: list[Tensor] = []
        self._after: list[Tensor] = []
        self(torch.zeros(1, 192, 2 * PER_FRAME), [])
        self._record = False

    def forward(self, latents: Tensor, before: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Takes latents and states, (B, channels, positions) each; returns the sound, (B, 1120), and the new states."""
        self._before, self._after = list(before), []
        voice, size = self.vocoder, PER_FRAME
        x = self._stream(voice.first, latents, size)  # (B, 256, 8)
        for stage, ahead in zip(voice.parts(), AHEAD[1:], strict=True):
            x = self._stream(stage.up, functional.leaky_relu(x, SLOPE), size)
            size *= stage.up.factor  # of the frame; x is longer by what is computed ahead
            total = torch.zeros(())
            for chain in stage.convs():
                y = x
                for conv in chain:
                    y = y + self._stream(conv, functional.leaky_relu(y, SLOPE), size)
                total = total + y
            x = (total / len(KERNELS))[:, :, : size + ahead]
        sound = torch.tanh(self._stream(voice.last, functional.leaky_relu(x, LAST_SLOPE), size))
        known = self._with_history(sound, self.left, size)[:, :, : self.left + size + self.right]
        rows = functional.conv1d(known, self.bank, stride=DOWN)  # (B, UP, SAMPLES / DOWN)
        return rows.transpose(1, 2).reshape(sound.shape[0], -1), self._after

    def _stream(self, layer: Conv | Up, x: Tensor, size: int) -> Tensor:
        """Applies the layer to x, with its history to the left."""
        known = self._with_history(x, layer.reach, size)
        if isinstance(layer, Up):
            padding = (layer.kernel_size[0] - layer.factor) // 2
            y = functional.conv_transpose1d(known, layer.weight, layer.bias, stride=layer.factor, padding=padding)
            return y[:, :, layer.factor * layer.reach :]
        padded = functional.pad(known, (0, layer.reach))
        return functional.conv1d(padded, layer.weight, layer.bias, dilation=layer.dilation)

    def _with_history(self, x: Tensor, reach: int, size: int) -> Tensor:
        """Puts the state, the last `reach` positions of the frame before, in front of x, (B, C, n); keeps the new one,
        of the frame's own `size` positions."""
        if self._record:
            self.states.append((x.shape[1], reach))
            before = x.new_zeros(x.shape[0], x.shape[1], reach)
        else:
            before = self._before.pop(0)
        known = torch.cat([before, x], 2)
        self._after.append(known[:, :, size : size + reach])
        return known


def _resampling() -> tuple[Tensor, int, int]:
    """Returns a filter bank, (UP, 1, taps), for DOWN samples at a time, and the samples it covers before and after."""
    weights = polyphase(UP, DOWN)  # (UP, taps): around an output that lies phase / UP after an input
    half = weights.shape[1] // 2
    bank = np.zeros((UP, 1, DOWN + 2 * half - 1), np.float32)
    for row in range(UP):
        whole, phase = divmod(row * DOWN, UP)
        bank[row, 0, whole : whole + 2 * half] = weights[phase]
    return torch.from_numpy(bank), half - 1, half
