"""Speaks with joe through the audio codec: the sound, and the cost, of a model that speaks in audio tokens.

    phoneme ids ─► Piper's front ─► latents ─► codes, 21.43 a second ─► AudioTokenizer ─► 24 kHz ─► say() ─► Speech
                                                                 first 4 codes, then 8, then 16 at a time

All sound goes through the codes. A latent is 280 samples here, not 278.6: the codec plays joe half a percent
slower, so that its frames are whole numbers of samples. A part that begins in mid-clause is decoded with some codes
before it, as the decoder's context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from vivavoce.codecs.audio import Samples
from vivavoce.codecs.latents import LATENT_SIZE, PER_FRAME, LatentEncoder
from vivavoce.codecs.tokenizer import WEIGHTS, AudioTokenizer, Codes
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, check_speed
from vivavoce.model.cascade.tts.names import CODED, JOE, resolve
from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.piper import GAIN, Piper
from vivavoce.model.cascade.tts.styles import PLAIN, Style
from vivavoce.model.cascade.tts.utterance import Rendering, say
from vivavoce.model.errors import BrokenTts

FIRST_CODES: Final = 4
LARGEST_CODES: Final = 16
"""Codes decoded before the first sound (0.19 s) and at a time later (0.75 s); between, they double."""
BEFORE: Final = 8
"""Codes before a part in mid-clause that are decoded with it: 0.37 s, more than the receptive field."""
BEYOND: Final = 2
"""Codes behind a part that breaks off: the look-ahead."""


class CodecVoice(Piper):
    """Piper in `directory`, with the codec in `weights`. Raises `BrokenTts`. The voice joe speaks without the codec.

    Implements `Tts`. Safe to share between threads; `threads`: of one `speak`.
    """

    def __init__(
        self,
        directory: Path,
        threads: int,
        *,
        phonemes: Phonemes | None = None,
        noise: bool = True,
        weights: Path = WEIGHTS,
    ) -> None:
        for name in ("latents", "decoder"):
            if not (weights / f"{name}.onnx").is_file():
                raise BrokenTts(f"the voice {CODED} needs the codec's weights, and {name}.onnx is not in {weights}")
        super().__init__(directory, threads, phonemes=phonemes, noise=noise)
        self._codes_of = LatentEncoder(weights, threads)
        self._codec = AudioTokenizer(weights, threads, encodes=False)
        if self._codes_of.codebook != self._codec.codebook:
            raise BrokenTts(f"the codec's weights in {weights} do not belong together")

    @property
    def names(self) -> tuple[str, ...]:
        return CODED, JOE

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        """See `Tts.speak`."""
        if resolve(name, self.names) == JOE:
            yield from super().speak(text, name=JOE, speed=speed, part=part, style=style)
            return
        speed = check_speed(speed, style)
        yield from say(text, self._phonemes, partial(self._render_coded, speed=speed), speed, part)

    def _render_coded(self, words: Sequence[Word], first: int, last: int, *, speed: float) -> Rendering:
        latents, ends = self.encode(words, speed)
        codes = self._codes_of.encode(latents[0])  # (1, T)
        start = ends[first - 1] if first else 0
        stop = latents.shape[2] if last == len(words) else ends[last - 1]
        samples = [(frame - start) * LATENT_SIZE for frame in ends[first:last]]
        return Rendering(samples, GAIN, self._sound(codes, start, stop))

    def _sound(self, codes: Codes, start: int, stop: int) -> Iterator[Samples]:
        """The sound of the latents from `start` to `stop`, in growing chunks."""
        first = max(0, start // PER_FRAME - BEFORE)
        last = -(-stop // PER_FRAME) + BEYOND
        skip = (start - first * PER_FRAME) * LATENT_SIZE
        left = (stop - start) * LATENT_SIZE
        for sound in self._decoded(codes[:, first:last], start // PER_FRAME - first + FIRST_CODES):
            kept = sound[skip:][:left]
            skip = max(0, skip - len(sound))
            left -= len(kept)
            if len(kept):
                yield kept
            if not left:
                return

    def _decoded(self, codes: Codes, size: int) -> Iterator[Samples]:
        """The sound of all of `codes`, in growing chunks; that of the first `size` codes comes first."""
        state, at = self._codec.init_decoding(), 0
        while at < codes.shape[1]:
            yield self._codec.decode([codes[:, at : at + size]], state)[0]
            at += size
            size = min(max(2 * FIRST_CODES, 2 * size), LARGEST_CODES)
        yield self._codec.finish_decoding(state, 0)
