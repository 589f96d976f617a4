"""The trained decoder as files: python -m vivavoce.model.training.codec.export_decoder STATE VOICE [FOLDER].

STATE is a checkpoint of `codebook_train`, VOICE the ONNX file of Piper's en_US-joe-medium; written are, into the
package unless FOLDER is given,

    decoder.onnx   a code (B, 1) -> 1120 samples of the frame before it, with states; see tokenizer
    latents.onnx   latents of the voice (B, 192, 4T) -> codes (B, T); see latents
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vivavoce.codecs.streaming import NEXT
from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS
from vivavoce.model.training.codec import vocoder
from vivavoce.model.training.codec.autoencoder import (
    CHANNELS,
    PAST,
    PER_FRAME,
    READER_BLOCKS,
    WIDTH,
    WRITER_BLOCKS,
    Autoencoder,
)
from vivavoce.model.training.onnx_files import save

AROUND: Final = READER_BLOCKS + 1
"""Frames of silence before and behind a clip that is read."""


class Decoder(nn.Module):
    """A step: codes (B, 1) and the states -> sound (B, 1120) of the frame before, and the states after.

    States: whether there was a step before, (B, 1); what the writer's blocks saw, (B, PAST, WIDTH) each; its frame
    before, (B, WIDTH); those of the vocoder.
    """

    def __init__(self, trained: Autoencoder, voice: vocoder.Vocoder) -> None:
        super().__init__()
        self.trained = trained
        self.vocoder = vocoder.Streaming(voice)
        self.shapes: dict[str, tuple[int, ...]] = {"started": (1,)}
        self.shapes |= {f"block{number}": (PAST, WIDTH) for number in range(WRITER_BLOCKS)}
        self.shapes["before"] = (WIDTH,)
        self.shapes |= {f"voice{number}": shape for number, shape in enumerate(self.vocoder.states)}

    def forward(self, codes: Tensor, started: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        writer = self.trained.writer
        x = writer.first(functional.embedding(codes, self.trained.codebook.vectors))  # (B, 1, WIDTH)
        seen = []
        for block, past in zip(writer.blocks, states, strict=False):
            known = torch.cat([past, x], 1)
            seen.append(known[:, 1:])
            x = block.known(known)  # type: ignore[operator] # a Block
        now = x[:, 0]
        final = writer.final(torch.cat([states[WRITER_BLOCKS], now], 1))
        scores = torch.cat([final, writer.provisional(now)], 1).reshape(-1, 2 * PER_FRAME, CHANNELS)
        latents = (scores * self.trained.spread + self.trained.mean).transpose(1, 2)
        sound, kept = self.vocoder(latents, list(states[WRITER_BLOCKS + 1 :]))
        kept = [state * started[:, :, None] for state in kept]  # there is no frame before the first: it was zeros
        return (sound, torch.ones_like(started), *seen, now, *kept)

    def init_states(self, batch: int) -> list[Tensor]:
        """As they are at the beginning."""
        return [torch.zeros(batch, *shape) for shape in self.shapes.values()]


class LatentReader(nn.Module):
    """Latents of the voice, (B, 192, 4T) -> codes (B, T). `silence`: the code that stands for it.

    Silence is put around them: what the reader looks at beyond a clip's ends were zeros, which no voice says, and the
    first words were misread more often than others (72 and 60 errors of 780 words)."""

    def __init__(self, trained: Autoencoder, silence: int) -> None:
        super().__init__()
        self.trained = trained
        with torch.no_grad():
            quiet = trained.latents(torch.full((1, 2 * AROUND), silence))[:, AROUND * PER_FRAME :]
        self.quiet: Tensor
        self.register_buffer("quiet", quiet)  # (1, 4 * AROUND, 192)

    def forward(self, latents: Tensor) -> Tensor:
        quiet = self.quiet.expand(latents.shape[0], -1, -1)
        codes = self.trained.codes(torch.cat([quiet, latents.transpose(1, 2), quiet], 1))
        return codes[:, AROUND:-AROUND]


def load(state: Path) -> Autoencoder:
    """The network of a checkpoint."""
    model = Autoencoder()
    model.load_state_dict(torch.load(state, weights_only=True)["model"])
    return model.eval()


def fingerprint(trained: Autoencoder) -> str:
    """12 digits that tell this code book from others."""
    return hashlib.sha256(trained.codebook.vectors.numpy().astype("float32").tobytes()).hexdigest()[:12]


def export(trained: Autoencoder, voice: vocoder.Vocoder, folder: Path, silence: int) -> None:
    """Writes both files. `silence` is the code that stands for it."""
    decoder = Decoder(trained, voice).eval()
    names = list(decoder.shapes)
    facts = {"codebook": fingerprint(trained), "delay_samples": str(FRAME_SIZE), "silence": str(silence)}
    example = (torch.zeros(1, 1, dtype=torch.int64), *decoder.init_states(1))
    outputs = ["samples", *(name + NEXT for name in names)]
    save(folder / "decoder.onnx", decoder, example, ["codes", *names], outputs, facts)
    save(
        folder / "latents.onnx",
        LatentReader(trained, silence),
        (torch.zeros(1, CHANNELS, 8 * PER_FRAME),),
        ["latents"],
        ["codes"],
        {"codebook": facts["codebook"]},
        {"latents": {0: "B", 2: "N"}, "codes": {0: "B", 1: "T"}},
    )


def main(state: Path, voice: Path, folder: Path) -> None:
    kept = torch.load(state, weights_only=True)
    export(load(state), vocoder.read(voice), folder, int(kept["silence"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else WEIGHTS)
