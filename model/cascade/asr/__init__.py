"""Recognizes speech (ASR): the user's turn as text, while the user speaks.

    contract     the contract: `Asr`, `Recognition`, `Hypothesis`
    streaming    a turn as a stream, with any recognizer that continues forced tokens
    moonshine    English, on onnxruntime
    whisper      other languages, on CTranslate2
    loudness     silence, pauses, and where to cut, by level

Heavy packages are imported when an ASR is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vivavoce.model.cascade.asr.contract import SAMPLE_RATE, Asr, Hypothesis, Recognition, Samples

__all__ = ["SAMPLE_RATE", "Asr", "Hypothesis", "Recognition", "Samples", "open_asr"]


def open_asr(language: str, directory_of: Callable[[str], Path], threads: int) -> Asr:
    """Loads the ASR for `language` (ISO 639-1, such as "en"; "auto" detects it in each turn).

    `directory_of` returns the directory of a catalog artefact: "moonshine-tiny-en" for English, "whisper-base" for the
    rest. Raises `BrokenAsr` when its files cannot be loaded, `UnknownLanguage`.
    """
    if language == "en":
        from vivavoce.model.cascade.asr.moonshine import Moonshine

        return Moonshine(directory_of("moonshine-tiny-en"), threads)
    from vivavoce.model.cascade.asr.whisper import Whisper

    return Whisper(directory_of("whisper-base"), language, threads)
