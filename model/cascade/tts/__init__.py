"""Speaks text (TTS): the text of a reply as sound, a clause at a time.

    reply's text ─Clauses─► clause ─Tts.speak────────────────────────────────────────────► Speech, Speech, ...
                             │                                                              24 kHz + word ends
                             ├ english    the words that are spoken: numbers, dates, markup ("$5" -> "five dollars"),
                             │              and what is said where there are none ("👍" -> "thumbs up")
                             ├ phonemes   words to phonemes, from a lexicon
                             ├ piper      joe: the first sound comes when 0.2 s of it is decoded   ┐
                             │ codec_voice  joe through the audio codec: text, codes, sound        │ one contract
                             │ kokoro     some thirty voices: a clause is computed whole           ┘
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
from vivavoce.model.cascade.tts.names import CODED, ENGLISH, JOE, resolve
from vivavoce.model.errors import MissingModel

__all__ = [
    "WHOLE",
    "Clause",
    "Clauses",
    "Part",
    "Speech",
    "Tts",
    "open_tts",
    "stand_in",
]


def open_tts(name: str, directory_of: Callable[[str], Path], threads: int) -> Tts:
    """Loads the TTS that has the voice `name`; "" is joe, "joe-codec" is joe through the audio codec (and plain joe
    too). Takes a second or two.

    `directory_of("piper-joe")` and `directory_of("kokoro")` are the folders of their files; it may raise
    `MissingModel`. A voice of the Realtime API ("alloy") loads Kokoro where that was pulled, joe otherwise. Raises
    `UnknownVoice`, `BrokenTts`, `MissingModel`.
    """
    from vivavoce.model.cascade.tts.kokoro import Kokoro, names_in
    from vivavoce.model.cascade.tts.piper import Piper

    if name == CODED:
        from vivavoce.model.cascade.tts.codec_voice import CodecVoice

        return CodecVoice(directory_of("piper-joe"), threads)
    if name not in ("", JOE):
        try:
            folder = directory_of("kokoro")
        except MissingModel:
            if name.startswith(ENGLISH):
                raise
            available: tuple[str, ...] = ()
        else:
            available = names_in(folder)
        resolve(name, (JOE, *available))
        if available:
            return Kokoro(folder, threads)
    return Piper(directory_of("piper-joe"), threads)
