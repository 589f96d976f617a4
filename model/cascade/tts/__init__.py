"""The voice: what a reply says, as sound, a clause at a time.

    reply's text ─Clauses─► clause ─Voice.speak──────────────────────────────────────────► Speech, Speech, ...
                             │                                                              24 kHz + word ends
                             ├ spoken     what is said for it: numbers, dates, markup ("$5" -> "five dollars")
                             ├ phonemes   words to sounds, from a lexicon
                             ├ piper      joe: first sound after 0.2 s of it is decoded      ┐
                             │ coded      joe through the audio codec: text, codes, sound    │ one interface
                             │ kokoro     some thirty voices: a clause is computed whole     ┘
                             └ shaping    no silence before, the right pause behind, no clicks

Every stage keeps count of the characters of the original text, so each word's end comes out as a place in the reply.
The voice does not know what a reply is: whoever calls adds up characters and samples over its clauses. Heavy packages
are imported when a voice is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vivavoce.model.cascade.tts.clauses import Clause, Clauses
from vivavoce.model.cascade.tts.contract import WHOLE, Part, Speech, Voice
from vivavoce.model.cascade.tts.names import CODED, ENGLISH, JOE, resolve
from vivavoce.model.errors import MissingModel

__all__ = [
    "WHOLE",
    "Clause",
    "Clauses",
    "Part",
    "Speech",
    "Voice",
    "open_voice",
]


def open_voice(name: str, directory_of: Callable[[str], Path], threads: int) -> Voice:
    """Opens the synthesiser that has the voice `name`; "" is joe, "joe-codec" is joe through the audio codec (and
    plain joe, too). Takes a second or two.

    `directory_of("piper-joe")` and `directory_of("kokoro")` are the folders of their files; it may raise
    `MissingModel`. A Realtime name ("alloy") opens Kokoro where that is at hand, joe otherwise. Raises
    `UnknownVoice`, `BrokenVoice`, `MissingModel`.
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
            there_are: tuple[str, ...] = ()
        else:
            there_are = names_in(folder)
        resolve(name, (JOE, *there_are))
        if there_are:
            return Kokoro(folder, threads)
    return Piper(directory_of("piper-joe"), threads)
