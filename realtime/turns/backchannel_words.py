"""Read the words said over the assistant: backchannel or interruption? From the words alone.

    ""                    NOTHING    a cough, a hum, or nothing that the ASR recognized
    "Mm-hmm", "Oh, wow"   AGREES     only backchannels: the assistant should go on
    "I", "That's"         BEGINS     may become one of those ("I see")
    "Wait", "No, no"      STOPS      begins with a word that no listener says as a backchannel
    "Monday"              WORD       one other word; the ASR may have made it of a hum
    "Tell me", "Yeah, b"  WORDS      more of them

What each is worth as evidence is a matter of barge_in.py. Words of several languages stand side by side, since the ASR
writes what it recognizes and few words mean different things in two languages. Pure; some microseconds.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final


class BackchannelReading(Enum):
    """The kind of words; see the table above."""

    NOTHING = "nothing"
    AGREES = "agrees"
    BEGINS = "begins"
    STOPS = "stops"
    WORD = "word"
    WORDS = "words"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BACKCHANNELS: Final = _set(
    "mm mmm hm hmm mhm mmhm mmhmm uh huh uhhuh uhuh ah aha ahh oh ooh um yeah yea yep yup yes right okay ok kay sure"
    " wow cool nice great true alright exactly indeed totally absolutely interesting good definitely"
    " ja genau stimmt achso okey klar aha oui ouais d'accord voilà sí si claro vale ya bueno sì certo esatto sim tá"
    " hai naruhodo はい ええ うん そう そうですね なるほど 네 예 응 да ага угу понятно"
)
"""Backchannels, alone or one after another."""
_PHRASES: Final = (
    *("i see", "i know", "got it", "i got it", "of course", "oh really", "really", "makes sense", "that makes sense"),
    *("that's right", "that's true", "that's good", "that's great", "that's nice", "all right", "you're right"),
    *("ach so", "ich verstehe", "verstehe", "je vois", "bien sûr", "ya veo", "de acuerdo", "por supuesto", "ho capito"),
    *("fair enough", "very good", "very nice", "oh my", "i understand", "go on", "thank you", "thanks"),
)
_CHINESE: Final = frozenset("嗯对好的哦是啊呃唔行哈喔噢哇吧了呀嘛")
"""Characters that are backchannels in any order: 嗯, 对对, 好的, 是的, 好啊."""

_STOPPING: Final = _set(
    "stop wait no nope not don't hold hang enough quiet pause cancel never shut listen excuse sorry pardon hey hello"
    " but what what's why who who's whose where where's when which how how's actually can could would will do does did"
    " is are was were let tell give show repeat skip next turn i'm i'd i want need"
    " nein halt stopp warte moment aber warum nicht non attends attendez arrête arrêtez mais pourquoi"
    " espera espere pero para alto perdón aspetta ma perché basta espere 待って ちょっと いや"
    " 잠깐 아니 нет стой подожди но"
)
_STOPPING_CHINESE: Final = ("等", "不", "停", "别", "什么", "为什么", "怎么", "那", "可是", "但", "没")
_BEFORE_STOPPING: Final = _set("mm hm hmm mhm uh um ah oh yeah yes right okay ok well so and")


def read(text: str) -> BackchannelReading:
    """Reads `text` as an ASR writes it; it may break off in the middle of a word."""
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower().replace("-", "").replace("’", "'"))
    if not words:
        return BackchannelReading.NOTHING
    spoken = " ".join(words)
    if set("".join(words)) <= _CHINESE:
        return BackchannelReading.AGREES
    if spoken.startswith(_STOPPING_CHINESE):
        return BackchannelReading.STOPS
    rest = _after_backchannels(words)
    if not rest:
        return BackchannelReading.AGREES
    if any(phrase.startswith(f"{' '.join(rest)} ") for phrase in _PHRASES):
        return BackchannelReading.BEGINS
    first = next((word for word in words if word not in _BEFORE_STOPPING), "")
    if first in _STOPPING:
        return BackchannelReading.STOPS
    return BackchannelReading.WORDS if len(words) > 1 else BackchannelReading.WORD


def _after_backchannels(words: list[str]) -> list[str]:
    """The words from the first on that is no backchannel; empty when all of them are."""
    at = 0
    while at < len(words):
        length = next((n for n in (3, 2, 1) if " ".join(words[at : at + n]) in _PHRASES), 0)
        if not length and words[at] in _BACKCHANNELS:
            length = 1
        if not length:
            return words[at:]
        at += length
    return []
