"""Recognizes languages other than English with Whisper (Radford et al. 2022) through faster-whisper, greedily.

    samples ──► log-mel ──► encoder ──► states ──► (language, unless it is set) ──────► decoder ──► tokens
                                                        stable tokens are part of its prompt ──┘

Only the sound that there is and 2 s of silence go through the encoder, instead of Whisper's 30 s: four times faster
for a short turn, with the same words. Stable tokens save decoder steps; the draft beyond them is not used,
since CTranslate2 has no way to check it in one run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from faster_whisper import WhisperModel

from vivavoce.model.cascade.asr.contract import SAMPLE_RATE, Samples
from vivavoce.model.cascade.asr.streaming import SegmentedRecognition, loop_start
from vivavoce.model.dialogue import OverlapOpinion
from vivavoce.model.errors import BrokenAsr, UnknownLanguage

FILES: Final = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
DETECTABLE: Final = 2 * SAMPLE_RATE
"""Samples of a turn after which its language is settled."""
TOKENS_PER_SECOND: Final = 12.0
"""More than people say; Chinese takes up to two tokens a syllable."""
SPARE_TOKENS: Final = 8

_SILENCE: Final = 2 * SAMPLE_RATE  # behind only 0.5 s of silence the decoder repeats short phrases
_NO_SPEECH: Final = 0.6  # Radford et al. 2022, section 4.5: no speech, if the words are unlikely too
_UNLIKELY: Final = -1.0  # mean log probability of a token
_WITHOUT_SPACES: Final = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})


class Whisper:
    """The weights, shared by all turns. Implements `Asr`."""

    def __init__(self, directory: Path, language: str, threads: int) -> None:
        """Loads a CTranslate2 model (`FILES`) as int8; `language` is ISO 639-1 or "auto".

        Raises `BrokenAsr` when a file is missing or broken, `UnknownLanguage`."""
        for name in FILES:  # faster-whisper would look for a missing one on the network
            if not (directory / name).is_file():
                raise BrokenAsr(f"{directory / name} is missing")
        try:
            self.model = WhisperModel(
                str(directory), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
            )
        except (RuntimeError, ValueError) as error:
            raise BrokenAsr(f"cannot load {directory}: {error}") from error
        if language != "auto" and self.special(language) is None:
            raise UnknownLanguage(f"Whisper does not know the language {language!r}")
        self._language = language

    @property
    def languages(self) -> tuple[str, ...]:
        """All of Whisper's when it detects the language, else the one that was set."""
        return tuple(self.model.supported_languages) if self._language == "auto" else (self._language,)

    def open(self) -> SegmentedRecognition:
        """Begins the recognition of a turn."""
        return SegmentedRecognition(WhisperTurn(self, None if self._language == "auto" else self._language))

    def classify_overlap(self, samples_16k: Samples) -> OverlapOpinion:
        """The words only: Whisper has no head that classifies overlap."""
        recognition = self.open()
        recognition.push(samples_16k)
        return OverlapOpinion(recognition.finish().stable)

    def special(self, name: str) -> int | None:
        """Id of the special token <|name|>; None when there is no such token."""
        found: int | None = self.model.hf_tokenizer.token_to_id(f"<|{name}|>")
        return found


class WhisperTurn:
    """The recognizer of one turn, which has a language of its own. Implements `Recognizer`."""

    def __init__(self, whisper: Whisper, language: str | None) -> None:
        self._whisper = whisper
        self._settled = language is not None
        self.language = language or "en"
        self.end_of_turn: float | None = None  # Whisper has no endpoint head

    @property
    def separator(self) -> str:
        return "" if self.language in _WITHOUT_SPACES else " "

    def text(self, tokens: Sequence[int]) -> str:
        decoded: str = self._whisper.model.hf_tokenizer.decode(list(tokens))
        return decoded.strip()

    def starts_word(self, token: int) -> bool:
        """Without spaces, text may be divided before every token that begins with a whole character."""
        piece: str = self._whisper.model.hf_tokenizer.decode([token])
        return piece.startswith(" ") if self.separator else not piece.startswith("\ufffd")

    def recognize(self, samples: Samples, draft: Sequence[int], forced: int) -> list[int]:
        """Greedy tokens of `samples` (16 kHz, at most 28 s), which begin with `draft[:forced]`."""
        model = self._whisper.model
        features = model.feature_extractor(np.pad(samples, (0, _SILENCE)), padding=0)  # (80, T)
        states = model.encode(features[:, : features.shape[1] // 2 * 2])  # the encoder halves T
        if not self._settled:
            self.language = model.model.detect_language(states)[0][0][0].strip("<|>")
            self._settled = len(samples) >= DETECTABLE
        names = ("startoftranscript", self.language, "transcribe", "notimestamps")
        prompt = [*map(self._whisper.special, names), *draft[:forced]]
        limit = math.ceil(len(samples) / SAMPLE_RATE * TOKENS_PER_SECOND) + SPARE_TOKENS
        result = model.model.generate(
            states,
            [prompt],
            beam_size=1,
            max_length=max(limit, forced + 1) + len(names),
            suppress_blank=not forced,  # it forbids an immediate end, which is right only at the beginning
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        if not forced and result.no_speech_prob > _NO_SPEECH and result.scores[0] < _UNLIKELY:
            return []
        tokens: list[int] = result.sequences_ids[0]
        start = loop_start(tokens)
        return tokens if start is None else tokens[: max(start, forced)]
