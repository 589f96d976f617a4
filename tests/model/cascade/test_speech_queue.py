"""model/cascade/speech_queue.py: what is said when. A real thread; the voice is scripted."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.speech_queue import RUNNING_OUT, Silent, SpeechQueue, Spoke, Utterance
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import WHOLE, Part, Speech
from vivavoce.model.dialogue import ReplySpec, WordEnd


class Voice:
    """Keeps what it was asked for; each part takes `seconds` to be heard."""

    names = ("tone",)

    def __init__(self, seconds: float) -> None:
        self.asked: list[tuple[str, Part]] = []
        self._samples = round(seconds * SAMPLE_RATE)

    def speak(self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE) -> Iterator[Speech]:
        self.asked.append((text, part))
        yield Speech(np.ones(self._samples, np.float32), (WordEnd(len(text), self._samples),))


Begin = Callable[[Voice], tuple[Utterance, "queue.Queue[Spoke | Silent]"]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    threads = Threads()

    def begin(voice: Voice) -> tuple[Utterance, queue.Queue[Spoke | Silent]]:
        heard: queue.Queue[Spoke | Silent] = queue.Queue()
        return SpeechQueue(voice, threads).begin(ReplySpec("a"), heard.put), heard

    yield begin
    threads.close()


def test_the_voice_begins_before_the_clause_is_complete(begin: Begin) -> None:
    voice = Voice(seconds=1)
    utterance, heard = begin(voice)
    utterance.say("Cats are the")
    assert isinstance(heard.get(timeout=5), Spoke)
    assert voice.asked == [("Cats are the", Part(0, goes_on=True))]
    utterance.say(" most intelligent animals.")
    utterance.finish()
    assert isinstance(heard.get(timeout=5), Spoke)
    assert isinstance(heard.get(timeout=5), Silent)
    assert voice.asked[1:] == [("Cats are the most intelligent animals.", Part(len("Cats are")))]


def test_with_sound_in_hand_the_voice_waits_for_the_clause(begin: Begin) -> None:
    voice = Voice(seconds=RUNNING_OUT + 30)
    utterance, heard = begin(voice)
    utterance.say("Cats are the")
    heard.get(timeout=5)
    _until_idle(utterance)
    utterance.say(" most intelligent animals of")
    assert len(voice.asked) == 1


def test_when_the_sound_runs_out_before_the_words_come_it_goes_on_with_what_there_is(begin: Begin) -> None:
    voice = Voice(seconds=0.01)
    utterance, heard = begin(voice)
    utterance.say("Cats are the")
    heard.get(timeout=5)
    _until_idle(utterance)
    utterance.say(" most intelligent animals of")
    heard.get(timeout=5)
    assert voice.asked[1] == ("Cats are the most intelligent animals of", Part(len("Cats are"), goes_on=True))


def _until_idle(utterance: Utterance) -> None:
    deadline = time.monotonic() + 5
    while utterance._busy:
        assert time.monotonic() < deadline
        time.sleep(0.001)
