"""Reply text to sound, clause by clause, on the voice's thread.

    say(text) ──► Clauses ──► one job per clause ──(voice's thread)──► deliver(Spoke) ... deliver(Silent)

Jobs of different conversations take turns by clause, so nobody waits for a stranger's whole reply. Positions are
counted from the beginning of the reply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.voice import Voice, VoiceError
from vivavoce.model.cascade.voice.clauses import Clause, Clauses
from vivavoce.model.dialogue import ReplySpec, Samples, WordEnd


@dataclass(frozen=True, slots=True)
class Spoke:
    """The next stretch of the reply's sound, with the word ends that fall into it."""

    samples: Samples
    words: tuple[WordEnd, ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing more will be said; with `error` because the voice failed."""

    error: str = ""


Deliver = Callable[[Spoke | Silent], None]
"""Takes sound on the voice's thread; must be quick and thread-safe. `Silent` comes last, once, unless cancelled."""


class Utterance:
    """The voice's share of one reply."""

    def __init__(self, voice: Voice, threads: Threads, spec: ReplySpec, deliver: Deliver) -> None:
        self._voice = voice
        self._threads = threads
        self._spec = spec
        self._deliver = deliver
        self._clauses = Clauses()
        self._spoken = 0  # samples so far; only the voice's thread touches it
        self._cancelled = threading.Event()

    def say(self, text: str) -> None:
        """Takes the next piece of the reply's text."""
        for clause in self._clauses.push(text):
            self._submit(clause)

    def finish(self) -> None:
        """The text is complete."""
        for clause in self._clauses.flush():
            self._submit(clause)
        self._threads.voice(self._end)

    def cancel(self) -> None:
        """Stops at the next chunk; nothing is delivered any more."""
        self._cancelled.set()

    def _submit(self, clause: Clause) -> None:
        self._threads.voice(lambda: self._speak(clause))

    def _speak(self, clause: Clause) -> None:
        if self._cancelled.is_set():
            return
        start = self._spoken
        try:
            for speech in self._voice.speak(clause.text, name=self._spec.voice, speed=self._spec.speed):
                if self._cancelled.is_set():
                    return
                words = tuple(WordEnd(clause.start + w.chars, start + w.sample) for w in speech.words)
                self._spoken += len(speech.samples)
                self._deliver(Spoke(speech.samples, words))
        except (VoiceError, RuntimeError, ValueError) as error:  # the voice, onnxruntime, its inputs
            self.cancel()
            self._deliver(Silent(f"The voice failed: {error}"))

    def _end(self) -> None:
        if not self._cancelled.is_set():
            self._deliver(Silent())


class Mouth:
    """A voice and the thread it speaks on."""

    def __init__(self, voice: Voice, threads: Threads) -> None:
        self._voice = voice
        self._threads = threads

    def begin(self, spec: ReplySpec, deliver: Deliver) -> Utterance:
        """The voice's share of the reply `spec`."""
        return Utterance(self._voice, self._threads, spec, deliver)
