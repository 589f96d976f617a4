"""Exports the trained codebook and decoder as ONNX files for streaming.

    python -m vivavoce.model.training.codec.export_decoder STATE [FOLDER]

    STATE, a checkpoint of `train_codebook` ─┬─► latents.onnx   latents (B, 192, 4T) -> codes (B, T)
    the vocoder of Piper's joe ──────────────┴─► decoder.onnx   a code (B, 1) -> 1120 samples of the frame before it,
                                                                with states

The files go into the package (codecs/weights) unless FOLDER is given; codecs/latents.py and codecs/tokenizer.py run
them. A few seconds.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.codecs.streaming import NEXT
from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS
from vivavoce.model.training import command_line, open_store
from vivavoce.model.training.codec import vocoder
from vivavoce.model.training.codec.autoencoder import (
    CHANNELS,
    DECODER_BLOCKS,
    ENCODER_BLOCKS,
    PAST,
    PER_FRAME,
    WIDTH,
    Autoencoder,
)
from vivavoce.model.training.onnx_files import save

PADDING: Final = ENCODER_BLOCKS + 1
"""Frames of silence before and behind a clip that is encoded."""


class DecoderStep(nn.Module):
    """A streaming step: codes (B, 1) and states -> sound (B, 1120) of the frame before, and the new states.

    States: whether there was a step before, (B, 1); past inputs of the decoder's blocks, (B, PAST, WIDTH) each; its
    output for the frame before, (B, WIDTH); those of the vocoder.
    """

    def __init__(self, trained: Autoencoder, voice: vocoder.Vocoder) -> None:
        super().__init__()
        self.trained = trained
        self.vocoder = vocoder.StreamingVocoder(voice)
        self.shapes: dict[str, tuple[int, ...]] = {"started": (1,)}
        self.shapes |= {f"block{number}": (PAST, WIDTH) for number in range(DECODER_BLOCKS)}
        self.shapes["before"] = (WIDTH,)
        self.shapes |= {f"voice{number}": shape for number, shape in enumerate(self.vocoder.states)}

    def forward(self, codes: Tensor, started: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        decoder = self.trained.decoder
        x = decoder.first(functional.embedding(codes, self.trained.codebook.vectors))  # (B, 1, WIDTH)
        pasts = []
        for block, past in zip(decoder.blocks, states, strict=False):
            window = torch.cat([past, x], 1)  # (B, PAST + 1, WIDTH)
            pasts.append(window[:, 1:])
            x = block.valid(window)  # type: ignore[operator] # a ConvBlock
        now = x[:, 0]  # (B, WIDTH)
        final = decoder.final(torch.cat([states[DECODER_BLOCKS], now], 1))
        scores = torch.cat([final, decoder.provisional(now)], 1).reshape(-1, 2 * PER_FRAME, CHANNELS)
        latents = (scores * self.trained.std + self.trained.mean).transpose(1, 2)  # (B, 192, 8)
        sound, after = self.vocoder(latents, list(states[DECODER_BLOCKS + 1 :]))
        after = [state * started[:, :, None] for state in after]  # before the first frame there is none: zeros
        return (sound, torch.ones_like(started), *pasts, now, *after)

    def init_states(self, batch: int) -> list[Tensor]:
        """The states at the beginning of a stream."""
        return [torch.zeros(batch, *shape) for shape in self.shapes.values()]


class LatentTokenizer(nn.Module):
    """Latents of the voice, (B, 192, 4T) -> codes (B, T). `silence`: the code of silence.

    Latents are padded with those of silence: with zeros, which no speech has, the first words were misrecognized more
    often than others (72 and 60 errors of 780 words)."""

    def __init__(self, trained: Autoencoder, silence: int) -> None:
        super().__init__()
        self.trained = trained
        with torch.no_grad():
            padding = trained.latents(torch.full((1, 2 * PADDING), silence))[:, PADDING * PER_FRAME :]
        self.padding: Tensor
        self.register_buffer("padding", padding)  # (1, 4 * PADDING, 192)

    def forward(self, latents: Tensor) -> Tensor:
        padding = self.padding.expand(latents.shape[0], -1, -1)
        codes = self.trained.codes(torch.cat([padding, latents.transpose(1, 2), padding], 1))  # (B, T + 2 PADDING)
        return codes[:, PADDING:-PADDING]


def load_codec(state: Path) -> Autoencoder:
    """Opens the network of a checkpoint of `train_codebook`."""
    model = Autoencoder()
    model.load_state_dict(torch.load(state, weights_only=True)["model"])
    return model.eval()


def fingerprint(trained: Autoencoder) -> str:
    """Fingerprint of the codebook, 12 digits."""
    return hashlib.sha256(trained.codebook.vectors.numpy().astype("float32").tobytes()).hexdigest()[:12]


def export(trained: Autoencoder, voice: vocoder.Vocoder, folder: Path, silence: int) -> None:
    """Writes both files. `silence`: the code of silence."""
    decoder = DecoderStep(trained, voice).eval()
    names = list(decoder.shapes)
    metadata = {"codebook": fingerprint(trained), "delay_samples": str(FRAME_SIZE), "silence": str(silence)}
    example = (torch.zeros(1, 1, dtype=torch.int64), *decoder.init_states(1))
    outputs = ["samples", *(name + NEXT for name in names)]
    save(folder / "decoder.onnx", decoder, example, ["codes", *names], outputs, metadata)
    save(
        folder / "latents.onnx",
        LatentTokenizer(trained, silence),
        (torch.zeros(1, CHANNELS, 8 * PER_FRAME),),
        ["latents"],
        ["codes"],
        {"codebook": metadata["codebook"]},
        {"latents": {0: "B", 2: "N"}, "codes": {0: "B", 1: "T"}},
    )


def main(state: Path, folder: Path) -> None:
    """Exports the checkpoint `state` into `folder`."""
    silence = int(torch.load(state, weights_only=True)["silence"])
    voice = vocoder.from_store(open_store())
    export(load_codec(state), voice, folder, silence)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line(__doc__)
    parser.add_argument("state", type=Path, help="checkpoint of train_codebook")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=WEIGHTS, help="where the files go (default: the package)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    options = arguments()
    main(options.state, options.folder)
