"""Speaks text (TTS): the text of a reply as sound, a clause at a time.

    reply's text ─Clauses─► clause ─Tts.speak────────────────────────────────────────────► Speech, Speech, ...
                             │                                                              24 kHz + word ends
                             ├ english    the words that are spoken: numbers, dates, markup ("$5" -> "five dollars"),
                             │              and what is said where there are none ("👍" -> "thumbs up")
                             ├ phonemes   words to phonemes, from a lexicon
                             ├ hibari     heart, and four more: the default                        ┐
                             │ piper      joe: the first sound comes when 0.2 s of it is decoded   │ one contract
                             │ codec_voice  joe through the audio codec: text, codes, sound        │
                             │ kokoro     some thirty voices: a clause is computed whole           ┘
                             ├ styles     whispered, softly, calmly ...: tags and instructions
                             └ shaping    no silence before, the right pause behind, no clicks

Every stage keeps count of the characters of the original text, so each word's end comes out as a place in the reply.
A TTS knows no replies: its caller adds up characters and samples over the clauses. Heavy packages are imported when a
TTS is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vivavoce.model.cascade.tts.clauses import Clause, Clauses
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, Tts
from vivavoce.model.cascade.tts.english.unsayable import stand_in
from vivavoce.model.cascade.tts.names import CODED, ENGLISH, HIBARI, JOE, REALTIME_NAMES, resolve
from vivavoce.model.cascade.tts.styles import PLAIN, Style, Tags, requested
from vivavoce.model.errors import MissingModel

__all__ = [
    "PLAIN",
    "WHOLE",
    "Clause",
    "Clauses",
    "Part",
    "Speech",
    "Style",
    "Tags",
    "Tts",
    "open_tts",
    "requested",
    "stand_in",
]


def open_tts(name: str, directory_of: Callable[[str], Path], threads: int) -> Tts:
    """Loads the TTS that has the voice `name`; "" is heart, "joe-codec" is joe through the audio codec (and plain joe
    too). Takes a second or two.

    `directory_of` returns the folder of an artefact of the model catalog ("hibari", "hibari-voices", "piper-joe",
    "kokoro"); it may raise `MissingModel`. A voice of OpenAI's APIs ("alloy") loads hibari, with its other voices where
    those were pulled. Raises `UnknownVoice`, `BrokenTts`, `MissingModel`.
    """
    if name == CODED:
        from vivavoce.model.cascade.tts.codec_voice import CodecVoice

        return CodecVoice(directory_of("piper-joe"), threads)
    if name == JOE:
        from vivavoce.model.cascade.tts.piper import Piper

        return Piper(directory_of("piper-joe"), threads)
    if name in ("", *HIBARI, *REALTIME_NAMES):
        from vivavoce.model.cascade.tts.hibari import Hibari

        more = directory_of("hibari-voices") if name in HIBARI[1:] else _folder("hibari-voices", directory_of)
        return Hibari(directory_of("hibari"), threads, more=more)
    from vivavoce.model.cascade.tts.kokoro import Kokoro, names_in

    folder = directory_of("kokoro") if name.startswith(ENGLISH) else _folder("kokoro", directory_of)
    resolve(name, (*HIBARI, JOE, CODED, *(names_in(folder) if folder else ())))
    assert folder is not None  # it has the voice
    return Kokoro(folder, threads)


def _folder(artefact: str, directory_of: Callable[[str], Path]) -> Path | None:
    """The folder of an artefact; None where it was not pulled."""
    try:
        return directory_of(artefact)
    except MissingModel:
        return None
