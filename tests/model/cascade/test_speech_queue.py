"""model/cascade/speech_queue.py: which text is spoken when. The thread is real, the TTS is scripted."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.speech_queue import RUNNING_OUT, SpeechEnd, SpeechQueue, Utterance
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import PLAIN, WHOLE, Part, Speech, Style
from vivavoce.model.cascade.tts.english.unsayable import SORRY
from vivavoce.model.cascade.tts.styles import STYLES
from vivavoce.model.dialogue import AudioToken, ReplySpec, WordEnd


class ScriptedTts:
    """A TTS that keeps its requests; each part takes `seconds` to be played."""

    names = ("tone",)

    def __init__(self, seconds: float) -> None:
        self.requests: list[tuple[str, Part]] = []
        self.styles: list[Style] = []
        self._samples = round(seconds * SAMPLE_RATE)

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        self.requests.append((text, part))
        self.styles.append(style)
        yield Speech(np.ones(self._samples, np.float32), (WordEnd(len(text), self._samples),))


class LatinTts(ScriptedTts):
    """Has no sound for text without Latin letters. Each word is a chunk."""

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        self.requests.append((text, part))
        words = [match.end() for match in re.finditer(r"[A-Za-z]+\W*", text)]
        for number, end in enumerate(words, 1):
            yield Speech(np.ones(self._samples, np.float32), (WordEnd(end, number * self._samples),))


Begin = Callable[..., tuple[Utterance, "queue.Queue[AudioToken | SpeechEnd]"]]
"""The utterance of a TTS, with instructions where they are given, and its sound."""


@pytest.fixture
def begin() -> Iterator[Begin]:
    threads = Threads()

    def begin(tts: ScriptedTts, instructions: str = "") -> tuple[Utterance, queue.Queue[AudioToken | SpeechEnd]]:
        sound: queue.Queue[AudioToken | SpeechEnd] = queue.Queue()
        return SpeechQueue(tts, threads).begin(ReplySpec("a", instructions), sound.put), sound

    yield begin
    threads.close()


def test_speech_begins_before_the_clause_is_complete(begin: Begin) -> None:
    tts = ScriptedTts(seconds=1)
    utterance, sound = begin(tts)
    utterance.say("Cats are the")
    assert isinstance(sound.get(timeout=5), AudioToken)
    assert tts.requests == [("Cats are the", Part(0, goes_on=True))]
    utterance.say(" most intelligent animals.")
    utterance.finish()
    assert isinstance(sound.get(timeout=5), AudioToken)
    assert isinstance(sound.get(timeout=5), SpeechEnd)
    assert tts.requests[1:] == [("Cats are the most intelligent animals.", Part(len("Cats are")))]


def test_with_sound_in_hand_the_tts_waits_for_the_clause(begin: Begin) -> None:
    tts = ScriptedTts(seconds=RUNNING_OUT + 30)
    utterance, sound = begin(tts)
    utterance.say("Cats are the")
    sound.get(timeout=5)
    _until_idle(utterance)
    utterance.say(" most intelligent animals of")
    assert len(tts.requests) == 1


def test_when_the_sound_runs_out_before_the_text_comes_the_opening_is_spoken(begin: Begin) -> None:
    tts = ScriptedTts(seconds=0.01)
    utterance, sound = begin(tts)
    utterance.say("Cats are the")
    sound.get(timeout=5)
    _until_idle(utterance)
    utterance.say(" most intelligent animals of")
    sound.get(timeout=5)
    assert tts.requests[1] == ("Cats are the most intelligent animals of", Part(len("Cats are"), goes_on=True))


def spoken(begin: Begin, *pieces: str) -> tuple[list[str], list[WordEnd], int]:
    """What the TTS is asked for, the word ends of the reply, and its samples."""
    tts = LatinTts(seconds=0.01)
    utterance, sound = begin(tts)
    for piece in pieces:
        utterance.say(piece)
    utterance.finish()
    ends: list[WordEnd] = []
    samples = 0
    while isinstance(token := sound.get(timeout=5), AudioToken):
        ends += token.words
        samples += len(token.samples)
    assert token == SpeechEnd()
    return [text for text, _ in tts.requests], ends, samples


def test_a_style_changes_between_words_and_the_words_keep_their_places(begin: Begin) -> None:
    tts = ScriptedTts(seconds=0.01)
    utterance, sound = begin(tts, "Speak slowly.")
    slow, whisper = STYLES["slow"], STYLES["whisper"]
    utterance.change(whisper)
    utterance.say("Come closer, I have a secret")
    utterance.change(None)
    utterance.say(" to tell.")
    utterance.finish()
    ends: list[WordEnd] = []
    while isinstance(token := sound.get(timeout=5), AudioToken):
        ends += token.words
    assert [text for text, _ in tts.requests][-2:] == [" I have a secret", " to tell."]
    assert tts.styles == [slow.joined(whisper)] * (len(tts.styles) - 1) + [slow]
    assert ends[-1].chars == len("Come closer, I have a secret to tell.")


def test_the_first_clause_comes_as_early_after_a_change_of_style(begin: Begin) -> None:
    tts = ScriptedTts(seconds=30)
    utterance, sound = begin(tts)
    utterance.change(STYLES["calm"])
    utterance.say("Yes, ")
    assert isinstance(sound.get(timeout=5), AudioToken)
    assert tts.requests == [("Yes,", WHOLE)]


def test_a_reply_of_which_nothing_can_be_said_is_heard(begin: Begin) -> None:
    assert spoken(begin, "👍")[:2] == (["👍", "thumbs up."], [WordEnd(1, 480)])
    requests, ends, samples = spoken(begin, "你好，我是语音助手。")
    assert requests == ["你好，", SORRY, "我是语音助手。"]
    assert (ends, samples) == ([WordEnd(3, 5 * 240)], 5 * 240), "said with the last word of the five, and said once"


def test_a_stand_in_is_repeated_once_other_words_were_said(begin: Begin) -> None:
    requests, ends, _ = spoken(begin, "你好。 Hello. 再见。 世界。")
    assert [text for text in requests if text == SORRY] == [SORRY, SORRY]
    assert [end.chars for end in ends] == [3, 10, 14]


def test_signs_behind_words_are_passed_over(begin: Begin) -> None:
    assert spoken(begin, "Yes! ", "👍")[0] == ["Yes!"]
    assert spoken(begin, " \n") == ([], [], 0)


def _until_idle(utterance: Utterance) -> None:
    deadline = time.monotonic() + 5
    while utterance._busy:
        assert time.monotonic() < deadline
        time.sleep(0.001)
